"""The machine's plan of a compiled closure, with every policy where it belongs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from google.protobuf import duration_pb2

from flyte_jupyter.engine.compiler.interfaces import arms
from flyte_jupyter.engine.core.plan import (
    END,
    START,
    ArrayPlan,
    CachePlan,
    GatePlan,
    NodeKind,
    NodePlan,
    OnFailure,
    Plan,
)
from flyte_jupyter.engine.program.templates import Closure, workflow_key
from flyte_jupyter.idl import admin, core, digests

SYSTEM_RETRIES = 3
"""How often a failure of the system is tried again (Flyte: ``max-node-retries-system-failures``)."""

_ACTIVE = 2
"""A node may take this many times its attempts' time limit in all (Flyte: ``activeDeadline``, ``compiler/transformers/k8s/node.go``)."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What an installation and an execution say about all nodes."""

    system_retries: int = SYSTEM_RETRIES
    backoff: timedelta = timedelta(0)
    system_backoff: timedelta = timedelta(0)
    interruptible: bool | None = None
    """The execution's own word, for nodes and tasks that do not say: it goes before the workflow's."""
    default_interruptible: bool | None = None
    """The workflow's word: None is what the closure's primary workflow says. What a dynamic task makes takes it from the
    workflow that runs it."""
    goes_on: bool = False
    """Whether the workflow around goes on after a failure: what a dynamic task makes does so then."""
    queueing: timedelta | None = None
    """How long an attempt may stay queued; None: for ever."""


PLAIN = Policies()
_LONGEST = timedelta(days=36_500)
"""Whoever asks for more waits for ever: a century from now is a date still, what Flyte's durations can say is not."""


def policies_of(spec: admin.ExecutionSpec, installation: Policies) -> Policies:
    """What an execution says about all its nodes, over what the installation says."""
    own = spec.interruptible.value if spec.HasField("interruptible") else None
    budget = _lasting(spec.quality_of_service.spec.queueing_budget)
    return replace(installation, interruptible=own, queueing=budget or installation.queueing)


def plan_of(
    closure: core.CompiledWorkflowClosure, prefix: str = "", policies: Policies = PLAIN
) -> Plan:
    """The machine's plan of a closure that `compile_workflow` made; its digest is the closure's.

    `prefix` stands before the templates' keys: ``<digest>:`` for what a dynamic task made.
    """
    return planned(Closure(closure), prefix, policies)


def size_of(closure: core.CompiledWorkflowClosure) -> int:
    """How many nodes the outermost graph of a closure's plan has, start and end among them, without making the plan."""
    nodes = closure.primary.template.nodes
    inside = _in_branches(nodes)
    return sum(1 for node in nodes if node.id not in inside)


def planned(closure: Closure, prefix: str, policies: Policies, digest: str = "") -> Plan:
    """As `plan_of`, from a closure that is indexed already and whose digest may be known."""
    return _Planner(closure, prefix, policies, digest).primary()


class _Planner:
    """Makes the plan of each workflow once, however often it is used."""

    def __init__(self, closure: Closure, prefix: str, policies: Policies, digest: str) -> None:
        self._closure = closure
        self._prefix = prefix
        self._policies = policies
        self._digest = digest or digests.message_digest(closure.message)
        self._made: dict[str, Plan] = {}
        self._leaves: dict[tuple[object, ...], NodePlan] = {}
        default = policies.default_interruptible
        if default is None:
            default = closure.message.primary.template.metadata_defaults.interruptible
        self._default_interruptible = default
        self._goes_on = policies.goes_on or goes_on(closure.message.primary.template)

    def primary(self) -> Plan:
        return self._graph(self._closure.message.primary, self._digest, self._prefix)

    def _graph(self, workflow: core.CompiledWorkflow, digest: str, key: str) -> Plan:
        template = workflow.template
        upstream = workflow.connections.upstream
        inside = _in_branches(template.nodes)
        nodes: dict[str, NodePlan] = {}
        for node in template.nodes:
            name = node.id
            if name in inside:
                continue
            if name == START:
                nodes[START] = NodePlan(START, NodeKind.START)
                continue
            listed = upstream[name].ids if name in upstream else ()
            parents = tuple(parent for parent in listed if parent not in inside) or (START,)
            nodes[name] = (
                NodePlan(END, NodeKind.END, parents)
                if name == END
                else self._node(node, parents, key)
            )
        failure = None
        if template.HasField("failure_node"):
            failure = self._node(template.failure_node, (), key)
        return Plan(digest, nodes, self._on_failure(template), key, failure)

    def _on_failure(self, template: core.WorkflowTemplate) -> OnFailure:
        """The outermost workflow's word holds at any depth (Flyte: ``GetOnFailurePolicy``); where it says nothing, a sub-workflow's."""
        finish = self._goes_on or goes_on(template)
        return OnFailure.FINISH_RUNNABLE if finish else OnFailure.FAIL_FAST

    def _node(self, node: core.Node, parents: tuple[str, ...], key: str) -> NodePlan:
        match node.WhichOneof("target"):
            case "branch_node":
                return self._composite(
                    node, parents, NodeKind.BRANCH, self._arms(arms(node), node.id, key)
                )
            case "workflow_node" if node.workflow_node.HasField("sub_workflow_ref"):
                return self._composite(node, parents, NodeKind.WORKFLOW, self._body(node))
            case "gate_node":
                return self._gate(node, parents)
            case "array_node":
                return self._array(node, parents)
            case _:
                return self._leaf(node, parents)

    def _arms(self, nodes: Iterable[core.Node], branch: str, key: str) -> Plan:
        arms_of = {node.id: self._node(node, (), key) for node in nodes}
        return Plan(f"{self._digest}/{key}#{branch}", arms_of, template=key)

    def _body(self, node: core.Node) -> Plan:
        workflow = self._closure.workflow(node)
        assert workflow is not None
        key = self._prefix + workflow_key(workflow.template.id)
        if key not in self._made:
            self._made[key] = self._graph(workflow, f"{self._digest}/{key}", key)
        return self._made[key]

    def _composite(
        self, node: core.Node, parents: tuple[str, ...], kind: NodeKind, body: Plan
    ) -> NodePlan:
        limit = _timeout(node, None)
        return NodePlan(
            node.id,
            kind,
            parents,
            retries=_retries(node, None),
            backoff=self._policies.backoff,
            timeout=limit,
            node_timeout=_active(limit),
            body=body,
        )

    def _gate(self, node: core.Node, parents: tuple[str, ...]) -> NodePlan:
        gate, limit = node.gate_node, _timeout(node, None)
        match gate.WhichOneof("condition"):
            case "sleep":
                plan = GatePlan(sleep=_lasting(gate.sleep.duration))
            case "approve":
                plan = GatePlan(signal=gate.approve.signal_id)
            case _:
                plan = GatePlan(signal=gate.signal.signal_id)
        return NodePlan(
            node.id, NodeKind.GATE, parents, timeout=limit, node_timeout=_active(limit), gate=plan
        )

    def _array(self, node: core.Node, parents: tuple[str, ...]) -> NodePlan:
        array = node.array_node
        criterion = array.WhichOneof("success_criteria")
        inner = core.Node()
        inner.CopyFrom(array.node)
        inner.id = node.id
        return NodePlan(
            id=node.id,
            kind=NodeKind.ARRAY,
            upstream=parents,
            timeout=_timeout(node, None),
            item=self._leaf(inner, ()),
            array=ArrayPlan(
                concurrency=array.parallelism
                if array.WhichOneof("parallelism_option") is not None
                else None,
                min_successes=array.min_successes if criterion == "min_successes" else None,
                min_success_ratio=array.min_success_ratio
                if criterion == "min_success_ratio"
                else None,
            ),
        )

    def _leaf(self, node: core.Node, parents: tuple[str, ...]) -> NodePlan:
        """As another one that runs the same task and says the same of itself, of which a large graph has many."""
        task = self._closure.task(node)
        like = (id(task), *_said(node.metadata))
        made = self._leaves.get(like)
        if made is None:
            made = self._leaves[like] = self._first_leaf(node, task)
        return made.at(node.id, parents)

    def _first_leaf(self, node: core.Node, task: core.TaskTemplate | None) -> NodePlan:
        policies, limit = self._policies, _timeout(node, task)
        return NodePlan(
            id=node.id,
            kind=NodeKind.LAUNCH_PLAN if task is None else NodeKind.TASK,
            cache=None if task is None else _cache(node, task),
            retries=_retries(node, task),
            system_retries=policies.system_retries,
            backoff=policies.backoff,
            system_backoff=policies.system_backoff,
            timeout=limit,
            # A task's own limit is that of each attempt: waiting for room, or trying again, uses up none of it.
            node_timeout=_active(_timeout(node, None)),
            queueing=policies.queueing,
            interruptible=self._interruptible(node, task),
            task_type="" if task is None else task.type,
            task_name="" if task is None else task.id.name,
        )

    def _interruptible(self, node: core.Node, task: core.TaskTemplate | None) -> bool:
        """The node's word, its task's, the execution's, the workflow's (Flyte: ``nodes/node_exec_context.go``)."""
        for metadata in (node.metadata, task.metadata if task is not None else None):
            if metadata is not None and metadata.WhichOneof("interruptible_value"):
                return metadata.interruptible
        if self._policies.interruptible is not None:
            return self._policies.interruptible
        return self._default_interruptible


def _in_branches(nodes: Iterable[core.Node]) -> set[str]:
    """The arms of branches: nodes of their branch's graph alone, wherever a template lists them."""
    return {
        arm.id for node in nodes if node.WhichOneof("target") == "branch_node" for arm in arms(node)
    }


def _said(metadata: core.NodeMetadata) -> Iterator[object]:
    """All that a node says of itself but its name."""
    for field, value in metadata.ListFields():
        if field.name != "name":
            yield field.number
            yield value if field.message_type is None else value.SerializeToString()


def goes_on(template: core.WorkflowTemplate) -> bool:
    """Whether a workflow says that what does not hang on a failure is finished."""
    finish = core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    return template.metadata.on_failure == finish


def _retries(node: core.Node, task: core.TaskTemplate | None) -> int:
    """The node's, or else its task's; 0 is as good as unsaid (Flyte: ``computeRetryStrategy``)."""
    own = node.metadata.retries.retries
    return own or (task.metadata.retries.retries if task is not None else 0)


def _timeout(node: core.Node, task: core.TaskTemplate | None) -> timedelta | None:
    for metadata in (node.metadata, task.metadata if task is not None else None):
        if metadata is not None and (limit := _lasting(metadata.timeout)):
            return limit
    return None


def _lasting(duration: duration_pb2.Duration) -> timedelta:
    seconds = min(duration.seconds, int(_LONGEST.total_seconds()))
    return timedelta(seconds=max(seconds, 0), microseconds=max(duration.nanos, 0) // 1000)


def _active(limit: timedelta | None) -> timedelta | None:
    return None if limit is None else _ACTIVE * limit


def _cache(node: core.Node, task: core.TaskTemplate) -> CachePlan | None:
    """What the node says about caching goes before what its task says. No outputs: nothing to remember."""
    wanted, version = task.metadata.discoverable, task.metadata.discovery_version
    serialize = task.metadata.cache_serializable
    if node.metadata.WhichOneof("cacheable_value"):
        wanted = node.metadata.cacheable
    if node.metadata.WhichOneof("cache_version_value"):
        version = node.metadata.cache_version
    if node.metadata.WhichOneof("cache_serializable_value"):
        serialize = node.metadata.cache_serializable
    if not wanted or not task.interface.outputs.variables:
        return None
    return CachePlan(version, tuple(sorted(task.metadata.cache_ignore_input_vars)), serialize)
