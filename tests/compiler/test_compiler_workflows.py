"""Workflows in, closures or all their problems out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from compiler_graphs import (
    INT,
    INTS,
    STR,
    STRUCT,
    compiled,
    node,
    problems,
    promise,
    scalar,
    task,
    workflow,
)

from flyte_jupyter.engine.compiler import Code, CompileError, skeleton
from flyte_jupyter.engine.core.plan import END, START, NodeKind, OnFailure
from flyte_jupyter.engine.program import plan_of, program_of
from flyte_jupyter.idl import core


def test_a_chain_gets_its_ends_and_edges():
    add = task()
    closure = compiled(
        workflow(
            node("a", add, x=promise("", "x")),
            node("b", add, x=promise("a")),
            node("c", add, x=scalar(1)),
            inputs={"x": INT},
            outputs={"o": INT},
            gives={"o": promise("b")},
        ),
        add,
    ).closure
    ids = [n.id for n in closure.primary.template.nodes]
    assert ids == [START, "a", "b", "c", END]
    plan = plan_of(closure)
    assert plan.nodes["a"].upstream == (START,)
    assert plan.nodes["b"].upstream == ("a",)
    assert plan.nodes["c"].upstream == (START,)
    assert set(plan.nodes[END].upstream) == {"b", "c"}, "a run ends after all of its nodes"
    assert plan.nodes[START].kind is NodeKind.START
    assert plan.downstream[START] == ("a", "c")
    assert list(closure.primary.connections.downstream["a"].ids) == ["b"]
    assert [t.template.id.name for t in closure.tasks] == ["add"]


def test_every_problem_is_found_at_once():
    add = task()
    ghost = task("ghost")
    found = problems(
        workflow(
            node("a", add, x=scalar("text")),
            node("a", add, x=scalar(1)),
            node("b", ghost, x=scalar(1)),
            node("c", add),
            node("d", add, x=promise("nobody")),
            node("e", add, x=promise("a", "nothing")),
            node("f", add, x=scalar(1), y=scalar(2)),
            node("g", add, x=promise("h")),
            node("h", add, x=promise("g")),
            node("i", add, x=promise("h")),
            node("j", add, x=scalar(1), after=["nobody"]),
            node("start-node", add, x=scalar(1)),
            outputs={"o": STR, "missing": INT},
            gives={"o": promise("a"), "unknown": promise("a")},
        ),
        add,
    )
    assert set(found) == {
        (Code.MISMATCHING_TYPES, "a"),
        (Code.DUPLICATE_ID, "a"),
        (Code.TASK_NOT_FOUND, "b"),
        (Code.PARAMETER_NOT_BOUND, "c"),
        (Code.NODE_NOT_FOUND, "d"),
        (Code.VARIABLE_NOT_FOUND, "e"),
        (Code.VARIABLE_NOT_FOUND, "f"),
        (Code.CYCLE, "g"),
        (Code.UNREACHABLE, "i"),
        (Code.NODE_NOT_FOUND, "j"),
        (Code.DUPLICATE_ID, "start-node"),
        (Code.MISMATCHING_TYPES, ""),
        (Code.PARAMETER_NOT_BOUND, ""),
        (Code.VARIABLE_NOT_FOUND, ""),
    }


def test_a_message_names_place_expected_and_given():
    add = task(inputs={"x": INTS})
    data = core.BindingData(
        collection=core.BindingDataCollection(bindings=[scalar(1), scalar("b")])
    )
    with pytest.raises(CompileError) as caught:
        compiled(workflow(node("a", add, x=data)), add)
    assert "MismatchingTypes: a.inputs.x[1]: expected int, given str" in str(caught.value)


def test_a_cycle_is_told_in_order():
    add = task()
    with pytest.raises(CompileError) as caught:
        compiled(
            workflow(
                node("a", add, x=promise("c")),
                node("b", add, x=promise("a")),
                node("c", add, x=promise("b")),
            ),
            add,
        )
    assert "a -> b -> c -> a" in str(caught.value)
    assert len(caught.value.problems) == 1


def test_no_nodes():
    assert problems(workflow()) == [(Code.NO_NODES, "")]


def test_bound_twice():
    add = task()
    twice = node("a", add, x=scalar(1))
    twice.inputs.add(var="x", binding=scalar(2))
    assert problems(workflow(twice), add) == [(Code.BINDING_TWICE, "a")]


def test_attribute_paths_are_checked_as_far_as_types_say():
    make = task("make", {}, {"o": INTS, "s": STRUCT, "d": core.LiteralType(map_value_type=STR)})
    use = task("use")
    ok = workflow(
        node("m", make),
        node("a", use, x=promise("m", "o", 0)),
        node("b", use, x=promise("m", "s", "k")),
    )
    compiled(ok, make, use)
    bad = workflow(node("m", make), node("a", use, x=promise("m", "d", "k")))
    assert problems(bad, make, use) == [(Code.MISMATCHING_TYPES, "a")]
    bad = workflow(node("m", make), node("a", use, x=promise("m", "o", "k")))
    assert problems(bad, make, use) == [(Code.FIELD_NOT_FOUND, "a")]
    data_class = core.LiteralType(simple=core.SimpleType.STRUCT)
    data_class.structure.dataclass_type["k"].CopyFrom(INT)
    make = task("make", {}, {"s": data_class})
    compiled(workflow(node("m", make), node("a", use, x=promise("m", "s", "k"))), make, use)
    for step in ("other", 0):
        bad = workflow(node("m", make), node("a", use, x=promise("m", "s", step)))
        assert problems(bad, make, use) == [(Code.FIELD_NOT_FOUND, "a")]


def test_optional_inputs_take_values_none_and_lists():
    optional = core.LiteralType(
        union_type=core.UnionType(variants=[INTS, core.LiteralType(simple=core.SimpleType.NONE)])
    )
    use = task("use", {"x": optional})
    several = core.BindingData(collection=core.BindingDataCollection(bindings=[scalar(1)]))
    wrong = core.BindingData(collection=core.BindingDataCollection(bindings=[scalar("s")]))
    compiled(workflow(node("a", use, x=several), node("b", use, x=scalar(None))), use)
    assert problems(workflow(node("a", use, x=wrong)), use) == [
        (Code.INCOMPATIBLE_UNION_VALUE, "a")
    ]


def test_a_nodes_metadata_goes_before_its_tasks():
    own = task(
        retries=core.RetryStrategy(retries=2),
        discoverable=True,
        discovery_version="v1",
        cache_ignore_input_vars=["x"],
    )
    own.metadata.timeout.FromSeconds(60)
    plain, changed = node("a", own, x=scalar(1)), node("b", own, x=scalar(1))
    changed.metadata.retries.retries = 5
    changed.metadata.timeout.FromSeconds(10)
    changed.metadata.cacheable = False
    template = workflow(plain, changed)
    template.metadata.on_failure = (
        core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    )
    plan = plan_of(compiled(template, own).closure)
    a, b = plan.nodes["a"], plan.nodes["b"]
    assert (a.retries, a.timeout) == (2, timedelta(seconds=60))
    assert a.cache is not None
    assert (a.cache.version, a.cache.ignored_inputs) == ("v1", ("x",))
    assert (b.retries, b.timeout, b.cache) == (5, timedelta(seconds=10), None)
    assert plan.on_failure is OnFailure.FINISH_RUNNABLE


def test_a_single_task_becomes_a_workflow_of_one_node():
    add = task("pkg.Add_Two")
    template = skeleton(add)
    assert template.id.name == ".flytegen.pkg.Add_Two"
    assert template.nodes[0].id == "pkg-add-two"
    program = program_of(compiled(template, add).closure)
    assert program.plan.nodes["pkg-add-two"].retries == 3
    assert list(program.primary.outputs_of(START).variables) == ["x"]
    assert list(program.primary.inputs_of(END).variables) == ["o"]


def test_the_digest_names_the_content():
    add = task()
    one = compiled(workflow(node("a", add, x=scalar(1))), add)
    same = compiled(workflow(node("a", add, x=scalar(1))), add)
    other = compiled(workflow(node("a", add, x=scalar(2))), add)
    assert one.digest == same.digest == plan_of(one.closure).digest
    assert one.digest != other.digest


def test_a_large_graph_compiles():
    add = task()
    nodes = [node("n0", add, x=scalar(0))]
    nodes += [node(f"n{i}", add, x=promise(f"n{i - 1}")) for i in range(1, 10_000)]
    plan = plan_of(compiled(workflow(*nodes), add).closure)
    assert len(plan.nodes) == 10_002
    assert plan.nodes[END].upstream == ("n9999",)
