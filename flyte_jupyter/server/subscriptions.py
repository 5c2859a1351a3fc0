"""What a client can follow: executions, one execution, a log. Each subscription is a task that sends frames.

A subscription has at most one frame under way: it waits for the socket to take it before it makes the next, so a slow
client costs one frame of memory for each of its subscriptions, and nobody else anything.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.listing import for_a_list
from flyte_jupyter.server.logs import LogOf, Logs
from flyte_jupyter.server.messages import escape_html, to_json
from flyte_jupyter.server.settings import Settings
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.feed import Change, ChangeKind, Feed
from flyte_jupyter.store.query import Query

Send = Callable[[str], Awaitable[None]]
"""Sends a frame and returns when the socket has taken it."""

Item = tuple[ChangeKind, Message]
_PAGE = 1000
_FEW = 20
"""Up to so many items a frame is made on the event loop itself."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where frames come from."""

    executions: Executions
    feed: Feed
    logs: Logs
    settings: Settings


class Subscription(ABC):
    """One numbered subscription of one client."""

    def __init__(self, number: int, sources: Sources, send: Send) -> None:
        self.number = number
        self.sources = sources
        self._send = send

    @abstractmethod
    async def run(self) -> None:
        """Send frames until there is nothing more to send, or cancelled."""

    def acknowledge(self, offset: int) -> None:
        """The client has everything up to `offset`; only logs care."""
        del offset

    async def send(self, kind: str, **fields: object) -> None:
        """Send one frame of plain data."""
        frame = {"id": self.number, "type": kind, **fields}
        await self._send(escape_html(json.dumps(frame, ensure_ascii=False)))

    async def send_items(self, kind: str, cursor: int, items: Sequence[Item]) -> None:
        """Send one frame of admin messages, made beside the event loop when there are many."""
        if len(items) <= _FEW:
            text = _frame(self.number, kind, cursor, items)
        else:
            text = await asyncio.to_thread(_frame, self.number, kind, cursor, items)
        await self._send(text)


class Changes(Subscription):
    """Follows the feed: a snapshot when it must, then deltas, at most one frame an interval."""

    def __init__(self, number: int, sources: Sources, send: Send, since: int | None) -> None:
        super().__init__(number, sources, send)
        self._since = since

    @abstractmethod
    async def snapshot(self) -> Sequence[Item]:
        """Everything as it is now."""

    @abstractmethod
    async def changed(self, cursor: int) -> Sequence[Change]:
        """The next changes after `cursor` that concern this topic."""

    async def look_up(self, changes: Sequence[Change]) -> Sequence[Item]:
        """The records that changed, as they are now, as far as the client wants them."""
        found = await self.sources.executions.look_up(changes)
        return [(change.kind, record) for change, record in zip(changes, found, strict=True)]

    async def run(self) -> None:
        """Begin where the client says, or with a snapshot; then follow for ever."""
        wakes = self.sources.feed.subscribe()
        cursor = await self._begin(self._since)
        interval = self.sources.settings.frame_interval.total_seconds()
        while True:
            moved = await self._advance(cursor)
            if moved == cursor:
                await _next(wakes)
                continue
            cursor = moved
            await asyncio.sleep(interval)

    async def _begin(self, since: int | None) -> int:
        if since is not None:
            if not await self.sources.feed.too_old(since):
                return since
            await self.send("gone", cursor=0)
        # Asked before the snapshot: what changes meanwhile is told again, which is harmless.
        cursor = await self.sources.feed.latest()
        await self.send_items("snapshot", cursor, await self.snapshot())
        return cursor

    async def _advance(self, cursor: int) -> int:
        if await self.sources.feed.too_old(cursor):
            return await self._begin(cursor)
        changes = await self.changed(cursor)
        if not changes:
            return cursor
        last = {(c.kind, c.run, c.node, c.attempt): c for c in changes}
        items = await self.look_up(list(last.values()))
        if items:
            await self.send_items("delta", changes[-1].seq, items)
        return changes[-1].seq


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions a client lists."""

    project: str
    domain: str
    limit: int
    phases: frozenset[str]
    """Names of phases; empty for all."""
    name: str
    """Part of the execution's or its workflow's name; empty for all."""

    def query(self) -> Query:
        """The same for the store."""
        conditions = []
        if self.phases:
            conditions.append(f"value_in(phase,{';'.join(sorted(self.phases))})")
        if self.name:
            conditions.append(f"contains(search,{self.name})")
        return Query(filters="+".join(conditions), limit=self.limit)

    def takes(self, execution: admin.Execution) -> bool:
        """Whether the execution is among them."""
        phase = core.WorkflowExecution.Phase.Name(execution.closure.phase)
        names = f"{execution.id.name} {execution.closure.workflow_id.name}".lower()
        return self.name.lower() in names and (not self.phases or phase in self.phases)


class ExecutionsTopic(Changes):
    """The executions of a project and domain. One that stops matching is sent once more, so that the client drops it."""

    def __init__(
        self, number: int, sources: Sources, send: Send, since: int | None, of: ExecutionFilter
    ) -> None:
        super().__init__(number, sources, send, since)
        self._of = of
        self._shown: OrderedDict[str, None] = OrderedDict()

    async def snapshot(self) -> Sequence[Item]:
        """The newest `limit`."""
        page = await self.sources.executions.list(
            self._of.project, self._of.domain, self._of.query()
        )
        for execution in reversed(page.items):
            self._show(execution.id.name)
        return [(ChangeKind.EXECUTION, execution) for execution in for_a_list(page.items)]

    async def changed(self, cursor: int) -> Sequence[Change]:
        """Changes of executions; those of nodes only move the cursor."""
        return await self.sources.feed.since(
            cursor, project=self._of.project, domain=self._of.domain, limit=_PAGE
        )

    async def look_up(self, changes: Sequence[Change]) -> Sequence[Item]:
        """The executions that match, or did."""
        wanted = [change for change in changes if change.kind is ChangeKind.EXECUTION]
        items = await super().look_up(wanted)
        for_a_list(run for _, run in items if isinstance(run, admin.Execution))
        return [item for item in items if self._is_wanted(item[1])]

    def _is_wanted(self, execution: Message) -> bool:
        assert isinstance(execution, admin.Execution)
        name = execution.id.name
        if self._of.takes(execution):
            self._show(name)
            return True
        # With a cursor of its own the client may show what we never sent.
        known = name in self._shown or self._since is not None
        self._shown.pop(name, None)
        return known

    def _show(self, name: str) -> None:
        self._shown[name] = None
        self._shown.move_to_end(name)
        while len(self._shown) > 2 * self._of.limit:
            self._shown.popitem(last=False)


class ExecutionTopic(Changes):
    """One execution with its nodes and attempts."""

    def __init__(
        self, number: int, sources: Sources, send: Send, since: int | None, run: RunId
    ) -> None:
        super().__init__(number, sources, send, since)
        self._run = run

    async def run(self) -> None:
        """Follow it. Raises `NotFound`."""
        await self.sources.executions.get(self._run)
        await super().run()

    async def snapshot(self) -> Sequence[Item]:
        """The execution, all nodes at every depth, all attempts; of items how many are in which phase."""
        executions = self.sources.executions
        items: list[Item] = [(ChangeKind.EXECUTION, await executions.get(self._run))]
        token = ""
        while True:
            query = Query(limit=_PAGE, token=token)
            nodes = await executions.node_executions(self._run, query, parent=None)
            items += [(ChangeKind.NODE_EXECUTION, node) for node in nodes.items]
            if not (token := nodes.token):
                break
        while True:
            query = Query(limit=_PAGE, token=token)
            attempts = await executions.task_executions(self._run, "", query, whole=False)
            items += [(ChangeKind.TASK_EXECUTION, attempt) for attempt in attempts.items]
            if not (token := attempts.token):
                return items

    async def changed(self, cursor: int) -> Sequence[Change]:
        """Changes of this run."""
        return await self.sources.feed.since(cursor, run=self._run, limit=_PAGE)


class LogTopic(Subscription):
    """An attempt's log from a byte offset to its end, as fast as the client acknowledges."""

    def __init__(self, number: int, sources: Sources, send: Send, of: LogOf, offset: int) -> None:
        super().__init__(number, sources, send)
        self._of = of
        self._next = self._acknowledged = offset
        self._progress = asyncio.Event()

    def acknowledge(self, offset: int) -> None:
        """Make room for more; what was never sent cannot be acknowledged."""
        self._acknowledged = min(max(self._acknowledged, offset), self._next)
        self._progress.set()

    async def run(self) -> None:
        """Send the log in order. Raises `NotFound`."""
        settings = self.sources.settings
        while True:
            room = settings.limits.log_unacked - (self._next - self._acknowledged)
            if room < settings.limits.log_frame:
                self._progress.clear()
                await self._progress.wait()
                continue
            part = await self.sources.logs.read(self._of, self._next, settings.limits.log_frame)
            if part.text or part.complete:
                self._next = part.next
                await self.send("log", **part.to_json())
                if part.complete:
                    return
            else:
                await asyncio.sleep(settings.log_poll.total_seconds())


def _frame(number: int, kind: str, cursor: int, items: Sequence[Item]) -> str:
    values: Sequence[Mapping[str, object]] = [
        {"kind": item_kind.value, "value": to_json(message)} for item_kind, message in items
    ]
    frame = {"id": number, "type": kind, "cursor": cursor, "items": values}
    return escape_html(json.dumps(frame, ensure_ascii=False, separators=(",", ":")))


async def _next(wakes: AsyncIterator[None]) -> None:
    async for _ in wakes:
        return
    await asyncio.Event().wait()  # the feed has ended: the process is stopping
