"""Nodes of every kind: what they become, and everything that can be wrong with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from compiler_graphs import (
    BOOL,
    INT,
    INTS,
    STR,
    array,
    branch,
    compares,
    compiled,
    found,
    gate,
    launched,
    library,
    named,
    node,
    plan,
    problems,
    promise,
    scalar,
    sub,
    task,
    workflow,
)

from flyte_jupyter.engine.compiler import Code, Library, compile_workflow, requirements
from flyte_jupyter.engine.core.plan import END, START, CachePlan, NodeKind
from flyte_jupyter.engine.program import Policies, plan_of, program_of, size_of
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import EntityId, EntityKind

ADD = task()
SHOW = task("show", {"t": STR}, {"t": STR})
TOTAL = task("total", {"xs": INTS})


def inner(name="inner", failure=None):
    return workflow(
        node("n0", ADD, x=promise("", "x")),
        inputs={"x": INT},
        outputs={"o": INT},
        gives={"o": promise("n0")},
        name=name,
        failure=failure,
    )


# -- sub-workflows ---------------------------------------------------------------------------------


def test_a_sub_workflow_stands_in_its_node_and_once_in_the_closure():
    outer = workflow(
        sub("a", inner(), x=scalar(1)),
        sub("b", inner(), x=promise("a")),
        outputs={"o": INT},
        gives={"o": promise("b")},
    )
    closure = compiled(outer, inner(), ADD).closure
    assert [w.template.id.name for w in closure.sub_workflows] == ["inner"]
    assert [t.template.id.name for t in closure.tasks] == ["add"]
    made = plan_of(closure, "f00:")
    a, b = made.nodes["a"], made.nodes["b"]
    assert a.kind is NodeKind.WORKFLOW
    assert a.body is b.body
    assert (made.template, a.body.template) == ("f00:", "f00:p/d/inner@1")
    assert list(a.body.nodes) == [START, "n0", END]
    assert a.body.nodes["n0"].upstream == (START,)
    program = program_of(closure, "f00:")
    assert set(program.templates) == {"f00:", "f00:p/d/inner@1"}
    assert list(program.templates["f00:p/d/inner@1"].outputs_of(START).variables) == ["x"]
    assert program.primary.sub_workflow("a").name == "inner"
    assert program.primary.outputs_of("a").variables["o"].type == INT


def test_problems_in_sub_workflows_are_found_all_and_name_the_workflow():
    bad = workflow(node("n0", ADD, x=scalar("text")), name="bad")
    worse = workflow(sub("deep", bad), node("n1", ADD), name="worse")
    top = workflow(sub("s", worse), node("n2", ADD, x=promise("nobody")))
    assert [(p.code, p.workflow, p.node) for p in found(top, bad, worse, ADD)] == [
        (Code.NODE_NOT_FOUND, "", "n2"),
        (Code.MISMATCHING_TYPES, "bad", "n0"),
        (Code.PARAMETER_NOT_BOUND, "worse", "n1"),
    ]
    assert "in sub-workflow bad: n0.inputs.x" in str(found(top, bad, worse, ADD)[1])


def test_a_workflow_cannot_be_part_of_itself():
    a = workflow(sub("x", inner("b"), x=scalar(1)), name="a")
    b = workflow(sub("y", workflow(name="c")), name="b", inputs={"x": INT}, outputs={"o": INT})
    c = workflow(sub("z", workflow(name="b"), x=scalar(1)), name="c")
    b.outputs.add(var="o", binding=scalar(1))
    (problem,) = found(a, b, c)
    assert (problem.code, problem.workflow) == (Code.CYCLE, "b")
    assert "b -> c -> b" in problem.message
    (itself,) = found(workflow(sub("x", workflow(name="wf"))), workflow(name="wf"))[:1]
    assert "wf -> wf" in itself.message


def test_a_hundred_workflows_inside_each_other():
    levels = [inner("w0")]
    for depth in range(1, 100):
        levels.append(
            workflow(
                sub("n0", levels[-1], x=promise("", "x")),
                sub("n1", levels[-1], x=promise("n0")),
                inputs={"x": INT},
                outputs={"o": INT},
                gives={"o": promise("n1")},
                name=f"w{depth}",
            )
        )
    closure = compiled(levels[-1], ADD, *levels[:-1]).closure
    made, depth = plan_of(core.CompiledWorkflowClosure.FromString(closure.SerializeToString())), 1
    while (body := made.nodes["n0"].body) is not None:
        made, depth = body, depth + 1
    assert depth == 100


def test_too_many_inside_each_other_is_a_problem_and_no_crash():
    levels = [inner("w0")]
    for depth in range(1, 2_000):
        of = sub("n0", levels[-1], x=scalar(1))
        made = workflow(of, inputs={"x": INT}, outputs={"o": INT}, name=f"w{depth}")
        made.outputs.add(var="o", binding=promise("n0"))
        levels.append(made)
    assert (Code.NESTED_TOO_DEEP, "") in problems(levels[-1], ADD, *levels[:-1])


# -- what is referred to ---------------------------------------------------------------------------


def test_requirements_follow_the_sub_workflows_that_are_known():
    top = workflow(
        sub("s", inner("known"), x=scalar(1)),
        sub("t", inner("unknown"), x=scalar(1)),
        launched("l", "lp"),
        array("m", node("i", TOTAL), {}),
        branch("b", (compares("v", 1), node("y", SHOW)), other=launched("z", "other"), v=scalar(1)),
        failure=node("f", task("cleanup")),
    )
    names = {(e.kind.value, e.name) for e in requirements(top, library(inner("known")))}
    assert names == {
        ("task", "add"),
        ("task", "show"),
        ("task", "total"),
        ("task", "cleanup"),
        ("workflow", "unknown"),
        ("launch_plan", "lp"),
        ("launch_plan", "other"),
    }
    assert EntityId(EntityKind.WORKFLOW, "p", "d", "known", "1") in requirements(top)


def test_what_is_not_registered_is_named():
    top = workflow(
        sub("s", inner("gone"), x=scalar(1)),
        launched("l", "lp"),
        array("m", node("i", TOTAL), {"xs": scalar(1)}),
        core.Node(id="w", workflow_node=core.WorkflowNode()),
        core.Node(id="e"),
    )
    assert problems(top) == [
        (Code.WORKFLOW_NOT_FOUND, "s"),
        (Code.WORKFLOW_NOT_FOUND, "l"),
        (Code.TASK_NOT_FOUND, "m"),
        (Code.VALUE_REQUIRED, "w"),
        (Code.VALUE_REQUIRED, "e"),
    ]


# -- launch plans ----------------------------------------------------------------------------------


def test_a_launch_plan_has_its_own_values_for_what_is_not_bound():
    lp = plan({"x": INT, "y": INT}, defaults=["y"], z=3)
    top = workflow(
        launched("a", "lp", x=scalar(1)), launched("b", "lp", x=promise("a"), y=scalar(2))
    )
    closure = compiled(top, lp=lp).closure
    (template,) = [p.template for p in closure.launch_plans]
    assert template.id == named(EntityKind.LAUNCH_PLAN, "lp")
    assert sorted(template.interface.inputs.variables) == ["x", "y"]
    assert list(template.fixed_inputs.literals) == ["z"]
    program = program_of(closure)
    assert program.plan.nodes["a"].kind is NodeKind.LAUNCH_PLAN
    assert list(program.primary.inputs_of("a").variables) == ["x"]
    assert sorted(program.primary.inputs_of("b").variables) == ["x", "y"]
    assert program.primary.launch_plan("a").id.name == "lp"
    assert program.primary.task("a") is None


def test_what_a_launch_plan_requires_must_be_given_and_what_it_fixes_must_not():
    lp = plan({"x": INT, "y": INT}, defaults=["y"], z=3)
    top = workflow(launched("a", "lp", y=scalar(1)), launched("b", "lp", x=scalar(1), z=scalar(1)))
    assert problems(top, lp=lp) == [
        (Code.PARAMETER_NOT_BOUND, "a"),
        (Code.INVALID_VALUE, "b"),
        (Code.VARIABLE_NOT_FOUND, "b"),
    ]


# -- branches --------------------------------------------------------------------------------------


def test_a_branch_has_arms_of_its_own_names_and_waits_for_what_they_take():
    top = workflow(
        node("a", ADD, x=scalar(1)),
        node("b", ADD, x=scalar(2)),
        branch(
            "c",
            (compares("a.o", 1), node("n0", ADD, x=promise("b"))),
            (
                compares("a.o", 2),
                branch(
                    "n1",
                    (compares("in", 3), node("n0", ADD, x=promise("", "x"))),
                    other=node("n1", ADD, x=promise("a")),
                    **{"in": promise("", "x")},
                ),
            ),
            fails="no",
            **{"a.o": promise("a")},
        ),
        inputs={"x": INT},
        outputs={"o": INT},
        gives={"o": promise("c")},
    )
    closure = compiled(top, ADD).closure
    assert [n.id for n in closure.primary.template.nodes] == [START, "a", "b", "c", END]
    assert list(closure.primary.connections.upstream["c-n0"].ids) == ["b"]
    made = plan_of(closure)
    assert size_of(closure) == len(made.nodes) == 5
    listed = core.CompiledWorkflowClosure()
    listed.CopyFrom(closure)
    listed.primary.template.nodes.add(id="c-n0")
    assert size_of(listed) == len(plan_of(listed).nodes) == 5
    c = made.nodes["c"]
    assert (c.kind, c.upstream) == (NodeKind.BRANCH, ("a", "b", START))
    assert list(c.body.nodes) == ["c-n0", "c-n1"]
    assert list(c.body.nodes["c-n1"].body.nodes) == ["c-n1-n0", "c-n1-n1"]
    assert all(n.upstream == () for n in c.body.nodes.values())
    template = program_of(closure).primary
    assert template.nodes["c-n1-n1"].inputs[0].binding.promise.node_id == "a"
    assert template.task("c-n1-n0").id.name == "add"
    assert template.inputs_of("c").variables["a.o"].type == INT
    assert template.outputs_of("c").variables["o"].type == INT


def test_a_branch_gives_what_all_of_its_arms_give():
    both = task("both", {}, {"o": INT, "p": STR})
    top = workflow(
        branch("c", (compares(1, 1), node("x", both)), other=node("y", ADD, x=scalar(1))),
        node("after", ADD, x=promise("c")),
        node("wrong", SHOW, t=promise("c", "p")),
    )
    assert problems(top, both, ADD, SHOW) == [(Code.VARIABLE_NOT_FOUND, "wrong")]


def test_everything_wrong_with_branches():
    empty = core.Node(id="a", branch_node=core.BranchNode())
    holes = branch("b", (core.BooleanExpression(), node("x", ADD, x=scalar(1))), fails="no")
    holes.branch_node.if_else.case.ClearField("condition")
    holes.branch_node.if_else.other.add(condition=compares("nowhere", 1))
    types = branch(
        "c",
        (compares("v", "w"), node("x", ADD, x=scalar(1))),
        other=node("y", task("text", {}, {"o": STR})),
        v=scalar(1),
        w=scalar("1"),
    )
    nothing = branch(
        "d", (core.BooleanExpression(), node("x", ADD, x=promise("d-y"))), other=node("y", TOTAL)
    )
    top = workflow(empty, holes, types, nothing)
    assert problems(top, ADD, TOTAL, task("text", {}, {"o": STR})) == [
        (Code.BRANCH_HAS_NO_CONDITION, "a"),
        (Code.BRANCH_HAS_NO_DEFAULT, "a"),
        (Code.BRANCH_HAS_NO_CONDITION, "b"),
        (Code.BRANCH_NODE_NOT_FOUND, "b"),
        (Code.VARIABLE_NOT_FOUND, "b"),
        (Code.MISMATCHING_TYPES, "c"),
        (Code.MISMATCHING_TYPES, "c-y"),
        (Code.VALUE_REQUIRED, "d"),
        (Code.NODE_NOT_FOUND, "d-x"),
        (Code.PARAMETER_NOT_BOUND, "d-y"),
    ]


def test_a_branch_may_not_wait_for_itself():
    top = workflow(
        branch("c", (compares(1, 1), node("x", ADD, x=promise("after"))), fails="no"),
        node("after", ADD, x=promise("c")),
    )
    assert problems(top, ADD) == [(Code.CYCLE, "after")]


# -- gates -----------------------------------------------------------------------------------------


def test_gates_give_what_they_are_given_or_what_a_person_says():
    signal = core.SignalCondition(signal_id="word", type=STR, output_variable_name="o0")
    sleep = core.SleepCondition()
    sleep.duration.FromSeconds(5)
    top = workflow(
        gate("a", {"v": promise("", "x")}, approve=core.ApproveCondition(signal_id="ok")),
        gate("b", {"v": promise("a", "v")}, approve=core.ApproveCondition(signal_id="ok2")),
        gate("c", signal=signal),
        gate("d", sleep=sleep),
        node("e", ADD, x=promise("b", "v")),
        node("f", SHOW, t=promise("c", "o0")),
        inputs={"x": INT},
    )
    top.nodes[0].metadata.timeout.FromSeconds(10)
    program = program_of(compiled(top, ADD, SHOW).closure)
    nodes = program.plan.nodes
    assert {nodes[n].kind for n in "abcd"} == {NodeKind.GATE}
    assert (nodes["a"].gate.signal, nodes["c"].gate.signal) == ("ok", "word")
    assert nodes["d"].gate.sleep == timedelta(seconds=5)
    assert (nodes["a"].timeout, nodes["a"].node_timeout) == (
        timedelta(seconds=10),
        timedelta(seconds=20),
    )
    assert program.primary.outputs_of("b").variables["v"].type == INT
    assert program.primary.outputs_of("c").variables["o0"].type == STR


def test_everything_wrong_with_gates():
    top = workflow(
        gate("a"),
        gate("b", signal=core.SignalCondition()),
        gate("c", approve=core.ApproveCondition()),
        gate(
            "d",
            {"v": promise("", "x")},
            approve=core.ApproveCondition(signal_id="ok"),
        ),
        node("e", SHOW, t=promise("d", "v")),
        inputs={"x": INT},
    )
    assert problems(top, SHOW) == [
        (Code.NO_CONDITION, "a"),
        *[(Code.VALUE_REQUIRED, "b")] * 3,
        (Code.VALUE_REQUIRED, "c"),
        (Code.MISMATCHING_TYPES, "e"),
    ]


# -- arrays ----------------------------------------------------------------------------------------


def test_an_array_of_a_task_with_lists_in_its_interface():
    """As flytekit registers map tasks: the task's interface is the array's."""
    mapped = task(
        "map_add",
        {"x": INTS, "by": INT},
        {"o": INTS},
        discoverable=True,
        discovery_version="1",
        retries=core.RetryStrategy(retries=3),
    )
    made = array(
        "m",
        node("inner", mapped),
        {"x": promise("", "xs"), "by": scalar(2)},
        parallelism=4,
        min_success_ratio=0.5,
        bound_inputs=["by"],
    )
    made.array_node.node.metadata.cache_serializable = True
    top = workflow(made, inputs={"xs": INTS}, outputs={"o": INTS}, gives={"o": promise("m")})
    program = program_of(compiled(top, mapped).closure)
    m = program.plan.nodes["m"]
    assert (m.kind, m.item.kind, m.item.id) == (NodeKind.ARRAY, NodeKind.TASK, "m")
    assert (m.array.concurrency, m.array.min_success_ratio) == (4, 0.5)
    assert m.item.retries == 3
    assert m.item.cache == CachePlan("1", serialize=True)
    assert m.cache is None
    template = program.primary
    assert template.task("m").id.name == "map_add"
    assert template.inputs_of("m").variables["x"].type == INTS
    assert template.item_inputs_of("m").variables["x"].type == INT
    assert template.item_inputs_of("m").variables["by"].type == INT
    assert template.item_outputs_of("m").variables["o"].type == INT


def test_an_array_of_a_launch_plan_gets_lists_around_its_interface():
    made = array(
        "m",
        launched("inner", "lp"),
        {"x": promise("", "xs"), "y": scalar(1)},
        bound_inputs=["y"],
        min_successes=2,
    )
    made.array_node.is_original_sub_node_interface.value = True
    top = workflow(made, inputs={"xs": INTS}, outputs={"o": INTS}, gives={"o": promise("m")})
    lp = plan({"x": INT, "y": INT, "z": INT}, defaults=["z"])
    program = program_of(compiled(top, lp=lp).closure)
    m = program.plan.nodes["m"]
    assert (m.item.kind, m.array.min_successes, m.array.concurrency) == (
        NodeKind.LAUNCH_PLAN,
        2,
        None,
    )
    assert sorted(program.primary.inputs_of("m").variables) == ["x", "y"]
    assert program.primary.inputs_of("m").variables["x"].type == INTS
    assert program.primary.item_inputs_of("m").variables["x"].type == INT
    assert program.primary.outputs_of("m").variables["o"].type == INTS


def test_everything_wrong_with_arrays():
    top = workflow(
        array("a", core.Node(), {}),
        array("b", sub("s", inner()), {"x": scalar(1)}),
        array("c", node("t", TOTAL), {"xs": scalar(1)}, min_success_ratio=1.5),
    )
    assert problems(top, TOTAL, inner(), ADD) == [
        (Code.VALUE_REQUIRED, "a"),
        (Code.NOT_SUPPORTED, "b"),
        (Code.INVALID_VALUE, "c"),
        (Code.MISMATCHING_TYPES, "c"),
    ]


# -- failure nodes, policies -----------------------------------------------------------------------


def test_a_failure_node_stands_beside_the_graph():
    clean = task("clean", {"x": INT}, {})
    top = inner(failure=node("fn0", clean, x=promise("", "x")))
    closure = compiled(top, ADD, clean).closure
    made = plan_of(closure)
    assert made.failure_node.id == "fn0"
    assert made.failure_node.kind is NodeKind.TASK
    assert "fn0" not in made.nodes
    assert size_of(closure) == len(made.nodes)
    assert made.nodes[END].upstream == ("n0",)
    assert program_of(closure).primary.task("fn0").id.name == "clean"
    assert problems(inner(failure=node("fn0", clean)), ADD, clean) == [
        (Code.PARAMETER_NOT_BOUND, "fn0")
    ]
    twice = inner(failure=node("n0", clean, x=scalar(1)))
    assert (Code.DUPLICATE_ID, "n0") in problems(twice, ADD, clean)


@pytest.mark.parametrize(
    ("default", "task_says", "node_says", "execution", "wanted"),
    [
        (False, None, None, None, False),
        (True, None, None, None, True),
        (True, False, None, None, False),
        (False, False, True, None, True),
        (False, None, None, True, True),
        (True, None, None, False, False),
        (False, True, None, False, True),
        (False, False, True, False, True),
    ],
)
def test_who_decides_whether_a_node_may_be_interrupted(
    default, task_says, node_says, execution, wanted
):
    """Node, task, execution, workflow: as in Flyte, whose tasks' word arrives with the node."""
    own = task()
    if task_says is not None:
        own.metadata.interruptible = task_says
    one = node("a", own, x=scalar(1))
    if node_says is not None:
        one.metadata.interruptible = node_says
    top = workflow(one)
    top.metadata_defaults.interruptible = default
    made = plan_of(compiled(top, own).closure, policies=Policies(interruptible=execution))
    assert made.nodes["a"].interruptible is wanted


def test_what_an_installation_says_reaches_every_leaf():
    policies = Policies(
        system_retries=7, backoff=timedelta(seconds=1), system_backoff=timedelta(seconds=2)
    )
    top = workflow(sub("s", inner(), x=scalar(1)), array("m", node("i", TOTAL), {"xs": SEVERAL}))
    made = plan_of(compiled(top, inner(), ADD, TOTAL).closure, policies=policies)
    for leaf in (made.nodes["s"].body.nodes["n0"], made.nodes["m"].item):
        assert (leaf.system_retries, leaf.backoff, leaf.system_backoff) == (
            7,
            timedelta(seconds=1),
            timedelta(seconds=2),
        )


SEVERAL = core.BindingData(collection=core.BindingDataCollection(bindings=[scalar(1)]))


def test_the_last_word_on_retries_timeouts_and_caches_is_the_nodes():
    own = task(
        retries=core.RetryStrategy(retries=2),
        discoverable=True,
        discovery_version="v1",
        cache_serializable=True,
    )
    own.metadata.timeout.FromSeconds(60)
    silent, loud = node("a", own, x=scalar(1)), node("b", own, x=scalar(1))
    silent.metadata.retries.retries = 0  # as flytekit writes it for every node
    loud.metadata.retries.retries = 5
    loud.metadata.timeout.FromSeconds(10)
    loud.metadata.cache_version = "v2"
    loud.metadata.cache_serializable = False
    nodes = plan_of(compiled(workflow(silent, loud), own).closure).nodes
    a, b = nodes["a"], nodes["b"]
    assert (a.retries, a.timeout, a.node_timeout) == (2, timedelta(seconds=60), None)
    assert (b.retries, b.timeout, b.node_timeout) == (
        5,
        timedelta(seconds=10),
        timedelta(seconds=20),
    )
    assert a.cache == CachePlan("v1", serialize=True)
    assert b.cache == CachePlan("v2", serialize=False)


def test_a_sub_workflow_has_the_retries_and_the_time_that_its_node_says():
    inner = workflow(node("a", task(), x=scalar(1)), name="inner")
    use = sub("s", inner)
    use.metadata.retries.retries = 2
    use.metadata.timeout.FromSeconds(10)
    made = plan_of(compiled(workflow(use), task(), inner).closure).nodes["s"]
    assert (made.retries, made.timeout, made.node_timeout) == (
        2,
        timedelta(seconds=10),
        timedelta(seconds=20),
    )


# -- bindings --------------------------------------------------------------------------------------


def test_what_may_be_none_need_not_be_given():
    none = core.LiteralType(simple=core.SimpleType.NONE)
    optional = core.LiteralType(union_type=core.UnionType(variants=[INT, none]))
    use = task("use", {"x": optional})
    compiled(workflow(node("a", use)), use)


def test_flytes_codes_for_bindings_that_do_not_fit():
    enum = core.LiteralType(enum_type=core.EnumType(values=["red"]))
    lists = core.LiteralType(
        union_type=core.UnionType(variants=[INTS, core.LiteralType(collection_type=STR)])
    )
    use = task("use", {"e": enum, "i": INT, "u": lists, "v": lists})
    empty = core.BindingData(collection=core.BindingDataCollection())
    truths = core.BindingData(collection=core.BindingDataCollection(bindings=[scalar(True)]))
    top = workflow(node("a", use, e=scalar("blue"), i=empty, u=empty, v=truths))
    assert [p.code for p in found(top, use)] == [
        Code.ILLEGAL_ENUM_VALUE,
        Code.MISMATCHING_BINDINGS,
        Code.AMBIGUOUS_UNION_VALUE,
        Code.INCOMPATIBLE_UNION_VALUE,
    ]


def test_outputs_are_known_by_their_aliases_too():
    first = node("a", ADD, x=scalar(1))
    first.output_aliases.add(var="o", alias="sum")
    top = workflow(first, node("b", ADD, x=promise("a", "sum")))
    closure = compiled(top, ADD).closure
    assert closure.primary.template.nodes[2].inputs[0].binding.promise.var == "o"
    first.output_aliases.add(var="nothing", alias="more")
    first.output_aliases.add(var="o", alias="again")
    assert problems(workflow(first), ADD) == [
        (Code.PARAMETER_NOT_BOUND, "a"),
        (Code.DUPLICATE_ALIAS, "a"),
    ]


# -- names and sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["größe", "节点", "🦋", "a b", "-", "a.b"])
def test_names_of_any_language(name):
    made = plan_of(compiled(workflow(node(name, ADD, x=scalar(1))), ADD).closure)
    assert name in made.nodes


@pytest.mark.parametrize(
    "name",
    ["..", ".", "../../etc", "a/b", "a\\b", "a\0b", "a\nb", "n" * 201, "outputs.pb", "deck.html"],
)
def test_names_that_no_folder_of_a_node_can_have(name):
    assert problems(workflow(node(name, ADD, x=scalar(1))), ADD) == [(Code.INVALID_VALUE, name)]


def test_a_compiled_workflow_compiles_again():
    once = compiled(workflow(node("a", ADD, x=scalar(1))), ADD).closure.primary.template
    again = compiled(once, ADD)
    assert [n.id for n in again.closure.primary.template.nodes] == [START, "a", END]


def test_the_order_of_a_library_does_not_change_the_digest():
    top = workflow(sub("s", inner("one"), x=scalar(1)), sub("t", inner("two"), x=scalar(1)))
    forth, back = library(inner("one"), inner("two"), ADD), library(ADD, inner("two"), inner("one"))
    assert compile_workflow(top, forth).digest == compile_workflow(top, back).digest
    plain = workflow(node("a", ADD, x=scalar(1)))
    assert compile_workflow(plain, library(ADD).tasks) == compile_workflow(plain, library(ADD))
    assert Library() == Library()


def test_a_hundred_thousand_nodes():
    nodes = [node("n0", ADD, x=scalar(0))]
    nodes += [node(f"n{i}", ADD, x=promise(f"n{i - 1}")) for i in range(1, 100_000)]
    made = plan_of(compiled(workflow(*nodes), ADD).closure)
    assert made.nodes[END].upstream == ("n99999",)


def test_booleans_are_compared_with_booleans():
    flag = task("flag", {}, {"o": BOOL})
    top = workflow(
        node("f", flag),
        branch("c", (compares("v", True), node("x", ADD, x=scalar(1))), fails="no", v=promise("f")),
    )
    assert "c" in plan_of(compiled(top, flag, ADD).closure).nodes
