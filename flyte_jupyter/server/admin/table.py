"""Which use case serves which RPC."""

from __future__ import annotations

from flyte_jupyter.idl.ids import EntityKind
from flyte_jupyter.server.admin.calls import UseCases
from flyte_jupyter.server.admin.dataproxy import DataProxyCases
from flyte_jupyter.server.admin.entities import EntityCases
from flyte_jupyter.server.admin.executions import ExecutionCases
from flyte_jupyter.server.admin.launch_plans import LaunchPlanCases
from flyte_jupyter.server.admin.launching import LaunchCases
from flyte_jupyter.server.admin.metrics import MetricsCases
from flyte_jupyter.server.admin.node_executions import NodeExecutionCases
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import ProjectCases
from flyte_jupyter.server.admin.signals import SignalCases
from flyte_jupyter.server.admin.tasks import TaskCases
from flyte_jupyter.server.admin.version import get_version
from flyte_jupyter.server.admin.workflows import WorkflowCases


def use_cases(platform: Platform) -> UseCases:
    """Every RPC that this control plane has, by name; the others are UNIMPLEMENTED."""
    tasks, workflows = TaskCases(platform), WorkflowCases(platform)
    plans, entities = LaunchPlanCases(platform), EntityCases(platform)
    launches, executions = LaunchCases(platform), ExecutionCases(platform)
    nodes, projects = NodeExecutionCases(platform), ProjectCases(platform)
    proxy, signals = DataProxyCases(platform), SignalCases(platform)
    return {
        "CreateTask": tasks.create,
        "GetTask": tasks.get,
        "ListTasks": tasks.list,
        "ListTaskIds": entities.ids(EntityKind.TASK),
        "CreateWorkflow": workflows.create,
        "GetWorkflow": workflows.get,
        "ListWorkflows": workflows.list,
        "ListWorkflowIds": entities.ids(EntityKind.WORKFLOW),
        "CreateLaunchPlan": plans.create,
        "GetLaunchPlan": plans.get,
        "GetActiveLaunchPlan": plans.active,
        "ListLaunchPlans": plans.list,
        "ListActiveLaunchPlans": plans.list_active,
        "ListLaunchPlanIds": entities.ids(EntityKind.LAUNCH_PLAN),
        "UpdateLaunchPlan": plans.update,
        "ListNamedEntities": entities.list_named,
        "GetNamedEntity": entities.get_named,
        "UpdateNamedEntity": entities.update_named,
        "CreateExecution": launches.create,
        "RelaunchExecution": launches.relaunch,
        "RecoverExecution": launches.recover,
        "GetExecution": executions.get,
        "ListExecutions": executions.list,
        "GetExecutionData": executions.data,
        "GetExecutionMetrics": MetricsCases(platform).execution,
        "TerminateExecution": executions.terminate,
        "UpdateExecution": executions.update,
        "GetNodeExecution": nodes.get,
        "ListNodeExecutions": nodes.list,
        "ListNodeExecutionsForTask": nodes.made_by,
        "GetNodeExecutionData": nodes.data,
        "GetDynamicNodeWorkflow": nodes.dynamic_workflow,
        "GetTaskExecution": nodes.attempt,
        "ListTaskExecutions": nodes.attempts,
        "GetTaskExecutionData": nodes.attempt_data,
        "RegisterProject": projects.register,
        "UpdateProject": projects.update,
        "GetProject": projects.get,
        "ListProjects": projects.list,
        "GetDomains": projects.domains,
        "GetVersion": get_version,
        "ListSignals": signals.list,
        "SetSignal": signals.set,
        "CreateUploadLocation": proxy.upload_location,
        "CreateDownloadLink": proxy.download_link,
        "GetData": proxy.get_data,
    }
