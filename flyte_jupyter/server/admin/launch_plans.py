"""Launch plans: a workflow with defaults, fixed inputs and policies. One version of a name may be active."""

from __future__ import annotations

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.digests import message_digest
from flyte_jupyter.idl.identifiers import identifier
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.idl.types import mismatch
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.errors import InvalidArgument, Unimplemented
from flyte_jupyter.server.admin.launch_policies import check_parallelism
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import entity_id, known_state, required
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import check_open
from flyte_jupyter.server.admin.registering import registering
from flyte_jupyter.store.errors import NotFound


class LaunchPlanCases:
    """Register, activate and look at launch plans."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def create(
        self, request: admin.LaunchPlanCreateRequest, _: Caller
    ) -> admin.LaunchPlanCreateResponse:
        """Register a version, inactive."""
        name = entity_id(EntityKind.LAUNCH_PLAN, request.id)
        await check_open(self._platform, name.project, name.domain)
        if request.spec.entity_metadata.schedule.WhichOneof("ScheduleExpression"):
            raise Unimplemented(f"{name}: schedules are not part of this version of flyte-jupyter")
        check_parallelism(request.spec.max_parallelism)
        interface = await self._interface(request.spec.workflow_id)
        now = self._platform.timestamp()
        plan = admin.LaunchPlan(
            id=identifier(name),
            spec=request.spec,
            closure=admin.LaunchPlanClosure(
                state=admin.LaunchPlanState.INACTIVE,
                expected_inputs=expected_inputs(name, request.spec, interface),
                expected_outputs=interface.outputs,
                created_at=now,
                updated_at=now,
            ),
        )
        with registering(name):
            await self._platform.specs.register(plan, message_digest(request.spec))
        return admin.LaunchPlanCreateResponse()

    async def get(self, request: admin.ObjectGetRequest, _: Caller) -> admin.LaunchPlan:
        """One version."""
        return await self._platform.specs.launch_plan(entity_id(EntityKind.LAUNCH_PLAN, request.id))

    async def active(self, request: admin.ActiveLaunchPlanRequest, _: Caller) -> admin.LaunchPlan:
        """The active version of a name."""
        return await self._platform.specs.active_launch_plan(
            required(request.id.project, "id.project"),
            required(request.id.domain, "id.domain"),
            required(request.id.name, "id.name"),
        )

    async def list(self, request: admin.ResourceListRequest, _: Caller) -> admin.LaunchPlanList:
        """Versions, newest first: of a project and domain, or of one launch plan."""
        page = await self._platform.specs.list_launch_plans(
            request.id.project,
            request.id.domain,
            query_of(request, self._platform.max_listing),
            name=request.id.name,
        )
        return admin.LaunchPlanList(launch_plans=page.items, token=page.token)

    async def list_active(
        self, request: admin.ActiveLaunchPlanListRequest, _: Caller
    ) -> admin.LaunchPlanList:
        """The active versions of all names of a project and domain."""
        page = await self._platform.specs.list_active_launch_plans(
            request.project, request.domain, query_of(request, self._platform.max_listing)
        )
        return admin.LaunchPlanList(launch_plans=page.items, token=page.token)

    async def update(
        self, request: admin.LaunchPlanUpdateRequest, _: Caller
    ) -> admin.LaunchPlanUpdateResponse:
        """Activate a version, which takes the place of the one that was active, or deactivate it."""
        name = entity_id(EntityKind.LAUNCH_PLAN, request.id)
        known_state(request, "state")
        specs = self._platform.specs
        active = request.state == admin.LaunchPlanState.ACTIVE
        await (specs.activate if active else specs.deactivate)(name, self._platform.now())
        return admin.LaunchPlanUpdateResponse()

    async def _interface(self, workflow: core.Identifier) -> core.TypedInterface:
        try:
            found = await self._platform.specs.workflow(entity_id(EntityKind.WORKFLOW, workflow))
        except NotFound as error:
            raise InvalidArgument(f"Register the workflow first: {error}") from error
        return found.closure.compiled_workflow.primary.template.interface


def expected_inputs(
    name: EntityId, spec: admin.LaunchPlanSpec, interface: core.TypedInterface
) -> core.ParameterMap:
    """What remains to be given at launch: the workflow's inputs without the fixed ones, with the defaults.

    Raises:
        InvalidArgument: a default or fixed input that the workflow does not have, or of another type.
    """
    variables = interface.inputs.variables
    for given in (*spec.default_inputs.parameters, *spec.fixed_inputs.literals):
        if given not in variables:
            known = ", ".join(sorted(variables)) or "none"
            raise InvalidArgument(
                f"{name}: workflow {spec.workflow_id.name} has no input {given!r} (inputs: {known})"
            )
    for given, literal in spec.fixed_inputs.literals.items():
        _check_type(name, given, literal, variables[given])
    expected = core.ParameterMap()
    for key, variable in variables.items():
        if key in spec.fixed_inputs.literals:
            continue
        parameter = expected.parameters[key]
        parameter.required = True
        if key in spec.default_inputs.parameters:
            parameter.CopyFrom(spec.default_inputs.parameters[key])
            if parameter.HasField("default"):
                _check_type(name, key, parameter.default, variable)
        parameter.var.CopyFrom(variable)
    return expected


def _check_type(name: EntityId, key: str, literal: core.Literal, variable: core.Variable) -> None:
    why = mismatch(literal, variable.type)
    if why is not None:
        raise InvalidArgument(f"{name}: input {key!r}: {why}")
