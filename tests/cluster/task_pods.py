"""Pods of the task image for tests of the cluster itself; they meet the "restricted" standard."""

from __future__ import annotations

from kubernetes_cluster import Cluster
from processes import eventually
from task_image import TASK_IMAGE

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(name: str, namespace: str, *command: str, env: dict | None = None) -> dict:
    container = {
        "name": "main",
        "image": TASK_IMAGE,
        "args": list(command),
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def run(cluster: Cluster, made: dict) -> tuple[str, str]:
    """Run a pod to its end. Gives its phase and what it printed."""
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    cluster.apply(made)

    def phase() -> str | None:
        seen = cluster.get("pod", name, "-n", namespace)["status"]["phase"]
        return seen if seen in ("Succeeded", "Failed") else None

    ended = str(eventually(phase, what=f"the end of pod {name}"))
    return ended, cluster.kubectl("logs", name, "-n", namespace)
