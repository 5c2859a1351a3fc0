"""Answers to the machine's questions, and what its effects need to know.

A question changes nothing that anybody else counts on (files are written where only this run looks, and the same again the
second time), so it may be answered before anything is committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers import branching, gating, mapping
from flyte_jupyter.engine.answers.alike import Bound
from flyte_jupyter.engine.answers.binding import bound_inputs
from flyte_jupyter.engine.answers.caching import Cache, CacheSettings, Remembered, source_text
from flyte_jupyter.engine.answers.collecting import MOST_OUTPUT_BYTES, Collector
from flyte_jupyter.engine.answers.expanding import Expander
from flyte_jupyter.engine.answers.files import LiteralFiles, Offload
from flyte_jupyter.engine.answers.places import Nodes, Place, handles_failure, place_of
from flyte_jupyter.engine.answers.programs import Programs
from flyte_jupyter.engine.answers.recovering import Earlier, Recoveries, backwards, nearest
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.answers.specs import Specs
from flyte_jupyter.engine.core.actions import (
    Collect,
    Gather,
    Probe,
    Question,
    ReadSignal,
    ResolveInputs,
)
from flyte_jupyter.engine.core.observations import (
    AttemptFailed,
    AttemptSucceeded,
    BranchChosen,
    CacheMiss,
    Expanded,
    GateRefused,
    Gathered,
    InputsReady,
    InputsUnresolvable,
    ItemsReady,
    Observation,
    Recovered,
)
from flyte_jupyter.engine.core.plan import END, START, NodeKind
from flyte_jupyter.engine.core.state import (
    Blame,
    CacheOutcome,
    Failure,
    Nested,
    RunState,
    Succeeded,
)
from flyte_jupyter.engine.ports import AttemptSpec, BlobNotFound, ChildSpec, Ports
from flyte_jupyter.idl import digests, literals, msgpack
from flyte_jupyter.idl.ids import AttemptId, Path, child_run


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Limits and habits of an installation."""

    most_output_bytes: int = MOST_OUTPUT_BYTES
    offload: Offload | None = None
    """None: literals stay where they are, whatever their size."""
    cache: CacheSettings = field(default_factory=CacheSettings)
    console_url: str = ""
    """Where people see executions, for tasks that ask for it; without it they are not told."""
    programs: int = 64
    """How many compiled closures are kept ready to run."""


class Answers:
    """Answers questions by reading and writing blobs and asking the catalog."""

    def __init__(self, ports: Ports, settings: AnswerSettings | None = None) -> None:
        settings = settings or AnswerSettings()
        self._blobs = ports.blobs
        self._signals = ports.signals
        self._carries = ports.executor.carries
        self._children = ports.children
        self._offload = settings.offload
        self._specs = Specs(ports.blobs.root, settings.offload, settings.console_url)
        self._files = LiteralFiles(ports.blobs)
        self._collector = Collector(self._files, settings.most_output_bytes)
        self._earlier = Recoveries(ports.runs)
        self.programs = Programs(settings.programs)
        self.cache = Cache(ports.catalog, ports.blobs, ports.clock, settings.cache)
        self.expander = Expander(ports.blobs, ports.runs, ports.children, self.programs)

    @property
    def root(self) -> str:
        """The blob root that all of a run's files stand below."""
        return self._blobs.root

    async def answer(self, run: RunContext, question: Question, state: RunState) -> Observation:
        """One answer to a question that was asked in `state`.

        Raises `ports.BlobFailure` when the blobs can't be reached or are full: ask again later.
        """
        place = place_of(run, question.path, state.nodes)
        match question:
            case ResolveInputs():
                return await self._resolve(run, place, state)
            case Probe():
                return await self.cache.probe(run.id, place, question.digest)
            case Collect():
                return await self._collect(run, place, question, state.nodes)
            case Gather():
                return await self._gather(run, place, state.nodes)
            case ReadSignal():
                return await gating.read_signal(self._signals, self._files, run.id, place)

    async def begin(self, run: RunContext) -> None:
        """Put the run's inputs where the start node's outputs are looked for."""
        target = layout.outputs_uri(self.root, AttemptId(run.id, (START,), 0))
        if run.inputs:
            await self._blobs.copy(run.inputs, target)
        else:
            await self._blobs.put(target, b"")

    # -- for effects --

    async def spec(self, run: RunContext, attempt: AttemptId, nodes: Nodes) -> AttemptSpec:
        """What the executor needs to run an attempt of a task."""
        place = place_of(run, attempt.path, nodes)
        given = await self._given(run, place)
        made = self._specs.attempt(run, place, attempt, nodes, given)
        if run.recovers is None or attempt.attempt:
            return made
        earlier = await self._recovered(run, place, nodes)
        last = earlier.unfinished(attempt.path) if earlier is not None else None
        if earlier is None or last is None:
            return made
        before = layout.raw_output_prefix(self.root, last, earlier.raw_output)
        return replace(made, prev_checkpoint=layout.checkpoint_uri(before))

    async def _given(self, run: RunContext, place: Place) -> bytes | None:
        """An attempt's inputs, for an executor that carries them; for any other they are put where it looks."""
        if place.index is not None:
            return None
        uri = layout.inputs_uri(self.root, run.id, place.path)
        if not self._carried(place):
            await self._files.lay_down(uri)
            return None
        inputs = await self._files.read(uri, run.literals)
        if inputs.ByteSize() > literals.MOST_CARRIED:
            return None
        return inputs.SerializeToString(deterministic=True)

    def _carried(self, place: Place) -> bool:
        """Whether the executor carries the inputs of this task."""
        called = place.called
        if called.carried is None:
            called.carried = self._carries(called.asked)
        return called.carried

    async def child(
        self, run: RunContext, attempt: AttemptId, nodes: Nodes, epoch: int
    ) -> ChildSpec:
        """What admin needs to create the child execution of an attempt of a launch plan node."""
        place = place_of(run, attempt.path, nodes)
        made = self._specs.child(run, place, attempt, epoch)
        if run.recovers is None or await self._recovered(run, place, nodes) is None:
            return made
        chain = await backwards(self._earlier, run.recovers, place.path, nodes)
        lasts = [last for each in chain if (last := each.unfinished(attempt.path))]
        recover, *or_else = map(child_run, lasts) if lasts else (None,)
        return replace(made, recover=recover, or_else=tuple(or_else))

    async def open_gate(self, run: RunContext, path: Path, nodes: Nodes) -> str:
        """Let people answer a gate. Returns its signal's name if that is answered already, else ``""``."""
        place = place_of(run, path, nodes)
        answered = await gating.open_gate(self._signals, run.id, place)
        return place.plan.gate.signal if answered else ""

    # -- inputs --

    async def _resolve(self, run: RunContext, place: Place, state: RunState) -> Observation:
        earlier = None
        if run.recovers is not None:
            earlier = await self._recovered(run, place, state.nodes)
            if earlier is not None and (done := await self._taken_over(run, place, earlier)):
                return done
        try:
            if place.index is not None:
                return await self._item_ready(run, place)
            bound = await bound_inputs(self._files, run, place, state)
            if place.name == END:
                return await self._ended(run, place, bound, state.nodes)
            uri = layout.inputs_uri(self.root, run.id, place.path)
            data, is_task = bound.data, place.plan.kind is NodeKind.TASK
            if is_task and len(data) <= literals.MOST_CARRIED and self._carried(place):
                # It is written with what its run commits next.
                run.literals[uri] = data
                self._files.keep(uri, bound.inputs, len(data))
            else:
                await self._files.write_bound(uri, bound)
            if is_task and earlier is None:
                return InputsReady(place.path, bound.digest(place.plan.cache))
            return await self._ready(run, place, bound, earlier)
        except (literals.BindingError, msgpack.MsgpackError) as error:
            message = f"node {place.name}: {error}"
            why = Failure("BindingResolutionFailure", message, Blame.SYSTEM)
            return InputsUnresolvable(place.path, why)
        except mapping.UnequalLengths as error:
            why = Failure("InvalidArrayLength", f"node {place.name}: {error}")
            return InputsUnresolvable(place.path, why)

    async def _ready(
        self, run: RunContext, place: Place, bound: Bound, earlier: Earlier | None
    ) -> Observation:
        """The answer for a node whose inputs are written."""
        path, inputs, digest = place.path, bound.inputs, bound.digest(place.plan.cache)
        match place.plan.kind:
            case NodeKind.BRANCH:
                opened = await mapping.opened_lists(self._files, place, inputs)
                arm = branching.chosen(place.node, opened)
                if isinstance(arm, Failure):
                    return InputsUnresolvable(path, arm)
                return BranchChosen(path, digest, arm)
            case NodeKind.ARRAY:
                opened = await mapping.opened_lists(self._files, place, inputs)
                return ItemsReady(path, digest, mapping.size_of(place, opened))
            case NodeKind.TASK if earlier is not None:
                left = earlier.unfinished(path)
                if left is not None and (graph := earlier.expansion(left)):
                    return await self._expanded_before(run, place, left, graph, digest)
            case NodeKind.GATE if place.plan.gate.sleep is not None:
                await self._blobs.put(
                    layout.outputs_uri(self.root, AttemptId(run.id, path, 0)), b""
                )
        return InputsReady(path, digest)

    async def _item_ready(self, run: RunContext, place: Place) -> Observation:
        uri = layout.inputs_uri(self.root, run.id, place.owner)
        whole = await self._files.read(uri)
        opened = await mapping.opened_lists(self._files, place, whole)
        if opened is not whole:
            self._files.keep(uri, opened, opened.ByteSize())
        inputs = mapping.item_inputs(place, opened)
        if mapping.has_own_inputs(place):
            data = inputs.SerializeToString(deterministic=True)
            await self._blobs.put(layout.inputs_uri(self.root, run.id, place.path), data)
        return InputsReady(place.path, Bound(inputs).digest(place.plan.cache))

    async def _ended(
        self, run: RunContext, place: Place, bound: Bound, nodes: Nodes
    ) -> Observation:
        """An end node: its inputs are the outputs of the run, or of the node that the graph stands inside of."""
        path, inputs, digest = place.path, bound.inputs, bound.digest(place.plan.cache)
        await self._files.write_bound(layout.inputs_uri(self.root, run.id, path), bound)
        own = layout.outputs_uri(self.root, AttemptId(run.id, path, 0))
        if len(path) == 1:
            await self._files.write_bound(own, bound)
            return InputsReady(path, digest, own)
        owner, attempt = path[:-2], path[-2]
        assert isinstance(attempt, int)
        uri = layout.outputs_uri(self.root, AttemptId(run.id, owner, attempt))
        await self._files.write_bound(uri, bound)
        state, outer = nodes.get(owner), place_of(run, owner, nodes)
        cache = CacheOutcome.NONE
        if isinstance(state, Nested) and outer.plan.cache is not None and inputs.literals:
            what = Remembered(attempt, digests.literals_digest(inputs), inputs.ByteSize())
            cache = await self.cache.remember(run.id, outer, state.digest, what)
        return InputsReady(path, digest, uri, cache)

    # -- recovery --

    async def _recovered(self, run: RunContext, place: Place, nodes: Nodes) -> Earlier | None:
        """The earlier execution, if this run recovers one and the node may be taken over from it."""
        if run.recovers is None or place.name in (START, END):
            return None
        if handles_failure(run, place.path, nodes):
            return None
        return await nearest(self._earlier, run.recovers, place.path, nodes)

    async def _taken_over(
        self, run: RunContext, place: Place, earlier: Earlier
    ) -> Observation | None:
        done = earlier.success(place.path)
        if done is None:
            return None
        path = place.path
        uri = layout.outputs_uri(self.root, AttemptId(run.id, path, 0))
        try:
            await self._blobs.copy(earlier.outputs(self.root, done), uri)
        except BlobNotFound:
            return None
        inputs = layout.inputs_uri(self.root, done.run, done.path)
        await self._copy_if_there(inputs, layout.inputs_uri(self.root, run.id, path))
        state = earlier.nodes[done.path]
        assert isinstance(state, Succeeded)
        cache = CacheOutcome.HIT if state.cached else state.cache
        launches = place.plan.kind is NodeKind.LAUNCH_PLAN
        child = (state.child or str(child_run(done))) if launches else ""
        return Recovered(path, uri, source_text(done), state.deck, cache, child)

    async def _expanded_before(
        self, run: RunContext, place: Place, left: AttemptId, graph: str, digest: str
    ) -> Observation:
        """The earlier execution's task has made its graph already: its nodes are recovered one by one."""
        await self.expander.take_over(run, graph)
        here = AttemptId(run.id, place.path, 0)
        for uri in (layout.futures_uri, layout.expansion_uri):
            await self._copy_if_there(uri(self.root, left), uri(self.root, here))
        return Expanded(place.path, 0, graph, digest)

    async def _copy_if_there(self, source: str, target: str) -> None:
        if await self._blobs.exists(source):
            await self._blobs.copy(source, target)

    # -- what an attempt left --

    async def _collect(
        self, run: RunContext, place: Place, question: Collect, nodes: Nodes
    ) -> Observation:
        path, number = question.path, question.attempt
        attempt = AttemptId(run.id, path, number)
        if place.plan.kind is NodeKind.LAUNCH_PLAN:
            return await self._child_result(attempt)
        found = await self._collector.remains(place, attempt, question.how)
        why = found.why
        if found.futures:
            graph = await self.expander.expand(run, place, attempt)
            if isinstance(graph, str):
                return Expanded(path, number, graph)
            why = graph
        if why is not None:
            return AttemptFailed(path, number, why, found.deck)
        uri = layout.outputs_uri(self.root, attempt)
        if place.plan.cache is None:
            if found.handed is not None:
                run.literals[uri] = found.handed
            return AttemptSucceeded(path, number, uri, found.deck)
        if found.handed is not None:
            # Once the catalog knows of them, another execution may want them before this one's commit.
            await self._blobs.put(uri, found.handed)
        digest, cache = getattr(nodes.get(path), "digest", ""), CacheOutcome.NONE
        if digest and found.outputs and found.outputs.literals:
            what = Remembered(number, digests.literals_digest(found.outputs), found.size)
            cache = await self.cache.remember(run.id, place, digest, what)
        return AttemptSucceeded(path, number, uri, found.deck, cache)

    async def _child_result(self, attempt: AttemptId) -> Observation:
        path, number = attempt.path, attempt.attempt
        child = child_run(attempt)
        result = await self._children.result(child)
        if result.why is not None:
            return AttemptFailed(path, number, result.why)
        if result.outputs is None:
            message = f"child execution {child} was told to be over and is not"
            return AttemptFailed(path, number, Failure("SystemError", message, Blame.SYSTEM, True))
        uri = layout.outputs_uri(self.root, attempt)
        if result.outputs:
            await self._blobs.copy(result.outputs, uri)
        else:
            await self._blobs.put(uri, b"")
        return AttemptSucceeded(path, number, uri)

    async def _gather(self, run: RunContext, place: Place, nodes: Nodes) -> Observation:
        of = AttemptId(run.id, place.path, 0)
        try:
            together = await mapping.gathered(self._files, run, place, nodes)
            if self._offload is not None:
                prefix = layout.output_prefix(self.root, of)
                await self._files.offload(prefix, together, place.outputs, self._offload)
        except literals.BindingError as error:
            why = Failure("OutputsInvalid", f"node {place.name}: {error}")
            return InputsUnresolvable(place.path, why)
        uri = layout.outputs_uri(self.root, of)
        await self._files.write(uri, together)
        return Gathered(place.path, uri)


def given_up(question: Question, error: Exception) -> Observation:
    """The answer to a question that could not be answered however often it was asked."""
    why = Failure("SystemError", f"it could not be found out: {error!r}", Blame.SYSTEM, True)
    match question:
        case ResolveInputs() | Gather():
            return InputsUnresolvable(question.path, why)
        case ReadSignal():
            return GateRefused(question.path, why)
        case Probe():
            return CacheMiss(question.path, broken=True)
        case Collect():
            return AttemptFailed(question.path, question.attempt, why)
