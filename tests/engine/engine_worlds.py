"""Small worlds in memory for the engine to run in, and workflows to run there."""

from __future__ import annotations

import asyncio
from base64 import b64encode

from engine_programs import work_of

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.adapters.memory import (
    ManualClock,
    MemoryBlobs,
    MemoryCatalog,
    MemoryChildren,
    MemoryExecutor,
    MemoryRuns,
    MemorySignals,
    NewRun,
)
from flyte_jupyter.engine.answers import AnswerSettings
from flyte_jupyter.engine.compiler import compile_workflow
from flyte_jupyter.engine.core.observations import Exit, Started
from flyte_jupyter.engine.core.step import initial
from flyte_jupyter.engine.engine import Engine, EngineSettings, Ports
from flyte_jupyter.engine.loop import LoopSettings
from flyte_jupyter.engine.outbox import Pace
from flyte_jupyter.engine.program import plan_of
from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.idl.identifiers import entity_id
from flyte_jupyter.idl.ids import RunId

INT = core.LiteralType(simple=core.SimpleType.INTEGER)
RUN = RunId("p", "d", "r1")


def variables(names):
    return core.VariableMap(variables={n: core.Variable(type=INT) for n in names})


def sum_task(arity, name="sum", **metadata):
    """A task that adds its inputs x0, x1, ... and one."""
    return core.TaskTemplate(
        id=core.Identifier(
            resource_type=core.ResourceType.TASK,
            project="p",
            domain="d",
            name=f"{name}{arity}",
            version="1",
        ),
        type="python-task",
        metadata=core.TaskMetadata(**metadata),
        interface=core.TypedInterface(
            inputs=variables([f"x{i}" for i in range(arity)]), outputs=variables(["o"])
        ),
    )


def workflow(edges, policy=0, **metadata):
    """A workflow from ``{node: parents}``: each node adds its parents' results and one; all of them are outputs."""
    tasks = {len(p): sum_task(len(p), **metadata) for p in edges.values()}
    nodes = []
    for name, parents in edges.items():
        bindings = [
            core.Binding(
                var=f"x{i}",
                binding=core.BindingData(promise=core.OutputReference(node_id=p, var="o")),
            )
            for i, p in enumerate(parents)
        ]
        target = core.TaskNode(reference_id=tasks[len(parents)].id)
        nodes.append(core.Node(id=name, task_node=target, inputs=bindings))
    template = core.WorkflowTemplate(
        id=core.Identifier(
            resource_type=core.ResourceType.WORKFLOW,
            project="p",
            domain="d",
            name="wf",
            version="1",
        ),
        metadata=core.WorkflowMetadata(on_failure=policy),
        interface=core.TypedInterface(outputs=variables(edges)),
        nodes=nodes,
        outputs=[
            core.Binding(
                var=n, binding=core.BindingData(promise=core.OutputReference(node_id=n, var="o"))
            )
            for n in edges
        ],
    )
    return compile_workflow(template, {entity_id(t.id): t for t in tasks.values()})


def expected(edges):
    """What each node of such a workflow gives."""
    values = {}
    while len(values) < len(edges):
        for name, parents in edges.items():
            if name not in values and all(p in values for p in parents):
                values[name] = 1 + sum(values[p] for p in parents)
    return values


class World:
    """Ports that outlive engines, and the engine of the moment."""

    def __init__(self, *, by_itself=True, linger=0.0, handed=False):
        self.clock = ManualClock()
        self.catalog = MemoryCatalog()
        self.runs = MemoryRuns()
        self.blobs = MemoryBlobs(literals=self.runs.literals)
        self.executor = MemoryExecutor(self.add_up, by_itself=by_itself, handed=handed)
        self.executor.follow(self.clock.now)
        self.plans = {}
        self.children = MemoryChildren(self.runs, self.plans, self.blobs)
        self.signals = MemorySignals(self.runs)
        self.linger = linger
        self.answers = AnswerSettings()
        self.failures = {}
        """By (node, attempt): what to do instead of the work: an Exit, or a ContainerError to write."""
        self.engines = 0
        self.workers = 32
        self.worked = []

    async def add_up(self, spec):
        """The work of every task: what a real process would do with its files."""
        node, attempt = spec.node, spec.id.attempt
        self.worked.append((spec.id.run.name, node, attempt))
        instead = self.failures.get((node, attempt))
        if isinstance(instead, Exit):
            return instead
        if instead is not None:
            document = core.ErrorDocument(error=instead)
            await self.blobs.put(f"{spec.output_prefix}/error.pb", document.SerializeToString())
            return Exit(code=0)
        given = await work_of(self.blobs, spec)
        if isinstance(given, core.DynamicJobSpec):
            name, data = "futures.pb", given
        else:
            made = {name: literals.literal(value) for name, value in given.items()}
            name, data = "outputs.pb", core.LiteralMap(literals=made)
            if spec.given is not None:
                return Exit(code=0, outputs=b64encode(data.SerializeToString()).decode())
        await self.blobs.put(f"{spec.output_prefix}/{name}", data.SerializeToString())
        return Exit(code=0)

    def create(self, compiled, run=RUN, *, spec=None, recovers=None, inputs="", **policies):
        closure = compiled.closure.SerializeToString(deterministic=True)
        summary = initial(plan_of(compiled.closure), **policies).summary
        new = NewRun(
            run,
            closure,
            compiled.digest,
            inputs=inputs,
            summary=summary,
            spec=spec or admin.ExecutionSpec(),
            recovers=recovers,
        )
        self.runs.create(new, Started())
        return run

    def engine(self, holder=None, ports=None):
        self.engines += 1
        settings = EngineSettings(
            holder=holder or f"engine-{self.engines}",
            loop=LoopSettings(
                linger=self.linger, first_wait=0.001, longest_wait=0.01, full_wait=0.001
            ),
            pace=Pace(workers=self.workers, first_wait=0.001, longest_wait=0.01),
            answers=self.answers,
        )
        return Engine(ports or self.ports(), settings)

    def ports(self):
        return Ports(
            self.runs,
            self.executor,
            self.blobs,
            self.catalog,
            self.clock,
            self.children,
            self.signals,
        )

    async def phase(self, run=RUN):
        return (await self.runs.load(run)).state.summary.phase

    async def ended(self, run=RUN, within=20.0):
        """Wait until a run is final and owes nothing; returns it as stored."""
        async with asyncio.timeout(within):
            while True:
                stored = await self.runs.load(run)
                if stored.state.summary.phase.final and not stored.owed:
                    return stored
                await asyncio.sleep(0)

    async def outputs(self, run=RUN):
        stored = await self.runs.load(run)
        data = await self.blobs.get(stored.state.summary.outputs)
        return {k: literals.value(v) for k, v in core.LiteralMap.FromString(data).literals.items()}

    def node_prefix(self, node, run=RUN):
        return layout.node_prefix(self.blobs.root, run, (node,))


async def until(condition, within=20.0):
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event, and nothing is timed
            await asyncio.sleep(0)
