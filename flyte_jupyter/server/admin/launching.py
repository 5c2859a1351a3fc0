"""Launching: a request becomes a checked, stored execution that the engine hears of through its inbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.compiler.compile import skeleton
from flyte_jupyter.engine.core.state import RunState
from flyte_jupyter.engine.core.step import not_begun
from flyte_jupyter.engine.program import size_of
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.digests import message_digest, serialised_digest
from flyte_jupyter.idl.identifiers import execution_identifier
from flyte_jupyter.idl.ids import AttemptId, EntityId, EntityKind, RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.compilation import compile_template
from flyte_jupyter.server.admin.data import literals_of
from flyte_jupyter.server.admin.errors import FailedPrecondition, InvalidArgument
from flyte_jupyter.server.admin.launch_inputs import Target, complete_inputs, without
from flyte_jupyter.server.admin.launch_plans import expected_inputs
from flyte_jupyter.server.admin.launch_policies import apply_policies, environment
from flyte_jupyter.server.admin.names import entity_id, new_execution_name, required, run_id
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import check_open
from flyte_jupyter.server.admin.qualities import resolve
from flyte_jupyter.store.errors import AlreadyExists, NotFound
from flyte_jupyter.store.executions import NewExecution
from flyte_jupyter.store.projections import execution_is_final

_IN_PROGRESS = "{} has not ended: wait for it, or terminate it, before it is recovered"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a new execution comes from beside its request."""

    parent: AttemptId | None = None
    """The attempt at a launch plan node that it is."""
    epoch: int = 0
    """The lease's, of the engine that makes this attempt."""
    recovers: RunId | None = None
    """The execution whose successes it takes over."""
    again: bool = False
    """Whether its inputs are an earlier execution's, complete with what its launch plan fixed."""


class LaunchCases:
    """Create, relaunch and recover executions."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def create(
        self, request: admin.ExecutionCreateRequest, caller: Caller
    ) -> admin.ExecutionCreateResponse:
        """Check, store, and leave the rest to the engine. Refused here: wrong names, types, amounts."""
        await check_open(self._platform, request.project, request.domain)
        inputs = inputs_of(request)
        run = self._new_run(request.project, request.domain, request.name)
        spec = admin.ExecutionSpec()
        spec.CopyFrom(request.spec)
        spec.ClearField("inputs")
        spec.metadata.principal = caller.principal
        return await self._launch(run, spec, inputs, Origin())

    async def relaunch(
        self, request: admin.ExecutionRelaunchRequest, caller: Caller
    ) -> admin.ExecutionCreateResponse:
        """The same again under a new name: same launch plan or task, same inputs."""
        reference = run_id(request.id)
        await check_open(self._platform, reference.project, reference.domain)
        was = await self._platform.executions.get(reference)
        run = self._new_run(reference.project, reference.domain, request.name)
        spec = _again(was, caller, admin.ExecutionMetadata.RELAUNCH)
        spec.overwrite_cache = request.overwrite_cache
        return await self._launch(run, spec, await self._inputs_of(reference), Origin(again=True))

    async def recover(
        self, request: admin.ExecutionRecoverRequest, caller: Caller
    ) -> admin.ExecutionCreateResponse:
        """The same again, but what has succeeded is taken over: nodes, and items of map tasks."""
        reference = run_id(request.id)
        await check_open(self._platform, reference.project, reference.domain)
        was = await self._platform.executions.get(reference)
        if not execution_is_final(was.closure.phase):
            raise FailedPrecondition(_IN_PROGRESS.format(reference))
        run = self._new_run(reference.project, reference.domain, request.name)
        spec = _again(was, caller, admin.ExecutionMetadata.RECOVERED)
        if request.metadata.HasField("parent_node_execution"):
            spec.metadata.parent_node_execution.CopyFrom(request.metadata.parent_node_execution)
        origin = Origin(again=True, recovers=reference)
        return await self._launch(run, spec, await self._inputs_of(reference), origin)

    async def launch(
        self, run: RunId, spec: admin.ExecutionSpec, given: core.LiteralMap, origin: Origin
    ) -> None:
        """An execution that another one starts. Raises what `create` raises."""
        await self._launch(run, spec, given, origin)

    async def _inputs_of(self, run: RunId) -> core.LiteralMap:
        uri = await self._platform.executions.inputs(run)
        return literals_of(await self._platform.blobs.get(uri), uri)

    def _new_run(self, project: str, domain: str, name: str) -> RunId:
        return RunId(project, domain, new_execution_name(name or self._platform.new_name()))

    async def _launch(
        self, run: RunId, spec: admin.ExecutionSpec, given: core.LiteralMap, origin: Origin
    ) -> admin.ExecutionCreateResponse:
        platform = self._platform
        await self._check_free(run)
        target = await self.target(spec)
        if origin.again:
            given = without(given, target.fixed)
        inputs = complete_inputs(target, given)
        self._check_fits(target)
        new = await asyncio.to_thread(_prepare, platform, run, spec, target)
        # Content-addressed: two launches that race for one name cannot spoil each other's inputs.
        uri = (
            f"{layout.run_prefix(platform.blobs.root, run)}/inputs-{message_digest(inputs)[:16]}.pb"
        )
        await platform.blobs.put(uri, inputs.SerializeToString(deterministic=True))
        await platform.executions.create(
            replace(
                new,
                inputs=uri,
                env=environment(spec, target.plan),
                parent=origin.parent,
                epoch=origin.epoch,
                recovers=origin.recovers,
            )
        )
        return admin.ExecutionCreateResponse(id=execution_identifier(run))

    def _check_fits(self, target: Target) -> None:
        """Told at launch rather than found out after an hour."""
        for task in target.closure.tasks:
            why = self._platform.refusal(task.template)
            if why is not None:
                raise InvalidArgument(f"Task {task.template.id.name} cannot run here. {why}")

    async def _check_free(self, run: RunId) -> None:
        try:
            await self._platform.executions.get(run)
        except NotFound:
            return
        raise AlreadyExists(f"There is an execution {run}: choose another name")

    async def target(self, spec: admin.ExecutionSpec) -> Target:
        """What a spec would run; its launch plan's version is filled in. Raises `InvalidArgument` or `NotFound`."""
        given = spec.launch_plan
        if given.resource_type == core.ResourceType.TASK:
            return await self._task_target(entity_id(EntityKind.TASK, given))
        if given.resource_type not in (
            core.ResourceType.LAUNCH_PLAN,
            core.ResourceType.UNSPECIFIED,
        ):
            raise InvalidArgument("spec.launch_plan must name a launch plan or a task")
        found = await self._launch_plan(given)
        spec.launch_plan.CopyFrom(found.id)
        workflow = await self._platform.specs.workflow(
            entity_id(EntityKind.WORKFLOW, found.spec.workflow_id)
        )
        return Target(
            workflow=workflow.id,
            closure=workflow.closure.compiled_workflow,
            expected=found.closure.expected_inputs,
            fixed=found.spec.fixed_inputs,
            plan=found.spec,
            shown=f"workflow {workflow.id.name}",
        )

    async def _launch_plan(self, given: core.Identifier) -> admin.LaunchPlan:
        """The version asked for; without one the active version, or else the newest."""
        specs = self._platform.specs
        if given.version:
            return await specs.launch_plan(entity_id(EntityKind.LAUNCH_PLAN, given))
        where = given.project, given.domain, required(given.name, "spec.launch_plan.name")
        try:
            return await specs.active_launch_plan(*where)
        except NotFound:
            return await specs.launch_plan(await specs.latest(EntityKind.LAUNCH_PLAN, *where))

    async def _task_target(self, name: EntityId) -> Target:
        task = (await self._platform.specs.task(name)).closure.compiled_task.template
        template = skeleton(task)
        closure = await compile_template(self._platform, template)
        return Target(
            workflow=template.id,
            closure=closure,
            expected=expected_inputs(name, admin.LaunchPlanSpec(), task.interface),
            fixed=core.LiteralMap(),
            plan=admin.LaunchPlanSpec(),
            shown=f"task {name.name}",
        )


def _prepare(
    platform: Platform, run: RunId, spec: admin.ExecutionSpec, target: Target
) -> NewExecution:
    """The part that costs time for large graphs: the closure as it is kept, and its digest."""
    apply_policies(spec, target.plan, platform.max_parallelism)
    resolve(platform.quality, spec, target.plan, target.closure.primary.template, run.domain)
    now = platform.timestamp()
    execution = admin.Execution(
        id=execution_identifier(run),
        spec=spec,
        closure=admin.ExecutionClosure(
            phase=core.WorkflowExecution.QUEUED,
            created_at=now,
            updated_at=now,
            workflow_id=target.workflow,
            state_change_details=admin.ExecutionStateChangeDetails(
                state=admin.ExecutionState.EXECUTION_ACTIVE,
                occurred_at=now,
                principal=spec.metadata.principal,
            ),
        ),
    )
    # The engine makes the plan, once for all executions that run the same.
    summary = not_begun(
        size_of(target.closure),
        max_parallelism=spec.max_parallelism,
        overwrite_cache=spec.overwrite_cache,
        timeout=platform.execution_timeout,
    )
    closure = target.closure.SerializeToString(deterministic=True)
    return NewExecution(execution, closure, serialised_digest(closure), RunState(summary), "")


def inputs_of(request: admin.ExecutionCreateRequest) -> core.LiteralMap:
    """A request's inputs: clients put them in one of two places."""
    return request.inputs if request.HasField("inputs") else request.spec.inputs


def _again(
    was: admin.Execution, caller: Caller, mode: admin.ExecutionMetadata.ExecutionMode
) -> admin.ExecutionSpec:
    """The spec of an execution that repeats another."""
    spec = admin.ExecutionSpec()
    spec.CopyFrom(was.spec)
    spec.metadata.CopyFrom(
        admin.ExecutionMetadata(mode=mode, principal=caller.principal, reference_execution=was.id)
    )
    return spec
