"""Graphs by hand: nodes of every kind, and workflows of them."""

from __future__ import annotations

import pytest

from flyte_jupyter.engine.compiler import (
    CompileError,
    LaunchPlanInterface,
    Library,
    compile_workflow,
)
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.identifiers import entity_id, identifier
from flyte_jupyter.idl.ids import EntityId, EntityKind

INT = core.LiteralType(simple=core.SimpleType.INTEGER)
STR = core.LiteralType(simple=core.SimpleType.STRING)
BOOL = core.LiteralType(simple=core.SimpleType.BOOLEAN)
INTS = core.LiteralType(collection_type=INT)
STRUCT = core.LiteralType(simple=core.SimpleType.STRUCT)


def variables(**kinds):
    return core.VariableMap(variables={n: core.Variable(type=k) for n, k in kinds.items()})


def interface(inputs=None, outputs=None):
    return core.TypedInterface(inputs=variables(**inputs or {}), outputs=variables(**outputs or {}))


def named(kind, name):
    return identifier(EntityId(kind, "p", "d", name, "1"))


def task(name="add", inputs=None, outputs=None, **metadata):
    return core.TaskTemplate(
        id=named(EntityKind.TASK, name),
        type="python-task",
        metadata=core.TaskMetadata(**metadata),
        interface=interface(
            {"x": INT} if inputs is None else inputs, {"o": INT} if outputs is None else outputs
        ),
    )


def promise(node, var="o", *path):
    parts = [
        core.PromiseAttribute(int_value=p)
        if isinstance(p, int)
        else core.PromiseAttribute(string_value=p)
        for p in path
    ]
    reference = core.OutputReference(node_id=node, var=var, attr_path=parts)
    return core.BindingData(promise=reference)


def scalar(value):
    return core.BindingData(scalar=literals.literal(value).scalar)


def bound(inputs):
    return [core.Binding(var=v, binding=b) for v, b in inputs.items()]


def node(name, of, after=(), **inputs):
    return core.Node(
        id=name,
        task_node=core.TaskNode(reference_id=of.id),
        inputs=bound(inputs),
        upstream_node_ids=after,
    )


def sub(name, of, **inputs):
    """A sub-workflow's node."""
    target = core.WorkflowNode(sub_workflow_ref=of.id)
    return core.Node(id=name, workflow_node=target, inputs=bound(inputs))


def launched(name, plan, **inputs):
    """A launch plan's node."""
    target = core.WorkflowNode(launchplan_ref=named(EntityKind.LAUNCH_PLAN, plan))
    return core.Node(id=name, workflow_node=target, inputs=bound(inputs))


def compares(left, right):
    """``left == right``; a string is the name of an input, anything else a value."""

    def operand(side):
        if isinstance(side, str):
            return core.Operand(var=side)
        return core.Operand(scalar=literals.literal(side).scalar)

    comparison = core.ComparisonExpression(left_value=operand(left), right_value=operand(right))
    return core.BooleanExpression(comparison=comparison)


def branch(name, *cases, other=None, fails="", **inputs):
    """A branch node of (condition, node) pairs."""
    blocks = [core.IfBlock(condition=condition, then_node=then) for condition, then in cases]
    block = core.IfElseBlock(case=blocks[0], other=blocks[1:])
    if other is not None:
        block.else_node.CopyFrom(other)
    if fails:
        block.error.message = fails
    return core.Node(id=name, branch_node=core.BranchNode(if_else=block), inputs=bound(inputs))


def gate(name, inputs=None, **condition):
    return core.Node(id=name, gate_node=core.GateNode(**condition), inputs=bound(inputs or {}))


def array(name, inner, inputs, **fields):
    return core.Node(id=name, array_node=core.ArrayNode(node=inner, **fields), inputs=bound(inputs))


def workflow(*nodes, inputs=None, outputs=None, gives=None, name="wf", failure=None):
    made = core.WorkflowTemplate(
        id=named(EntityKind.WORKFLOW, name),
        interface=interface(inputs, outputs),
        nodes=nodes,
        outputs=bound(gives or {}),
    )
    if failure is not None:
        made.failure_node.CopyFrom(failure)
    return made


def plan(inputs=None, outputs=None, defaults=(), **fixed):
    """A launch plan's interface; inputs that are named in `defaults` need not be given."""
    expected = core.ParameterMap()
    for name, kind in (inputs or {}).items():
        expected.parameters[name].var.type.CopyFrom(kind)
        expected.parameters[name].required = name not in defaults
    literal_map = core.LiteralMap(literals={n: literals.literal(v) for n, v in fixed.items()})
    return LaunchPlanInterface(expected, variables(**outputs or {"o": INT}), literal_map)


def library(*of, **plans):
    """A library of task templates, workflow templates and launch plans by name."""
    return Library(
        tasks={entity_id(t.id): t for t in of if isinstance(t, core.TaskTemplate)},
        workflows={entity_id(w.id): w for w in of if isinstance(w, core.WorkflowTemplate)},
        launch_plans={
            EntityId(EntityKind.LAUNCH_PLAN, "p", "d", n, "1"): p for n, p in plans.items()
        },
    )


def compiled(template, *of, **plans):
    return compile_workflow(template, library(*of, **plans))


def found(template, *of, **plans):
    """The problems that the compiler finds."""
    with pytest.raises(CompileError) as caught:
        compiled(template, *of, **plans)
    return caught.value.problems


def problems(template, *of, **plans):
    return [(p.code, p.node) for p in found(template, *of, **plans)]
