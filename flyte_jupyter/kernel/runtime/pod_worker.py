"""What runs in a warm worker pod: a zygote, and a door to it for whoever has the right to run programs in the pod.

``python -m flyte_jupyter.kernel.runtime.pod_worker serve --linger SECONDS`` is the pod's program: it ends when the zygote has had no
connection and no attempt for so long. ``... pod_worker attend`` passes frames between its standard streams and the zygote; it sees
to folders and logs, which are the pod's, and gives attempts the environment of the pod. Standard library and `frames` only.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from flyte_jupyter.kernel.runtime import frames

HOME = "FLYTE_JUPYTER_WORKER_HOME"
"""Where a worker keeps its things, when that is not a folder of the pod's own ``/tmp``."""
_ZYGOTE = "flyte_jupyter.kernel.runtime.zygote"
_OVER = "over"
"""A file of that name in the worker's folder says that its zygote has ended and no other will come."""
_PATIENCE = 30.0
_PIECE = 64 * 1024
_LONGEST_LOG = 1024 * 1024


def home() -> Path:
    """The worker's folder."""
    return Path(os.environ.get(HOME) or "/tmp/flyte-jupyter")  # noqa: S108 - a pod's /tmp is its own


# -- the pod's program -----------------------------------------------------------------------------


def serve(linger: float) -> int:
    """Be the parent of everything in the pod until the zygote ends. Gives the exit status."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / _OVER).unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, _end)
    command = [sys.executable, "-m", _ZYGOTE, "--socket", str(folder / "socket")]
    command += ["--records", str(folder / "records"), "--linger", str(linger)]
    subprocess.run(command, check=True)  # noqa: S603 - our own module; it goes into the background
    print("flyte-jupyter: warm worker ready", flush=True)  # noqa: T201 - the pod's log
    # As the pod's first process it inherits the zygote; where it is not the first, it sees the socket go with it.
    while os.getpid() == 1 or (folder / "socket").exists():
        try:
            os.wait()
        except ChildProcessError:
            if os.getpid() == 1:
                break
            time.sleep(0.2)
    with suppress(OSError):
        (folder / _OVER).touch()
    return 0


def _end(*_: object) -> None:
    os._exit(0)


# -- the door --------------------------------------------------------------------------------------


class Door:
    """Passes messages on, in both directions, until either side is gone."""

    def __init__(self, folder: Path, zygote: socket.socket) -> None:
        self._folder = folder
        self._zygote = zygote
        self._from_engine = frames.Decoder()
        self._from_zygote = frames.Decoder()

    def attend(self) -> None:
        """Tell what attempts are known here, then pass on."""
        self._tell({"op": "inventory", "attempts": self._inventory()})
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(self._zygote, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == 0:
                        data = os.read(0, _PIECE)
                        for message in self._from_engine.feed(data):
                            self._do(message)
                    else:
                        data = self._zygote.recv(_PIECE)
                        for message in self._from_zygote.feed(data):
                            self._tell(message)
                    if not data:
                        return

    def _do(self, message: frames.Message) -> None:
        key = str(message.get("key", ""))
        match message.get("op"):
            case "launch":
                self._pass_on(self._prepared(key, message))
            case "log":
                self._tell(self._log(key, int(message["offset"]), int(message["limit"])))
            case "reap":
                self._pass_on(message)
                shutil.rmtree(self._place(key), ignore_errors=True)
            case _:
                self._pass_on(message)

    def _prepared(self, key: str, message: frames.Message) -> frames.Message:
        place = self._place(key)
        (place / "work").mkdir(parents=True, exist_ok=True)
        (place / "attempt.json").write_text(json.dumps(message["attempt"]))
        own = {"FLYTE_JUPYTER_BUNDLES": str(self._folder / "bundles")}
        return {
            **message,
            "env": {**os.environ, **own, **message["env"]},
            "cwd": str(place / "work"),
            "log": str(place / "log"),
        }

    def _log(self, key: str, offset: int, limit: int) -> frames.Message:
        try:
            with (self._place(key) / "log").open("rb") as file:
                file.seek(offset)
                data = file.read(min(limit, _LONGEST_LOG))
        except OSError:
            data = b""
        text = base64.b64encode(data).decode()
        return {"op": "log", "key": key, "offset": offset, "data": text}

    def _inventory(self) -> dict[str, object]:
        found = {}
        for path in self._folder.glob("attempts/*/attempt.json"):
            with suppress(OSError, ValueError):
                found[path.parent.name] = json.loads(path.read_text())
        return found

    def _place(self, key: str) -> Path:
        if not key.replace("-", "").isalnum():
            raise ValueError(f"{key!r} is no attempt's key")
        return self._folder / "attempts" / key

    def _pass_on(self, message: frames.Message) -> None:
        self._zygote.sendall(frames.encode(message))

    def _tell(self, message: frames.Message) -> None:
        data = frames.encode(message)
        while data:
            data = data[os.write(1, data) :]


def attend() -> int:
    """Be the door until the other side hangs up. Status 1: there is no zygote."""
    folder, until = home(), time.monotonic() + _PATIENCE
    while True:
        zygote = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            zygote.connect(str(folder / "socket"))
            break
        except OSError:
            zygote.close()
            if time.monotonic() > until or (folder / _OVER).exists():
                return 1
            time.sleep(0.02)
    with zygote, suppress(BrokenPipeError, ConnectionResetError):
        Door(folder, zygote).attend()
    return 0


def main(words: Sequence[str]) -> int:
    """One of the two programs."""
    match list(words):
        case ["serve", "--linger", seconds]:
            return serve(float(seconds))
        case ["attend"]:
            return attend()
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
