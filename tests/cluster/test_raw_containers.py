"""Pods as this platform makes them, on a real Kubernetes: all of them are taken, and raw containers get and give their data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from google.protobuf.json_format import ParseDict
from object_storage import S3Server
from processes import eventually
from task_image import TASK_IMAGE

from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.pods.manifest import pod_for
from flyte_jupyter.engine.pods.meaning import Ended, meaning
from flyte_jupyter.engine.pods.settings import Copilot, Graces, PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.engine.quantities import amount
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.ids import AttemptId, RunId

INTEGER = core.LiteralType(simple=core.SimpleType.INTEGER)
FILE = core.LiteralType(blob=core.BlobType())


def variables(**kinds):
    return core.VariableMap(variables={k: core.Variable(type=v) for k, v in kinds.items()})


def attempt(name: str, **container) -> AttemptSpec:
    message = ParseDict({"image": TASK_IMAGE, **container}, core.Container())
    template = core.TaskTemplate(id=core.Identifier(name=f"tests.{name}"), container=message)
    prefix = f"s3://flyte/{name}"
    return AttemptSpec(
        id=AttemptId(RunId("tests", "cluster", name), ("n0",), 0),
        template=template,
        inputs=f"{prefix}/inputs.pb",
        output_prefix=f"{prefix}/0",
        raw_output_prefix=f"{prefix}/raw",
        env={},
    )


def raw(name: str, script: str, **container) -> AttemptSpec:
    """A raw container that runs a shell script; it takes `n` and a file, and gives `n` and a file."""
    resources = {
        "requests": [{"name": "CPU", "value": "50m"}, {"name": "MEMORY", "value": "128Mi"}]
    }
    facts = {
        "command": ["sh", "-c", script],
        "data_config": {"enabled": True},
        "resources": resources,
    }
    spec = attempt(name, **{**facts, **container})
    interface = core.TypedInterface(
        inputs=variables(n=INTEGER, f=FILE), outputs=variables(n=INTEGER, f=FILE)
    )
    spec.template.interface.CopyFrom(interface)
    return spec


# -- the API server takes them ---------------------------------------------------------------------


def full_task() -> core.TaskTemplate:
    """Everything that a task can ask for."""
    pod = {
        "containers": [
            {
                "name": "main",
                "image": TASK_IMAGE,
                "args": ["{{.input}}"],
                "ports": [{"containerPort": 8080}],
            },
            {"name": "side", "image": TASK_IMAGE, "resources": {"limits": {"memory": "64Mi"}}},
        ],
        "initContainers": [{"name": "prepare", "image": TASK_IMAGE}],
        "volumes": [{"name": "work", "emptyDir": {}}],
        "tolerations": [{"key": "x", "operator": "Exists"}],
    }
    extended = {
        "gpu_accelerator": {"device": "nvidia-a100", "partition_size": "1g.5gb"},
        "shared_memory": {"size_limit": "1Gi"},
    }
    secrets = [
        {"group": "db", "key": "password", "mount_requirement": "ENV_VAR"},
        {"group": "db", "key": "User", "mount_requirement": "FILE"},
    ]
    facts = {
        "id": {"name": "tests.full"},
        "k8s_pod": {
            "pod_spec": pod,
            "metadata": {"labels": {"a": "b"}},
            "data_config": {"enabled": True},
        },
        "config": {"primary_container_name": "main"},
        "extended_resources": extended,
        "security_context": {"secrets": secrets},
        "metadata": {"pod_template_name": "base"},
    }
    return ParseDict(facts, core.TaskTemplate())


def test_an_api_server_that_enforces_the_restricted_standard_takes_every_pod(control_plane_cluster):
    cluster = control_plane_cluster
    cluster.make_namespace("taken")
    template = {
        "metadata": {"annotations": {"x": "y"}},
        "spec": {
            "containers": [{"name": "primary", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
        },
    }
    settings = PodSettings(
        namespace="taken",
        copilot=Copilot(image=TASK_IMAGE),
        templates={"base": template},
        interruptible_requirement={"key": "spot", "operator": "In", "values": ["true"]},
        interruptible_tolerations=[{"key": "spot", "operator": "Exists"}],
        image_pull_secrets=["registry"],
    )
    plain = attempt("plain", command=["true"])
    full = replace(attempt("full"), template=full_task(), interruptible=True)
    odd = replace(
        plain,
        id=AttemptId(RunId("tests", "cluster", "x" * 63), ("é/../" * 30, 3, "N"), 7),
        node="--",
        workflow="." * 80,
    )
    for spec in (plain, full, odd, raw("raw", "true")):
        made = pod_for(spec, settings)
        answer = json.loads(
            cluster.kubectl(
                "create",
                "--dry-run=server",
                "--validate=strict",
                "-o",
                "json",
                "-f",
                "-",
                given=made,
            )
        )
        assert answer["metadata"]["labels"] == made["metadata"]["labels"]
        assert answer["spec"]["securityContext"] == made["spec"]["securityContext"]


# -- raw containers on a node ----------------------------------------------------------------------


class Pods:
    """Runs attempts as pods, as an executor would, without one."""

    def __init__(self, cluster, namespace, s3):
        self.cluster, self.namespace, self.s3 = cluster, namespace, s3
        self.settings = PodSettings(
            namespace=namespace, copilot=Copilot(image=TASK_IMAGE), env=s3.environment
        )

    def put_inputs(self, spec, **inputs):
        self.s3.put(
            "flyte",
            f"{spec.id.run.name}/inputs.pb",
            core.LiteralMap(literals=inputs).SerializeToString(),
        )

    def start(self, spec):
        made = pod_for(spec, self.settings)
        self.cluster.apply(made)
        return made["metadata"]["name"]

    def seen(self, name):
        return meaning(
            self.cluster.get("pod", name, "-n", self.namespace), datetime.now(tz=UTC), Graces()
        )

    def end(self, name):
        def look():
            found = self.seen(name)
            return found if isinstance(found, Ended) else None

        return eventually(look, what=f"the end of pod {name}")

    def left(self, spec, name):
        return self.s3.get("flyte", f"{spec.id.run.name}/{name}")


@pytest.fixture
def pods(node_cluster, namespace, s3_server):
    return Pods(node_cluster, namespace, s3_server)


def a_file(pods, spec):
    pods.s3.put("flyte", f"{spec.id.run.name}/given", b"given")
    return core.Literal(
        scalar=core.Scalar(blob=core.Blob(uri=f"s3://flyte/{spec.id.run.name}/given"))
    )


def test_a_raw_container_of_a_moment_gets_its_inputs_and_gives_its_outputs(pods):
    spec = raw("moment", "cp /var/flyte/inputs/* /var/flyte/outputs/")
    pods.put_inputs(spec, n=literals.literal(42), f=a_file(pods, spec))
    found = pods.end(pods.start(spec))
    assert (found.how.code, found.how.why) == (0, None)
    outputs = core.LiteralMap.FromString(pods.left(spec, "0/outputs.pb")).literals
    assert outputs["n"] == literals.literal(42)
    assert outputs["f"].scalar.blob.uri == "s3://flyte/moment/raw/f"
    assert pods.left(spec, "raw/f") == b"given"


def test_a_raw_container_that_writes_something_else_leaves_an_error_with_the_outputs_name(pods):
    spec = raw("wrong", "echo many > /var/flyte/outputs/n")
    pods.put_inputs(spec, n=literals.literal(1))
    found = pods.end(pods.start(spec))
    assert (found.how.code, found.how.why) == (0, None)
    error = core.ErrorDocument.FromString(pods.left(spec, "0/error.pb")).error
    assert "output 'f': there is no" in error.message


def test_a_raw_container_that_fails_fails_for_what_it_said(pods):
    spec = raw("fails", "echo the table is empty >&2; exit 3")
    pods.put_inputs(spec)
    why = pods.end(pods.start(spec)).how.why
    assert (why.code, why.blame, why.retryable) == ("NonZeroExit", Blame.USER, True)
    assert "status 3: the table is empty" in why.message
    with pytest.raises(urllib.error.HTTPError):
        pods.left(spec, "0/outputs.pb")


def test_a_raw_container_whose_inputs_are_missing_never_starts(pods):
    spec = raw("blind", "true")
    why = pods.end(pods.start(spec)).how.why
    assert (why.code, why.blame, why.retryable) == ("InputsUnreadable", Blame.SYSTEM, True)
    assert "s3" in why.message or "inputs.pb" in why.message


def test_a_raw_container_that_outgrows_its_memory_is_named(pods):
    script = "python3 -c 'x = bytearray(10**9); x[::4096] = b\"x\" * len(x[::4096])'"
    spec = raw("grows", script)
    pods.put_inputs(spec)
    why = pods.end(pods.start(spec)).how.why
    assert (why.code, why.blame) == ("OOMKilled", Blame.USER)
    assert "128Mi" in why.message


def test_a_raw_container_that_is_deleted_by_hand_is_the_systems_failure(pods):
    spec = raw("deleted", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done")
    pods.put_inputs(spec)
    name = pods.start(spec)
    eventually(lambda: type(pods.seen(name)).__name__ == "Running", what="the task runs")
    pods.cluster.kubectl("delete", "pod", name, "-n", pods.namespace, "--wait=false")
    found = pods.end(name)
    assert (found.how.why.code, found.how.why.blame) == ("ResourceDeletedExternally", Blame.SYSTEM)
    assert found.delete
    pods.cluster.kubectl(
        "delete", "pod", name, "-n", pods.namespace, "--grace-period=1", "--ignore-not-found"
    )


CARRY = """
import sys
from pathlib import Path
from flyte_jupyter.kernel.runtime.copilot import transfer

local, uri = Path(sys.argv[2]), sys.argv[3]
transfer.store(local, uri) if sys.argv[1] == "up" else transfer.fetch(uri, local)
# Not `ru_maxrss`: that begins with the memory of who started this.
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024)
"""


def test_large_files_take_no_more_memory_than_the_sidecars_have(tmp_path):
    room = amount(Copilot().memory)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200 * 2**20)
    server = S3Server.start(tmp_path)

    def carried(way, local):
        words = [sys.executable, "-c", CARRY, way, str(local), "s3://flyte/large"]
        done = subprocess.run(
            words, env={**os.environ, **server.environment}, stdout=subprocess.PIPE, check=True
        )
        return int(done.stdout)

    try:
        assert carried("up", large) < room
        assert carried("down", tmp_path / "back") < room
    finally:
        server.stop()
    assert (tmp_path / "back").stat().st_size == large.stat().st_size
