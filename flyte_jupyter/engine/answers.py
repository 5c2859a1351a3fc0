"""Answers to the machine's questions: bind inputs, ask the catalog, read what an attempt left.

Nothing here changes what anybody else sees (files are written where only this run looks, and the same again the
second time), so a question may be answered before anything is committed.
"""

from __future__ import annotations

import signal
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.compiler.bindings import promises
from flyte_jupyter.engine.core.actions import Collect, Probe, Question, Remember, ResolveInputs
from flyte_jupyter.engine.core.observations import (
    AttemptFailed,
    AttemptSucceeded,
    CacheHit,
    CacheMiss,
    Exit,
    InputsReady,
    InputsUnresolvable,
    Observation,
)
from flyte_jupyter.engine.core.plan import END, START
from flyte_jupyter.engine.core.state import Blame, Failure, NodeState, Succeeded
from flyte_jupyter.engine.ports import (
    AttemptSpec,
    BlobNotFound,
    Blobs,
    CachedOutputs,
    CacheKey,
    Catalog,
    Clock,
)
from flyte_jupyter.engine.program import Program
from flyte_jupyter.idl import core, digests, literals, msgpack, types
from flyte_jupyter.idl.ids import AttemptId, Path, RunId, path_text

MOST_REMEMBERED = 512
LARGEST_REMEMBERED = 1 << 18
"""How many parsed outputs are kept, and how many bytes one of them may have had."""

_STOPPED_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What answers need to know about a run, all of it fixed when the run was created."""

    id: RunId
    program: Program
    inputs: str
    """URI of the run's inputs; ``""`` when it has none."""
    env: Mapping[str, str]


class Answers:
    """Answers questions by reading and writing blobs and asking the catalog."""

    def __init__(self, blobs: Blobs, catalog: Catalog, clock: Clock) -> None:
        self._blobs = blobs
        self._catalog = catalog
        self._clock = clock
        self._parsed: OrderedDict[str, core.LiteralMap] = OrderedDict()

    @property
    def root(self) -> str:
        """The blob root that all of a run's files stand below."""
        return self._blobs.root

    async def answer(
        self, run: RunContext, question: Question, nodes: Mapping[Path, NodeState]
    ) -> Observation:
        """One answer. `nodes` are the states that the question was asked in.

        Raises `ports.BlobFailure` when the blobs can't be reached or are full: ask again later.
        """
        match question:
            case ResolveInputs():
                return await self._resolve(run, question.path, nodes)
            case Probe():
                return await self._probe(run, question)
            case Collect():
                return await self._collect(run, question)

    async def begin(self, run: RunContext) -> None:
        """Put the run's inputs where the start node's outputs are looked for."""
        target = layout.outputs_uri(self.root, AttemptId(run.id, (START,), 0))
        if run.inputs:
            await self._blobs.copy(run.inputs, target)
        else:
            await self._blobs.put(target, b"")

    async def remember(self, run: RunContext, wish: Remember) -> None:
        """Put a node's outputs into the catalog. Raises whatever the catalog raises."""
        attempt = AttemptId(run.id, wish.path, wish.attempt)
        outputs = CachedOutputs(
            outputs=layout.outputs_uri(self.root, attempt),
            source=f"{run.id}/{path_text(wish.path)}/{wish.attempt}",
            created_at=self._clock.now(),
        )
        await self._catalog.remember(_cache_key(run, wish.path, wish.digest), outputs)

    def spec(self, run: RunContext, attempt: AttemptId) -> AttemptSpec:
        """What the executor needs to run an attempt."""
        node = str(attempt.path[-1])
        task = run.program.tasks[node]
        before = ""
        if attempt.attempt:
            last = AttemptId(run.id, attempt.path, attempt.attempt - 1)
            before = f"{layout.raw_output_prefix(self.root, last)}/_flytecheckpoints"
        return AttemptSpec(
            id=attempt,
            template=_with_overrides(task, run.program.nodes[node]),
            inputs=layout.inputs_uri(self.root, run.id, attempt.path),
            output_prefix=layout.output_prefix(self.root, attempt),
            raw_output_prefix=layout.raw_output_prefix(self.root, attempt),
            env={**run.env, **_identity(run, attempt, task)},
            prev_checkpoint=before,
        )

    # -- inputs --

    async def _resolve(
        self, run: RunContext, path: Path, nodes: Mapping[Path, NodeState]
    ) -> Observation:
        node = run.program.nodes[str(path[-1])]
        try:
            outputs = await self._upstream_outputs(run, node, nodes)
            bound = _bind(node, run.program.inputs_of(node.id), outputs)
        except (literals.BindingError, msgpack.MsgpackError, BlobNotFound) as error:
            why = Failure("BindingResolutionFailure", f"node {node.id}: {error}", Blame.SYSTEM)
            return InputsUnresolvable(path, why)
        data = bound.SerializeToString(deterministic=True)
        await self._blobs.put(layout.inputs_uri(self.root, run.id, path), data)
        if node.id == END:
            uri = layout.outputs_uri(self.root, AttemptId(run.id, path, 0))
            await self._blobs.put(uri, data)
            return InputsReady(path, digests.literals_digest(bound), uri)
        cache = run.program.plan.nodes[node.id].cache
        ignored = cache.ignored_inputs if cache is not None else ()
        return InputsReady(path, digests.literals_digest(bound, ignored))

    async def _upstream_outputs(
        self, run: RunContext, node: core.Node, nodes: Mapping[Path, NodeState]
    ) -> dict[str, core.LiteralMap]:
        wanted = dict.fromkeys(p.node_id for b in node.inputs for p in promises(b.binding))
        found: dict[str, core.LiteralMap] = {}
        for name in wanted:
            if name == START:
                found[name] = await self._literals(run.inputs) if run.inputs else core.LiteralMap()
                continue
            state = nodes.get((name,))
            if not isinstance(state, Succeeded):
                raise literals.BindingError(f"node {name} has no outputs")
            found[name] = await self._literals(state.outputs)
        return found

    async def _literals(self, uri: str) -> core.LiteralMap:
        """A literal map by URI. What stands at a URI never changes, so it is read once."""
        known = self._parsed.get(uri)
        if known is not None:
            self._parsed.move_to_end(uri)
            return known
        data = await self._blobs.get(uri)
        try:
            parsed = core.LiteralMap.FromString(data)
        except DecodeError as error:
            raise literals.BindingError(f"{uri} holds no literals: {error}") from error
        self._keep(uri, parsed, len(data))
        return parsed

    def _keep(self, uri: str, parsed: core.LiteralMap, size: int) -> None:
        if size <= LARGEST_REMEMBERED:
            self._parsed[uri] = parsed
            if len(self._parsed) > MOST_REMEMBERED:
                self._parsed.popitem(last=False)

    # -- catalog --

    async def _probe(self, run: RunContext, question: Probe) -> Observation:
        path = question.path
        try:
            found = await self._catalog.lookup(_cache_key(run, path, question.digest))
            if found is None:
                return CacheMiss(path)
            target = layout.outputs_uri(self.root, AttemptId(run.id, path, 0))
            await self._blobs.copy(found.outputs, target)
        except Exception:  # noqa: BLE001 - a catalog that fails in any way is no reason not to run
            return CacheMiss(path, broken=True)
        return CacheHit(path, target, found.source)

    # -- what an attempt left --

    async def _collect(self, run: RunContext, question: Collect) -> Observation:
        path, number = question.path, question.attempt
        attempt = AttemptId(run.id, path, number)
        outputs = layout.outputs_uri(self.root, attempt)
        why = question.how.why or await self._declared_error(attempt)
        if why is None:
            why = await self._outputs_failure(run, attempt, question.how)
        deck = layout.deck_uri(self.root, attempt)
        deck = deck if await self._blobs.exists(deck) else ""
        if why is not None:
            return AttemptFailed(path, number, why, deck)
        return AttemptSucceeded(path, number, outputs, deck)

    async def _declared_error(self, attempt: AttemptId) -> Failure | None:
        """What a valid ``error.pb`` says; None when there is no such file or it is not one."""
        try:
            data = await self._blobs.get(layout.error_uri(self.root, attempt))
            error = core.ErrorDocument.FromString(data).error
        except (BlobNotFound, DecodeError):
            return None
        if not error.code and not error.message:
            return None
        system = error.origin == core.ExecutionError.SYSTEM
        return Failure(
            code=error.code or "Unknown",
            message=error.message,
            blame=Blame.SYSTEM if system else Blame.USER,
            retryable=error.kind == core.ContainerError.RECOVERABLE,
        )

    async def _outputs_failure(
        self, run: RunContext, attempt: AttemptId, how: Exit
    ) -> Failure | None:
        """Why the attempt is no success; None when its outputs are there, whole, and of the right types."""
        if how.signal is not None:
            return _killed(how.signal)
        if how.code:
            message = f"the process exited with status {how.code} and wrote no error"
            return Failure("NonZeroExit", message, retryable=True)
        uri = layout.outputs_uri(self.root, attempt)
        wanted = run.program.outputs_of(str(attempt.path[-1]))
        try:
            data = await self._blobs.get(uri)
            given = core.LiteralMap.FromString(data)
        except BlobNotFound:
            return _nothing_left(how, wanted)
        except DecodeError as error:
            message = f"what it wrote as its outputs is not readable: {error}"
            return Failure("OutputsInvalid", message, retryable=True)
        for name in sorted(wanted.variables):
            if name not in given.literals:
                message = f"output {name!r} was not written"
                return Failure("OutputsInvalid", message)
            if why := types.mismatch(given.literals[name], wanted.variables[name].type):
                return Failure("OutputsInvalid", f"output {name!r}: {why}")
        self._keep(uri, given, len(data))
        return None


def _nothing_left(how: Exit, wanted: core.VariableMap) -> Failure:
    if how.code is None:
        message = "the process is gone, nobody saw how it ended, and it left no outputs"
        return Failure("Lost", message, Blame.SYSTEM, retryable=True)
    names = ", ".join(sorted(wanted.variables)) or "none declared"
    message = (
        f"the process exited with status 0 and wrote no outputs (expected: {names}); "
        "it ended before the task returned, as with os._exit"
    )
    return Failure("OutputsNotFound", message, retryable=True)


def _killed(number: int) -> Failure:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    outside = number in _STOPPED_FROM_OUTSIDE
    message = f"the process was ended by {name}"
    return Failure("Killed", message, Blame.SYSTEM if outside else Blame.USER, retryable=True)


def _bind(
    node: core.Node, kinds: core.VariableMap, outputs: Mapping[str, core.LiteralMap]
) -> core.LiteralMap:
    def promise(name: str, var: str, path: literals.AttributePath) -> core.Literal:
        if var not in outputs[name].literals:
            raise literals.BindingError(f"node {name} gave no {var!r}")
        found = outputs[name].literals[var]
        return literals.attribute(found, path) if path else found

    bound = core.LiteralMap()
    for binding in node.inputs:
        try:
            made = literals.resolve_binding(binding.binding, promise)
        except literals.BindingError as error:
            raise literals.BindingError(f"{binding.var}: {error}") from error
        kind = kinds.variables[binding.var].type
        made = literals.fitted(made, kind)
        if why := types.mismatch(made, kind):
            raise literals.BindingError(f"{binding.var}: {why}")
        bound.literals[binding.var].CopyFrom(made)
    return bound


def _cache_key(run: RunContext, path: Path, inputs: str) -> CacheKey:
    node = str(path[-1])
    cache = run.program.plan.nodes[node].cache
    assert cache is not None
    task = run.program.tasks[node].id
    return CacheKey(
        project=task.project,
        domain=task.domain,
        task=task.name,
        version=cache.version,
        interface=run.program.interfaces[node],
        inputs=inputs,
    )


def _identity(run: RunContext, attempt: AttemptId, task: core.TaskTemplate) -> dict[str, str]:
    """Who an attempt is, in the environment variables that Flyte's tasks look at."""
    workflow = run.program.workflow
    return {
        "FLYTE_INTERNAL_EXECUTION_ID": run.id.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": run.id.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.id.domain,
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": (
            f"{workflow.project}:{workflow.domain}:{workflow.name}"
        ),
        "FLYTE_ATTEMPT_NUMBER": str(attempt.attempt),
        "FLYTE_INTERNAL_NODE_ID": path_text(attempt.path),
        "FLYTE_INTERNAL_TASK_PROJECT": task.id.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.id.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.id.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.id.version,
    }


def _with_overrides(task: core.TaskTemplate, node: core.Node) -> core.TaskTemplate:
    """The task as this node asks for it: its resources and image go before the task's own."""
    overrides = node.task_node.overrides
    if not (overrides.HasField("resources") or overrides.container_image):
        return task
    changed = core.TaskTemplate()
    changed.CopyFrom(task)
    if overrides.HasField("resources"):
        changed.container.resources.CopyFrom(overrides.resources)
    if overrides.container_image:
        changed.container.image = overrides.container_image
    return changed
