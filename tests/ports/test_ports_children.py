"""Every `Children` starts an execution once, ends it on request, and says how it stands."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.memory import (
    MemoryBlobs,
    MemoryChildren,
    MemoryLaunchPlan,
    MemoryRuns,
    NewRun,
)
from flyte_jupyter.engine.compiler import LaunchPlanInterface, Library, compile_workflow
from flyte_jupyter.engine.core.observations import AbortRequested, Started
from flyte_jupyter.engine.core.state import RunPhase, RunState, RunSummary
from flyte_jupyter.engine.ports import (
    Accepted,
    ChildResult,
    ChildSpec,
    Commit,
    Fenced,
    NotNow,
    Rejected,
)
from flyte_jupyter.idl import admin, core, event, literals
from flyte_jupyter.idl.identifiers import entity_id, execution_identifier
from flyte_jupyter.idl.ids import AttemptId, EntityId, EntityKind, RunId
from flyte_jupyter.server.admin.launching import Origin
from flyte_jupyter.store.errors import NotFound

INT = core.LiteralType(simple=core.SimpleType.INTEGER)
PARENT, CHILD = RunId("flytesnacks", "development", "parent"), "parent-n0-0"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def named(kind, name):
    return core.Identifier(
        resource_type=kind,
        project=PARENT.project,
        domain=PARENT.domain,
        name=name,
        version="v1",
    )


def interface():
    kinds = core.VariableMap(variables={"x": core.Variable(type=INT)})
    return core.TypedInterface(inputs=kinds, outputs=kinds)


def bound(node):
    promise = core.OutputReference(node_id=node, var="x")
    return core.Binding(var="x", binding=core.BindingData(promise=promise))


TASK = core.TaskTemplate(
    id=named(core.ResourceType.TASK, "same"),
    type="python-task",
    interface=interface(),
    container=core.Container(image="i", args=["run"]),
)
WORKFLOW = core.WorkflowTemplate(
    id=named(core.ResourceType.WORKFLOW, "flow"),
    interface=interface(),
    nodes=[
        core.Node(
            id="n0", task_node=core.TaskNode(reference_id=TASK.id), inputs=[bound("start-node")]
        )
    ],
    outputs=[bound("n0")],
)
PLAN = named(core.ResourceType.LAUNCH_PLAN, "plan")


@asynccontextmanager
async def memory(tmp_path):
    runs, blobs = MemoryRuns(), MemoryBlobs()
    library = Library(tasks={entity_id(TASK.id): TASK})
    inputs = core.ParameterMap(
        parameters={"x": core.Parameter(var=core.Variable(type=INT), required=True)}
    )
    plan = MemoryLaunchPlan(
        compile_workflow(WORKFLOW, library), LaunchPlanInterface(inputs, interface().outputs)
    )
    runs.create(NewRun(PARENT, b"closure", "digest"))
    yield MemoryChildren(runs, {"plan": plan}, blobs), runs, blobs


@asynccontextmanager
async def admins(tmp_path):
    from flyte_jupyter.server.admin.calls import Caller
    from flyte_jupyter.server.admin.children import ChildExecutions
    from flyte_jupyter.server.admin.launch_plans import LaunchPlanCases
    from flyte_jupyter.server.admin.platform import Platform
    from flyte_jupyter.server.admin.qualities import QualitySettings
    from flyte_jupyter.server.admin.signing import Signer
    from flyte_jupyter.server.admin.tasks import TaskCases
    from flyte_jupyter.server.admin.workflows import WorkflowCases
    from flyte_jupyter.store.artifacts import Artifacts
    from flyte_jupyter.store.database import Database
    from flyte_jupyter.store.executions import Executions, NewExecution
    from flyte_jupyter.store.names import Names
    from flyte_jupyter.store.projects import Projects
    from flyte_jupyter.store.runs import SqlRuns
    from flyte_jupyter.store.signals import SqlSignals
    from flyte_jupyter.store.specs import Specs

    db = Database.open(tmp_path / "flyte.db")
    blobs = FolderBlobs(tmp_path / "blobs")
    platform = Platform(
        specs=Specs(db),
        names=Names(db),
        executions=Executions(db),
        projects=Projects(db),
        signals=SqlSignals(db),
        artifacts=Artifacts(db),
        blobs=blobs,
        md5_of=lambda key: None,
        signer=Signer(b"secret"),
        refusal=lambda task: None,
        now=lambda: NOW,
        new_name=lambda: "fresh",
        upload_expiry=timedelta(hours=1),
        inline_data=1000,
        max_listing=100,
        max_parallelism=0,
        max_nesting=3,
        quality=QualitySettings(),
        execution_timeout=timedelta(hours=1),
    )
    caller = Caller()
    try:
        await TaskCases(platform).create(
            admin.TaskCreateRequest(id=TASK.id, spec=admin.TaskSpec(template=TASK)), caller
        )
        await WorkflowCases(platform).create(
            admin.WorkflowCreateRequest(id=WORKFLOW.id, spec=admin.WorkflowSpec(template=WORKFLOW)),
            caller,
        )
        spec = admin.LaunchPlanSpec(workflow_id=WORKFLOW.id)
        await LaunchPlanCases(platform).create(
            admin.LaunchPlanCreateRequest(id=PLAN, spec=spec), caller
        )
        parent = admin.Execution(id=execution_identifier(PARENT))
        new = NewExecution(parent, b"closure", "digest", RunState(RunSummary(open=2)), "")
        await Executions(db).create(new)
        yield ChildExecutions(platform), SqlRuns(db), blobs
    finally:
        await db.close()


@pytest.fixture(params=[memory, admins], ids=lambda adapter: adapter.__name__)
def scenario(request, tmp_path):
    """Runs a coroutine function with the children, the runs, and what to launch."""

    def play(story):
        async def told():
            async with request.param(tmp_path) as (children, runs, blobs):
                given = core.LiteralMap(literals={"x": literals.literal(7)})
                uri = f"{blobs.root}/given/inputs.pb"
                await blobs.put(uri, given.SerializeToString())
                name = RunId(PARENT.project, PARENT.domain, CHILD)
                spec = ChildSpec(AttemptId(PARENT, ("n0",), 0), name, PLAN, uri, "n0", epoch=0)
                await story(children, runs, spec)

        asyncio.run(told())

    return play


def test_a_child_is_created_once_and_begins(scenario):
    async def story(children, runs, spec):
        assert await children.launch(spec) == Accepted()
        assert await children.launch(spec) == Accepted()
        stored = await runs.load(spec.name)
        assert [seen for _, seen in stored.inbox] == [Started()]
        assert stored.inputs
        assert await children.result(spec.name) == ChildResult()

    scenario(story)


def test_an_unknown_launch_plan_is_a_refusal_for_good(scenario):
    async def story(children, runs, spec):
        unknown = core.Identifier()
        unknown.CopyFrom(PLAN)
        unknown.name = "nothing"
        answer = await children.launch(replace(spec, launch_plan=unknown))
        assert isinstance(answer, Rejected)
        assert "nothing" in answer.why.message

    scenario(story)


def test_its_end_can_be_asked_for_at_any_time(scenario):
    async def story(children, runs, spec):
        await children.terminate(spec.name, "not yet there")
        await children.launch(spec)
        await children.terminate(spec.name, "enough")
        told = [seen for _, seen in await runs.inbox(spec.name)]
        assert any(isinstance(seen, AbortRequested) and seen.cause == "enough" for seen in told)

    scenario(story)


def test_a_launch_plans_interface_is_told(scenario):
    async def story(children, runs, spec):
        known = EntityId(EntityKind.LAUNCH_PLAN, PLAN.project, PLAN.domain, PLAN.name, "v1")
        found = await children.interface(known)
        assert set(found.inputs.parameters) == {"x"}
        assert set(found.outputs.variables) == {"x"}
        unknown = EntityId(EntityKind.LAUNCH_PLAN, PLAN.project, PLAN.domain, "nothing", "v1")
        assert await children.interface(unknown) is None

    scenario(story)


def test_what_was_never_created_is_not_recovered(scenario):
    async def story(children, runs, spec):
        never = RunId(PARENT.project, PARENT.domain, "earlier-n0-0")
        assert await children.launch(replace(spec, recover=never)) == Accepted()
        assert (await runs.load(spec.name)).recovers is None

    scenario(story)


def test_of_children_to_be_recovered_it_is_the_first_that_there_is(scenario):
    async def story(children, runs, spec):
        names = [RunId(PARENT.project, PARENT.domain, f"{n}-n0-0") for n in ("e2", "e1", "e0")]
        epoch = spec.epoch
        for name in names[1:]:
            await children.launch(replace(spec, name=name, epoch=epoch))
            epoch = await ended(runs, name)
        wanted = replace(spec, recover=names[0], or_else=tuple(names[1:]), epoch=epoch)
        assert await children.launch(wanted) == Accepted()
        assert (await runs.load(spec.name)).recovers == names[1]

    scenario(story)


def test_a_child_that_still_ends_is_waited_for_before_it_is_recovered(scenario):
    async def story(children, runs, spec):
        earlier = replace(spec, name=RunId(PARENT.project, PARENT.domain, "earlier-n0-0"))
        await children.launch(earlier)
        await children.terminate(earlier.name, "its parent has failed")
        later = replace(spec, recover=earlier.name)
        with pytest.raises(NotNow, match="has not ended"):
            await children.launch(later)
        with pytest.raises((KeyError, NotFound)):
            await runs.load(later.name)
        epoch = await ended(runs, earlier.name)
        assert await children.launch(replace(later, epoch=epoch)) == Accepted()
        assert (await runs.load(later.name)).recovers == earlier.name

    scenario(story)


async def ended(runs, run):
    """Commit what an engine does with an abort. Returns the epoch of its lease."""
    stored = await runs.load(run)
    lease = await runs.acquire("engine", timedelta(minutes=1), NOW)
    aborted = replace(stored.state.summary, phase=RunPhase.ABORTED, open=0)
    state = replace(stored.state, summary=aborted)
    told = tell_run(run, state)
    await runs.commit(Commit(run, stored.version, lease.epoch, [], aborted, {}, [], [], [], [told]))
    return lease.epoch


def tell_run(run, state):
    return event.WorkflowExecutionEvent(
        execution_id=execution_identifier(run),
        phase=core.WorkflowExecution.ABORTED,
        error=core.ExecutionError(message=state.summary.abort),
    )


def test_an_engine_that_has_lost_its_lease_starts_no_child(scenario):
    async def story(children, runs, spec):
        lost = await runs.acquire("engine", timedelta(minutes=1), NOW)
        held = await runs.acquire("another", timedelta(minutes=1), NOW, force=True)
        with pytest.raises(Fenced):
            await children.launch(replace(spec, epoch=lost.epoch))
        with pytest.raises((KeyError, NotFound)):
            await runs.load(spec.name)
        assert await children.launch(replace(spec, epoch=held.epoch)) == Accepted()

    scenario(story)


def test_executions_start_executions_only_so_deep(tmp_path):
    async def told():
        async with admins(tmp_path) as (children, runs, blobs):
            given = core.LiteralMap(literals={"x": literals.literal(7)})
            uri = f"{blobs.root}/given/inputs.pb"
            await blobs.put(uri, given.SerializeToString())
            parent = PARENT
            for depth in (1, 2, 3):
                name = RunId(PARENT.project, PARENT.domain, f"deep-{depth}")
                spec = ChildSpec(AttemptId(parent, ("n0",), 0), name, PLAN, uri, "n0", epoch=0)
                assert await children.launch(spec) == Accepted()
                limit = (await runs.load(name)).state.summary.timeout
                assert limit == timedelta(hours=1), "each execution has the time of its own"
                parent = name
            name = RunId(PARENT.project, PARENT.domain, "deep-4")
            answer = await children.launch(
                replace(spec, parent=AttemptId(parent, ("n0",), 0), name=name)
            )
            assert isinstance(answer, Rejected)
            assert (answer.why.code, answer.why.retryable) == ("NestedTooDeep", False)
            assert "launch plan plan" in answer.why.message
            assert "max_nesting" in answer.why.message
            with pytest.raises(NotFound):
                await runs.load(name)

    asyncio.run(told())


def test_an_execution_that_only_says_it_is_the_child_is_none(tmp_path):
    async def told():
        async with admins(tmp_path) as (children, _, blobs):
            given = core.LiteralMap(literals={"x": literals.literal(7)})
            uri = f"{blobs.root}/given/inputs.pb"
            await blobs.put(uri, given.SerializeToString())
            name = RunId(PARENT.project, PARENT.domain, CHILD)
            claim = admin.ExecutionSpec(launch_plan=PLAN)
            of = claim.metadata.parent_node_execution
            of.node_id = "n0"
            of.execution_id.CopyFrom(execution_identifier(PARENT))
            await children._launches.launch(name, claim, given, Origin())
            spec = ChildSpec(AttemptId(PARENT, ("n0",), 0), name, PLAN, uri, "n0", epoch=0)
            answer = await children.launch(spec)
            assert isinstance(answer, Rejected)
            assert answer.why.code == "NameTaken"

    asyncio.run(told())
