"""One run, live: hears a batch, thinks it through, commits once, and only then lets its effects out."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from flyte_jupyter.engine.answers import Answers, RunContext
from flyte_jupyter.engine.answers.answering import given_up
from flyte_jupyter.engine.answers.places import Nodes
from flyte_jupyter.engine.core.actions import (
    Action,
    Collect,
    Gather,
    Kill,
    Probe,
    Question,
    ReadSignal,
    ResolveInputs,
    WakeAt,
)
from flyte_jupyter.engine.core.index import rebuild
from flyte_jupyter.engine.core.observations import Observation
from flyte_jupyter.engine.core.plan import START, NodePlan
from flyte_jupyter.engine.core.report import ReportContext, tell, untold
from flyte_jupyter.engine.core.scopes import Walk
from flyte_jupyter.engine.core.state import (
    IN_FLIGHT,
    BackingOff,
    Blame,
    CacheOutcome,
    Collecting,
    Failure,
    Gathering,
    Kept,
    Nested,
    Probing,
    Ready,
    Resolving,
    RunPhase,
    RunState,
    Succeeded,
    Waiting,
)
from flyte_jupyter.engine.core.step import fold, give_up
from flyte_jupyter.engine.hearing import CAN_WAIT, is_gap, put_back, without, without_overtaken
from flyte_jupyter.engine.ports import (
    Clock,
    Commit,
    OwedAction,
    RunEvent,
    Runs,
    Stale,
    StoredRun,
    passes,
)
from flyte_jupyter.engine.preparing import Preparation
from flyte_jupyter.engine.staff import Staff
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import Path, RunId

log = logging.getLogger(__name__)

_CHUNK = 256
"""How many observations or events are worked off between two chances for others."""
_ANSWERS = 32
"""How many questions are answered at once."""
_ROUNDS = 64
"""How often answers may lead to new questions before the batch is committed; the rest is asked after."""
_ASKS: Mapping[type, type[Kept]] = {
    ResolveInputs: Resolving,
    Probe: Probing,
    Collect: Collecting,
    Gather: Gathering,
    ReadSignal: Waiting,
}
"""In which state a node waits for the answer to a question."""
_COMPUTING = (*IN_FLIGHT, Ready, BackingOff, Nested)
"""States in which a node that missed in a serialised cache keeps its reservation."""
_ABORTED = (RunPhase.ABORTING, RunPhase.ABORTED)


@dataclass(frozen=True, slots=True)
class World:
    """What a run needs of its engine. `epoch` is that of the lease; `deliver` takes committed actions.

    `preparing` gives what can be done for actions that are about to be committed.
    """

    runs: Runs
    answers: Answers
    clock: Clock
    epoch: Callable[[], int]
    deliver: Callable[[RunId, Sequence[OwedAction]], None]
    preparing: Callable[[RunContext, Nodes, Sequence[Action]], Preparation | None]
    ready: Callable[[], Awaitable[None]]
    """Awaited before each turn and each effect: returns once this engine may write."""
    most_strikes: int = 10
    """After so many failed turns in a row what stands in the way counts as a failure of the system."""


@dataclass(slots=True)
class _Thought:
    """What a batch leads to, before it is committed."""

    state: RunState
    log: list[tuple[datetime, Observation]]
    changed: set[Path]
    owed: list[Action]


class RunActor:
    """The only writer of one run. Not safe to turn twice at the same time."""

    def __init__(self, world: World, context: RunContext, stored: StoredRun) -> None:
        self.context = context
        self.strikes = 0
        self._world = world
        self._inbox: deque[Observation] = deque()
        self._settled: list[int] = []
        self._consumed: list[int] = []
        self._known_rows: set[int] = set()
        self._doubtful: list[Observation] = []
        """Gaps that were in the last commit whose answer did not come: it may have been written."""
        self._owed = {item.id for item in stored.owed}
        self.held: dict[Path, str] = {}
        """Nodes that compute what others wait for, with the digest of their inputs."""
        self._walk = Walk(context.plans, self._kept)
        self._restore(stored)

    def _restore(self, stored: StoredRun) -> None:
        self.state = rebuild(self.context.plans, stored.state.summary, stored.state.nodes)
        self._version = stored.version
        self.held.clear()
        self._note_held(stored.state.nodes)
        self.take_messages(stored.inbox)

    # -- what it hears --

    def take_messages(self, rows: Sequence[tuple[int, Observation]]) -> None:
        """Hear durable messages; those heard before are passed over."""
        for row, seen in rows:
            if row not in self._known_rows:
                self._known_rows.add(row)
                self._consumed.append(row)
                self._inbox.append(seen)

    def tell(self, seen: Observation) -> bool:
        """Hear one thing. Returns whether it is urgent: acknowledgements may wait for company."""
        self._inbox.append(seen)
        return not isinstance(seen, CAN_WAIT)

    def tell_first(self, seen: Observation) -> None:
        """Hear something before all that waits: a clock gap must extend deadlines before they are judged."""
        self._inbox.appendleft(seen)

    def settle(self, ids: Sequence[int]) -> None:
        """These owed actions are done; it will be written with whatever is written next."""
        self._settled.extend(ids)

    @property
    def waiting(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._inbox or self._settled or self._consumed)

    @property
    def urgent(self) -> bool:
        """Whether there is anything that others wait for."""
        return bool(self._consumed) or any(not isinstance(s, CAN_WAIT) for s in self._inbox)

    @property
    def finishing(self) -> bool:
        """Whether all that is left of the run is to write that it owes nothing more."""
        if len(self._settled) < len(self._owed) or not self.state.summary.phase.final:
            return False
        return self._owed.issubset(self._settled)

    @property
    def over(self) -> bool:
        """Whether the run is final and owes nothing: nobody needs this actor any more."""
        return self.state.summary.phase.final and not self._owed and not self.waiting

    def claims(self, path: Path, attempt: int) -> bool:
        """Whether the committed state stands for this attempt."""
        state = self.state.nodes.get(path)
        return isinstance(state, IN_FLIGHT) and state.tries.attempt == attempt

    def node(self, path: Path) -> NodePlan | None:
        """The plan's node at this place of the committed state; None when there is none, or its scope was never entered."""
        if self._walk.plans is not self.context.plans:  # a dynamic task has made a graph
            self._walk = Walk(self.context.plans, self._kept)
        return self._walk.node(path)

    def _kept(self, path: Path) -> Kept | None:
        return self.state.nodes.get(path)

    # -- one turn --

    async def turn(self) -> None:
        """Work off all that has been heard, in one commit.

        Raises `Fenced`, `StoreFull` or `BlobFailure` (and whatever else goes wrong) with everything still to be heard.
        """
        await self._world.ready()
        heard = list(self._inbox)
        settled, consumed = self._settled[:], self._consumed[:]
        if not heard and not consumed:
            await self._world.runs.settle(self.context.id, settled, self._world.epoch())
            self._written(settled, ())
            return
        self._inbox.clear()
        try:
            thought = await self._think(without_overtaken(heard))
            unchanged = not thought.changed and thought.state.summary == self.state.summary
            if unchanged and not thought.owed and not consumed:
                self.strikes = 0
                return
            await self._commit(thought, await self._events(thought), settled, consumed)
        except BaseException:
            put_back(self._inbox, heard)
            raise
        self.strikes = 0

    async def _think(self, batch: Sequence[Observation]) -> _Thought:
        now = self._world.clock.now()
        thought = _Thought(self.state, [], set(), [])
        for asked in range(_ROUNDS):
            questions: list[Question] = []
            for start in range(0, len(batch), _CHUNK):
                chunk = batch[start : start + _CHUNK]
                step = fold(self.context.plans, thought.state, chunk, now)
                thought.state = step.state
                thought.changed |= step.changed
                thought.log += [(now, seen) for seen in chunk]
                for action in step.actions:
                    if isinstance(action, Question):
                        questions.append(action)
                    elif not isinstance(action, WakeAt):
                        thought.owed.append(action)
                if len(batch) > _CHUNK:
                    await asyncio.sleep(0)
            # What was stopped in the same batch must not wait for a world that is away.
            nodes = thought.state.nodes
            questions = [q for q in questions if isinstance(nodes.get(q.path), _ASKS[type(q)])]
            if not questions:
                break
            if asked == _ROUNDS - 1:
                thought.owed += questions
                break
            batch = await self._answers(questions, thought.state)
        begun = (START,) in thought.changed and isinstance(thought.state.nodes[START,], Succeeded)
        if begun and thought.state.summary.phase not in _ABORTED:
            await self._world.answers.begin(self.context)
        return thought

    async def _answers(self, questions: Sequence[Question], state: RunState) -> list[Observation]:
        if len(questions) == 1:
            return [await self._answer(questions[0], state)]
        found: dict[int, Observation] = {}

        async def find(at: int) -> None:
            found[at] = await self._answer(questions[at], state)

        every = range(len(questions))
        await Staff(find, _ANSWERS, deque(every)).finish()
        return [found[at] for at in every]

    async def _answer(self, question: Question, state: RunState) -> Observation:
        try:
            return await self._world.answers.answer(self.context, question, state)
        except Exception as error:
            if passes(error) or self.strikes < self._world.most_strikes:
                raise
            return given_up(question, error)

    async def _events(self, thought: _Thought) -> list[RunEvent]:
        now = thought.log[-1][0] if thought.log else self._world.clock.now()
        events: list[RunEvent] = []
        told = iter(tell(self._reports(), self.state, thought.state, thought.changed, now))
        while some := list(islice(told, _CHUNK)):
            events += some
            if len(some) == _CHUNK:
                await asyncio.sleep(0)
        return events

    async def _commit(
        self,
        thought: _Thought,
        events: Sequence[RunEvent],
        settled: Sequence[int],
        consumed: Sequence[int],
    ) -> None:
        commit = Commit(
            run=self.context.id,
            expect=self._version,
            epoch=self._world.epoch(),
            log=thought.log,
            summary=thought.state.summary,
            nodes={path: thought.state.nodes[path] for path in thought.changed},
            owed=thought.owed,
            settled=settled,
            consumed=consumed,
            events=events,
            closures=dict(self.context.unsaved),
            literals=dict(self.context.literals),
            begun={path for path in thought.changed if untold(self.state.nodes.get(path))},
        )
        ahead = self._world.preparing(self.context, thought.state.nodes, thought.owed)
        try:
            committed = await self._world.runs.commit(commit, ahead.begin if ahead else None)
        except BaseException as error:
            if ahead is not None:
                ahead.end(committed=False)
            if not isinstance(error, Stale):
                self._doubtful = [seen for _, seen in thought.log if is_gap(seen)]
            raise
        if ahead is not None:
            ahead.end(committed=True)
        for digest in commit.closures:
            del self.context.unsaved[digest]
        for uri in commit.literals:
            del self.context.literals[uri]
        self.state = thought.state
        self._note_held(commit.nodes)
        self._version = committed.version
        self._owed.update(item.id for item in committed.owed)
        self._written(settled, consumed)
        self._world.deliver(self.context.id, committed.owed)

    def _written(self, settled: Sequence[int], consumed: Sequence[int]) -> None:
        del self._settled[: len(settled)]
        del self._consumed[: len(consumed)]
        self._owed.difference_update(settled)

    def _reports(self) -> ReportContext:
        context = self.context
        return ReportContext(context.id, self._world.answers.root, context.plans, self._task)

    def _task(self, template: str, node: str) -> core.Identifier | None:
        task = self.context.template(template).task(node)
        return task.id if task is not None else None

    def _note_held(self, changed: Mapping[Path, Kept]) -> None:
        """Keep up with which reservations the run's nodes hold."""
        for path, state in changed.items():
            if isinstance(state, _COMPUTING) and state.tries.cache is CacheOutcome.MISS:
                node = self.node(path)
                if node is not None and node.cache is not None and node.cache.serialize:
                    self.held[path] = state.digest
            elif path in self.held:
                del self.held[path]

    # -- when nothing goes any more --

    async def reload(self) -> None:
        """Take the run as it stands in the store: it was written by somebody else, or by a turn that never heard of it.

        What was owed with that is delivered now: nobody else does.
        """
        stored = await self._world.runs.load(self.context.id)
        if stored.version > self._version:
            self._inbox = without(self._inbox, self._doubtful)
        self._restore(stored)
        new = [item for item in stored.owed if item.id not in self._owed]
        self._owed.update(item.id for item in new)
        self._world.deliver(self.context.id, new)

    async def give_up(self, error: BaseException) -> None:
        """End the run as a failure of the system, stopping what is in flight. Raises what a commit raises."""
        now = self._world.clock.now()
        message = f"the engine cannot go on with this run: {error!r}"
        why = Failure("EngineError", message, Blame.SYSTEM)
        heard: list[tuple[datetime, Observation]] = [(now, seen) for seen in self._inbox]
        try:
            step = give_up(self.context.plans, self.state, why, now)
            owed: list[Action] = [a for a in step.actions if not isinstance(a, WakeAt)]
            thought = _Thought(step.state, heard, set(step.changed), owed)
            events = await self._events(thought)
        except Exception:
            log.exception("%s cannot even be ended in order: it is cut off", self.context.id)
            thought = self._cut_off(why, heard)
            events = await self._events(thought)
        await self._commit(thought, events, self._settled[:], self._consumed[:])
        for _ in heard:
            self._inbox.popleft()

    def _cut_off(self, why: Failure, heard: list[tuple[datetime, Observation]]) -> _Thought:
        """The end of a run that the machine itself fails on: its nodes stay as they are, and nothing of them runs on."""
        summary = replace(self.state.summary, phase=RunPhase.FAILED, failure=why)
        kills = [
            Kill(path, node.tries.attempt)
            for path, node in self.state.nodes.items()
            if isinstance(node, IN_FLIGHT)
        ]
        return _Thought(replace(self.state, summary=summary), heard, set(), [*kills])
