"""flytekit's workflows, as it serialises them, run to what Flyte would give; its own entry points do the work, in this process."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from engine_programs import literals_of
from engine_worlds import World
from flytekit_specs import specs

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.memory import MemoryChildren, MemoryLaunchPlan
from flyte_jupyter.engine.command import filled, values_for
from flyte_jupyter.engine.compiler import compile_workflow
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import RunPhase
from flyte_jupyter.idl import core, literals

# flytekit has warnings of its own.
pytestmark = pytest.mark.filterwarnings("ignore")

DAY = datetime(2024, 1, 2, tzinfo=UTC)


class FlytekitWorld(World):
    """A world whose tasks are flytekit's."""

    def __init__(self, module, folder, **settings):
        super().__init__(**settings)
        self.module = importlib.import_module(f"flytekit_programs.{module}")
        self.specs = specs(module)
        self.blobs = FolderBlobs(folder)
        self.children = MemoryChildren(self.runs, self.plans, self.blobs)
        library = self.specs.library()
        for entity, interface in library.launch_plans.items():
            spec = self.specs.launch_plans.get(entity.name)
            workflow = self.specs.workflows[spec.workflow_id.name]
            compiled = compile_workflow(workflow.template, self.specs.library(workflow))
            self.plans[entity.name] = MemoryLaunchPlan(compiled, interface)

    async def add_up(self, spec):
        from flytekit.bin import entrypoint

        self.worked.append((spec.id.run.name, spec.node, spec.id.attempt))
        self.forget_graphs()
        words = filled(spec.template.container.args, values_for(spec, "key", "ns"))
        commands = {
            "pyflyte-execute": entrypoint.execute_task_cmd,
            "pyflyte-map-execute": entrypoint.map_execute_task_cmd,
        }
        own = {pair.key: pair.value for pair in spec.template.container.env}
        with patch.dict(os.environ, {**own, **spec.env}), patch.object(sys, "argv", words):
            try:
                commands[words[0]].main(words[1:], standalone_mode=False)
            except SystemExit as end:
                return Exit(code=int(end.code or 0))
        return Exit(code=0)

    def forget_graphs(self):
        """flytekit makes one graph in a process and keeps it: a real one runs one attempt."""
        for value in vars(self.module).values():
            if hasattr(value, "_wf"):
                value._wf = None

    async def launch(self, short, **inputs):
        """Launch a workflow by its default launch plan."""
        plan = self.specs.library().launch_plans[
            next(e for e in self.specs.library().launch_plans if e.name == self.specs.name(short))
        ]
        given = core.LiteralMap()
        for name, parameter in plan.inputs.parameters.items():
            if name in inputs:
                given.literals[name].CopyFrom(literals.literal(inputs[name]))
            elif parameter.HasField("default"):
                given.literals[name].CopyFrom(parameter.default)
        uri = f"{self.blobs.root}/inputs.pb"
        await self.blobs.put(uri, given.SerializeToString())
        self.create(self.specs.compiled(short), inputs=uri)


async def answering(world):
    """Whoever is asked says yes, and time passes."""
    while True:
        for (run, name), kind in list(world.signals.opened.items()):
            if (run, name) not in world.signals.answers:
                text = kind.simple == core.SimpleType.STRING
                value = literals.literal("word") if text else literals_of(kind)
                world.signals.answer(run, name, value)
        world.clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0.001)


def run(module, workflow, folder, **inputs):
    async def main():
        world = FlytekitWorld(module, folder)
        engine = world.engine()
        await engine.start()
        helper = asyncio.create_task(answering(world))
        try:
            await world.launch(workflow, **inputs)
            stored = await world.ended(within=30)
            outputs = await world.outputs() if stored.state.summary.outputs else None
            return world, stored, outputs
        finally:
            helper.cancel()
            await engine.stop()

    return asyncio.run(main())


SUCCESSES = [
    ("subworkflows", "outer", [32]),
    ("subworkflows", "around_nothing", [3]),
    ("branches", "simple", ["small 0.5"]),
    ("branches", "chosen", ["small 5.0 and small 0.5"]),
    ("branches", "nested", ["large 0.5"]),
    ("branches", "on_truth", ["large 2.0"]),
    ("dynamics", "fan_out", [25]),
    ("dynamics", "recursion", [1]),
    ("dynamics", "mixture", [4 + 4 + 1]),
    ("dynamics", "mapping", [5]),
    ("dynamics", "around_nothing", [2]),
    ("maps", "plain", [14]),
    ("maps", "constant", [[1, 4, 9]]),
    ("maps", "bound", [[0, 1, 8, 27]]),
    ("maps", "zipped", [[1, 1, 4, 27]]),
    ("maps", "tolerant", [4]),
    ("maps", "at_least", [[0, 1, 4, 9, 16, 25]]),
    ("maps", "two_at_once", [[0, 1, 4, 9, 16, 25]]),
    ("maps", "retried", [[0, 1]]),
    ("maps", "cached", [[100, 101, 102]]),
    ("maps", "empty", [[]]),
    ("maps", "nothing", []),
    ("maps", "changed", [[0, 1]]),
    ("maps", "executions", [[1, 4, 9]]),
    ("gates", "approved", [3]),
    ("gates", "asked", ["word 2"]),
    ("gates", "rested", [2]),
    ("launch_plans", "parent", [4, 8, 100]),
    ("launch_plans", "grandparent", [16]),
    ("caches", "plain", [2]),
    ("caches", "serialised", [3]),
    ("caches", "ignoring", [4]),
    ("caches", "by_hash", [1]),
    ("caches", "without_outputs", []),
    ("caches", "of_graph", [2]),
    ("caches", "switched_off", [2, 2]),
    ("attributes", "of_dataclass", [9, "ab", 2]),
    ("attributes", "of_containers", [3, "xy"]),
    ("attributes", "as_output", [2, "y"]),
    ("attributes", "in_condition", ["two!"]),
    ("attributes", "of_times", [DAY, timedelta(minutes=3), DAY + timedelta(minutes=3), DAY]),
    ("attributes", "of_unions", ["7 blue", "2 red"]),
    ("attributes", "together", [14, [2, 5, 7], {"count": 2}]),
    ("attributes", "inside_a_union", ["two!"]),
    ("policies", "patient", [1]),
    ("policies", "cheap", [1, 1]),
    ("overrides", "policies", [2]),
    ("overrides", "in_graph", [2]),
    ("checkpoints", "steps", [3]),
]


@pytest.mark.parametrize(
    ("module", "workflow", "wanted"), SUCCESSES, ids=[f"{m}-{w}" for m, w, _ in SUCCESSES]
)
def test_it_gives_what_it_gives_by_hand(module, workflow, wanted, tmp_path):
    _, stored, outputs = run(module, workflow, tmp_path)
    summary = stored.state.summary
    assert summary.phase is RunPhase.SUCCEEDED, summary.failure
    assert [outputs[name] for name in sorted(outputs, key=lambda n: (len(n), n))] == wanted


FAILURES = [
    ("subworkflows", "around_failing", "ValueError", "is never right"),
    ("subworkflows", "beside_failing", "ValueError", "is never right"),
    ("branches", "else_fails", "UserProvidedError", "x must be below 1"),
    ("dynamics", "around_failing", "ValueError", "breaks"),
    ("maps", "intolerant", "ValueError", "multiple of three"),
    ("handlers", "handled", "ValueError", "breaks"),
    ("handlers", "handled_by_workflow", "ValueError", "breaks"),
    ("handlers", "handled_badly", "RuntimeError", "the handler breaks too"),
    ("handlers", "around_handled", "ValueError", "breaks"),
    ("launch_plans", "around_failing", "ValueError", "the child fails"),
    ("attributes", "out_of_range", "BindingResolutionFailure", "has 2 items"),
    ("attributes", "too_many", "BindingResolutionFailure", "does not fit into 64 bits"),
    ("policies", "exhausted", "RetriesExhausted", "never"),
    ("policies", "permanent", "ValueError", "not tried again"),
    ("policies", "left", "NonZeroExit", "status 3"),
]


@pytest.mark.parametrize(
    ("module", "workflow", "code", "message"), FAILURES, ids=[f"{m}-{w}" for m, w, *_ in FAILURES]
)
def test_it_fails_by_its_reason(module, workflow, code, message, tmp_path):
    _, stored, _ = run(module, workflow, tmp_path)
    summary = stored.state.summary
    assert summary.phase is RunPhase.FAILED
    assert code in f"{summary.failure.code} {summary.failure.message}"
    assert message in summary.failure.message
