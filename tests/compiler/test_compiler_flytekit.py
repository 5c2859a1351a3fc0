"""What flytekit serialises compiles, and has the shape that Flyte's own compiler gives it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flytekit_specs import DOMAIN, FAMILIES, PROJECT, futures, specs

from flyte_jupyter.engine.compiler import (
    Code,
    CompileError,
    Parent,
    compile_dynamic,
    dynamic_requirements,
)
from flyte_jupyter.engine.core.plan import END, START, NodeKind, OnFailure
from flyte_jupyter.engine.program import plan_of, program_of
from flyte_jupyter.idl import core


def plan(module, name):
    return plan_of(specs(module).compiled(name).closure)


def program(module, name):
    return program_of(specs(module).compiled(name).closure)


def all_nodes(graph):
    """Every node plan, those in bodies, items and failure nodes included."""
    for one in graph.inner():
        for node in [*one.nodes.values(), *filter(None, [one.failure_node])]:
            yield node
            if node.item is not None:
                yield node.item


@pytest.mark.parametrize("module", FAMILIES)
def test_every_workflow_of_a_module_compiles(module):
    made = specs(module)
    assert made.workflows
    for name in made.workflows:
        compiled = made.compiled(name.rpartition(".")[2])
        again = core.CompiledWorkflowClosure.FromString(compiled.closure.SerializeToString())
        one = program_of(again)
        assert one.plan.digest == compiled.digest
        for template in one.templates.values():
            for node in template.nodes:
                template.inputs_of(node)
                template.outputs_of(node)


def test_sub_workflows_stand_inside_each_other():
    outer = plan("subworkflows", "outer")
    middle = outer.nodes["n1"]
    assert middle.kind is NodeKind.WORKFLOW
    assert [n.kind for n in middle.body.nodes.values()] == [
        NodeKind.START,
        NodeKind.WORKFLOW,
        NodeKind.WORKFLOW,
        NodeKind.END,
    ]
    assert middle.body.nodes["n0"].body is middle.body.nodes["n1"].body
    assert plan("subworkflows", "beside_failing").on_failure is OnFailure.FINISH_RUNNABLE


def test_branches_inside_branches_have_flytes_names():
    nested = plan("branches", "nested").nodes["n0"]
    assert nested.kind is NodeKind.BRANCH
    assert list(nested.body.nodes) == ["n0-n0", "n0-n1"]
    assert list(nested.body.nodes["n0-n0"].body.nodes) == ["n0-n0-n0", "n0-n0-n1"]
    chosen = plan("branches", "chosen").nodes["n1"]
    assert chosen.body.nodes["n1-n1"].kind is NodeKind.WORKFLOW
    assert set(chosen.upstream) == {START, "n0"}


def test_a_branch_on_an_attribute_takes_the_attribute():
    template = program("attributes", "in_condition").primary
    assert template.inputs_of("n1").variables["n0.o0"].type.simple == core.SimpleType.INTEGER


def test_launch_plans_become_children():
    made = program("launch_plans", "parent")
    nodes = made.plan.nodes
    assert {nodes[n].kind for n in ("n0", "n1", "n2")} == {NodeKind.LAUNCH_PLAN}
    assert made.primary.launch_plan("n1").fixed_inputs.literals["exponent"].HasField("scalar")
    assert list(made.primary.inputs_of("n1").variables) == ["base"]


def test_map_tasks_are_arrays_of_their_task():
    made = program("maps", "bound")
    (array,) = [n for n in made.plan.nodes.values() if n.kind is NodeKind.ARRAY]
    template = made.primary
    assert template.inputs_of(array.id).variables["exponent"].type.WhichOneof("type") == "simple"
    assert template.item_inputs_of(array.id).variables["x"].type.WhichOneof("type") == "simple"
    assert template.item_outputs_of(array.id).variables["o0"].type.WhichOneof("type") == "simple"


@pytest.mark.parametrize(
    ("name", "size", "least", "concurrency"),
    [
        ("plain", 10, 10, None),
        ("tolerant", 7, 4, None),
        ("at_least", 7, 3, None),
        ("two_at_once", 7, 7, 2),
        ("executions", 3, 3, 2),
    ],
)
def test_how_many_items_at_once_and_how_many_must_succeed(name, size, least, concurrency):
    (array,) = [n for n in plan("maps", name).nodes.values() if n.kind is NodeKind.ARRAY]
    assert array.array.least(size) == least
    assert array.array.concurrency == concurrency


def test_items_have_the_policies_of_their_task_and_node():
    (retried,) = [n.item for n in plan("maps", "retried").nodes.values() if n.item]
    assert retried.retries == 2
    (cached,) = [n.item for n in plan("maps", "cached").nodes.values() if n.item]
    assert cached.cache.version == "1"
    changed = plan("maps", "changed").nodes["changed-node"]
    assert changed.item.retries == 4
    (children,) = [n.item for n in plan("maps", "executions").nodes.values() if n.item]
    assert children.kind is NodeKind.LAUNCH_PLAN


def test_gates():
    asked = plan("gates", "asked").nodes
    (gate,) = [n for n in asked.values() if n.kind is NodeKind.GATE]
    assert (gate.gate.signal, gate.timeout) == ("word", timedelta(hours=1))
    (rest,) = [n for n in plan("gates", "rested").nodes.values() if n.kind is NodeKind.GATE]
    assert rest.gate.sleep == timedelta(milliseconds=50)
    template = program("gates", "approved").primary
    (approval,) = [n for n in template.nodes.values() if n.HasField("gate_node")]
    assert template.outputs_of(approval.id) == template.inputs_of(approval.id)


def test_failure_nodes():
    handled = plan("handlers", "handled")
    assert handled.failure_node.kind is NodeKind.TASK
    assert plan("handlers", "handled_by_workflow").failure_node.kind is NodeKind.WORKFLOW
    assert plan("handlers", "around_handled").nodes["n0"].body.failure_node is not None
    template = program("handlers", "handled").primary
    assert "err" in template.inputs_of("fn0").variables


def test_policies():
    assert plan("policies", "patient").nodes["n0"].retries == 2
    late = plan("policies", "late").nodes["n0"]
    assert (late.timeout, late.node_timeout) == (timedelta(seconds=1), timedelta(seconds=2))
    cheap = plan("policies", "cheap").nodes
    assert (cheap["n0"].interruptible, cheap["n1"].interruptible) == (True, False)
    one = plan("policies", "one_cheap").nodes
    assert (one["n0"].interruptible, one["n1"].interruptible) == (True, False)
    assert plan("policies", "goes_on").on_failure is OnFailure.FINISH_RUNNABLE


def test_caches():
    assert plan("caches", "serialised").nodes["n0"].cache.serialize
    assert plan("caches", "ignoring").nodes["n0"].cache.ignored_inputs == ("verbose",)
    assert plan("caches", "without_outputs").nodes["n0"].cache is None
    off = plan("caches", "switched_off").nodes
    assert off["n0"].cache is None
    assert (off["n1"].cache.version, off["n1"].cache.serialize) == ("2", True)


def test_overrides_stay_with_their_node():
    node = program("overrides", "resources").primary.nodes["n0"]
    asked = node.task_node.overrides.resources
    assert {(r.name, r.value) for r in asked.requests} == {
        (core.Resources.CPU, "200m"),
        (core.Resources.MEMORY, "200Mi"),
    }
    extended = program("overrides", "accelerated").primary.nodes["n0"].task_node.overrides
    assert extended.extended_resources.gpu_accelerator.device == "nvidia-tesla-t4"
    by_hand = plan("overrides", "policies").nodes["by-hand"]
    assert (by_hand.retries, by_hand.timeout, by_hand.interruptible) == (
        4,
        timedelta(seconds=30),
        True,
    )


def test_order_without_data():
    ordered = plan("chains", "ordered").nodes
    assert ordered["n1"].upstream == ("n0",)
    assert ordered["n2"].upstream == ("n1",)
    assert ordered[END].upstream == ("n2",)


# -- dynamic tasks ---------------------------------------------------------------------------------


def parent(task):
    made = specs("dynamics")
    return Parent(PROJECT, DOMAIN, "n0", made.tasks[made.name(task)].template)


def expanded(task, **inputs):
    return compile_dynamic(
        futures("dynamics", task, **inputs), parent(task), specs("dynamics").library()
    )


def test_a_dynamic_task_becomes_a_workflow():
    compiled = expanded("fan", n=3)
    template = compiled.closure.primary.template
    assert (template.id.project, template.id.name) == (PROJECT, "dynamic_n0")
    assert [n.id for n in template.nodes] == [START, "dn0", "dn1", "dn2", "dn3", END]
    assert template.interface == parent("fan").task.interface
    made = program_of(compiled.closure, f"{compiled.digest}:")
    assert made.plan.nodes["dn3"].upstream == ("dn0", "dn1", "dn2")
    assert list(made.templates) == [f"{compiled.digest}:"]
    assert made.primary.inputs_of(END).variables["o0"].type.simple == core.SimpleType.INTEGER


def test_the_same_futures_have_the_same_digest():
    assert expanded("fan", n=3).digest == expanded("fan", n=3).digest
    assert expanded("fan", n=3).digest != expanded("fan", n=4).digest


def test_a_dynamic_task_brings_its_workflows_and_names_its_launch_plans():
    spec = futures("dynamics", "mixed", n=2)
    (needed,) = dynamic_requirements(spec, parent("mixed"))
    assert needed.name == specs("dynamics").name("squares")
    with pytest.raises(CompileError) as caught:
        compile_dynamic(spec, parent("mixed"))
    assert [p.code for p in caught.value.problems] == [Code.WORKFLOW_NOT_FOUND]
    compiled = expanded("mixed", n=2)
    kinds = [n.kind for n in plan_of(compiled.closure, f"{compiled.digest}:").nodes.values()]
    assert kinds == [
        NodeKind.START,
        NodeKind.WORKFLOW,
        NodeKind.LAUNCH_PLAN,
        NodeKind.TASK,
        NodeKind.TASK,
        NodeKind.END,
    ]


def test_maps_and_dynamic_tasks_inside_dynamic_tasks():
    assert plan_of(expanded("mapped", n=3).closure).nodes["dn0"].kind is NodeKind.ARRAY
    assert plan_of(expanded("recursive", n=2).closure).nodes["dn0"].kind is NodeKind.TASK


def test_a_dynamic_tasks_tasks_inherit_its_configuration():
    owner = parent("fan")
    owner.task.container.config.add(key="team", value="blue")
    compiled = compile_dynamic(futures("dynamics", "fan", n=1), owner)
    for task in compiled.closure.tasks:
        assert ("team", "blue") in [(c.key, c.value) for c in task.template.container.config]


def test_bad_futures_are_refused_with_every_problem():
    spec = futures("dynamics", "fan", n=2)
    spec.nodes[2].inputs[0].binding.collection.bindings[0].promise.node_id = "gone"
    spec.nodes[0].inputs[0].var = "nothing"
    with pytest.raises(CompileError) as caught:
        compile_dynamic(spec, parent("fan"))
    assert {p.code for p in caught.value.problems} == {
        Code.NODE_NOT_FOUND,
        Code.VARIABLE_NOT_FOUND,
        Code.PARAMETER_NOT_BOUND,
    }
