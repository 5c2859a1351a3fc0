"""Flyte's admin messages: what the control plane's API takes and answers.

One of the only doors to the generated ``flyteidl`` package.
"""

from flyteidl.admin.common_pb2 import (
    Annotations as Annotations,
    AuthRole as AuthRole,
    EmailNotification as EmailNotification,
    Envs as Envs,
    FlyteURLs as FlyteURLs,
    Labels as Labels,
    NamedEntity as NamedEntity,
    NamedEntityGetRequest as NamedEntityGetRequest,
    NamedEntityIdentifier as NamedEntityIdentifier,
    NamedEntityIdentifierList as NamedEntityIdentifierList,
    NamedEntityIdentifierListRequest as NamedEntityIdentifierListRequest,
    NamedEntityList as NamedEntityList,
    NamedEntityListRequest as NamedEntityListRequest,
    NamedEntityMetadata as NamedEntityMetadata,
    NamedEntityState as NamedEntityState,
    NamedEntityUpdateRequest as NamedEntityUpdateRequest,
    NamedEntityUpdateResponse as NamedEntityUpdateResponse,
    Notification as Notification,
    ObjectGetRequest as ObjectGetRequest,
    PagerDutyNotification as PagerDutyNotification,
    RawOutputDataConfig as RawOutputDataConfig,
    ResourceListRequest as ResourceListRequest,
    SlackNotification as SlackNotification,
    Sort as Sort,
    UrlBlob as UrlBlob,
)
from flyteidl.admin.cluster_assignment_pb2 import (
    ClusterAssignment as ClusterAssignment,
)
from flyteidl.admin.description_entity_pb2 import (
    Description as Description,
    DescriptionEntity as DescriptionEntity,
    DescriptionEntityList as DescriptionEntityList,
    DescriptionEntityListRequest as DescriptionEntityListRequest,
    DescriptionFormat as DescriptionFormat,
    SourceCode as SourceCode,
)
from flyteidl.admin.execution_pb2 import (
    AbortMetadata as AbortMetadata,
    Execution as Execution,
    ExecutionClosure as ExecutionClosure,
    ExecutionCreateRequest as ExecutionCreateRequest,
    ExecutionCreateResponse as ExecutionCreateResponse,
    ExecutionList as ExecutionList,
    ExecutionMetadata as ExecutionMetadata,
    ExecutionRecoverRequest as ExecutionRecoverRequest,
    ExecutionRelaunchRequest as ExecutionRelaunchRequest,
    ExecutionSpec as ExecutionSpec,
    ExecutionState as ExecutionState,
    ExecutionStateChangeDetails as ExecutionStateChangeDetails,
    ExecutionTerminateRequest as ExecutionTerminateRequest,
    ExecutionTerminateResponse as ExecutionTerminateResponse,
    ExecutionUpdateRequest as ExecutionUpdateRequest,
    ExecutionUpdateResponse as ExecutionUpdateResponse,
    LiteralMapBlob as LiteralMapBlob,
    NotificationList as NotificationList,
    SystemMetadata as SystemMetadata,
    WorkflowExecutionGetDataRequest as WorkflowExecutionGetDataRequest,
    WorkflowExecutionGetDataResponse as WorkflowExecutionGetDataResponse,
    WorkflowExecutionGetMetricsRequest as WorkflowExecutionGetMetricsRequest,
    WorkflowExecutionGetMetricsResponse as WorkflowExecutionGetMetricsResponse,
    WorkflowExecutionGetRequest as WorkflowExecutionGetRequest,
)
from flyteidl.admin.launch_plan_pb2 import (
    ActiveLaunchPlanListRequest as ActiveLaunchPlanListRequest,
    ActiveLaunchPlanRequest as ActiveLaunchPlanRequest,
    Auth as Auth,
    ConcurrencyLimitBehavior as ConcurrencyLimitBehavior,
    ConcurrencyPolicy as ConcurrencyPolicy,
    LaunchPlan as LaunchPlan,
    LaunchPlanClosure as LaunchPlanClosure,
    LaunchPlanCreateRequest as LaunchPlanCreateRequest,
    LaunchPlanCreateResponse as LaunchPlanCreateResponse,
    LaunchPlanList as LaunchPlanList,
    LaunchPlanMetadata as LaunchPlanMetadata,
    LaunchPlanSpec as LaunchPlanSpec,
    LaunchPlanState as LaunchPlanState,
    LaunchPlanUpdateRequest as LaunchPlanUpdateRequest,
    LaunchPlanUpdateResponse as LaunchPlanUpdateResponse,
)
from flyteidl.admin.matchable_resource_pb2 import (
    ClusterResourceAttributes as ClusterResourceAttributes,
    ExecutionClusterLabel as ExecutionClusterLabel,
    ExecutionQueueAttributes as ExecutionQueueAttributes,
    ListMatchableAttributesRequest as ListMatchableAttributesRequest,
    ListMatchableAttributesResponse as ListMatchableAttributesResponse,
    MatchableAttributesConfiguration as MatchableAttributesConfiguration,
    MatchableResource as MatchableResource,
    MatchingAttributes as MatchingAttributes,
    PluginOverride as PluginOverride,
    PluginOverrides as PluginOverrides,
    TaskResourceAttributes as TaskResourceAttributes,
    TaskResourceSpec as TaskResourceSpec,
    WorkflowExecutionConfig as WorkflowExecutionConfig,
)
from flyteidl.admin.node_execution_pb2 import (
    DynamicNodeWorkflowResponse as DynamicNodeWorkflowResponse,
    DynamicWorkflowNodeMetadata as DynamicWorkflowNodeMetadata,
    GetDynamicNodeWorkflowRequest as GetDynamicNodeWorkflowRequest,
    NodeExecution as NodeExecution,
    NodeExecutionClosure as NodeExecutionClosure,
    NodeExecutionForTaskListRequest as NodeExecutionForTaskListRequest,
    NodeExecutionGetDataRequest as NodeExecutionGetDataRequest,
    NodeExecutionGetDataResponse as NodeExecutionGetDataResponse,
    NodeExecutionGetRequest as NodeExecutionGetRequest,
    NodeExecutionList as NodeExecutionList,
    NodeExecutionListRequest as NodeExecutionListRequest,
    NodeExecutionMetaData as NodeExecutionMetaData,
    TaskNodeMetadata as TaskNodeMetadata,
    WorkflowNodeMetadata as WorkflowNodeMetadata,
)
from flyteidl.admin.notification_pb2 import (
    EmailMessage as EmailMessage,
)
from flyteidl.admin.project_pb2 import (
    Domain as Domain,
    GetDomainRequest as GetDomainRequest,
    GetDomainsResponse as GetDomainsResponse,
    InactiveProject as InactiveProject,
    Project as Project,
    ProjectGetRequest as ProjectGetRequest,
    ProjectListRequest as ProjectListRequest,
    ProjectRegisterRequest as ProjectRegisterRequest,
    ProjectRegisterResponse as ProjectRegisterResponse,
    ProjectUpdateResponse as ProjectUpdateResponse,
    Projects as Projects,
)
from flyteidl.admin.project_attributes_pb2 import (
    ProjectAttributes as ProjectAttributes,
    ProjectAttributesDeleteRequest as ProjectAttributesDeleteRequest,
    ProjectAttributesDeleteResponse as ProjectAttributesDeleteResponse,
    ProjectAttributesGetRequest as ProjectAttributesGetRequest,
    ProjectAttributesGetResponse as ProjectAttributesGetResponse,
    ProjectAttributesUpdateRequest as ProjectAttributesUpdateRequest,
    ProjectAttributesUpdateResponse as ProjectAttributesUpdateResponse,
)
from flyteidl.admin.project_domain_attributes_pb2 import (
    ProjectDomainAttributes as ProjectDomainAttributes,
    ProjectDomainAttributesDeleteRequest as ProjectDomainAttributesDeleteRequest,
    ProjectDomainAttributesDeleteResponse as ProjectDomainAttributesDeleteResponse,
    ProjectDomainAttributesGetRequest as ProjectDomainAttributesGetRequest,
    ProjectDomainAttributesGetResponse as ProjectDomainAttributesGetResponse,
    ProjectDomainAttributesUpdateRequest as ProjectDomainAttributesUpdateRequest,
    ProjectDomainAttributesUpdateResponse as ProjectDomainAttributesUpdateResponse,
)
from flyteidl.admin.schedule_pb2 import (
    CronSchedule as CronSchedule,
    FixedRate as FixedRate,
    FixedRateUnit as FixedRateUnit,
    Schedule as Schedule,
)
from flyteidl.admin.signal_pb2 import (
    Signal as Signal,
    SignalGetOrCreateRequest as SignalGetOrCreateRequest,
    SignalList as SignalList,
    SignalListRequest as SignalListRequest,
    SignalSetRequest as SignalSetRequest,
    SignalSetResponse as SignalSetResponse,
)
from flyteidl.admin.task_pb2 import (
    Task as Task,
    TaskClosure as TaskClosure,
    TaskCreateRequest as TaskCreateRequest,
    TaskCreateResponse as TaskCreateResponse,
    TaskList as TaskList,
    TaskSpec as TaskSpec,
)
from flyteidl.admin.task_execution_pb2 import (
    Reason as Reason,
    TaskExecution as TaskExecution,
    TaskExecutionClosure as TaskExecutionClosure,
    TaskExecutionGetDataRequest as TaskExecutionGetDataRequest,
    TaskExecutionGetDataResponse as TaskExecutionGetDataResponse,
    TaskExecutionGetRequest as TaskExecutionGetRequest,
    TaskExecutionList as TaskExecutionList,
    TaskExecutionListRequest as TaskExecutionListRequest,
)
from flyteidl.admin.version_pb2 import (
    GetVersionRequest as GetVersionRequest,
    GetVersionResponse as GetVersionResponse,
    Version as Version,
)
from flyteidl.admin.workflow_pb2 import (
    CreateWorkflowFailureReason as CreateWorkflowFailureReason,
    Workflow as Workflow,
    WorkflowClosure as WorkflowClosure,
    WorkflowCreateRequest as WorkflowCreateRequest,
    WorkflowCreateResponse as WorkflowCreateResponse,
    WorkflowErrorExistsDifferentStructure as WorkflowErrorExistsDifferentStructure,
    WorkflowErrorExistsIdenticalStructure as WorkflowErrorExistsIdenticalStructure,
    WorkflowList as WorkflowList,
    WorkflowSpec as WorkflowSpec,
)
from flyteidl.admin.workflow_attributes_pb2 import (
    WorkflowAttributes as WorkflowAttributes,
    WorkflowAttributesDeleteRequest as WorkflowAttributesDeleteRequest,
    WorkflowAttributesDeleteResponse as WorkflowAttributesDeleteResponse,
    WorkflowAttributesGetRequest as WorkflowAttributesGetRequest,
    WorkflowAttributesGetResponse as WorkflowAttributesGetResponse,
    WorkflowAttributesUpdateRequest as WorkflowAttributesUpdateRequest,
    WorkflowAttributesUpdateResponse as WorkflowAttributesUpdateResponse,
)
from flyteidl.admin.event_pb2 import (
    EventErrorAlreadyInTerminalState as EventErrorAlreadyInTerminalState,
    EventErrorIncompatibleCluster as EventErrorIncompatibleCluster,
    EventFailureReason as EventFailureReason,
    NodeExecutionEventRequest as NodeExecutionEventRequest,
    NodeExecutionEventResponse as NodeExecutionEventResponse,
    TaskExecutionEventRequest as TaskExecutionEventRequest,
    TaskExecutionEventResponse as TaskExecutionEventResponse,
    WorkflowExecutionEventRequest as WorkflowExecutionEventRequest,
    WorkflowExecutionEventResponse as WorkflowExecutionEventResponse,
)
