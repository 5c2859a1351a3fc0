"""What a run owes to the world, done: attempts and child executions made and ended, reservations and gates."""

from __future__ import annotations

from flyte_jupyter.engine.actor import RunActor, given_up
from flyte_jupyter.engine.answers import Answers
from flyte_jupyter.engine.answers.places import place_of
from flyte_jupyter.engine.core.actions import (
    Kill,
    Launch,
    OpenGate,
    Question,
    Reap,
    Release,
    WakeAt,
)
from flyte_jupyter.engine.core.index import node_at
from flyte_jupyter.engine.core.observations import (
    AttemptAccepted,
    AttemptRejected,
    AttemptStarted,
    SignalSet,
)
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.state import Launching
from flyte_jupyter.engine.loop import Loop
from flyte_jupyter.engine.ports import Accepted, BlobFailure, OwedAction, Ports, Rejected
from flyte_jupyter.idl.ids import AttemptId, RunId, child_run

_MOST_ASKED = 10
"""A question that fails more often is answered with that failure (as `World.most_strikes`)."""


class Deliveries:
    """Does one owed action at a time. Doing it twice is the same as once."""

    def __init__(self, ports: Ports, answers: Answers, loop: Loop) -> None:
        self._executor = ports.executor
        self._children = ports.children
        self._answers = answers
        self._loop = loop
        self._unanswered: dict[tuple[RunId, int], int] = {}

    async def deliver(self, run: RunId, owed: OwedAction) -> None:
        """Do it. Whatever is raised, it is still owed."""
        action = owed.action
        actor = self._loop.actor(run)
        assert not isinstance(action, WakeAt)
        match action:
            case Launch():
                await self._launch(actor, AttemptId(run, action.path, action.attempt))
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
                nodes = actor.state.nodes
                if signal := await self._answers.open_gate(actor.context, action.path, nodes):
                    self._loop.tell(run, SignalSet(signal))
            case _:
                await self._answer(actor, owed.id, action)

    async def _answer(self, actor: RunActor, number: int, question: Question) -> None:
        """A question that was left over when its turn ended. As in a turn, it is not asked for ever."""
        run = actor.context.id
        asked = self._unanswered.pop((run, number), 0)
        try:
            seen = await self._answers.answer(actor.context, question, actor.state)
        except Exception as error:
            full = isinstance(error, BlobFailure) and error.no_space
            if full or asked < _MOST_ASKED:
                self._unanswered[run, number] = asked + (not full)
                raise
            seen = given_up(question, error)
        self._loop.tell(run, seen)

    async def _launch(self, actor: RunActor | None, attempt: AttemptId) -> None:
        # Sent again after a crash, a launch may be long settled: only a node that still waits for it may have it.
        state = actor.state.nodes.get(attempt.path) if actor is not None else None
        if actor is None or not isinstance(state, Launching):
            return
        if state.tries.attempt != attempt.attempt:
            return
        path, number = attempt.path, attempt.attempt
        answer, child = await self._create(actor, attempt)
        if isinstance(answer, Rejected):
            self._loop.tell(attempt.run, AttemptRejected(path, number, answer.why))
        else:
            self._loop.tell(attempt.run, AttemptAccepted(path, number))
            if child:
                self._loop.tell(attempt.run, AttemptStarted(path, number))

    async def _create(
        self, actor: RunActor, attempt: AttemptId
    ) -> tuple[Accepted | Rejected, bool]:
        """Create the attempt, or the child execution that it is."""
        context, nodes = actor.context, actor.state.nodes
        if _is_child(actor, attempt):
            child = await self._answers.child(context, attempt, nodes)
            return await self._children.launch(child), True
        return await self._executor.launch(await self._answers.spec(context, attempt, nodes)), False

    async def _kill(self, actor: RunActor | None, attempt: AttemptId) -> None:
        if actor is None or _is_child(actor, attempt):
            cause = _cause(actor) if actor is not None else ""
            await self._children.terminate(child_run(attempt), cause)
        if actor is None or not _is_child(actor, attempt):
            await self._executor.kill(attempt)


def _is_child(actor: RunActor | None, attempt: AttemptId) -> bool:
    if actor is None:
        return False
    node = node_at(actor.context.plans, actor.state.nodes, attempt.path)
    return node is not None and node.kind is NodeKind.LAUNCH_PLAN


def _cause(actor: RunActor) -> str:
    """Why a child execution is ended, for who looks at it."""
    summary = actor.state.summary
    if summary.abort:
        return summary.abort
    why = f": {summary.failure.message}" if summary.failure is not None else ""
    return f"the execution {actor.context.id.name} that started it needs it no longer{why}"
