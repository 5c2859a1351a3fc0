"""Write the TypeScript types of the Flyte messages that the JupyterLab extension reads.

Usage: ``generate_types.py`` writes ``labextension/src/api/types.ts``; ``--check`` only says whether
it is up to date (exit status 1 when it is not). The types describe Flyte's REST JSON: proto field
names, enums by name, 64-bit integers, timestamps, durations and bytes as strings, absent messages
as null.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from flyte_jupyter.idl import admin

TARGET = Path(__file__).resolve().parent.parent / "labextension" / "src" / "api" / "types.ts"
HEADER = """\
// GENERATED from flyteidl by tools/generate_types.py: do not edit.
// Flyte's messages as REST JSON; only the fields that the extension reads.
"""

# The fields the extension reads, by message. A field whose own message is missing here is an error.
WANTED = {
    "flyteidl.core.WorkflowExecutionIdentifier": "project domain name",
    "flyteidl.core.NodeExecutionIdentifier": "node_id execution_id",
    "flyteidl.core.TaskExecutionIdentifier": "task_id node_execution_id retry_attempt",
    "flyteidl.core.Identifier": "resource_type project domain name version",
    "flyteidl.core.ExecutionError": "code message error_uri kind timestamp worker",
    "flyteidl.admin.AbortMetadata": "cause principal",
    "flyteidl.admin.ExecutionMetadata": (
        "mode principal reference_execution parent_node_execution"
    ),
    "flyteidl.admin.ExecutionSpec": "launch_plan metadata",
    "flyteidl.admin.ExecutionClosure": (
        "error abort_metadata phase started_at duration created_at updated_at workflow_id"
    ),
    "flyteidl.admin.Execution": "id spec closure",
    "flyteidl.admin.ExecutionList": "executions token",
    "flyteidl.admin.ExecutionRelaunchRequest": "id name overwrite_cache",
    "flyteidl.admin.ExecutionRecoverRequest": "id name",
    "flyteidl.admin.ExecutionCreateResponse": "id",
    "flyteidl.admin.ExecutionTerminateRequest": "id cause",
    "flyteidl.core.CatalogMetadata": "source_task_execution",
    "flyteidl.admin.TaskNodeMetadata": "cache_status catalog_key",
    "flyteidl.admin.WorkflowNodeMetadata": "executionId",
    "flyteidl.admin.NodeExecutionMetaData": (
        "retry_group is_parent_node spec_node_id is_dynamic is_array"
    ),
    "flyteidl.admin.NodeExecutionClosure": (
        "error phase started_at duration created_at updated_at workflow_node_metadata "
        "task_node_metadata deck_uri dynamic_job_spec_uri"
    ),
    "flyteidl.admin.NodeExecution": "id closure metadata",
    "flyteidl.admin.Reason": "occurred_at message",
    "flyteidl.event.WorkflowNodeMetadata": "execution_id",
    "flyteidl.event.ExternalResourceInfo": (
        "external_id index retry_attempt phase cache_status workflow_node_metadata"
    ),
    "flyteidl.event.TaskExecutionMetadata": "external_resources",
    "flyteidl.admin.TaskExecutionClosure": (
        "error phase started_at duration created_at updated_at custom_info reason task_type "
        "metadata reasons"
    ),
    "flyteidl.admin.TaskExecution": "id closure",
    "flyteidl.admin.NodeExecutionGetDataResponse": "full_inputs full_outputs",
    "flyteidl.admin.WorkflowExecutionGetDataResponse": "full_inputs full_outputs",
    "flyteidl.core.LiteralMap": "literals",
    "flyteidl.core.LiteralCollection": "literals",
    "flyteidl.core.Literal": "scalar collection map hash",
    "flyteidl.core.Scalar": (
        "primitive blob binary schema none_type error generic structured_dataset union"
    ),
    "flyteidl.core.Primitive": "integer float_value string_value boolean datetime duration",
    "flyteidl.core.BlobType": "format dimensionality",
    "flyteidl.core.BlobMetadata": "type",
    "flyteidl.core.Blob": "metadata uri",
    "flyteidl.core.Binary": "value tag",
    "flyteidl.core.Schema": "uri",
    "flyteidl.core.Void": "",
    "flyteidl.core.Error": "failed_node_id message",
    "flyteidl.core.StructuredDatasetType.DatasetColumn": "name",
    "flyteidl.core.StructuredDatasetType": "columns format",
    "flyteidl.core.StructuredDatasetMetadata": "structured_dataset_type",
    "flyteidl.core.StructuredDataset": "uri metadata",
    "flyteidl.core.Union": "value",
    "flyteidl.core.NodeMetadata": "name",
    "flyteidl.core.TaskNode": "reference_id",
    "flyteidl.core.WorkflowNode": "launchplan_ref sub_workflow_ref",
    "flyteidl.core.IfBlock": "then_node",
    "flyteidl.core.IfElseBlock": "case other else_node",
    "flyteidl.core.BranchNode": "if_else",
    "flyteidl.core.LiteralType": "simple",
    "flyteidl.core.ApproveCondition": "signal_id",
    "flyteidl.core.SignalCondition": "signal_id type",
    "flyteidl.core.SleepCondition": "duration",
    "flyteidl.core.GateNode": "approve signal sleep",
    "flyteidl.core.ArrayNode": "node",
    "flyteidl.core.Node": (
        "id metadata upstream_node_ids task_node workflow_node branch_node gate_node array_node"
    ),
    "flyteidl.core.TaskTemplate": "id type config",
    "flyteidl.core.CompiledTask": "template",
    "flyteidl.core.WorkflowTemplate": "id nodes failure_node",
    "flyteidl.core.ConnectionSet.IdList": "ids",
    "flyteidl.core.ConnectionSet": "downstream",
    "flyteidl.core.CompiledWorkflow": "template connections",
    "flyteidl.core.CompiledWorkflowClosure": "primary sub_workflows tasks",
    "flyteidl.admin.WorkflowClosure": "compiled_workflow",
    "flyteidl.admin.Workflow": "id closure",
    "flyteidl.admin.DynamicNodeWorkflowResponse": "compiled_workflow",
    "flyteidl.core.SignalIdentifier": "signal_id execution_id",
    "flyteidl.admin.Signal": "id type value",
    "flyteidl.admin.SignalList": "signals token",
    "flyteidl.admin.SignalSetRequest": "id value",
}
# Messages whose names others have too.
RENAMED = {"flyteidl.event.WorkflowNodeMetadata": "EventWorkflowNodeMetadata"}
# Messages that proto3's JSON form writes in a way of its own.
WELL_KNOWN = {
    "google.protobuf.Timestamp": "string",
    "google.protobuf.Duration": "string",
    "google.protobuf.Struct": "Record<string, unknown>",
    "google.protobuf.BoolValue": "boolean",
}
SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_INT32: "number",
    FieldDescriptor.CPPTYPE_UINT32: "number",
    FieldDescriptor.CPPTYPE_INT64: "string",
    FieldDescriptor.CPPTYPE_UINT64: "string",
    FieldDescriptor.CPPTYPE_DOUBLE: "number | 'NaN' | 'Infinity' | '-Infinity'",
    FieldDescriptor.CPPTYPE_FLOAT: "number | 'NaN' | 'Infinity' | '-Infinity'",
    FieldDescriptor.CPPTYPE_STRING: "string",
}


def name_of(descriptor: Descriptor | EnumDescriptor) -> str:
    """The TypeScript name: the message's own, with its parents' when it is nested."""
    if descriptor.full_name in RENAMED:
        return RENAMED[descriptor.full_name]
    names = [descriptor.name]
    parent = descriptor.containing_type
    while parent is not None:
        names.insert(0, parent.name)
        parent = parent.containing_type
    return "".join(names)


def type_of(field: FieldDescriptor) -> str:
    """The TypeScript type of one value of a field.

    Raises:
        SystemExit: the field's message is not in ``WANTED``.
    """
    if field.message_type is not None:
        known = WELL_KNOWN.get(field.message_type.full_name)
        if known is None and field.message_type.full_name not in WANTED:
            sys.exit(f"{field.full_name} is a {field.message_type.full_name}: add it to WANTED")
        return known or name_of(field.message_type)
    if field.enum_type is not None:
        return name_of(field.enum_type)
    return SCALARS[field.cpp_type]


def member(field: FieldDescriptor) -> str:
    """One line of an interface.

    Members of a oneof and messages may be absent; everything else is always written.
    """
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        value = message.fields_by_name["value"]
        return f"  {field.name}: Record<string, {type_of(value)}>;"
    if field.is_repeated:
        return f"  {field.name}: {type_of(field)}[];"
    if message is not None or field.containing_oneof is not None:
        return f"  {field.name}?: {type_of(field)} | null;"
    return f"  {field.name}: {type_of(field)};"


def interface(descriptor: Descriptor, fields: list[FieldDescriptor]) -> str:
    """The declaration of a message."""
    if not fields:
        return f"export type {name_of(descriptor)} = Record<string, never>;\n"
    lines = [f"export interface {name_of(descriptor)} {{", *map(member, fields), "}", ""]
    return "\n".join(lines)


def enumeration(descriptor: EnumDescriptor) -> str:
    """The declaration of an enum: the union of its names."""
    names = [f"  | '{value.name}'" for value in descriptor.values]
    return f"export type {name_of(descriptor)} =\n" + "\n".join(names) + ";\n"


def declarations() -> Iterator[str]:
    """Every declaration, enums where they are first used."""
    pool = descriptor_pool.Default()
    assert admin.Workflow.DESCRIPTOR.file.pool is pool
    enums: set[str] = set()
    for full_name, names in WANTED.items():
        descriptor = pool.FindMessageTypeByName(full_name)
        fields = [descriptor.fields_by_name[name] for name in names.split()]
        for field in fields:
            if field.enum_type is not None and field.enum_type.full_name not in enums:
                enums.add(field.enum_type.full_name)
                yield enumeration(field.enum_type)
        yield interface(descriptor, fields)


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check
    text = "\n".join([HEADER, *declarations()])
    if not check:
        TARGET.write_text(text)
        return 0
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    print(f"{TARGET} is out of date: run python tools/generate_types.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
