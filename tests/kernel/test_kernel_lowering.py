"""What is registered, compared as whole messages."""

import json
import tarfile
from io import BytesIO

import kernel_jobs as jobs
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from flyte_jupyter import task, workflow
from flyte_jupyter.engine.compiler.compile import compile_workflow
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.identifiers import entity_id
from flyte_jupyter.kernel.authoring import FailurePolicy
from flyte_jupyter.kernel.bundling import BundlingError, bundle_of_module, content_version, pack
from flyte_jupyter.kernel.lowering import (
    Code,
    Target,
    lower_launch_plan,
    lower_task,
    lower_workflow,
    task_version,
    versioned_workflow,
)

TARGET = Target("p", "d", "/usr/bin/python3", "env1")
CODE = Code("kernel_jobs", "jobs", "d" * 64, "s3://b/bundle.tar.gz", "cell-1")


def version_of(workflow, code, tasks):
    return versioned_workflow(workflow, TARGET, code, tasks).template.id.version


def lowered_tasks(flow, code=CODE):
    return {
        each: lower_task(each, TARGET, code, task_version(each, TARGET, code))
        for each in flow.graph.tasks
    }


def identifiers(flow, code=CODE):
    return {each: spec.template.id for each, spec in lowered_tasks(flow, code).items()}


def message(kind, **fields):
    return ParseDict(fields, kind())


def test_a_task_is_lowered_whole():
    spec = lower_task(jobs.scale, TARGET, CODE, "v1")
    interface = spec.template.interface
    assert [*sorted(interface.inputs.variables)] == ["settings", "verbose", "x"]
    assert interface.outputs.variables["o0"].type.simple == core.SimpleType.FLOAT
    spec.template.ClearField("interface")
    version = spec.template.metadata.runtime.version
    assert version
    assert spec == message(
        admin.TaskSpec,
        template={
            "id": {"resource_type": "TASK", "project": "p", "domain": "d", "name": "jobs.scale", "version": "v1"},
            "type": "python-task",
            "metadata": {
                "discoverable": True,
                "runtime": {"type": "FLYTE_SDK", "version": version, "flavor": "python"},
                "timeout": "300s",
                "retries": {"retries": 2},
                "discovery_version": "1",
                "cache_ignore_input_vars": ["verbose"],
            },
            "container": {
                "args": [
                    "flyte-jupyter-execute", "--inputs", "{{.input}}", "--output-prefix", "{{.outputPrefix}}",
                    "--raw-output-data-prefix", "{{.rawOutputDataPrefix}}", "--checkpoint-path", "{{.checkpointOutputPrefix}}",
                    "--prev-checkpoint", "{{.prevCheckpointPrefix}}", "--bundle", "s3://b/bundle.tar.gz", "--entity", "kernel_jobs:scale",
                ],
                "resources": {
                    "requests": [{"name": "CPU", "value": "500m"}, {"name": "MEMORY", "value": "1Gi"}],
                    "limits": [{"name": "MEMORY", "value": "2Gi"}],
                },
                "env": [{"key": "A", "value": "1"}],
            },
            "config": {
                "flyte_jupyter.interpreter": "/usr/bin/python3",
                "flyte_jupyter.environment": "env1",
                "flyte_jupyter.reuse": "true",
                "flyte_jupyter.warm": "true",
                "flyte_jupyter.preload": "json",
                "flyte_jupyter.cell": "cell-1",
            },
        },
    )  # fmt: skip


def test_a_workflow_is_lowered_whole():
    ids = identifiers(jobs.pipeline)
    spec = lower_workflow(jobs.pipeline, TARGET, CODE, "v1", ids)
    names = {
        each.name: MessageToDict(found, preserving_proto_field_name=True)
        for each, found in ids.items()
    }
    settings = spec.template.nodes[0].inputs[0].binding.scalar.binary
    assert settings.tag == "msgpack"
    packed = {
        "scalar": MessageToDict(core.Scalar(binary=settings), preserving_proto_field_name=True)
    }
    false, true = ({"scalar": {"primitive": {"boolean": each}}} for each in (False, True))

    def promise(node, var):
        return {"promise": {"node_id": node, "var": var}}

    def scale(node_id, retries, x, verbose):
        return {
            "id": node_id,
            "metadata": {"name": "scale", "retries": {"retries": retries}},
            "inputs": [
                {"var": "settings", "binding": packed},
                {"var": "verbose", "binding": verbose},
                {"var": "x", "binding": promise("start-node", x)},
            ],
            "task_node": {"reference_id": names["scale"]},
        }

    integer = {"type": {"simple": "INTEGER"}}
    expected = message(
        admin.WorkflowSpec,
        template={
            "id": {"resource_type": "WORKFLOW", "project": "p", "domain": "d", "name": "jobs.pipeline", "version": "v1"},
            "metadata": {"on_failure": "FAIL_IMMEDIATELY"},
            "metadata_defaults": {},
            "interface": {
                "inputs": {"variables": {"x": {**integer, "description": "x"}, "y": {**integer, "description": "y"}}},
                "outputs": {"variables": {"o0": {"type": {"blob": {}}, "description": "o0"}, "o1": {**integer, "description": "o1"}}},
            },
            "nodes": [
                scale("n0", 2, "x", false),
                scale("second", 5, "y", true),
                {
                    "id": "n2",
                    "metadata": {"name": "save", "retries": {}},
                    "inputs": [{"var": "values", "binding": {"collection": {"bindings": [
                        promise("n0", "o0"), promise("second", "o0"), {"scalar": {"primitive": {"float_value": 0.5}}},
                    ]}}}],
                    "upstream_node_ids": ["n0", "second"],
                    "task_node": {"reference_id": names["save"]},
                },
            ],
            "outputs": [{"var": "o0", "binding": promise("n2", "o0")}, {"var": "o1", "binding": promise("n2", "o1")}],
        },
    )  # fmt: skip
    assert spec == expected


def test_the_default_launch_plan_holds_the_parameters():
    spec = lower_launch_plan(jobs.pipeline, core.Identifier(name="jobs.pipeline"))
    integer = {"type": {"simple": "INTEGER"}}
    assert spec == message(
        admin.LaunchPlanSpec,
        workflow_id={"name": "jobs.pipeline"},
        entity_metadata={},
        fixed_inputs={},
        default_inputs={
            "parameters": {
                "x": {"var": {**integer, "description": "x"}, "required": True},
                "y": {
                    "var": {**integer, "description": "y"},
                    "default": {"scalar": {"primitive": {"integer": "2"}}},
                },
            }
        },
    )


def test_what_is_lowered_compiles():
    specs = lowered_tasks(jobs.pipeline)
    ids = {each: spec.template.id for each, spec in specs.items()}
    spec = lower_workflow(jobs.pipeline, TARGET, CODE, "v1", ids)
    templates = {entity_id(each.template.id): each.template for each in specs.values()}
    compiled = compile_workflow(spec.template, templates)
    assert len(compiled.closure.tasks) == 2


def test_overrides_of_cache_and_resources_are_the_nodes():
    from flyte_jupyter import Resources

    @workflow
    def wf(values: list[float]) -> None:
        jobs.save(values).with_overrides(cache="9", requests=Resources(gpu=1))
        jobs.save(values).with_overrides(timeout=1)
        jobs.save(values)
        jobs.save(values).with_overrides(node_name="last")

    nodes = lower_workflow(wf, TARGET, CODE, "v", identifiers(wf)).template.nodes
    first, second, third, last = nodes
    assert not third.metadata.HasField("timeout")
    assert (third.metadata, third.inputs) == (last.metadata, last.inputs)
    assert (third.id, last.id) == ("n2", "last")
    assert first.metadata.cacheable
    assert first.metadata.cache_version == "9"
    assert first.task_node.overrides.resources.requests[0].name == core.Resources.ResourceName.GPU
    assert second.metadata.timeout.seconds == 1
    assert not second.metadata.HasField("cacheable")
    assert not second.task_node.HasField("overrides")


def test_the_failure_policy_is_lowered():
    @workflow(failure_policy=FailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
    def wf(x: int) -> None:
        jobs.broken(x)

    metadata = lower_workflow(wf, TARGET, CODE, "v", identifiers(wf)).template.metadata
    assert metadata.on_failure == core.WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE


def test_cache_true_follows_the_source():
    made = task(cache=True)(lambda: None)
    version = lower_task(made, TARGET, CODE, "v").template.metadata.discovery_version
    assert version == CODE.digest[:32]


def test_a_version_follows_source_and_environment_and_nothing_else():
    version = task_version(jobs.scale, TARGET, CODE)
    moved = Code(CODE.module, CODE.namespace, CODE.digest, "s3://elsewhere", "cell-9")
    assert task_version(jobs.scale, TARGET, moved) == version
    edited = Code(CODE.module, CODE.namespace, "e" * 64)
    assert task_version(jobs.scale, TARGET, edited) != version
    assert task_version(jobs.scale, Target("p", "d", "/usr/bin/python3", "env2"), CODE) != version
    flow = version_of(jobs.pipeline, CODE, identifiers(jobs.pipeline))
    assert version_of(jobs.pipeline, moved, identifiers(jobs.pipeline, moved)) == flow
    changed_child = identifiers(jobs.pipeline, edited)
    assert version_of(jobs.pipeline, CODE, changed_child) != flow


# Bundles


def test_a_bundle_is_the_same_bytes_for_the_same_files():
    files = {"b.py": b"x = 1\n", "a/c.py": b""}
    one, two = pack(files, "b"), pack(dict(reversed(files.items())), "b")
    assert one == two
    assert one.data == two.data
    assert (one.size, one.files) == (6, ("a/c.py", "b.py"))
    with tarfile.open(fileobj=BytesIO(one.data)) as archive:
        assert archive.getnames() == ["a/c.py", "b.py", "bundle.json"]
        assert {member.mtime for member in archive} == {0}
        manifest = json.load(archive.extractfile("bundle.json"))
    assert manifest == {"format": 1, "version": content_version(files), "entry": "b", "cells": []}


def test_a_version_is_of_names_and_contents():
    assert content_version({"ab": b"c"}) != content_version({"a": b"bc"})
    assert content_version({"a": b"1"}) != content_version({"a": b"2"})
    noted = pack({"a.py": b""}, "a", cells=[{"file": "a.py"}], cell_ids={"f": "c1"})
    assert noted.version == pack({"a.py": b""}, "a").version


@pytest.fixture
def importable(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_module_brings_what_it_imports_from_beside_it(importable):
    (importable / "kj_main.py").write_text(
        "import json, kj_near\nfrom kj_pack.deep import K\nfrom flyte_jupyter import task\n"
        "@task\ndef f(x: int) -> int: return x + K\n"
    )
    (importable / "kj_near.py").write_text("import kj_far\n")
    (importable / "kj_far.py").write_text("")
    # Standing in a checkout of ours is no reason to carry us along: the attempt's environment has us.
    (importable / "flyte_jupyter").mkdir()
    (importable / "flyte_jupyter" / "__init__.py").write_text("")
    (importable / "kj_unused.py").write_text("")
    (importable / "kj_pack").mkdir()
    (importable / "kj_pack" / "__init__.py").write_text("")
    (importable / "kj_pack" / "deep.py").write_text("K = 1\n")
    import kj_main

    bundle = bundle_of_module(kj_main.f)
    assert bundle.entry_module == bundle.namespace == "kj_main"
    assert bundle.files == ("kj_far.py", "kj_main.py", "kj_near.py", "kj_pack/__init__.py", "kj_pack/deep.py")  # fmt: skip


def test_a_module_of_a_package_brings_its_package(importable):
    folder = importable / "kj_outer" / "inner"
    folder.mkdir(parents=True)
    (importable / "kj_outer" / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "work.py").write_text("from flyte_jupyter import task\n@task\ndef f() -> None: ...\n")
    from kj_outer.inner import work

    bundle = bundle_of_module(work.f)
    assert bundle.entry_module == "kj_outer.inner.work"
    assert bundle.files == ("kj_outer/__init__.py", "kj_outer/inner/__init__.py", "kj_outer/inner/work.py")  # fmt: skip


def test_what_has_no_place_in_a_module_is_refused():
    @task
    def local() -> None: ...

    with pytest.raises(BundlingError, match="top level"):
        bundle_of_module(local)
    homeless = task(lambda: None)
    homeless.function.__module__ = "nowhere_at_all"
    with pytest.raises(BundlingError, match="no source file"):
        bundle_of_module(homeless)


def test_a_version_is_the_only_thing_that_a_workflow_has_of_it():
    tasks = identifiers(jobs.pipeline)
    spec = versioned_workflow(jobs.pipeline, TARGET, CODE, tasks)
    again = lower_workflow(jobs.pipeline, TARGET, CODE, spec.template.id.version, tasks)
    assert again == spec
