"""Flyte's events: what the engine tells about executions, nodes and tasks.

One of the only doors to the generated ``flyteidl`` package.
"""

from flyteidl.event.event_pb2 import (
    DynamicWorkflowNodeMetadata as DynamicWorkflowNodeMetadata,
    EventReason as EventReason,
    ExternalResourceInfo as ExternalResourceInfo,
    NodeExecutionEvent as NodeExecutionEvent,
    ParentNodeExecutionMetadata as ParentNodeExecutionMetadata,
    ParentTaskExecutionMetadata as ParentTaskExecutionMetadata,
    ResourcePoolInfo as ResourcePoolInfo,
    TaskExecutionEvent as TaskExecutionEvent,
    TaskExecutionMetadata as TaskExecutionMetadata,
    TaskNodeMetadata as TaskNodeMetadata,
    WorkflowExecutionEvent as WorkflowExecutionEvent,
    WorkflowNodeMetadata as WorkflowNodeMetadata,
)
