"""What launches need, made ready while the commit that decides on them is on its way to the disk."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from flyte_jupyter.engine.answers import Answers, RunContext
from flyte_jupyter.engine.answers.places import Nodes
from flyte_jupyter.engine.core.actions import Action, Launch
from flyte_jupyter.engine.core.index import node_at
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.ports import AttemptSpec, Executor
from flyte_jupyter.idl.ids import AttemptId

log = logging.getLogger(__name__)

_MOST = 8
"""Of one commit: what more it launches has to wait for its turn anyway."""
_KEPT = 64
"""How many specs wait for their launch, which for some never comes: their attempts were ended before it."""


@dataclass(slots=True)
class Preparation:
    """The launches of one commit. `begin` once it is nearly there, `end` when it is there, or nobody waits for it."""

    owner: Preparations
    context: RunContext
    nodes: Nodes
    """As the commit will leave them."""
    attempts: Sequence[AttemptId]
    _task: asyncio.Task[None] | None = field(init=False, default=None)
    _over: bool = field(init=False, default=False)

    def begin(self) -> None:
        """Make ready what can be, beside everything else; nothing when nobody waits for the commit any more."""
        if not self._over:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def end(self, *, committed: bool) -> None:
        """Leave the rest to whoever launches it. What was made for a commit that failed is nobody's: the next may decide otherwise."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
        if not committed:
            self.owner.forget(self.attempts)

    async def _work(self) -> None:
        try:
            for attempt in self.attempts:
                if not await self.owner.prepare(self.context, attempt, self.nodes):
                    return
        except Exception:
            # Whatever it is, the launch meets it again, and there somebody waits for the answer.
            log.debug("%s: a launch could not be prepared", self.context.id, exc_info=True)


class Preparations:
    """What was made ready for launches that may come."""

    def __init__(self, executor: Executor, answers: Answers) -> None:
        self._executor = executor
        self._answers = answers
        self._specs: OrderedDict[AttemptId, AttemptSpec] = OrderedDict()

    def of(self, context: RunContext, nodes: Nodes, owed: Sequence[Action]) -> Preparation | None:
        """The first launches of attempts among what a commit will owe; None when there are none."""
        attempts: list[AttemptId] = []
        for action in owed:
            if not isinstance(action, Launch):
                continue
            node = node_at(context.plans, nodes, action.path)
            if node is not None and node.kind is not NodeKind.LAUNCH_PLAN:
                attempts.append(AttemptId(context.id, action.path, action.attempt))
                if len(attempts) == _MOST:
                    break
        return Preparation(self, context, nodes, attempts) if attempts else None

    async def prepare(self, context: RunContext, attempt: AttemptId, nodes: Nodes) -> bool:
        """Make one ready. Whether its executor could take more."""
        spec = await self._answers.spec(context, attempt, nodes)
        self._specs[attempt] = spec
        if len(self._specs) > _KEPT:
            self._specs.popitem(last=False)
        return self._executor.prepare(spec)

    def forget(self, attempts: Sequence[AttemptId]) -> None:
        """They are not launched as they were prepared."""
        for attempt in attempts:
            self._specs.pop(attempt, None)

    async def spec(self, context: RunContext, attempt: AttemptId, nodes: Nodes) -> AttemptSpec:
        """What its executor needs to launch it: as it was prepared, else made now."""
        made = self._specs.pop(attempt, None)
        return made if made is not None else await self._answers.spec(context, attempt, nodes)
