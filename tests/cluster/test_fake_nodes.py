"""Fake nodes: many pods run and end on a real API server without a process each."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fake_nodes import EXIT_CODE, STAYS, FakeNodes
from processes import eventually

NUMBER = 200


@pytest.fixture(scope="module")
def fake_nodes(control_plane_cluster) -> Iterator[FakeNodes]:
    control_plane_cluster.make_namespace("scale")
    made = FakeNodes.start(control_plane_cluster)
    yield made
    made.stop()


def pod(name: str, *, labels: dict | None = None, annotations: dict | None = None) -> dict:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "scale", "labels": labels or {}, "annotations": annotations or {}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "none", "args": ["x"], "securityContext": security}],
        },
    }  # fmt: skip


def test_many_pods_run_to_their_end(fake_nodes):
    cluster = fake_nodes.cluster
    for start in range(0, NUMBER, 50):
        cluster.apply(*(pod(f"p{n}") for n in range(start, start + 50)))

    def ended() -> bool:
        pods = cluster.get("pods", "-n", "scale")["items"]
        return sum(p["status"]["phase"] == "Succeeded" for p in pods) == NUMBER

    eventually(ended, what=f"{NUMBER} pods succeeded")
    seen = cluster.get("pod", "p0", "-n", "scale")
    state = seen["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == 0
    assert seen["spec"]["nodeName"] in fake_nodes.names
    cluster.kubectl("delete", "pods", "--all", "-n", "scale", "--wait=false")
    eventually(
        lambda: cluster.get("pods", "-n", "scale")["items"] == [], what="the end of all pods"
    )


def test_a_pod_may_fail_or_stay(fake_nodes):
    cluster = fake_nodes.cluster
    cluster.apply(pod("fails", annotations={EXIT_CODE: "3"}), pod("stays", labels={STAYS: ""}))

    def phase(name: str) -> str:
        return cluster.get("pod", name, "-n", "scale")["status"]["phase"]

    eventually(lambda: phase("fails") == "Failed", what="the failure")
    status = cluster.get("pod", "fails", "-n", "scale")["status"]
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3, json.dumps(status)  # fmt: skip
    eventually(lambda: phase("stays") == "Running", what="the pod that stays")
    cluster.kubectl("delete", "pods", "--all", "-n", "scale")
