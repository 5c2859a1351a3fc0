"""Where the embedded control plane keeps its things, and where its socket is."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flyte_jupyter.supervisor.filesystems import mount_table, network_file_system

LONGEST_SOCKET_PATH = 100
"""Bytes. Kernels accept 104 to 108; what is longer fails with an error nobody understands."""


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and files of one user's control plane."""

    data: Path
    run: Path
    notice: str = ""
    """What a person should know about the choice; empty as a rule."""

    @property
    def socket(self) -> Path:
        """The control plane's socket."""
        return self.run / "control.sock"

    @property
    def runtime_file(self) -> Path:
        """Written while a control plane listens."""
        return self.run / "control.json"

    @property
    def start_lock(self) -> Path:
        """Held by whoever is starting one."""
        return self.run / "start.lock"

    @property
    def log(self) -> Path:
        """The control plane's own log."""
        return self.data / "logs" / "control-plane.log"


def places(environ: Mapping[str, str] | None = None, *, mounts: str | None = None) -> Places:
    """Where this user's control plane lives, from the environment alone.

    ``FLYTE_JUPYTER_DATA_DIR`` names the data folder; else it is ``flyte-jupyter`` in Jupyter's data folder. A data folder on a network
    file system is moved to ``FLYTE_JUPYTER_LOCAL_DIR`` or the local temporary folder, with a notice, since SQLite would corrupt there.
    """
    env = os.environ if environ is None else environ
    named = env.get("FLYTE_JUPYTER_DATA_DIR")
    data = Path(named).expanduser().absolute() if named else jupyter_data_dir(env) / "flyte-jupyter"
    notice = ""
    kind = network_file_system(
        PurePosixPath(data.resolve()), mount_table() if mounts is None else mounts
    )
    if kind and not named:
        local = env.get("FLYTE_JUPYTER_LOCAL_DIR") or f"/var/tmp/flyte-jupyter-{os.getuid()}"  # noqa: S108  made 0700 and owned
        notice = (
            f"{data} is on a network file system ({kind}), where a database is not safe: history is kept per host, in {local}. "
            "Set FLYTE_JUPYTER_LOCAL_DIR to choose another local folder."
        )
        data = Path(local)
    return Places(data, _run_dir(data, env), notice)


def jupyter_data_dir(env: Mapping[str, str]) -> Path:
    """Jupyter's own data folder, found as ``jupyter_core`` finds it."""
    if env.get("JUPYTER_DATA_DIR"):
        return Path(env["JUPYTER_DATA_DIR"]).absolute()
    home = Path(env.get("HOME") or Path.home())
    if sys.platform == "darwin":
        return home / "Library" / "Jupyter"
    xdg = env.get("XDG_DATA_HOME")
    return (Path(xdg) if xdg else home / ".local" / "share") / "jupyter"


def _run_dir(data: Path, env: Mapping[str, str]) -> Path:
    return socket_folder(data / "run", "control.sock", env, of=data)


def socket_folder(
    near: Path, name: str, environ: Mapping[str, str] | None = None, *, of: Path | None = None
) -> Path:
    """Where sockets with names as long as `name` can be: `near`, or where the system could not take the path, in a short place.

    The short place is told from others by `of`, or `near`; whoever makes it must `make_private` it.
    """
    if len(os.fsencode(near / name)) <= LONGEST_SOCKET_PATH:
        return near
    env = os.environ if environ is None else environ
    digest = hashlib.sha256(os.fsencode(of or near)).hexdigest()[:12]
    shelf = env.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    if len(os.fsencode(shelf)) > LONGEST_SOCKET_PATH - 60:
        shelf = "/tmp"  # noqa: S108  the folder below it is made 0700 and its owner is checked
    return Path(shelf) / f"flyte-jupyter-{os.getuid()}-{digest}"


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter; refuse one that somebody else made, or led elsewhere."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    foreign = owned_by_another(folder)
    if foreign is not None:
        raise PermissionError(
            f"{folder} belongs to another user (uid {foreign}): remove it or set FLYTE_JUPYTER_DATA_DIR"
        )
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def owned_by_another(folder: Path) -> int | None:
    """The owner of a folder, or of the link that leads to it, when that is not this user; None when it is, or is not there.

    Whoever may write to the folder above, as everybody may to the temporary one, can put a folder or a link of this name there first.
    """
    for info in (folder.lstat, folder.stat):
        try:
            owner = info().st_uid
        except OSError:
            return None
        if owner != os.getuid():
            return owner
    return None
