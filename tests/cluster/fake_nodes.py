"""Fake nodes on a real API server (KWOK), for scale: pods are scheduled, run and end without any process."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass

from cluster_places import program
from cluster_programs import Program
from kubernetes_cluster import Cluster
from processes import eventually

LABEL = "flyte-jupyter.test/fake-node"
# A pod with this label stays running until it is deleted; with this annotation it ends with that exit code.
STAYS = "flyte-jupyter.test/stays"
EXIT_CODE = "flyte-jupyter.test/exit-code"

# With KWOK's own four, pods would wait for it in a queue, and not for the API server.
OPTIONS = {
    "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
    "kind": "KwokConfiguration",
    "options": {"podPlayStageParallelism": 16},
}
LIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
GONE = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
STATES = """\
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  restartCount: 0
  %s
{{ end }}
"""
RUNNING = (
    "{{ $now := Now }}\nphase: Running\nstartTime: {{ $now | Quote }}\n"
    'conditions:\n- {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}\n'
    + STATES
    % "ready: true\n  state: {running: {startedAt: {{ $now | Quote }}}}"
)
ENDED = (
    "{{ $now := Now }}\n{{ $begun := or .status.startTime $now }}\n"
    f'{{{{ $code := or (index (or .metadata.annotations dict) "{EXIT_CODE}") "0" }}}}\n'
    'phase: {{ if eq $code "0" }}Succeeded{{ else }}Failed{{ end }}\n'
    + STATES
    % (
        'ready: false\n  state: {terminated: {exitCode: {{ $code }}, reason: {{ if eq $code "0" }}Completed{{ else }}Error{{ end }}, '
        "startedAt: {{ $begun | Quote }}, finishedAt: {{ $now | Quote }}}}"
    )
)
READY = (
    "{{ $now := Now }}\nconditions:\n"
    '- {type: Ready, status: "True", reason: FakeNode, message: "", lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }}}\n'
)


@dataclass
class FakeNodes:
    """A running KWOK with its nodes."""

    cluster: Cluster
    program: Program
    names: list[str]

    @classmethod
    def start(
        cls, cluster: Cluster, *, number: int = 4, pods_each: int = 5000, closed: bool = False
    ) -> FakeNodes:
        """Add fake nodes to a cluster and wait until they are ready; on closed ones no pod is scheduled."""
        config = cluster.folder / "kwok.yaml"
        config.write_text("\n---\n".join(map(json.dumps, [OPTIONS, *stages()])))
        command = [
            program("kwok"), f"--kubeconfig={cluster.kubeconfig}", f"--config={config}",
            f"--manage-nodes-with-label-selector={LABEL}=", "--node-lease-duration-seconds=24", "-v=WARN", "--cidr=10.250.0.0/16",
        ]  # fmt: skip
        names = [f"fake-{n}" for n in range(number)]
        cluster.apply(*(node(name, pods_each, closed=closed) for name in names))
        kwok = Program("kwok", command, cluster.folder, ready=lambda: True)
        kwok.start()
        made = cls(cluster, kwok, names)
        try:
            eventually(made._all_ready, what=f"fake nodes ready: {kwok.log}")
        except BaseException:
            made.stop()
            raise
        return made

    def stop(self) -> None:
        """Take the nodes away, and their pods with them."""
        self.program.kill()
        self.cluster.kubectl("delete", "nodes", "-l", LABEL)

    def _all_ready(self) -> bool:
        assert self.program.running, self.program.tail()
        nodes = self.cluster.get("nodes", "-l", LABEL)["items"]
        return len(nodes) == len(self.names) and all(
            not [t for t in n["spec"].get("taints", []) if "node.kubernetes.io" in t["key"]]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", []))
            for n in nodes
        )  # fmt: skip


def node(name: str, pods: int, *, closed: bool) -> dict:
    """A node as its kubelet would announce it."""
    room = {"cpu": "10k", "memory": "10Ti", "ephemeral-storage": "10Ti", "pods": str(pods)}
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    labels = {LABEL: "", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch}  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": LABEL, "effect": "NoSchedule"}] if closed else []},
        "status": {"allocatable": room, "capacity": room},
    }


def stages() -> list[dict]:
    """What becomes of nodes and pods: each step is taken at once."""
    not_ready = {
        "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
        "operator": "NotIn",
        "values": ["True"],
    }
    return [
        stage("node-ready", "Node", [not_ready], {"statusTemplate": READY}),
        stage("pod-runs", "Pod", [LIVE, phase("Pending")], {"statusTemplate": RUNNING}),
        stage("pod-ends", "Pod", [LIVE, phase("Running"), unless(STAYS)], {"statusTemplate": ENDED}),
        # The API server waits for no kubelet to remove what has ended.
        stage("pod-goes", "Pod", [GONE, phase("Pending", "Running")], {"finalizers": {"empty": True}, "delete": True}),
    ]  # fmt: skip


def phase(*names: str) -> dict:
    return {"key": ".status.phase", "operator": "In", "values": [*names]}


def unless(label: str) -> dict:
    return {"key": f'.metadata.labels["{label}"]', "operator": "DoesNotExist"}


def stage(name: str, kind: str, when: list[dict], then: dict) -> dict:
    """One step in KWOK's own words."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": then,
        },
    }
