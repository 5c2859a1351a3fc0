"""A workflow as the ``WorkflowSpec`` that admin registers, and its default launch plan."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.wrappers_pb2 import BoolValue

from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.authoring.building import bind
from flyte_jupyter.kernel.authoring.graph import Constant, Node
from flyte_jupyter.kernel.authoring.interface import Parameter
from flyte_jupyter.kernel.authoring.map_tasks import MapTask
from flyte_jupyter.kernel.authoring.policies import FailurePolicy
from flyte_jupyter.kernel.authoring.tasks import Task
from flyte_jupyter.kernel.authoring.workflows import Workflow
from flyte_jupyter.kernel.lowering.interfaces import (
    bindings,
    interface_message,
    resources_message,
    variable,
)
from flyte_jupyter.kernel.lowering.target import Code, Target
from flyte_jupyter.kernel.lowering.tasks import cache_version, digest_of
from flyte_jupyter.kernel.types import TypeMismatch, Unfit

_POLICIES = {
    FailurePolicy.FAIL_IMMEDIATELY: core.WorkflowMetadata.OnFailurePolicy.FAIL_IMMEDIATELY,
    FailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE: (
        core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    ),
}


def lower_workflow(
    workflow: Workflow,
    target: Target,
    code: Code,
    version: str,
    tasks: Mapping[Task, core.Identifier],
) -> admin.WorkflowSpec:
    """The specification of one version of a workflow, given the registered names of its tasks."""
    graph, nodes = workflow.graph, _Nodes(code, tasks)
    template = core.WorkflowTemplate(
        id=core.Identifier(
            resource_type=core.ResourceType.WORKFLOW,
            project=target.project,
            domain=target.domain,
            name=code.entity_name(workflow.name),
            version=version,
        ),
        metadata=core.WorkflowMetadata(on_failure=_POLICIES[workflow.failure_policy]),
        metadata_defaults=core.WorkflowMetadataDefaults(interruptible=False),
        interface=interface_message(workflow.interface),
        nodes=map(nodes.lowered, graph.nodes),
        outputs=bindings(graph.outputs),
    )
    return admin.WorkflowSpec(template=template)


def versioned_workflow(
    workflow: Workflow, target: Target, code: Code, tasks: Mapping[Task, core.Identifier]
) -> admin.WorkflowSpec:
    """The specification of a workflow under the version that it has by its content.

    That is a digest of its source, its graph, its default inputs and its tasks' versions.
    """
    spec = lower_workflow(workflow, target, code, "", tasks)
    plan = lower_launch_plan(workflow, spec.template.id)
    message = spec.SerializeToString(deterministic=True) + plan.SerializeToString(
        deterministic=True
    )
    spec.template.id.version = digest_of(message, code)
    return spec


def lower_launch_plan(workflow: Workflow, identifier: core.Identifier) -> admin.LaunchPlanSpec:
    """The default launch plan of a registered workflow: its parameters with their defaults, nothing fixed."""
    parameters = {
        name: _parameter(workflow, slot) for name, slot in workflow.interface.inputs.items()
    }
    return admin.LaunchPlanSpec(
        workflow_id=identifier,
        entity_metadata=admin.LaunchPlanMetadata(),
        default_inputs=core.ParameterMap(parameters=parameters),
        fixed_inputs=core.LiteralMap(),
    )


def _parameter(workflow: Workflow, slot: Parameter) -> core.Parameter:
    if slot.required:
        return core.Parameter(var=variable(slot), required=True)
    try:
        default = bind(slot.default, slot.converter)
    except Unfit as unfit:
        raise TypeMismatch(workflow.interface.entity, f"default of {slot.name}", unfit) from None
    assert isinstance(default, Constant)
    return core.Parameter(var=variable(slot), default=default.literal)


class _Nodes:
    """Writes the nodes of a graph. Those that call the same task with the same policy differ in little else than their names."""

    def __init__(self, code: Code, tasks: Mapping[Task, core.Identifier]) -> None:
        self._code = code
        self._tasks = tasks
        self._written: dict[tuple[object, ...], core.Node] = {}

    def lowered(self, node: Node) -> core.Node:
        """The message of one node."""
        # The graph holds what is named here, so no other object gets its number.
        like = (id(node.task), id(node.policy), node.overridden, node.name)
        written = self._written.get(like)
        if written is None:
            written = self._written[like] = _node(node, self._code, self._tasks[node.target])
        made = core.Node()
        made.CopyFrom(written)
        made.id = node.id
        made.inputs.extend(bindings(node.bindings))
        made.upstream_node_ids.extend(node.upstream)
        return made


def _node(node: Node, code: Code, task: core.Identifier) -> core.Node:
    """A node without its id, its inputs and what it waits for."""
    policy = node.policy
    metadata = core.NodeMetadata(name=node.name, retries=core.RetryStrategy(retries=policy.retries))
    # The task's own time limit is in its template, and each attempt's: a node's is the whole node's too.
    if "timeout" in node.overridden and policy.timeout is not None:
        metadata.timeout.FromTimedelta(policy.timeout)
    if "cache" in node.overridden:
        metadata.cacheable = policy.cache is not None
        if policy.cache is not None:
            metadata.cache_version = cache_version(policy.cache, code)
            metadata.cache_serializable = policy.cache.serialize
    target = core.TaskNode(reference_id=task)
    if node.overridden & {"requests", "limits"}:
        target.overrides.resources.CopyFrom(resources_message(policy.requests, policy.limits))
    lowered = core.Node(metadata=metadata)
    if isinstance(node.task, MapTask):
        # A time limit is each item's: on the array node it would end the whole map.
        lowered.metadata.ClearField("timeout")
        lowered.array_node.CopyFrom(
            _array(node.task, core.Node(metadata=metadata, task_node=target))
        )
    else:
        lowered.task_node.CopyFrom(target)
    return lowered


def _array(task: MapTask, item: core.Node) -> core.ArrayNode:
    """The items have a file of inputs each, so none reads what all others are given."""
    array = core.ArrayNode(
        node=item,
        min_success_ratio=task.min_success_ratio,
        is_original_sub_node_interface=BoolValue(value=True),
        data_mode=core.ArrayNode.INDIVIDUAL_INPUT_FILES,
        bound_inputs=sorted(task.bound),
    )
    if task.concurrency is not None:
        array.parallelism = task.concurrency
    return array
