"""Zygotes: one per interpreter and environment, started when first needed, adopted when they outlived their control plane."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flyte_jupyter.engine.adapters.local import homes, processes
from flyte_jupyter.engine.adapters.local.link import Hello, Link, LinkFailed, Message
from flyte_jupyter.engine.adapters.local.orphans import Orphan, records_in
from flyte_jupyter.engine.command import read_at_start

_MODULE = "flyte_jupyter.kernel.runtime.zygote"
_LONGEST_SOCKET = 100
_NEVER = -1
# In the time that a zygote may be silent.
_QUESTIONS = 4


class ZygoteFailed(Exception):
    """An interpreter could not be made to run attempts; the message says what it said. `code` names the failure."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Kind(NamedTuple):  # as names are: every launch compares some
    """Attempts of one kind share a zygote: the interpreter and the fingerprint that its environment had at registration."""

    interpreter: str
    environment: str = ""
    generation: int = 0
    """How many forks lie between it and the one that was started by exec: each of them imported more."""
    variables: str = ""
    """Of a warm parent: a digest of the tasks' own environment variables that it had when it imported; empty for none."""

    @property
    def line(self) -> tuple[str, str, str]:
        """What all generations have in common."""
        return (self.interpreter, self.environment, self.variables)


@dataclass(slots=True)
class Zygote:
    """A running zygote. `keys` are the attempts it has not been told to forget; `used` orders zygotes by their last use.

    `unanswered` counts the questions since it last said something. One that is `ending` gets nothing more: it was told to end, or will be.
    """

    folder: Path
    kind: Kind
    link: Link
    hello: Hello
    keys: set[str] = field(default_factory=set)
    unanswered: int = 0
    used: int = _NEVER
    ending: bool = False

    def end(self) -> None:
        """Ask it to end. Until it has, nobody may be sent to it."""
        self.ending = True
        processes.end(self.hello.pid, self.hello.identity)


Heard = Callable[[Zygote, Message], None]
Lost = Callable[[Zygote], None]
Joined = Callable[[Zygote], None]


class Zygotes:
    """The pool. `joined` is called with each before it is listened to, `heard` gets what they say, `lost` one that has died."""

    def __init__(
        self,
        root: Path,
        environ: Mapping[str, str],
        *,
        linger: float,
        most_bytes: int,
        silence: float,
    ) -> None:
        self._root = root
        self._environ = environ
        self._started_with = {name: environ[name] for name in sorted(read_at_start(environ))}
        self._linger = linger
        self._most_bytes = most_bytes
        self._live: dict[Path, Zygote] = {}
        self._starting: dict[Kind, asyncio.Task[Zygote]] = {}
        self._asked: dict[str, tuple[Zygote, asyncio.Future[Message]]] = {}
        self._clock = 0
        self._silence = silence
        self._asking: asyncio.Task[None] | None = None
        self._heard: Heard = lambda _z, _m: None
        self._lost: Lost = lambda _z: None
        self._joined: Joined = lambda _z: None

    async def adopt(self, joined: Joined, heard: Heard, lost: Lost) -> None:
        """Connect to every zygote that is still there. Those that do not answer are ended; folders with no record are cleared away."""
        self._joined, self._heard, self._lost = joined, heard, lost
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folders = sorted(p for p in self._root.iterdir() if p.is_dir())
        # At once: however many stand still, that takes the patience for one.
        await asyncio.gather(*(self._find(folder) for folder in folders))
        self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _find(self, folder: Path) -> None:
        try:
            about = homes.description(folder)
            kind = Kind(
                about["interpreter"],
                about["environment"],
                about.get("generation", 0),
                about.get("variables", ""),
            )
            zygote = await self._join(folder, kind, Path(about["socket"]))
            if about.get("started_with") != self._started_with:
                # What is begun now has other variables, which come too late in a fork of it.
                self._retire(zygote)
        except (OSError, ValueError, KeyError, TypeError, LinkFailed):
            await homes.fence(folder)
            self.clear(folder)

    async def get(self, kind: Kind) -> Zygote:
        """A zygote of this kind. Raises `ZygoteFailed`."""
        zygote = self.ready(kind)
        if zygote is not None:
            return zygote
        task = self._starting.get(kind)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._start(kind))
            self._starting[kind] = task
            task.add_done_callback(lambda _: self._starting.pop(kind, None))
        return self.touch(await asyncio.shield(task))

    def lives(self, zygote: Zygote) -> bool:
        """Whether it is still there, and will be."""
        return self._live.get(zygote.folder) is zygote and not zygote.ending

    def ready(self, kind: Kind) -> Zygote | None:
        """One that lives already; None when there is none yet."""
        for zygote in self._live.values():
            if zygote.kind == kind and not zygote.ending:
                return self.touch(zygote)
        return None

    async def close(self) -> None:
        """Leave all zygotes to themselves; they and their attempts go on."""
        if self._asking:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for task in list(self._starting.values()):
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        live = list(self._live.values())
        self._live.clear()
        for zygote in live:
            await zygote.link.close()

    def trim(self) -> None:
        """End zygotes without attempts: warm ones that a later generation replaces, then the least recently used until the rest fit."""
        idle = sorted((z for z in self._lasting() if not z.keys), key=lambda z: z.used)
        sizes = {z.folder: processes.own_bytes(z.hello.pid) for z in idle}
        total = sum(sizes.values())
        for zygote in idle:
            if total > self._most_bytes or self._is_replaced(zygote):
                total -= sizes[zygote.folder]
                zygote.end()

    def let_go(self, zygote: Zygote, key: str) -> None:
        """The zygote may forget this attempt. One that is replaced ends with its last."""
        zygote.link.post({"op": "reap", "key": key})
        zygote.keys.discard(key)
        if not zygote.keys and (zygote.ending or self._is_replaced(zygote)):
            zygote.end()

    def _retire(self, zygote: Zygote) -> None:
        """It gets nothing more, and ends with the last of what it has."""
        zygote.ending = True
        if not zygote.keys:
            zygote.end()

    def _lasting(self) -> list[Zygote]:
        return [zygote for zygote in self._live.values() if not zygote.ending]

    def _is_replaced(self, zygote: Zygote) -> bool:
        newest = self.warmest(zygote.kind)
        return bool(zygote.kind.generation and newest and newest is not zygote)

    def warmest(self, kind: Kind) -> Zygote | None:
        """The latest generation of warm parents in a kind's line."""
        latest, least = None, 0
        for zygote in self._live.values():
            generation = zygote.kind.generation
            if generation > least and zygote.kind.line == kind.line and not zygote.ending:
                latest, least = zygote, generation
        return latest

    async def fork(
        self, parent: Zygote, variables: str, wish: Mapping[str, object], patience: float
    ) -> Message:
        """Ask a zygote for a warm fork of itself, with these variables. What it answers; a new one is among the live ones by then."""
        generation = parent.kind.generation + 1
        kind = parent.kind._replace(generation=generation, variables=variables)
        folder, socket = self._place(kind)
        key = folder.name
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[key] = (parent, answer)
        place = {"op": "warm", "key": key, "folder": str(folder), "socket": str(socket)}
        parent.link.send({**wish, **place})
        try:
            async with asyncio.timeout(patience):
                said = await answer
            if said["outcome"] == "ready":
                self.touch(await self._join(folder, kind, socket))
        except (TimeoutError, LinkFailed) as e:
            parent.link.send({"op": "kill", "key": key})
            said = {"outcome": "cold", "what": f"{type(e).__name__}: {e}"}
        finally:
            del self._asked[key]
        # Not when this is cut short: whoever adopts zygotes next finds it, ready or gone.
        self.clear(folder)
        self.trim()
        return said

    def orphans(self) -> Iterator[Orphan]:
        """The records that dead zygotes left."""
        if not self._root.is_dir():
            return
        for folder in sorted(p for p in self._root.iterdir() if p.is_dir()):
            if folder not in self._live:
                yield from records_in(folder)

    def clear(self, folder: Path) -> None:
        """Remove a dead zygote's folder once no record of it is left."""
        if folder not in self._live and not any(records_in(folder)):
            with suppress(OSError, ValueError, KeyError, TypeError):
                Path(homes.description(folder)["socket"]).unlink()
            shutil.rmtree(folder, ignore_errors=True)

    def touch(self, zygote: Zygote) -> Zygote:
        """Note that it is used now."""
        self._clock += 1
        zygote.used = self._clock
        return zygote

    async def _start(self, kind: Kind) -> Zygote:
        self.trim()
        folder, socket = self._place(kind)
        try:
            await self._exec(kind, folder, socket)
            return await self._join(folder, kind, socket)
        except LinkFailed as e:
            said = homes.last_words(folder)
            homes.discard(folder)
            raise ZygoteFailed("InterpreterUnusable", f"{e}. {said}") from e
        except (ZygoteFailed, OSError):
            homes.discard(folder)
            raise

    def _place(self, kind: Kind) -> tuple[Path, Path]:
        """A folder for a new zygote, which says what it will be, and its socket."""
        folder = self._root / uuid.uuid4().hex[:12]
        folder.mkdir(mode=0o700)
        try:
            socket = socket_path(folder)
            about = {"socket": str(socket), "started_with": self._started_with}
            homes.describe(folder, kind._asdict() | about)
        except (OSError, ZygoteFailed):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder, socket

    async def _exec(self, kind: Kind, folder: Path, socket: Path) -> None:
        """Run the interpreter until its zygote listens and has gone into the background."""
        words = [kind.interpreter, "-P", "-u", "-m", _MODULE, "--socket", str(socket)]
        words += ["--records", str(folder / "records"), "--linger", str(self._linger)]
        with (folder / "zygote.log").open("ab") as log:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220, S603  # asyncio's own would kill it when the loop closes
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    env=dict(self._environ),
                    start_new_session=True,
                )
            except OSError as e:
                code = "NoProcess" if isinstance(e, BlockingIOError) else "InterpreterUnusable"
                message = f"{kind.interpreter} could not be started: {e.strerror}."
                raise ZygoteFailed(code, message) from e
        status = await asyncio.to_thread(process.wait)
        if status != 0:
            raise ZygoteFailed(
                "InterpreterUnusable",
                f"{kind.interpreter} could not run flyte_jupyter (exit status {status}). {homes.last_words(folder)} "
                "Install flyte-jupyter in that environment, or register the task from one that has it.",
            )

    async def _join(self, folder: Path, kind: Kind, socket: Path) -> Zygote:
        link, hello = await Link.open(socket)
        try:
            # Before anything is sent to it: whoever finds it standing still must know whom to end.
            homes.note(folder, hello.pid, hello.identity)
        except OSError:
            if not hello.attempts:
                processes.kill(hello.pid, hello.identity)
                await link.close()
                raise
        zygote = Zygote(folder, kind, link, hello, {a["key"] for a in hello.attempts})
        self._live[folder] = zygote
        self._joined(zygote)
        link.listen(lambda message: self._hear(zygote, message), lambda: self._gone(zygote))
        return zygote

    async def _ask(self) -> None:
        """Ask all that have attempts whether they are there, and end those that say nothing for too long.

        Questions are counted, not seconds: when all of this machine stood still, no question was asked.
        """
        while True:
            await asyncio.sleep(self._silence / _QUESTIONS)
            for zygote in [z for z in self._live.values() if z.keys]:
                if zygote.unanswered > _QUESTIONS:
                    processes.kill(zygote.hello.pid, zygote.hello.identity)
                zygote.unanswered += 1
                zygote.link.send({"op": "ping"})

    def _hear(self, zygote: Zygote, message: Message) -> None:
        zygote.unanswered = 0
        if message["op"] == "pong":
            return
        if message["op"] != "warmed":
            self._heard(zygote, message)
            return
        asked = self._asked.get(message["key"])
        if asked and not asked[1].done():
            asked[1].set_result(message)

    def _gone(self, zygote: Zygote) -> None:
        for parent, answer in self._asked.values():
            if parent is zygote and not answer.done():
                answer.set_result({"outcome": "orphaned", "what": ""})
        if self._live.pop(zygote.folder, None) is not None:
            # It may have closed the connection only, with something still to be read.
            processes.kill(zygote.hello.pid, zygote.hello.identity)
            self._lost(zygote)
            self.clear(zygote.folder)


def socket_path(folder: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a zygote listens: in its folder, or in a private short one when the system could not take the path."""
    path = folder / "socket"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    top = Path(environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    digest = hashlib.sha256(os.fsencode(folder.parent)).hexdigest()[:16]
    private = top / f"flyte-jupyter-{os.getuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    stat = private.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o077 or private.is_symlink():
        raise ZygoteFailed(
            "UnsafeFolder",
            f"{private} is not a private folder of this user. Remove it, or set XDG_RUNTIME_DIR to one that is.",
        )
    return private / folder.name
