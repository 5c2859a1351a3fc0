"""Figures on Kubernetes (``python -m benchmarks --kubernetes``), on the tests' own cluster: real pods on one node, and fake nodes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import fake_nodes
from benchmarks.ours import ROOT
from benchmarks.table import Figure

FLYTE = {"Flyte v1.16.8": 4.6}
"""Seconds a node for ten of flytekit's tasks in a chain, taken on a machine of this kind on another day."""
_NAMESPACE = "flytesnacks-development"


def _with_tests() -> None:
    for folder in ("tests/kubernetes", "tests/cluster", "tests"):
        sys.path.insert(0, str(ROOT / folder))


def figures() -> Iterator[Figure]:
    """All of them, with the versions that they were taken with."""
    _with_tests()
    from cluster_places import running_folder
    from kubernetes_cluster import Cluster

    with running_folder() as folder:
        cluster = Cluster.start(folder)
        try:
            print(f"\non fake nodes (KWOK): {versions(cluster)}", flush=True)
            yield from fake_nodes.on_fake_nodes(cluster)
        finally:
            cluster.stop()
    with running_folder() as folder:
        cluster = Cluster.start(folder, node=True)
        try:
            yield from on_a_node(cluster)
        finally:
            cluster.stop()


def versions(cluster: Any) -> str:
    """Of what is measured with, and how busy the machine is."""
    import kubernetes
    from flytekit import __version__ as flytekit

    told = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"Kubernetes {told}, client {kubernetes.__version__}, flytekit {flytekit}, load {load}"


# -- real pods -------------------------------------------------------------------------------------


def on_a_node(cluster: Any) -> Iterator[Figure]:
    """Chains of ten through `flyte-jupyter serve` and an S3 server, a pod each and with warm pods."""
    import pytest
    from object_storage import S3Server
    from serving import Served, define

    s3 = S3Server.start(cluster.folder, host=cluster.node.network.host)
    try:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            for name, value in s3.environment.items():
                patch.setenv(name, value)
            define(cluster)
            served = Served(Path(folder), cluster, s3).start()
            try:
                print(f"\non one node: {versions(cluster)}", flush=True)
                yield from _chains(served, s3)
            finally:
                served.stop()
    finally:
        s3.stop()


def _chains(served: Any, s3: Any) -> Iterator[Figure]:
    from cluster_planes import programs
    from flytekit_specs import PROJECT

    from benchmarks import pod_chains

    assert PROJECT == "flytesnacks"
    _ours(served, pod_chains.cold)  # makes the namespace
    yield Figure("a bare pod of the task image, create to Succeeded", _bare_pod(served.cluster), "s")  # fmt: skip
    s3.put("flyte", "code/programs.tar.gz", programs())
    made = served.register("lengths")
    run = served.platform.launch(made, "ten")
    took = _took(served.ended(run)) / 10
    yield Figure("chain of 10 pods, flytekit's tasks, a node", took, "s", None, FLYTE)
    yield Figure("chain of 10 pods, our tasks, a node", _ours(served, pod_chains.cold), "s", None, FLYTE)  # fmt: skip
    first = _ours(served, pod_chains.warm)
    yield Figure("chain of 10 on a warm pod that is to be made, a node", first, "s", None, FLYTE)
    again = min(_ours(served, pod_chains.warm) for _ in range(3))
    yield Figure("chain of 10 on a warm pod that is there, a node", again, "s", None, FLYTE)


def _ours(served: Any, workflow: Any) -> float:
    import flyte_jupyter
    from flyte_jupyter import LaunchOptions
    from flyte_jupyter.kernel.client import Client

    options = LaunchOptions(client=Client(served.endpoint))
    execution = flyte_jupyter.launch(workflow, options=options, x=0)
    execution.wait(timeout=300)
    assert execution.outputs["o0"] == 10, execution.error
    return _took(execution.message) / 10


def _took(execution: Any) -> float:
    closure = execution.closure
    created, ended = closure.created_at.ToDatetime(), closure.updated_at.ToDatetime()
    return float((ended - created).total_seconds())


def _bare_pod(cluster: Any) -> float:
    from task_pods import pod, run

    def once() -> float:
        start = time.perf_counter()
        made = pod(f"bare-{uuid.uuid4().hex[:6]}", _NAMESPACE, "python3", "-c", "pass")
        made["spec"]["securityContext"] = {"runAsUser": 65532}
        assert run(cluster, made)[0] == "Succeeded"
        return time.perf_counter() - start

    return min(once() for _ in range(3))
