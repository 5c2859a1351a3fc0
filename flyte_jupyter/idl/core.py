"""Flyte's core messages: types, literals, tasks, workflows, phases.

One of the only doors to the generated ``flyteidl`` package.
"""

from flyteidl.core.artifact_id_pb2 import (
    ArtifactBindingData as ArtifactBindingData,
    ArtifactID as ArtifactID,
    ArtifactKey as ArtifactKey,
    ArtifactQuery as ArtifactQuery,
    ArtifactTag as ArtifactTag,
    Granularity as Granularity,
    InputBindingData as InputBindingData,
    LabelValue as LabelValue,
    Operator as Operator,
    Partitions as Partitions,
    RuntimeBinding as RuntimeBinding,
    TimePartition as TimePartition,
    TimeTransform as TimeTransform,
)
from flyteidl.core.catalog_pb2 import (
    CatalogArtifactTag as CatalogArtifactTag,
    CatalogCacheStatus as CatalogCacheStatus,
    CatalogMetadata as CatalogMetadata,
    CatalogReservation as CatalogReservation,
)
from flyteidl.core.compiler_pb2 import (
    CompiledLaunchPlan as CompiledLaunchPlan,
    CompiledTask as CompiledTask,
    CompiledWorkflow as CompiledWorkflow,
    CompiledWorkflowClosure as CompiledWorkflowClosure,
    ConnectionSet as ConnectionSet,
)
from flyteidl.core.condition_pb2 import (
    BooleanExpression as BooleanExpression,
    ComparisonExpression as ComparisonExpression,
    ConjunctionExpression as ConjunctionExpression,
    Operand as Operand,
)
from flyteidl.core.dynamic_job_pb2 import (
    DynamicJobSpec as DynamicJobSpec,
)
from flyteidl.core.errors_pb2 import (
    ContainerError as ContainerError,
    ErrorDocument as ErrorDocument,
)
from flyteidl.core.execution_pb2 import (
    ContainerContext as ContainerContext,
    ExecutionError as ExecutionError,
    LogContext as LogContext,
    NodeExecution as NodeExecution,
    PodLogContext as PodLogContext,
    QualityOfService as QualityOfService,
    QualityOfServiceSpec as QualityOfServiceSpec,
    TaskExecution as TaskExecution,
    TaskLog as TaskLog,
    WorkflowExecution as WorkflowExecution,
)
from flyteidl.core.execution_envs_pb2 import (
    ExecutionEnv as ExecutionEnv,
    ExecutionEnvAssignment as ExecutionEnvAssignment,
)
from flyteidl.core.identifier_pb2 import (
    Identifier as Identifier,
    NodeExecutionIdentifier as NodeExecutionIdentifier,
    ResourceType as ResourceType,
    SignalIdentifier as SignalIdentifier,
    TaskExecutionIdentifier as TaskExecutionIdentifier,
    WorkflowExecutionIdentifier as WorkflowExecutionIdentifier,
)
from flyteidl.core.interface_pb2 import (
    Parameter as Parameter,
    ParameterMap as ParameterMap,
    TypedInterface as TypedInterface,
    Variable as Variable,
    VariableMap as VariableMap,
)
from flyteidl.core.literals_pb2 import (
    Binary as Binary,
    Binding as Binding,
    BindingData as BindingData,
    BindingDataCollection as BindingDataCollection,
    BindingDataMap as BindingDataMap,
    Blob as Blob,
    BlobMetadata as BlobMetadata,
    KeyValuePair as KeyValuePair,
    Literal as Literal,
    LiteralCollection as LiteralCollection,
    LiteralMap as LiteralMap,
    LiteralOffloadedMetadata as LiteralOffloadedMetadata,
    Primitive as Primitive,
    RetryStrategy as RetryStrategy,
    Scalar as Scalar,
    Schema as Schema,
    StructuredDataset as StructuredDataset,
    StructuredDatasetMetadata as StructuredDatasetMetadata,
    Union as Union,
    UnionInfo as UnionInfo,
    Void as Void,
)
from flyteidl.core.metrics_pb2 import (
    ExecutionMetricResult as ExecutionMetricResult,
    Span as Span,
)
from flyteidl.core.security_pb2 import (
    Identity as Identity,
    OAuth2Client as OAuth2Client,
    OAuth2TokenRequest as OAuth2TokenRequest,
    Secret as Secret,
    SecurityContext as SecurityContext,
)
from flyteidl.core.tasks_pb2 import (
    Container as Container,
    ContainerPort as ContainerPort,
    DataLoadingConfig as DataLoadingConfig,
    ExtendedResources as ExtendedResources,
    GPUAccelerator as GPUAccelerator,
    IOStrategy as IOStrategy,
    K8sObjectMetadata as K8sObjectMetadata,
    K8sPod as K8sPod,
    Resources as Resources,
    RuntimeMetadata as RuntimeMetadata,
    SharedMemory as SharedMemory,
    Sql as Sql,
    TaskMetadata as TaskMetadata,
    TaskTemplate as TaskTemplate,
)
from flyteidl.core.types_pb2 import (
    BlobType as BlobType,
    EnumType as EnumType,
    Error as Error,
    LiteralType as LiteralType,
    OutputReference as OutputReference,
    PromiseAttribute as PromiseAttribute,
    SchemaType as SchemaType,
    SimpleType as SimpleType,
    StructuredDatasetType as StructuredDatasetType,
    TypeAnnotation as TypeAnnotation,
    TypeStructure as TypeStructure,
    UnionType as UnionType,
)
from flyteidl.core.workflow_closure_pb2 import (
    WorkflowClosure as WorkflowClosure,
)
from flyteidl.core.workflow_pb2 import (
    Alias as Alias,
    ApproveCondition as ApproveCondition,
    ArrayNode as ArrayNode,
    BranchNode as BranchNode,
    GateNode as GateNode,
    IfBlock as IfBlock,
    IfElseBlock as IfElseBlock,
    LaunchPlanTemplate as LaunchPlanTemplate,
    Node as Node,
    NodeMetadata as NodeMetadata,
    SignalCondition as SignalCondition,
    SleepCondition as SleepCondition,
    TaskNode as TaskNode,
    TaskNodeOverrides as TaskNodeOverrides,
    WorkflowMetadata as WorkflowMetadata,
    WorkflowMetadataDefaults as WorkflowMetadataDefaults,
    WorkflowNode as WorkflowNode,
    WorkflowTemplate as WorkflowTemplate,
)
