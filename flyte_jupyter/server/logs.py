"""Attempts' logs as text: cut at character boundaries, addressed by byte offset."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass

from flyte_jupyter.engine.ports import Executor
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.projections import execution_is_final

LONGEST_CHARACTER = 4
_OVER = {
    core.TaskExecution.SUCCEEDED,
    core.TaskExecution.FAILED,
    core.TaskExecution.ABORTED,
    core.TaskExecution.RETRYABLE_FAILED,
}


@dataclass(frozen=True, slots=True)
class LogText:
    """Text from byte `offset` up to byte `next`; `complete` when nothing comes after `next`, ever."""

    text: str
    offset: int
    next: int
    complete: bool

    def to_json(self) -> Mapping[str, object]:
        """``{"text", "offset", "next", "complete"}``."""
        return {
            "text": self.text,
            "offset": self.offset,
            "next": self.next,
            "complete": self.complete,
        }


@dataclass(frozen=True, slots=True)
class LogOf:
    """Whose log: an attempt at a node, by the node's id as clients see it, or at one item of an array node."""

    run: RunId
    node: str
    attempt: int
    item: int | None = None


class Logs:
    """Reads logs through the executor; the store knows whether an attempt is over."""

    def __init__(self, executor: Executor, executions: Executions) -> None:
        self._executor = executor
        self._executions = executions

    async def read(self, of: LogOf, offset: int, limit: int) -> LogText:
        """Up to `limit` bytes (at least 4) from `offset`, decoded with replacement.

        Raises:
            NotFound: there is no such execution, or it has ended without such an attempt.
        """
        # Asked before the read: what an attempt wrote before it was over is then in what we read.
        over = await self._over(of)
        limit = max(limit, LONGEST_CHARACTER)
        part = await self._executor.read_log(await self._attempt(of), offset, limit)
        ends = over and len(part.data) < limit
        text, used = whole_characters(part.data, final=ends)
        return LogText(text, offset, offset + used, ends)

    async def _attempt(self, of: LogOf) -> AttemptId:
        """Whom the executor knows. A node that has not begun stands at the top, as far as anybody can know."""
        try:
            path = await self._executions.node_path(of.run, of.node)
        except NotFound:
            path = (of.node,)
        return AttemptId(of.run, path if of.item is None else (*path, of.item), of.attempt)

    async def _over(self, of: LogOf) -> bool:
        """Whether nothing more will be written; the executor alone cannot tell, which may not have been told to begin."""
        if await self._phase(of) in _OVER:
            return True
        run = await self._executions.get(of.run)
        if not execution_is_final(run.closure.phase):
            return False  # an attempt that has not begun has an empty log that may grow
        if await self._phase(of) is None:
            where = f"node {of.node}" if of.item is None else f"item {of.item} of node {of.node}"
            raise NotFound(
                f"{of.run} has ended without an attempt {of.attempt} at {where}: list its nodes and their attempts"
            )
        return True

    async def _phase(self, of: LogOf) -> int | None:
        """How far the attempt is; None while there is none."""
        try:
            if of.item is None:
                found = await self._executions.task_execution(of.run, of.node, of.attempt)
                return found.closure.phase
            tries = await self._executions.items(of.run, of.node, 0, of.item, of.item + 1)
        except NotFound:
            return None
        return next((each.phase for each in tries if each.retry_attempt == of.attempt), None)


def whole_characters(data: bytes, *, final: bool) -> tuple[str, int]:
    """The text and how many bytes it takes: a character cut off at the end is left for later unless `final`."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final)
    return text, len(data) - len(decoder.getstate()[0])
