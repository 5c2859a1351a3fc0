"""Small programs of every node kind for engines in memory, and what their tasks do. All values are integers, or lists of them."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_jupyter.engine.adapters.memory import MemoryLaunchPlan
from flyte_jupyter.engine.compiler import Library, compile_workflow
from flyte_jupyter.engine.compiler.library import LaunchPlanInterface
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.identifiers import entity_id

INT = core.LiteralType(simple=core.SimpleType.INTEGER)
INTS = core.LiteralType(collection_type=INT)
ERROR = core.LiteralType(simple=core.SimpleType.ERROR)
START = "start-node"
RETRY = core.RetryStrategy(retries=1)


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
    inputs = await blobs.get(spec.inputs) if spec.given is None else spec.given
    data = core.LiteralMap.FromString(inputs)
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


# -- random programs -------------------------------------------------------------------------------


def literals_of(kind):
    """What somebody answers to a question of this type."""
    return literals.literal(True if kind.simple == core.SimpleType.BOOLEAN else 7)


@dataclass(frozen=True)
class RandomProgram:
    """A compiled program with the failures that its tasks have, and the policies of its run."""

    shelf: Shelf
    compiled: object
    failures: dict
    policies: dict


class _Writer:
    """Writes one workflow, node by node; each has one output ``o``, an integer."""

    def __init__(self, rng):
        self.rng = rng
        self.nodes = []
        self.given = []
        self.parts = {}
        self.plans = {}

    def source(self):
        """An earlier node's output, or a number."""
        if self.given and self.rng.random() < 0.8:
            return self.rng.choice(self.given)
        return self.rng.randint(0, 4)

    def use(self, part):
        self.parts.setdefault(part.id.name, part)
        return self.parts[part.id.name]

    def add(self, made):
        self.nodes.append(made)
        self.given.append(f"{made.id}.o")

    def adder(self):
        metadata = {"retries": RETRY}
        chance = self.rng.random()
        if chance < 0.2:
            metadata |= {"discoverable": True, "discovery_version": "1"}
        if chance < 0.1:
            metadata |= {"cache_serializable": True}
        return self.use(
            task(f"add{int(chance * 10) if chance < 0.2 else ''}", {"x0": INT}, **metadata)
        )

    def sub_workflow(self, name):
        inner = [node("i0", self.adder(), x0=".x")]
        if self.rng.random() < 0.5:
            inner.append(node("i1", self.grower(), x0="i0.o"))
        last = f"{inner[-1].id}.o"
        return self.use(flow(f"inner-{name}", inner, {"o": last}, {"x": INT}))

    def grower(self):
        return self.use(task("grow", {"x0": INT}, retries=RETRY))

    def write(self, name):
        """One more node, of any kind; a map takes three."""
        match self.rng.choice(["task"] * 3 + ["flow", "branch", "grow", "map", "plan", "gate"]):
            case "task":
                self.add(node(name, self.adder(), x0=self.source()))
            case "flow":
                self.add(node(name, self.sub_workflow(name), x=self.source()))
            case "branch":
                few = node("few", self.adder(), x0=self.source())
                many = node("many", self.sub_workflow(f"{name}-many"), x=self.source())
                self.add(node(name, branch(less("x", 3, few), otherwise=many), x=self.source()))
            case "grow":
                self.add(node(name, self.grower(), x0=self.source()))
            case "map":
                self.map(name)
            case "plan":
                child = [node("c0", self.adder(), x0=".x"), node("c1", self.adder(), x0="c0.o")]
                plan = f"plan-{name}"
                self.plans[plan] = flow(f"child-{name}", child, {"o": "c1.o"}, {"x": INT})
                self.add(node(name, plan, x=self.source()))
            case "gate":
                wait = self.rng.choice([nap(5), question(f"ask-{name}"), approval(f"may-{name}")])
                self.nodes.append(
                    node(f"{name}w", wait, [g.partition(".")[0] for g in self.given[-1:]])
                )
                self.add(node(name, self.adder(), [f"{name}w"], x0=self.source()))

    def map(self, name):
        each = mapped(
            self.adder(),
            single=self.rng.random() < 0.5,
            **({"parallelism": self.rng.randint(0, 2)} if self.rng.random() < 0.5 else {}),
        )
        make = self.use(task("range", {"x0": INT}, {"o": INTS}, retries=RETRY))
        total = self.use(task("total", {"x0": INTS}, retries=RETRY))
        self.nodes.append(node(f"{name}r", make, x0=self.rng.randint(0, 5)))
        self.nodes.append(node(f"{name}m", each, x0=f"{name}r.o"))
        self.add(node(name, total, x0=f"{name}m.o"))


def random_program(rng):
    """A program of all kinds of nodes, most of which ends well; in some one node fails for good."""
    writer = _Writer(rng)
    for number in range(rng.randint(1, 5)):
        writer.write(f"n{number}")
    outputs = {f"o{i}": given for i, given in enumerate(writer.given)}
    top = flow("top", writer.nodes, outputs, policy=rng.choice([0, 1]))
    writer.use(task("add", {"x0": INT}))
    shelf = Shelf(*writer.parts.values(), plans=writer.plans)
    names = [n.id for n in writer.nodes if n.HasField("task_node")]
    failures = {}
    flaky = core.ContainerError(code="Flaky", message="again", kind=core.ContainerError.RECOVERABLE)
    final = core.ContainerError(
        code="Broken", message="no", kind=core.ContainerError.NON_RECOVERABLE
    )
    for name in names:
        if rng.random() < 0.15:
            failures[(name, 0)] = flaky
    if names and rng.random() < 0.15:
        name = rng.choice(names)
        failures.update({(name, attempt): final for attempt in range(6)})
    policies = {"max_parallelism": rng.choice([0, 1, 2, 3])}
    return RandomProgram(shelf, shelf.compiled(top), failures, policies)
