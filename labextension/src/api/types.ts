// GENERATED from flyteidl by tools/generate_types.py: do not edit.
// Flyte's messages as REST JSON; only the fields that the extension reads.

export interface WorkflowExecutionIdentifier {
  project: string;
  domain: string;
  name: string;
}

export interface NodeExecutionIdentifier {
  node_id: string;
  execution_id?: WorkflowExecutionIdentifier | null;
}

export interface TaskExecutionIdentifier {
  task_id?: Identifier | null;
  node_execution_id?: NodeExecutionIdentifier | null;
  retry_attempt: number;
}

export type ResourceType =
  | 'UNSPECIFIED'
  | 'TASK'
  | 'WORKFLOW'
  | 'LAUNCH_PLAN'
  | 'DATASET';

export interface Identifier {
  resource_type: ResourceType;
  project: string;
  domain: string;
  name: string;
  version: string;
}

export type ExecutionErrorErrorKind =
  | 'UNKNOWN'
  | 'USER'
  | 'SYSTEM';

export interface ExecutionError {
  code: string;
  message: string;
  error_uri: string;
  kind: ExecutionErrorErrorKind;
  timestamp?: string | null;
  worker: string;
}

export interface AbortMetadata {
  cause: string;
  principal: string;
}

export type ExecutionMetadataExecutionMode =
  | 'MANUAL'
  | 'SCHEDULED'
  | 'SYSTEM'
  | 'RELAUNCH'
  | 'CHILD_WORKFLOW'
  | 'RECOVERED'
  | 'TRIGGER';

export interface ExecutionMetadata {
  mode: ExecutionMetadataExecutionMode;
  principal: string;
  reference_execution?: WorkflowExecutionIdentifier | null;
  parent_node_execution?: NodeExecutionIdentifier | null;
}

export interface ExecutionSpec {
  launch_plan?: Identifier | null;
  metadata?: ExecutionMetadata | null;
}

export type WorkflowExecutionPhase =
  | 'UNDEFINED'
  | 'QUEUED'
  | 'RUNNING'
  | 'SUCCEEDING'
  | 'SUCCEEDED'
  | 'FAILING'
  | 'FAILED'
  | 'ABORTED'
  | 'TIMED_OUT'
  | 'ABORTING';

export interface ExecutionClosure {
  error?: ExecutionError | null;
  abort_metadata?: AbortMetadata | null;
  phase: WorkflowExecutionPhase;
  started_at?: string | null;
  duration?: string | null;
  created_at?: string | null;
  updated_at?: string | null;
  workflow_id?: Identifier | null;
}

export interface Execution {
  id?: WorkflowExecutionIdentifier | null;
  spec?: ExecutionSpec | null;
  closure?: ExecutionClosure | null;
}

export interface ExecutionList {
  executions: Execution[];
  token: string;
}

export interface ExecutionRelaunchRequest {
  id?: WorkflowExecutionIdentifier | null;
  name: string;
  overwrite_cache: boolean;
}

export interface ExecutionRecoverRequest {
  id?: WorkflowExecutionIdentifier | null;
  name: string;
}

export interface ExecutionCreateResponse {
  id?: WorkflowExecutionIdentifier | null;
}

export interface ExecutionTerminateRequest {
  id?: WorkflowExecutionIdentifier | null;
  cause: string;
}

export interface CatalogMetadata {
  source_task_execution?: TaskExecutionIdentifier | null;
}

export type CatalogCacheStatus =
  | 'CACHE_DISABLED'
  | 'CACHE_MISS'
  | 'CACHE_HIT'
  | 'CACHE_POPULATED'
  | 'CACHE_LOOKUP_FAILURE'
  | 'CACHE_PUT_FAILURE'
  | 'CACHE_SKIPPED'
  | 'CACHE_EVICTED';

export interface TaskNodeMetadata {
  cache_status: CatalogCacheStatus;
  catalog_key?: CatalogMetadata | null;
}

export interface WorkflowNodeMetadata {
  executionId?: WorkflowExecutionIdentifier | null;
}

export interface NodeExecutionMetaData {
  retry_group: string;
  is_parent_node: boolean;
  spec_node_id: string;
  is_dynamic: boolean;
  is_array: boolean;
}

export type NodeExecutionPhase =
  | 'UNDEFINED'
  | 'QUEUED'
  | 'RUNNING'
  | 'SUCCEEDED'
  | 'FAILING'
  | 'FAILED'
  | 'ABORTED'
  | 'SKIPPED'
  | 'TIMED_OUT'
  | 'DYNAMIC_RUNNING'
  | 'RECOVERED';

export interface NodeExecutionClosure {
  error?: ExecutionError | null;
  phase: NodeExecutionPhase;
  started_at?: string | null;
  duration?: string | null;
  created_at?: string | null;
  updated_at?: string | null;
  workflow_node_metadata?: WorkflowNodeMetadata | null;
  task_node_metadata?: TaskNodeMetadata | null;
  deck_uri: string;
  dynamic_job_spec_uri: string;
}

export interface NodeExecution {
  id?: NodeExecutionIdentifier | null;
  closure?: NodeExecutionClosure | null;
  metadata?: NodeExecutionMetaData | null;
}

export interface Reason {
  occurred_at?: string | null;
  message: string;
}

export interface EventWorkflowNodeMetadata {
  execution_id?: WorkflowExecutionIdentifier | null;
}

export type TaskExecutionPhase =
  | 'UNDEFINED'
  | 'QUEUED'
  | 'RUNNING'
  | 'SUCCEEDED'
  | 'ABORTED'
  | 'FAILED'
  | 'INITIALIZING'
  | 'WAITING_FOR_RESOURCES'
  | 'RETRYABLE_FAILED';

export interface ExternalResourceInfo {
  external_id: string;
  index: number;
  retry_attempt: number;
  phase: TaskExecutionPhase;
  cache_status: CatalogCacheStatus;
  workflow_node_metadata?: EventWorkflowNodeMetadata | null;
}

export interface TaskExecutionMetadata {
  external_resources: ExternalResourceInfo[];
}

export interface TaskExecutionClosure {
  error?: ExecutionError | null;
  phase: TaskExecutionPhase;
  started_at?: string | null;
  duration?: string | null;
  created_at?: string | null;
  updated_at?: string | null;
  custom_info?: Record<string, unknown> | null;
  reason: string;
  task_type: string;
  metadata?: TaskExecutionMetadata | null;
  reasons: Reason[];
}

export interface TaskExecution {
  id?: TaskExecutionIdentifier | null;
  closure?: TaskExecutionClosure | null;
}

export interface NodeExecutionGetDataResponse {
  full_inputs?: LiteralMap | null;
  full_outputs?: LiteralMap | null;
}

export interface WorkflowExecutionGetDataResponse {
  full_inputs?: LiteralMap | null;
  full_outputs?: LiteralMap | null;
}

export interface LiteralMap {
  literals: Record<string, Literal>;
}

export interface LiteralCollection {
  literals: Literal[];
}

export interface Literal {
  scalar?: Scalar | null;
  collection?: LiteralCollection | null;
  map?: LiteralMap | null;
  hash: string;
}

export interface Scalar {
  primitive?: Primitive | null;
  blob?: Blob | null;
  binary?: Binary | null;
  schema?: Schema | null;
  none_type?: Void | null;
  error?: Error | null;
  generic?: Record<string, unknown> | null;
  structured_dataset?: StructuredDataset | null;
  union?: Union | null;
}

export interface Primitive {
  integer?: string | null;
  float_value?: number | 'NaN' | 'Infinity' | '-Infinity' | null;
  string_value?: string | null;
  boolean?: boolean | null;
  datetime?: string | null;
  duration?: string | null;
}

export type BlobTypeBlobDimensionality =
  | 'SINGLE'
  | 'MULTIPART';

export interface BlobType {
  format: string;
  dimensionality: BlobTypeBlobDimensionality;
}

export interface BlobMetadata {
  type?: BlobType | null;
}

export interface Blob {
  metadata?: BlobMetadata | null;
  uri: string;
}

export interface Binary {
  value: string;
  tag: string;
}

export interface Schema {
  uri: string;
}

export type Void = Record<string, never>;

export interface Error {
  failed_node_id: string;
  message: string;
}

export interface StructuredDatasetTypeDatasetColumn {
  name: string;
}

export interface StructuredDatasetType {
  columns: StructuredDatasetTypeDatasetColumn[];
  format: string;
}

export interface StructuredDatasetMetadata {
  structured_dataset_type?: StructuredDatasetType | null;
}

export interface StructuredDataset {
  uri: string;
  metadata?: StructuredDatasetMetadata | null;
}

export interface Union {
  value?: Literal | null;
}

export interface NodeMetadata {
  name: string;
}

export interface TaskNode {
  reference_id?: Identifier | null;
}

export interface WorkflowNode {
  launchplan_ref?: Identifier | null;
  sub_workflow_ref?: Identifier | null;
}

export interface IfBlock {
  then_node?: Node | null;
}

export interface IfElseBlock {
  case?: IfBlock | null;
  other: IfBlock[];
  else_node?: Node | null;
}

export interface BranchNode {
  if_else?: IfElseBlock | null;
}

export type SimpleType =
  | 'NONE'
  | 'INTEGER'
  | 'FLOAT'
  | 'STRING'
  | 'BOOLEAN'
  | 'DATETIME'
  | 'DURATION'
  | 'BINARY'
  | 'ERROR'
  | 'STRUCT';

export interface LiteralType {
  simple?: SimpleType | null;
}

export interface ApproveCondition {
  signal_id: string;
}

export interface SignalCondition {
  signal_id: string;
  type?: LiteralType | null;
}

export interface SleepCondition {
  duration?: string | null;
}

export interface GateNode {
  approve?: ApproveCondition | null;
  signal?: SignalCondition | null;
  sleep?: SleepCondition | null;
}

export interface ArrayNode {
  node?: Node | null;
}

export interface Node {
  id: string;
  metadata?: NodeMetadata | null;
  upstream_node_ids: string[];
  task_node?: TaskNode | null;
  workflow_node?: WorkflowNode | null;
  branch_node?: BranchNode | null;
  gate_node?: GateNode | null;
  array_node?: ArrayNode | null;
}

export interface TaskTemplate {
  id?: Identifier | null;
  type: string;
  config: Record<string, string>;
}

export interface CompiledTask {
  template?: TaskTemplate | null;
}

export interface WorkflowTemplate {
  id?: Identifier | null;
  nodes: Node[];
  failure_node?: Node | null;
}

export interface ConnectionSetIdList {
  ids: string[];
}

export interface ConnectionSet {
  downstream: Record<string, ConnectionSetIdList>;
}

export interface CompiledWorkflow {
  template?: WorkflowTemplate | null;
  connections?: ConnectionSet | null;
}

export interface CompiledWorkflowClosure {
  primary?: CompiledWorkflow | null;
  sub_workflows: CompiledWorkflow[];
  tasks: CompiledTask[];
}

export interface WorkflowClosure {
  compiled_workflow?: CompiledWorkflowClosure | null;
}

export interface Workflow {
  id?: Identifier | null;
  closure?: WorkflowClosure | null;
}

export interface DynamicNodeWorkflowResponse {
  compiled_workflow?: CompiledWorkflowClosure | null;
}

export interface SignalIdentifier {
  signal_id: string;
  execution_id?: WorkflowExecutionIdentifier | null;
}

export interface Signal {
  id?: SignalIdentifier | null;
  type?: LiteralType | null;
  value?: Literal | null;
}

export interface SignalList {
  signals: Signal[];
  token: string;
}

export interface SignalSetRequest {
  id?: SignalIdentifier | null;
  value?: Literal | null;
}
