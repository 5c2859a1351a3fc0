"""A compiled closure made ready to run: the machine's plan, and what the shell needs beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from flyte_jupyter.engine.core.plan import (
    END,
    START,
    CachePlan,
    NodeKind,
    NodePlan,
    OnFailure,
    Plan,
)
from flyte_jupyter.idl import core, digests

SYSTEM_RETRIES = 3
"""How often a failure of the system is tried again (Flyte: ``max-node-retries-system-failures``)."""


@dataclass(frozen=True, slots=True)
class Program:
    """One workflow: shared by all its runs. `nodes` and `tasks` are keyed by node id."""

    plan: Plan
    workflow: core.Identifier
    inputs: core.VariableMap
    """The workflow's inputs: what its start node gives."""
    outputs: core.VariableMap
    nodes: Mapping[str, core.Node]
    tasks: Mapping[str, core.TaskTemplate]
    interfaces: Mapping[str, str]
    """Digest of each cacheable task node's interface."""

    def outputs_of(self, node: str) -> core.VariableMap:
        """The types of what a node gives."""
        return self.inputs if node == START else self.tasks[node].interface.outputs

    def inputs_of(self, node: str) -> core.VariableMap:
        """The types of what a node takes; the end node takes the workflow's outputs."""
        return self.outputs if node == END else self.tasks[node].interface.inputs


def program_of(closure: core.CompiledWorkflowClosure) -> Program:
    """Index a closure that `compile_workflow` made."""
    plan = plan_of(closure)
    template = closure.primary.template
    by_name = _by_name(closure)
    tasks = {
        node.id: by_name[_name(node.task_node.reference_id)]
        for node in template.nodes
        if node.HasField("task_node")
    }
    return Program(
        plan=plan,
        workflow=template.id,
        inputs=template.interface.inputs,
        outputs=template.interface.outputs,
        nodes={node.id: node for node in template.nodes},
        tasks=tasks,
        interfaces={
            node: digests.interface_digest(task.interface)
            for node, task in tasks.items()
            if plan.nodes[node].cache is not None
        },
    )


def plan_of(
    closure: core.CompiledWorkflowClosure,
    *,
    system_retries: int = SYSTEM_RETRIES,
    backoff: timedelta = timedelta(0),
) -> Plan:
    """The machine's plan of a closure that `compile_workflow` made; its digest is the closure's."""
    template = closure.primary.template
    upstream = closure.primary.connections.upstream
    tasks = _by_name(closure)
    nodes: dict[str, NodePlan] = {}
    for node in template.nodes:
        if node.id == START:
            nodes[node.id] = NodePlan(node.id, NodeKind.START)
            continue
        parents = tuple(upstream[node.id].ids) if node.id in upstream else (START,)
        if node.id == END:
            nodes[node.id] = NodePlan(node.id, NodeKind.END, parents)
            continue
        task = tasks[_name(node.task_node.reference_id)]
        nodes[node.id] = NodePlan(
            id=node.id,
            kind=NodeKind.TASK,
            upstream=parents,
            cache=_cache(node, task),
            retries=_retries(node, task),
            system_retries=system_retries,
            backoff=backoff,
            timeout=_timeout(node, task),
            task_type=task.type,
            task_name=task.id.name,
        )
    return Plan(digests.message_digest(closure), nodes, _on_failure(template))


def _by_name(closure: core.CompiledWorkflowClosure) -> dict[tuple[str, ...], core.TaskTemplate]:
    return {_name(task.template.id): task.template for task in closure.tasks}


def _name(of: core.Identifier) -> tuple[str, ...]:
    return of.project, of.domain, of.name, of.version


def _on_failure(template: core.WorkflowTemplate) -> OnFailure:
    finish = core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    if template.metadata.on_failure == finish:
        return OnFailure.FINISH_RUNNABLE
    return OnFailure.FAIL_FAST


def _retries(node: core.Node, task: core.TaskTemplate) -> int:
    metadata = node.metadata if node.metadata.HasField("retries") else task.metadata
    return metadata.retries.retries


def _timeout(node: core.Node, task: core.TaskTemplate) -> timedelta | None:
    for metadata in (node.metadata, task.metadata):
        if limit := metadata.timeout.ToTimedelta():
            return limit
    return None


def _cache(node: core.Node, task: core.TaskTemplate) -> CachePlan | None:
    """What the node says about caching goes before what its task says. No outputs: nothing to remember."""
    wanted, version = task.metadata.discoverable, task.metadata.discovery_version
    if node.metadata.WhichOneof("cacheable_value"):
        wanted = node.metadata.cacheable
    if node.metadata.WhichOneof("cache_version_value"):
        version = node.metadata.cache_version
    if not wanted or not task.interface.outputs.variables:
        return None
    return CachePlan(version, tuple(sorted(task.metadata.cache_ignore_input_vars)))
