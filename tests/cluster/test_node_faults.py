"""What tests may do to the node: its kubelet crashes and comes back, or is silent for so long that its pods are given up."""

from __future__ import annotations

from kubernetes_cluster import Cluster
from processes import eventually
from task_pods import pod


def status(cluster: Cluster, name: str, namespace: str) -> dict:
    return cluster.get("pod", name, "-n", namespace)["status"]


def ready(cluster: Cluster) -> str:
    conditions = cluster.get("node", "node1")["status"]["conditions"]
    return next(c["status"] for c in conditions if c["type"] == "Ready")


def succeeds(cluster: Cluster, *arguments: str) -> bool:
    """Whether kubectl gets its way: a kubelet that has just started doesn't know its pods yet."""
    try:
        cluster.kubectl(*arguments)
    except AssertionError:
        return False
    return True


def start(cluster: Cluster, name: str, namespace: str, script: str) -> str:
    """Start a pod. Gives its container's id once it runs."""
    cluster.apply(pod(name, namespace, "sh", "-c", script))
    eventually(lambda: status(cluster, name, namespace)["phase"] == "Running", what="it running")
    return status(cluster, name, namespace)["containerStatuses"][0]["containerID"]


def test_a_pod_outlives_the_crash_of_the_kubelet(node_cluster, namespace):
    cluster = node_cluster
    script = "trap 'exit 0' TERM; while ! test -e /tmp/go; do sleep 0.1; done"
    begun = start(cluster, "outlives", namespace, script)
    cluster.kubelet.kill()
    assert status(cluster, "outlives", namespace)["phase"] == "Running"
    cluster.kubelet.start()
    eventually(lambda: ready(cluster) == "True", what="the node ready again")
    inside = ("exec", "outlives", "-n", namespace, "--")
    eventually(lambda: succeeds(cluster, *inside, "touch", "/tmp/go"), what="the kubelet knows it")
    eventually(
        lambda: status(cluster, "outlives", namespace)["phase"] == "Succeeded", what="its end"
    )
    ended = status(cluster, "outlives", namespace)["containerStatuses"][0]
    assert (ended["containerID"], ended["restartCount"]) == (begun, 0)


def test_a_silent_node_is_lost_with_its_pods_and_comes_back(node_cluster, namespace, spare_node):
    cluster = node_cluster
    start(cluster, "lost", namespace, "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    cluster.kubelet.pause()
    try:
        eventually(lambda: ready(cluster) == "Unknown", what="the node lost")
        eventually(
            lambda: "deletionTimestamp" in cluster.get("pod", "lost", "-n", namespace)["metadata"],
            what="its pod given up",
        )
        assert status(cluster, "lost", namespace)["phase"] == "Running"  # nobody knows better
    finally:
        cluster.kubelet.resume()
    eventually(lambda: ready(cluster) == "True", what="the node back")
    eventually(
        lambda: not cluster.kubectl("get", "pod", "lost", "-n", namespace, "--ignore-not-found"),
        what="the pod gone for good",
    )
