"""The custom resource on a real cluster, and an engine of its own that dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest
from cluster_planes import CRD, DOMAIN, PROJECT, own_task, stack
from local_attempts import bundle, seen
from processes import eventually

from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import RunId

BUNDLE = "s3://flyte/code/bundle.tar.gz"
SOURCE = """
def do_double(inputs):
    from flyte_jupyter.idl import core
    x = inputs.literals["x"].scalar.primitive.integer
    print("doubling", x, flush=True)
    made = core.LiteralMap()
    made.literals["x"].scalar.primitive.integer = 2 * x
    return made

def do_slow(inputs):
    import time, s3fs
    while not s3fs.S3FileSystem(use_listings_cache=False).exists("flyte/go"):
        time.sleep(0.1)
    return do_double(inputs)
"""


@pytest.fixture
def storage(s3_server, monkeypatch):
    import s3fs

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3_server
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def place(node_cluster, namespace):
    """The cluster with our custom resource, and a namespace there."""
    node_cluster.kubectl("apply", "-f", str(CRD))
    node_cluster.kubectl("wait", "--for=condition=Established", "crd/flyteworkflows.flyte-jupyter.dev")  # fmt: skip
    return node_cluster, namespace


@pytest.fixture
def doubling(storage, tmp_path):
    """Our own task in object storage: its name and specification."""
    made = bundle(tmp_path / "bundle", SOURCE)
    with open(made.removeprefix("file://"), "rb") as file:
        storage.put("flyte", "code/bundle.tar.gz", file.read())
    return own_task("steps.double", BUNDLE, "steps:double")


def handle(cluster, namespace, name):
    text = cluster.kubectl("get", "fjw", name, "-n", namespace, "--ignore-not-found", "-o", "json")
    return json.loads(text) if text.strip() else None


def phase(cluster, namespace, name):
    found = handle(cluster, namespace, name)
    return ((found or {}).get("status") or {}).get("phase")


async def gone(s):
    return not s.pods()


def test_applying_a_handle_launches_and_deleting_it_aborts(place, doubling, storage, tmp_path):
    node_cluster, namespace = place

    async def main():
        async with stack(node_cluster, storage, namespace, tmp_path / "data", kill_seconds=1) as s:
            apply(node_cluster, namespace, "mine", inputs={"x": 21})

            async def waits():
                return phase(node_cluster, namespace, "mine") == "WAITING"

            await seen(waits)
            await s.register(*doubling)
            run = RunId(PROJECT, DOMAIN, "mine")
            await seen(lambda: exists(s, run))
            assert await s.outputs(run) == {"x": 42}

            async def shown():
                return phase(node_cluster, namespace, "mine") == "SUCCEEDED"

            await seen(shown)
            table = node_cluster.kubectl("get", "flyteworkflows", "-n", namespace)
            assert table.split()[:4] == ["NAME", "PHASE", "PROGRESS", "AGE"]
            assert table.split()[4:7] == ["mine", "SUCCEEDED", "1/1"]
            assert len(table.splitlines()) == 2, "one handle an execution"
            edit = ("--type=merge", "-p", '{"spec": {"project": "other"}}')
            with pytest.raises(AssertionError, match="stays with its execution"):
                node_cluster.kubectl("patch", "fjw", "mine", "-n", namespace, *edit)
            slow = own_task("steps.slow", "s3://flyte/none", "steps:double")
            slow[1].template.container.args[:] = ["sleep", "1000"]
            await s.register(*slow)
            apply(node_cluster, namespace, "slow", task="steps.slow", inputs={"x": 1})

            async def runs():
                pods = [p for p in s.pods() if p["status"]["phase"] == "Running"]
                return "slow" in [p["metadata"]["ownerReferences"][0]["name"] for p in pods]

            await seen(runs)
            await asyncio.to_thread(
                node_cluster.kubectl, "delete", "fjw", "slow", "-n", namespace, "--timeout=60s"
            )
            found = await s.ended(RunId(PROJECT, DOMAIN, "slow"))
            assert found.closure.phase == core.WorkflowExecution.ABORTED
            assert "FlyteWorkflow slow was deleted" in found.closure.abort_metadata.cause
            await seen(lambda: gone(s))

    asyncio.run(main())


async def exists(s, run):
    from flyte_jupyter.store.errors import NotFound

    try:
        return await s.plane.platform.executions.get(run)
    except NotFound:
        return None


def apply(cluster, namespace, name, *, task="steps.double", inputs):
    spec = {"project": PROJECT, "domain": DOMAIN, "task": {"name": task}, "inputs": inputs}
    metadata = {"name": name, "namespace": namespace}
    kind = {"apiVersion": "flyte-jupyter.dev/v1alpha1", "kind": "FlyteWorkflow"}
    cluster.apply({**kind, "metadata": metadata, "spec": spec})


def test_an_engine_of_its_own_is_killed_and_the_next_one_goes_on(
    place, doubling, storage, tmp_path
):
    """`flyte-jupyter engine` twice on one folder: one works, one stands by; kill -9, and the other takes over."""
    node_cluster, namespace = place
    data = tmp_path / "data"

    async def prepare():
        async with stack(node_cluster, storage, namespace, data) as s:
            await s.register(*doubling)
            await s.register(*own_task("steps.slow", BUNDLE, "steps:slow"))

    asyncio.run(prepare())
    config = tmp_path / "engine.toml"
    env = "\n".join(f'{k} = "{v}"' for k, v in storage.environment.items())
    config.write_text(
        f'[kubernetes.pods]\ninstallation = "{namespace}"\nnamespace = "{namespace}"\n'
        'image_pull_policy = "IfNotPresent"\nrun_as_user = 65532\n'
        f'[kubernetes.pods.resources]\nlimits = {{cpu = "2", memory = "1Gi"}}\nrequests = {{cpu = "50m", memory = "64Mi"}}\n[kubernetes.pods.env]\n{env}\n'
    )
    command = [
        sys.executable, "-m", "flyte_jupyter.cli.main", "engine", "--data-dir", str(data), "--config", str(config),
        "--blobs", f"s3://flyte/{namespace}", "--kubeconfig", str(node_cluster.kubeconfig),
    ]  # fmt: skip
    running = []

    def start(name):
        log = tmp_path / f"{name}.log"
        with log.open("wb") as out:
            running.append(subprocess.Popen(command, stdout=out, stderr=out, env=dict(os.environ)))
        return running[-1], log

    try:
        first, log = start("first")
        eventually(lambda: "engine: active" in log.read_text(), what=f"the engine active\n{log}")
        second, other = start("second")
        eventually(lambda: "standing by" in other.read_text(), what="the second standing by")
        apply(node_cluster, namespace, "quick", inputs={"x": 4})
        eventually(
            lambda: phase(node_cluster, namespace, "quick") == "SUCCEEDED", what="quick done"
        )
        apply(node_cluster, namespace, "slow", task="steps.slow", inputs={"x": 4})

        def started():
            pods = node_cluster.get("pods", "-n", namespace)["items"]
            pods = [p for p in pods if p["metadata"]["name"].startswith("slow-")]
            return [p["metadata"]["uid"] for p in pods if p["status"]["phase"] == "Running"]

        (uid,) = eventually(started, what="the slow pod running")
        first.send_signal(signal.SIGKILL)
        eventually(lambda: "engine: active" in other.read_text(), what="the second taking over")
        storage.put("flyte", "go", b"")
        eventually(lambda: phase(node_cluster, namespace, "slow") == "SUCCEEDED", what="slow done")
        made = node_cluster.get("events", "-n", namespace, "--field-selector=reason=Scheduled")
        slow = {
            e["involvedObject"]["uid"]
            for e in made["items"]
            if e["involvedObject"]["name"].startswith("slow-")
        }
        assert slow == {uid}, "the pod of the first engine was adopted"
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    finally:
        for process in running:
            process.kill()
            process.wait(20)
