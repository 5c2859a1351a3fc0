"""Gets attempts to their zygotes: chooses the parent, makes the working directory, and sends what is to be run."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from flyte_jupyter.engine.adapters.local import command, containers, jobs, logs
from flyte_jupyter.engine.adapters.local.containers import Engines
from flyte_jupyter.engine.adapters.local.entries import Entry, Is, LocalSettings
from flyte_jupyter.engine.adapters.local.folders import NOBODY, Folders
from flyte_jupyter.engine.adapters.local.link import Message, TooLong
from flyte_jupyter.engine.adapters.local.refusals import refused, system_failure, task_of
from flyte_jupyter.engine.adapters.local.secrets import Given, SecretRefused, Secrets, are_asked
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.adapters.local.warmth import Warmth
from flyte_jupyter.engine.adapters.local.zygotes import Zygote, ZygoteFailed, Zygotes
from flyte_jupyter.engine.command import UnknownInput
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import RunId

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_PAUSE = 1.0
_MOST_KNOWN = 64
_TRIES = 3
_Made = TypeVar("_Made")
_MARK = "_FLYTE_JUPYTER_ATTEMPT"
_OLDER = (
    "it asks for secrets, and the flyte-jupyter of {} is an older one that gives none to tasks. "
    "Upgrade it there, wait until what runs there is over, and launch again."
)


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where attempts are started from. `environ` is the control plane's own environment."""

    bundles: Path
    logs: Path
    environ: Mapping[str, str]
    settings: LocalSettings

    def mark_of(self, key: str) -> tuple[str, str]:
        """Name and value of a variable that all processes of an attempt are started with, or show, and nobody else's."""
        return _MARK, f"{_beside(self.bundles)}/{key}"

    def for_parents(self) -> dict[str, str]:
        """The variables that zygotes are started with. In a fork the attempt's mark is written in the place of nobody's."""
        name, value = self.mark_of(NOBODY)
        return {**command.passed_on(self.environ), name: value}


@lru_cache(maxsize=8)
def _beside(folder: Path) -> str:
    return str(folder.parent)


@dataclass(slots=True)
class _Common:
    """What attempts of a task in an execution have in common that have such a grant: variables, and a part of the message."""

    template: core.TaskTemplate
    variables: Mapping[str, str]
    """One and the same object for all of them."""
    message: Message


@dataclass(slots=True)
class Starter:
    """Starts attempts, one call for each; what it needs of a task is found out once."""

    grounds: Grounds
    folders: Folders
    zygotes: Zygotes
    warmth: Warmth
    engines: Engines
    secrets: Secrets
    _known: dict[tuple[int, RunId, Grant], _Common] = field(default_factory=dict)

    async def start(self, entry: Entry) -> Exit | None:
        """Send the attempt to a zygote, to be begun there at once or, when it has no slot yet, after another one.

        Gives how it ended when it could not be started, else None.
        """
        try:
            zygote = await _with_room(entry, lambda: self._parent_of(entry))
            entry.zygote = zygote
            work = await _with_room(entry, lambda: self._work(entry, zygote))
            if jobs.needs_image(entry.spec, self.grounds.environ):
                entry.engine = await self.engines.usable()
            await _with_room(entry, lambda: self._warn(entry, zygote))
            message = self._message(entry, zygote, work, await jobs.inputs_of(entry.spec))
            if entry.is_ is not Is.ENDED and entry.zygote is zygote:  # its parent lives
                self._send(entry, zygote, message)
        except ZygoteFailed as e:
            return Exit(why=refused(e.code, str(e)))
        except SecretRefused as e:
            return Exit(why=refused(e.code, f"{task_of(entry.spec)}: {e}"))
        except UnknownInput as e:
            return Exit(why=refused("BadTaskSpecification", f"{task_of(entry.spec)}: {e}"))
        except TooLong as e:
            text = f"{task_of(entry.spec)} cannot be started: its command line and its environment variables are too long ({e})."
            return Exit(why=refused("LaunchTooLarge", f"{text} Pass what is large as an input."))
        except Exception as e:  # noqa: BLE001  # nothing may leave an attempt starting for ever
            text = f"{task_of(entry.spec)} could not be started: {e}"
            return Exit(why=system_failure("LaunchFailed", text))
        return None

    def at_once(self, entry: Entry) -> bool:
        """The same without waiting for anything, for an attempt like others before it. False when that cannot be."""
        zygote = self._ready(entry)
        if zygote is None:
            return False
        try:
            work = self._ground(entry, zygote)
        except OSError:
            return False
        zygote.keys.add(entry.key)
        entry.zygote = zygote
        try:
            self._send(entry, zygote, self._message(entry, zygote, work))
        except (TooLong, SecretRefused):
            zygote.keys.discard(entry.key)
            entry.zygote = None
            return False  # said by who starts it after all
        return True

    def hold(self, entry: Entry) -> bool:
        """Send one that may never be launched, to wait in its directory until it is begun by name. False when that cannot be."""
        zygote = self._ready(entry)
        if zygote is None or not zygote.hello.holds:
            return False
        try:
            message = self._message(entry, zygote, self.folders.path_of(entry.work))
            zygote.link.send({**message, "held": True})
        except TooLong:
            return False
        entry.zygote, entry.ahead, entry.sent = zygote, True, True
        return True

    def _ready(self, entry: Entry) -> Zygote | None:
        """The parent for an attempt like others before it, for which nothing has to be waited for."""
        template = entry.spec.template
        if not command.is_simple(template):
            return None
        plain = self.zygotes.ready(jobs.kind_of(template))
        zygote = self.warmth.ready(entry, plain) if plain is not None else None
        return None if zygote is None or _is_changed(zygote) else zygote

    def _send(self, entry: Entry, zygote: Zygote, message: Message) -> None:
        if entry.is_ is Is.QUEUED:
            if not zygote.hello.waits:  # it would begin there and then
                zygote.keys.discard(entry.key)
                entry.zygote, entry.ahead = None, False
                return
            message["ahead"] = True
        zygote.link.send(message)
        entry.sent = True
        if entry.killed:
            zygote.link.send({"op": "kill", "key": entry.key})

    async def _parent_of(self, entry: Entry) -> Zygote:
        """The zygote that the attempt is forked from, which from now on is not idle."""
        for _ in range(_TRIES):
            plain = await self.zygotes.get(jobs.kind_of(entry.spec.template))
            plain.keys.add(entry.key)
            try:
                zygote = await self.warmth.parent_of(entry, plain)
            finally:
                plain.keys.discard(entry.key)
            if self.zygotes.lives(zygote):
                zygote.keys.add(entry.key)
                return zygote
        raise ZygoteFailed("NoProcess", "the parents of its process died as soon as they lived")

    async def _work(self, entry: Entry, zygote: Zygote) -> str:
        return self._ground(entry, zygote)

    def _ground(self, entry: Entry, zygote: Zygote) -> str:
        """What has to be on the disk before it can run: a file of its inputs perhaps, and its directory, which is given."""
        if not zygote.hello.hands:
            jobs.lay_down(entry.spec)
        return self.folders.begin(entry.key, entry.grant)

    async def _warn(self, entry: Entry, zygote: Zygote) -> None:
        if _is_changed(zygote):
            log = logs.log_path(self.grounds.logs, entry.spec.id)
            await asyncio.to_thread(jobs.warn_of_change, log, zygote.kind.interpreter)

    def _message(
        self, entry: Entry, zygote: Zygote, work: str, inputs: core.LiteralMap | None = None
    ) -> Message:
        common = self._common(entry)
        shared = common.variables
        alone = command.environment_alone(entry.spec, shared)
        secrets = self._secrets(entry, zygote, work) if are_asked(entry.spec.template) else None
        places = jobs.Places(work, logs.log_name(self.grounds.logs, entry.spec.id))
        message = jobs.launch_message(entry, inputs, places, common.message)
        if entry.engine:
            # The container has the limit; this process only waits for it.
            argv = containers.argv_of(
                entry, message["argv"], {**shared, **alone}, secrets or Given()
            )
            message |= {"argv": argv, "memory": 0}
        else:
            # A container's processes are its engine's to end.
            name, value = self.grounds.mark_of(entry.key)
            alone[name] = value
        if secrets:
            alone |= secrets.environment("" if entry.engine else work)
        if zygote.hello.waits:
            message["of"], message["env"] = zygote.link.environment(shared), alone
        else:
            message["env"] = {**shared, **alone}
        if zygote.kind.generation:
            # A warm parent has them, or is better off without.
            message["preload"] = []
        elif entry.variables:
            # A library that looks at them is imported with them, by the attempt alone.
            message |= {"preload": [], "chooses": True}
        return message

    def _secrets(self, entry: Entry, zygote: Zygote, work: str) -> Given:
        secrets = self.secrets.of(entry.spec.template, work, contained=bool(entry.engine))
        if not zygote.hello.secrets:
            raise SecretRefused("InterpreterUnusable", _OLDER.format(zygote.kind.interpreter))
        return secrets

    def _common(self, entry: Entry) -> _Common:
        spec, grant = entry.spec, entry.grant
        key = (id(spec.template), spec.id.run, grant)
        known = self._known.get(key)
        if known is not None and known.template is spec.template:
            return known
        own = {"FLYTE_JUPYTER_BUNDLES": str(self.grounds.bundles)}
        shared = command.shared_environment(spec, grant, self.grounds.environ, own)
        message = jobs.in_common(spec.template, grant.wants, self.grounds.settings)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        made = self._known[key] = _Common(spec.template, shared, message)
        return made


async def _with_room(entry: Entry, make: Callable[[], Awaitable[_Made]]) -> _Made:
    """What this makes, once the disk has room for it: nobody fails because others have filled it."""
    while True:
        try:
            return await make()
        except OSError as e:
            if e.errno not in NO_ROOM or entry.killed:
                raise
        await asyncio.sleep(_PAUSE)


def _is_changed(zygote: Zygote) -> bool:
    """Whether its packages are no longer those that its tasks were registered with."""
    return zygote.kind.environment not in ("", zygote.hello.environment)
