"""Runs attempts as processes of this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from flyte_jupyter.engine.adapters.local import command, jobs, logs, processes
from flyte_jupyter.engine.adapters.local.admission import Admission
from flyte_jupyter.engine.adapters.local.beginnings import Beginnings
from flyte_jupyter.engine.adapters.local.containers import Engines
from flyte_jupyter.engine.adapters.local.drafts import Drafts
from flyte_jupyter.engine.adapters.local.ends import LOST, exit_of
from flyte_jupyter.engine.adapters.local.entries import Entry, Is, LocalSettings
from flyte_jupyter.engine.adapters.local.folders import Folders, Kept
from flyte_jupyter.engine.adapters.local.following import may_follow
from flyte_jupyter.engine.adapters.local.leftovers import Leftovers
from flyte_jupyter.engine.adapters.local.link import Message
from flyte_jupyter.engine.adapters.local.orphans import Orphan, forget_record, records_in
from flyte_jupyter.engine.adapters.local.refusals import (
    refused,
    system_failure,
    task_of,
)
from flyte_jupyter.engine.adapters.local.resources import (
    Capacity,
    devices,
    machine,
)
from flyte_jupyter.engine.adapters.local.secrets import Secrets
from flyte_jupyter.engine.adapters.local.slots import Slots
from flyte_jupyter.engine.adapters.local.starting import NO_ROOM, Grounds, Starter
from flyte_jupyter.engine.adapters.local.warmth import Warmth
from flyte_jupyter.engine.adapters.local.zygotes import Zygote, Zygotes
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptNews,
    AttemptSpec,
    Clock,
    Listing,
    LogSlice,
    NotNow,
    Ready,
    Rejected,
    unrivalled,
)
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

_AHEAD = 96
"""How many attempts may be with their zygotes before there are slots for them."""


class KillPending(NotNow):
    """An attempt was told to end and has not ended yet: ask again."""


class LocalExecutor:
    """An `Executor` over zygotes. All of its methods belong to one event loop.

    `folder` holds its own files (attempts, zygotes, unpacked bundles), `logs` the logs of attempts. The user's secrets are beside it.
    """

    def __init__(
        self,
        folder: Path,
        logs_folder: Path,
        clock: Clock,
        *,
        capacity: Capacity | None = None,
        settings: LocalSettings | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.capacity = capacity or machine(environ)
        self._settings = settings or LocalSettings()
        self._logs = logs_folder
        self._clock = clock
        self._environ = dict(environ)
        self._devices = devices(environ)[: self.capacity.gpu]
        self._slots: Slots[Entry] = Slots(self.capacity, self._devices)
        self._folders = Folders(folder / "attempts")
        bundles = folder / "bundles"
        grounds = Grounds(bundles, logs_folder, self._environ, self._settings)
        self._zygotes = Zygotes(
            folder / "zygotes",
            grounds.for_parents(),
            linger=self._settings.linger,
            most_bytes=self._settings.idle_bytes,
            silence=self._settings.silence_seconds,
        )
        self._engines = Engines(self._environ)
        secrets = Secrets(folder.parent / "secrets", self._environ)
        self._starter = Starter(
            grounds,
            self._folders,
            self._zygotes,
            Warmth(self._zygotes, bundles, self._settings),
            self._engines,
            secrets,
        )
        self._admission = Admission(
            self.capacity, self._environ, self._zygotes, self._engines, secrets
        )
        self._drafts = Drafts(self._admission, self._folders, self._starter)
        self._entries: dict[AttemptId, Entry] = {}
        self._by_key: dict[str, Entry] = {}
        self._leftovers = Leftovers(folder / "leftovers", self._engines, self._by_key.__contains__)
        self._beginnings = Beginnings()
        self._news: Callable[[AttemptNews], None] = lambda _: None
        self._stopped = False

    # -- the port --

    async def start(
        self,
        news: Callable[[AttemptNews], None],
        ready: Ready = unrivalled,  # noqa: ARG002 - zygotes hear only whoever greeted them last
    ) -> None:
        """Adopt what runs, find how the rest ended, queue again what had not begun."""
        self._news, self._stopped = news, False
        self._slots = Slots(self.capacity, self._devices)
        self._entries.clear()
        self._by_key.clear()
        self._drafts.clear()
        for one in self._folders.all():
            self._enter(self._admission.entry(one.spec, one.grant))
        await self._zygotes.adopt(self._joined, self._heard, self._lost)
        self._bury(list(self._zygotes.orphans()))
        for entry in self._entries.values():
            if entry.is_ is Is.QUEUED:
                self._slots.ask(entry, entry.grant.wants)
        self._dispatch()
        self._leftovers.start()

    async def stop(self) -> None:
        """Stop watching. What runs goes on."""
        self._stopped = True  # a zygote may be lost while this waits
        await self._beginnings.stop()
        await self._leftovers.stop()
        await self._starter.warmth.stop()
        await self._zygotes.close()
        self._folders.close()

    def carries(self, template: core.TaskTemplate) -> bool:
        """Processes of our own runtime are handed their inputs."""
        return command.is_own(template)

    def prepare(self, spec: AttemptSpec) -> bool:
        """Have its zygote know it, as long as it could begin at once."""
        return spec.id not in self._entries and self._drafts.draw(spec, self._slots)

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Queue the attempt if it is absent; refuse at once what can never run here."""
        known = self._entries.get(spec.id)
        if known and not known.killed:
            return Accepted()
        if known:
            await self._gone(known)
            await self._forget(known)
        entry = self._drafts.of(spec) or await self._admission.judge(spec)
        if isinstance(entry, Rejected):
            return entry
        if spec.id in self._entries:  # somebody else was quicker
            return Accepted()
        try:
            self._folders.keep(entry.key, Kept(spec, entry.grant), entry.work, entry.line)
        except OSError as e:
            if e.errno in NO_ROOM:
                raise  # asked again until there is room
            message = f"{task_of(spec)} could not be written down: {e}."
            return Rejected(system_failure("LaunchFailed", message))
        self._drafts.launched(entry)
        self._enter(entry)
        self._slots.ask(entry, entry.grant.wants)
        self._dispatch()
        return Accepted()

    async def kill(self, attempt: AttemptId) -> None:
        """End the attempt's processes and forget it. Raises `KillPending` when they outlive even that for some seconds."""
        entry = self._entries.get(attempt)
        if entry is None:
            self._drafts.drop(attempt)
            return
        if entry.ahead or entry.is_ in (Is.STARTING, Is.RUNNING):
            entry.killed = True
        if await self._beginnings.abandon(entry):
            if entry.killed:
                self._finish(entry, Exit(why=LOST))
        elif entry.killed:
            if entry.zygote:
                entry.zygote.link.send({"op": "kill", "key": entry.key})
            await self._gone(entry)
        await self._forget(entry)

    async def reap(self, attempt: AttemptId) -> None:
        """Forget an ended attempt; nothing when it is unknown or goes on."""
        entry = self._entries.get(attempt)
        if entry and entry.is_ is Is.ENDED:
            await self._forget(entry)

    async def listing(self) -> Listing:
        """What exists. Looks at nothing but memory, which zygotes keep up to date."""
        as_of = self._clock.now()
        queued, running, ended = [], [], {}
        for attempt, entry in self._entries.items():
            if entry.is_ is Is.QUEUED:
                queued.append(attempt)
            elif entry.how is None:
                running.append(attempt)
            else:
                ended[attempt] = entry.how
        return Listing(as_of, frozenset(queued), frozenset(running), ended)

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """A part of the log, also of an attempt that is long forgotten."""
        entry = self._entries.get(attempt)
        path = logs.log_path(self._logs, attempt)
        over = entry is None or entry.is_ is Is.ENDED
        return await asyncio.to_thread(logs.read, path, offset, limit, complete=over)

    # -- starting --

    def _enter(self, entry: Entry) -> None:
        self._entries[entry.spec.id] = entry
        self._by_key[entry.key] = entry

    def _dispatch(self) -> None:
        if self._stopped:
            return
        for entry, grant in self._slots.grant():
            entry.grant = grant
            entry.is_ = Is.STARTING
            if not entry.ahead:
                self._start(entry)
            elif entry.sent and entry.zygote:
                entry.zygote.link.send_now({"op": "begin", "key": entry.key})
        self._feed()

    def _feed(self) -> None:
        """Send the head of the queue ahead, as far as it can follow what runs: no worker stands idle for want of news."""
        if self._slots.overdrawn:
            return
        for entry in self._slots.behind(_AHEAD):
            if not may_follow(entry, self._slots.granted):
                return
            self._slots.send_ahead(entry)
            if entry.sent and entry.zygote:  # since before it was launched
                entry.zygote.link.send({"op": "queue", "key": entry.key})
                continue
            entry.ahead = True
            self._start(entry)
            if not entry.ahead:
                self._call_back([entry])

    def _start(self, entry: Entry) -> None:
        if not self._starter.at_once(entry):
            self._beginnings.add(entry, self._begin(entry))

    async def _begin(self, entry: Entry) -> None:
        how = await self._starter.start(entry)
        if how is not None:
            self._finish(entry, how)
        self._call_back([entry])

    def _call_back(self, entries: Iterable[Entry]) -> None:
        self._slots.call_back(e for e in entries if e.is_ is Is.QUEUED and not e.ahead)

    # -- news from zygotes --

    def _heard(self, zygote: Zygote, message: Message) -> None:
        entry = self._by_key.get(message.get("key", ""))
        if entry is None or entry.zygote is not zygote:
            return
        match message["op"]:
            case "started" if entry.is_ in (Is.QUEUED, Is.STARTING):
                # Who followed one that is forgotten here has that one's slot.
                self._slots.adopt(entry, entry.grant)
                entry.is_ = Is.RUNNING
                if not entry.killed:
                    self._news(AttemptNews(entry.spec.id, None))
            case "ended":
                self._hand_over(entry, message.get("next", ""))
                self._finish(entry, exit_of(message, entry.spec))
            case "refused":
                zygote.keys.discard(entry.key)
                entry.zygote = None
                text = f"{task_of(entry.spec)} could not be started: {message['message']}."
                self._finish(entry, Exit(why=refused(message["code"], text)))

    def _hand_over(self, entry: Entry, key: str) -> None:
        """Its worker goes on with this one, which has the slot from now on."""
        following = self._by_key.get(key)
        if following is not None and following.is_ is Is.QUEUED:
            self._slots.hand_over(entry, following)
            following.is_ = Is.STARTING

    def _lost(self, zygote: Zygote) -> None:
        """The zygote died: what it had recorded holds, the rest ends as lost, and what had not begun waits as before."""
        held = (self._by_key.get(key) for key in zygote.keys)
        lost = [entry for entry in held if entry and entry.zygote is zygote]
        for entry in lost:
            if entry.is_ is Is.QUEUED and not entry.killed:
                entry.zygote, entry.ahead, entry.sent = None, False, False
        self._call_back(lost)
        # Only now: the end of one is the beginning of another.
        self._bury(list(records_in(zygote.folder)), [entry.key for entry in lost])
        for entry in lost:
            if entry.zygote is zygote:
                entry.zygote = None
                self._end(entry, Exit(why=LOST))
        self._dispatch()

    def _joined(self, zygote: Zygote) -> None:
        for found in zygote.hello.attempts:
            self._adopt(zygote, found)

    def _adopt(self, zygote: Zygote, found: Message) -> None:
        entry = self._by_key.get(found["key"])
        if entry is None:
            # Forgotten here before its zygote was told.
            zygote.link.send({"op": "kill", "key": found["key"]})
            self._zygotes.let_go(zygote, found["key"])
            return
        entry.zygote = zygote
        self._slots.adopt(entry, entry.grant)
        entry.is_ = Is.RUNNING
        if found["exit"] is not None:
            self._end(entry, exit_of(found["exit"], entry.spec))

    def _bury(self, orphans: Sequence[Orphan], others: Iterable[str] = ()) -> None:
        """Attempts whose zygote is gone: end what is left of them and of `others`, and say how they ended."""
        for orphan in orphans:
            processes.kill_group(orphan.pid, orphan.identity)
        keys = {orphan.key for orphan in orphans}.union(others)
        if keys:
            leaders = [(one.pid, one.identity) for one in orphans if one.exit is None]
            marks = ["=".join(self._starter.grounds.mark_of(key)) for key in keys]
            processes.end_families(leaders, marks)
        for orphan in orphans:
            entry = self._by_key.get(orphan.key)
            if entry is None:
                forget_record(orphan)
                self._zygotes.clear(orphan.folder)
                continue
            entry.zygote, entry.orphan = None, orphan
            how = exit_of(orphan.exit, entry.spec) if orphan.exit else Exit(why=LOST)
            self._end(entry, how)

    def _finish(self, entry: Entry, how: Exit) -> None:
        self._end(entry, how)
        self._dispatch()

    def _end(self, entry: Entry, how: Exit) -> None:
        if entry.is_ is Is.ENDED:
            return
        entry.is_, entry.how = Is.ENDED, how
        self._slots.release(entry)
        if entry.over:
            entry.over.set()
        if not entry.killed:
            self._news(AttemptNews(entry.spec.id, how))

    # -- forgetting --

    async def _gone(self, entry: Entry) -> None:
        if entry.is_ is Is.ENDED:
            return
        entry.over = entry.over or asyncio.Event()
        try:
            async with asyncio.timeout(self._settings.kill_patience):
                await entry.over.wait()
        except TimeoutError:
            raise KillPending(f"{entry.spec.id} was killed and has not ended yet") from None

    async def _forget(self, entry: Entry) -> None:
        cut_short = entry.how is None or entry.how.code is None
        if cut_short and jobs.needs_image(entry.spec, self._environ):
            # The engine's processes are none of the attempt's. Before anybody may run it anew.
            await self._leftovers.remove(entry.key)
        if self._entries.get(entry.spec.id) is not entry:
            return
        del self._entries[entry.spec.id]
        del self._by_key[entry.key]
        if entry.is_ is not Is.ENDED:  # else somebody has its slot by now
            self._slots.release(entry)
            self._dispatch()
        # Disk first: should this process end here, the zygote's record is of an unknown attempt and is dropped.
        if left := self._folders.forget(entry.key):
            await asyncio.to_thread(self._folders.clear, left)
        if entry.zygote:
            self._zygotes.let_go(entry.zygote, entry.key)
        if entry.orphan:
            forget_record(entry.orphan)
            self._zygotes.clear(entry.orphan.folder)
