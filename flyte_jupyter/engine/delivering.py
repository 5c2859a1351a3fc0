"""What a run owes to the world, done: attempts and child executions made and ended, reservations and gates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from flyte_jupyter.engine.actor import RunActor, World
from flyte_jupyter.engine.answers.answering import given_up
from flyte_jupyter.engine.answers.places import Nodes, place_of
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.core.actions import (
    Kill,
    Launch,
    OpenGate,
    Question,
    Reap,
    Release,
    WakeAt,
)
from flyte_jupyter.engine.core.observations import (
    AttemptAccepted,
    AttemptEnded,
    AttemptRejected,
    AttemptStarted,
    Exit,
    GateRefused,
    SignalSet,
)
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.state import Launching
from flyte_jupyter.engine.loop import Loop
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptSpec,
    Fenced,
    OwedAction,
    Ports,
    Rejected,
    defect,
    passes,
)
from flyte_jupyter.idl.ids import AttemptId, Path, RunId, child_run, path_text

log = logging.getLogger(__name__)

_AT_ONCE = 32
_MOST_ASKED = 10
"""What fails more often by a fault of our own is answered with that failure (as `World.most_strikes`)."""

SpecOf = Callable[[RunContext, AttemptId, Nodes], Awaitable[AttemptSpec]]
"""What an executor needs to launch an attempt."""


class Deliveries:
    """Does one owed action at a time. Doing it twice is the same as once."""

    def __init__(self, ports: Ports, world: World, loop: Loop, spec: SpecOf) -> None:
        self._executor = ports.executor
        self._children = ports.children
        self._answers = world.answers
        self._ready = world.ready
        self._epoch = world.epoch
        self._loop = loop
        self._spec = spec
        self._failures: dict[tuple[RunId, int], int] = {}

    async def deliver(self, run: RunId, owed: OwedAction) -> None:
        """Do it. Whatever is raised, it is still owed."""
        action = owed.action
        actor = self._loop.actor(run)
        match action:
            case Launch():
                await self._launch(actor, owed.id, AttemptId(run, action.path, action.attempt))
            case Kill():
                await self._kill(actor, AttemptId(run, action.path, action.attempt))
            case Reap():
                attempt = AttemptId(run, action.path, action.attempt)
                if not _is_child(actor, attempt):
                    await self._executor.reap(attempt)
            case _ if actor is None:
                return
            case Release():
                place = place_of(actor.context, action.path, actor.state.nodes)
                await self._answers.cache.release(run, place, action.digest)
            case OpenGate():
                await self._open_gate(actor, owed.id, action.path)
            case _:
                assert not isinstance(action, WakeAt), "a timer is no effect"
                await self._answer(actor, owed.id, action)

    async def _answer(self, actor: RunActor, number: int, question: Question) -> None:
        """A question that was left over when its turn ended. As in a turn, it is not asked for ever."""
        run = actor.context.id
        try:
            seen = await self._answers.answer(actor.context, question, actor.state)
        except Exception as error:
            if passes(error) or self._bears(run, number):
                raise
            seen = given_up(question, error)
        self._failures.pop((run, number), None)
        self._loop.tell(run, seen)

    async def _open_gate(self, actor: RunActor, number: int, path: Path) -> None:
        run = actor.context.id
        try:
            signal = await self._answers.open_gate(actor.context, path, actor.state.nodes)
        except Exception as error:
            if passes(error) or self._bears(run, number):
                raise
            why = defect(f"the gate {path_text(path)} cannot be opened", error, _MOST_ASKED + 1)
            self._loop.tell(run, GateRefused(path, why))
            return
        self._failures.pop((run, number), None)
        if signal:
            self._loop.tell(run, SignalSet(signal))

    async def _launch(self, actor: RunActor | None, number: int, attempt: AttemptId) -> None:
        # Sent again after a crash, a launch may be long settled: only a node that still waits for it may have it.
        state = actor.state.nodes.get(attempt.path) if actor is not None else None
        if actor is None or not isinstance(state, Launching):
            return
        if state.tries.attempt != attempt.attempt:
            return
        run, path = attempt.run, attempt.path
        child = _is_child(actor, attempt)
        try:
            answer = await self._create(actor, attempt, child=child)
        except Fenced:
            raise
        except Exception as error:
            if passes(error) or self._bears(run, number):
                raise
            await self._withdraw(actor, number, attempt)
            what = f"attempt {attempt.attempt} of node {path_text(path)} cannot be launched"
            answer = Rejected(defect(what, error, _MOST_ASKED + 1))
        if self._failures:
            self._failures.pop((run, number), None)
        if isinstance(answer, Rejected):
            self._loop.tell(run, AttemptRejected(path, attempt.attempt, answer.why))
            return
        self._loop.tell(run, AttemptAccepted(path, attempt.attempt))
        if child:
            self._loop.tell(run, AttemptStarted(path, attempt.attempt))

    async def _withdraw(self, actor: RunActor, number: int, attempt: AttemptId) -> None:
        """See that an attempt which is given up does not exist: its executor may have failed after it had made it."""
        if _is_child(actor, attempt):
            # A child is made in one transaction; one of that name is somebody else's.
            return
        try:
            await self._executor.kill(attempt)
        except Exception:
            self._failures[attempt.run, number] = _MOST_ASKED
            raise

    def _bears(self, run: RunId, number: int) -> bool:
        """Whether an action that failed by a fault of our own is tried once more."""
        failures = self._failures.pop((run, number), 0)
        if failures < _MOST_ASKED:
            self._failures[run, number] = failures + 1
        return failures < _MOST_ASKED

    async def _create(
        self, actor: RunActor, attempt: AttemptId, *, child: bool
    ) -> Accepted | Rejected:
        """Create the attempt, or the child execution that it is."""
        context, nodes = actor.context, actor.state.nodes
        if child:
            made = await self._answers.child(context, attempt, nodes, self._epoch())
            return await self._children.launch(made)
        return await self._executor.launch(await self._spec(context, attempt, nodes))

    async def launch_again(self, attempts: Sequence[AttemptId]) -> frozenset[AttemptId]:
        """Launch what an executor has accepted, not begun, and forgotten when it stopped. Returns what is to be asked for again later."""
        left: set[AttemptId] = set()
        for start in range(0, len(attempts), _AT_ONCE):
            part = attempts[start : start + _AT_ONCE]
            done = await asyncio.gather(*(self._launch_again(each) for each in part))
            left.update(each for each, is_done in zip(part, done, strict=True) if not is_done)
        return frozenset(left)

    async def _launch_again(self, attempt: AttemptId) -> bool:
        actor = self._loop.actor(attempt.run)
        if actor is None:
            return True
        # Who has stood still may count on what another engine has ended meanwhile.
        await self._ready()
        try:
            answer = await self._create(actor, attempt, child=_is_child(actor, attempt))
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - one that cannot be launched is lost, and counted as such
            log.warning("%s is not launched again: %r", attempt, error)
            return not passes(error)
        if isinstance(answer, Rejected):
            how = Exit(why=answer.why)
            self._loop.tell(attempt.run, AttemptEnded(attempt.path, attempt.attempt, how))
        return True

    async def _kill(self, actor: RunActor | None, attempt: AttemptId) -> None:
        if actor is None or _is_child(actor, attempt):
            cause = _cause(actor) if actor is not None else ""
            await self._children.terminate(child_run(attempt), cause)
        if actor is None or not _is_child(actor, attempt):
            await self._executor.kill(attempt)


def _is_child(actor: RunActor | None, attempt: AttemptId) -> bool:
    if actor is None:
        return False
    node = actor.node(attempt.path)
    return node is not None and node.kind is NodeKind.LAUNCH_PLAN


def _cause(actor: RunActor) -> str:
    """Why a child execution is ended, for who looks at it."""
    summary = actor.state.summary
    if summary.abort:
        return summary.abort
    why = f": {summary.failure.message}" if summary.failure is not None else ""
    return f"the execution {actor.context.id.name} that started it needs it no longer{why}"
