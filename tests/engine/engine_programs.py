"""Small programs of every node kind for engines in memory, and what their tasks do. All values are integers, or lists of them."""

from __future__ import annotations

from flyte_jupyter.engine.adapters.memory import MemoryLaunchPlan
from flyte_jupyter.engine.compiler import Library, compile_workflow
from flyte_jupyter.engine.compiler.library import LaunchPlanInterface
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.identifiers import entity_id

INT = core.LiteralType(simple=core.SimpleType.INTEGER)
INTS = core.LiteralType(collection_type=INT)
ERROR = core.LiteralType(simple=core.SimpleType.ERROR)
START = "start-node"


def variables(**kinds):
    return core.VariableMap(variables={n: core.Variable(type=k) for n, k in kinds.items()})


def name_of(kind, name):
    return core.Identifier(resource_type=kind, project="p", domain="d", name=name, version="1")


def task(name, inputs, outputs=None, **metadata):
    """A task whose work `work_of` finds by the letters that its name begins with."""
    return core.TaskTemplate(
        id=name_of(core.ResourceType.TASK, name),
        type="python-task",
        metadata=core.TaskMetadata(**metadata),
        interface=core.TypedInterface(
            inputs=variables(**inputs),
            outputs=variables(**({"o": INT} if outputs is None else outputs)),
        ),
        container=core.Container(image="i", args=["run"]),
    )


def bound(value):
    """An integer as it is, ``node.var`` (``.var`` is an input of the workflow), or a list of such."""
    if isinstance(value, list):
        return core.BindingData(
            collection=core.BindingDataCollection(bindings=[bound(v) for v in value])
        )
    if isinstance(value, str):
        node, _, var = value.partition(".")
        reference = core.OutputReference(node_id=node or START, var=var or "o")
        return core.BindingData(promise=reference)
    return core.BindingData(scalar=literals.literal(value).scalar)


def bindings(given):
    return [core.Binding(var=name, binding=bound(value)) for name, value in given.items()]


def node(name, target, upstream=(), **given):
    """A node that runs a task, a sub-workflow, a launch plan (``name``), or whatever a message of a node's target says."""
    made = core.Node(id=name, inputs=bindings(given), upstream_node_ids=list(upstream))
    match target:
        case core.TaskTemplate():
            made.task_node.reference_id.CopyFrom(target.id)
        case core.WorkflowTemplate():
            made.workflow_node.sub_workflow_ref.CopyFrom(target.id)
        case str():
            made.workflow_node.launchplan_ref.CopyFrom(
                name_of(core.ResourceType.LAUNCH_PLAN, target)
            )
        case core.BranchNode():
            made.branch_node.CopyFrom(target)
        case core.ArrayNode():
            made.array_node.CopyFrom(target)
        case core.GateNode():
            made.gate_node.CopyFrom(target)
    return made


def less(var, than, then):
    """A case of a branch: this arm if the input is less than that."""
    return core.IfBlock(
        condition=core.BooleanExpression(
            comparison=core.ComparisonExpression(
                operator=core.ComparisonExpression.LT,
                left_value=core.Operand(var=var),
                right_value=core.Operand(primitive=literals.literal(than).scalar.primitive),
            )
        ),
        then_node=then,
    )


def branch(*cases, otherwise=None):
    block = core.IfElseBlock(case=cases[0], other=cases[1:])
    if isinstance(otherwise, core.Node):
        block.else_node.CopyFrom(otherwise)
    elif otherwise is not None:
        block.error.message = otherwise
    return core.BranchNode(if_else=block)


def mapped(target, *, single=False, bound=(), **options):
    """A task or launch plan once for each element."""
    array = core.ArrayNode(
        node=node("item", target),
        data_mode=core.ArrayNode.SINGLE_INPUT_FILE
        if single
        else core.ArrayNode.INDIVIDUAL_INPUT_FILES,
        bound_inputs=list(bound),
        **options,
    )
    array.is_original_sub_node_interface.value = True
    return array


def approval(signal):
    return core.GateNode(approve=core.ApproveCondition(signal_id=signal))


def question(signal):
    return core.GateNode(
        signal=core.SignalCondition(signal_id=signal, type=INT, output_variable_name="o")
    )


def nap(seconds):
    gate = core.GateNode()
    gate.sleep.duration.FromSeconds(seconds)
    return gate


def flow(name, nodes, outputs=None, inputs=None, *, failure=None, policy=0, default="n0.o"):
    """A workflow: by default its one output ``o`` is that of node ``n0``."""
    outputs = {"o": default} if outputs is None else outputs
    template = core.WorkflowTemplate(
        id=name_of(core.ResourceType.WORKFLOW, name),
        metadata=core.WorkflowMetadata(on_failure=policy),
        interface=core.TypedInterface(
            inputs=variables(**(inputs or {})),
            outputs=variables(
                **{n: INTS if isinstance(v, Listed) else INT for n, v in outputs.items()}
            ),
        ),
        nodes=nodes,
        outputs=bindings(outputs),
    )
    if failure is not None:
        template.failure_node.CopyFrom(failure)
    return template


class Listed(str):
    """A promise of a list."""

    __slots__ = ()


class Shelf:
    """What programs are made of, and the launch plans that they start."""

    def __init__(self, *parts, plans=None):
        self.tasks = {entity_id(p.id): p for p in parts if isinstance(p, core.TaskTemplate)}
        self.workflows = {entity_id(p.id): p for p in parts if isinstance(p, core.WorkflowTemplate)}
        self.plans = {}
        for name, template in (plans or {}).items():
            self.plans[name] = self._plan(template)

    def _plan(self, template):
        inputs = core.ParameterMap(
            parameters={
                n: core.Parameter(var=v, required=True)
                for n, v in template.interface.inputs.variables.items()
            }
        )
        interface = LaunchPlanInterface(inputs, template.interface.outputs)
        return MemoryLaunchPlan(self.compiled(template), interface)

    def compiled(self, template):
        named = {
            entity_id(name_of(core.ResourceType.LAUNCH_PLAN, name)): plan.interface
            for name, plan in self.plans.items()
        }
        return compile_workflow(template, Library(self.tasks, self.workflows, named))


def expansion(length, value, inner=None):
    """What a dynamic task leaves: a chain of so many additions that begins at a value."""
    add = inner or task("add", {"x0": INT})
    nodes = [node(f"d{i}", add, x0=f"d{i - 1}.o" if i else value) for i in range(length)]
    return core.DynamicJobSpec(
        nodes=nodes, tasks=[add], outputs=bindings({"o": f"d{length - 1}.o"})
    )


async def work_of(blobs, spec):
    """Do what a task's name says; returns its outputs as plain values, or a `DynamicJobSpec`."""
    data = core.LiteralMap.FromString(await blobs.get(spec.inputs))
    given = {name: literals.value(literal) for name, literal in data.literals.items()}
    if spec.index is not None and spec.env["BATCH_JOB_ARRAY_INDEX_VAR_NAME"]:
        given = {n: v[spec.index] if isinstance(v, list) else v for n, v in given.items()}
    name = spec.template.id.name
    if name.startswith("range"):
        return {"o": list(range(given["x0"]))}
    if name.startswith("total"):
        return {"o": sum(v for v in given["x0"] if v is not None)}
    if name.startswith("grow"):
        return expansion(given["x0"] % 3 + 1, given["x0"])
    if name.startswith("tell"):
        return {}
    return {"o": 1 + sum(v for v in given.values() if isinstance(v, int))}
