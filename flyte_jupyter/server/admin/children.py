"""Executions that launch plan nodes start: the engine's door to launching."""

from __future__ import annotations

from dataclasses import replace

from flyte_jupyter.engine.compiler.library import LaunchPlanInterface
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.ports import Accepted, ChildResult, ChildSpec, NotNow, Rejected
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityId, RunId
from flyte_jupyter.server.admin.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from flyte_jupyter.server.admin.launch_policies import child_spec
from flyte_jupyter.server.admin.launching import LaunchCases, Origin
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store import errors as store
from flyte_jupyter.store.projections import execution_is_final

_ENGINE = "flyte-jupyter"


class ChildExecutions:
    """Implements `flyte_jupyter.engine.ports.Children` by the same use case that serves clients."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._launches = LaunchCases(platform)

    async def launch(self, spec: ChildSpec) -> Accepted | Rejected:
        """Create it if it is absent; what its launch plan or its inputs forbid is a refusal for good."""
        if spec.recover is not None:
            spec = replace(spec, recover=await self._ended(spec.recover, *spec.or_else))
        parent = await self._platform.executions.get(spec.parent.run)
        if why := self._too_deep(spec, parent):
            return Rejected(why)
        request = child_spec(parent.spec)
        request.launch_plan.CopyFrom(spec.launch_plan)
        request.metadata.CopyFrom(self._metadata(spec, parent))
        inputs = core.LiteralMap.FromString(await self._platform.blobs.get(spec.inputs))
        origin = Origin(spec.parent, spec.epoch, spec.recover)
        try:
            await self._launches.launch(spec.name, request, inputs, origin)
        except (AlreadyExists, store.AlreadyExists):
            return await self._known(spec)
        except (InvalidArgument, FailedPrecondition, store.NotFound) as error:
            message = f"launch plan {spec.launch_plan.name}: {error}"
            return Rejected(Failure("LaunchPlanRefused", message, Blame.USER))
        return Accepted()

    async def terminate(self, child: RunId, cause: str) -> None:
        """Ask for its end; nothing if it is unknown or over."""
        try:
            await self._platform.executions.request_abort(
                child, cause, _ENGINE, self._platform.now()
            )
        except (store.NotFound, store.AlreadyTerminal):
            return

    async def result(self, child: RunId) -> ChildResult:
        """How it stands. A child that was terminated from outside fails its node (Flyte's code for it)."""
        closure = (await self._platform.executions.get(child)).closure
        if not execution_is_final(closure.phase):
            return ChildResult()
        if closure.phase == core.WorkflowExecution.SUCCEEDED:
            return ChildResult(outputs=closure.outputs.uri)
        if closure.phase == core.WorkflowExecution.ABORTED:
            cause = closure.abort_metadata.cause or closure.error.message
            message = f"child execution {child.name} was aborted: {cause}"
            return ChildResult(why=Failure("RemoteChildWorkflowExecutionFailed", message))
        system = closure.error.kind == core.ExecutionError.SYSTEM
        message = f"child execution {child.name} failed: {closure.error.message}"
        blame = Blame.SYSTEM if system else Blame.USER
        return ChildResult(why=Failure(closure.error.code or "Unknown", message, blame))

    async def interface(self, launch_plan: EntityId) -> LaunchPlanInterface | None:
        """What a registered launch plan takes and gives; None when there is none of that name."""
        try:
            found = await self._platform.specs.launch_plan(launch_plan)
        except store.NotFound:
            return None
        closure = found.closure
        return LaunchPlanInterface(
            closure.expected_inputs, closure.expected_outputs, found.spec.fixed_inputs
        )

    async def _ended(self, *wanted: RunId) -> RunId | None:
        """The first of these that there is, to be recovered; None when the earlier executions had ended before their nodes made them.

        Raises `NotNow` while it is still being ended: what succeeds until then would run again.
        """
        for earlier in wanted:
            try:
                closure = (await self._platform.executions.get(earlier)).closure
            except store.NotFound:
                continue
            if not execution_is_final(closure.phase):
                raise NotNow(f"the child execution {earlier} to be recovered has not ended yet")
            return earlier
        return None

    def _too_deep(self, spec: ChildSpec, parent: admin.Execution) -> Failure | None:
        most, depth = self._platform.max_nesting, parent.spec.metadata.nesting + 1
        if not most or depth <= most:
            return None
        message = (
            f"launch plan {spec.launch_plan.name}: its execution would stand {depth} deep in executions that started one another, "
            f"and {most} are allowed (setting max_nesting). If it launches itself, let it end by a condition."
        )
        return Failure("NestedTooDeep", message, Blame.USER)

    async def _known(self, spec: ChildSpec) -> Accepted | Rejected:
        """There is an execution of that name: ours from an earlier try, or a stranger, of whose end nobody would hear."""
        if await self._platform.executions.parent(spec.name) == spec.parent:
            return Accepted()
        message = f"there is an execution {spec.name} that this node did not start"
        return Rejected(Failure("NameTaken", message, Blame.SYSTEM, retryable=True))

    def _metadata(self, spec: ChildSpec, parent: admin.Execution) -> admin.ExecutionMetadata:
        recovered = spec.recover is not None
        metadata = admin.ExecutionMetadata(
            mode=(
                admin.ExecutionMetadata.RECOVERED
                if recovered
                else admin.ExecutionMetadata.CHILD_WORKFLOW
            ),
            principal=parent.spec.metadata.principal,
            nesting=parent.spec.metadata.nesting + 1,
            parent_node_execution=core.NodeExecutionIdentifier(
                node_id=spec.node, execution_id=parent.id
            ),
        )
        if spec.recover is not None:
            metadata.reference_execution.CopyFrom(
                core.WorkflowExecutionIdentifier(
                    project=spec.recover.project,
                    domain=spec.recover.domain,
                    name=spec.recover.name,
                )
            )
        return metadata
