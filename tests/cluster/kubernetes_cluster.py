"""A real Kubernetes of one's own on loopback: etcd, API server, controllers, scheduler and, when asked for, a node."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import urllib.request
from pathlib import Path

from cluster_certificates import Authority
from cluster_node import Node
from cluster_places import free_ports, program, require_built, take_network
from cluster_programs import Program
from cluster_sweep import sweep
from processes import eventually

# Short, so that a test need not wait for minutes until a lost node's pods are given up. Kubernetes' own: 50 s and 300 s.
NODE_LOST_AFTER = 12
GIVEN_UP_AFTER = 5


class Cluster:
    """A running cluster. Made by `Cluster.start`; `folder` holds all of it, logs included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.make(folder / "pki")
        self.ports = dict(
            zip(("etcd", "peer", "api", "controllers", "scheduler"), free_ports(5), strict=True)
        )
        self.url = f"https://127.0.0.1:{self.ports['api']}"
        self.node: Node | None = None
        self._keep = contextlib.ExitStack()
        self.server = self.authority.issue(
            "apiserver",
            "/CN=kube-apiserver",
            hosts=("127.0.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc"),
        )
        self.admin = self.authority.issue("admin", "/O=system:masters/CN=admin")
        self.kubeconfig = self.authority.kubeconfig(folder / "kubeconfig", self.url, self.admin)
        self._trust = ssl.create_default_context(cafile=str(self.authority.pair.certificate))
        self.etcd = self._program("etcd", self._etcd(), f"http://127.0.0.1:{self.ports['etcd']}/health")  # fmt: skip
        self.api_server = self._program("kube-apiserver", self._api_server(), f"{self.url}/readyz")
        self.controllers = self._program("kube-controller-manager", self._controllers(), self._healthz("controllers"))  # fmt: skip
        self.scheduler = self._program("kube-scheduler", self._scheduler(), self._healthz("scheduler"))  # fmt: skip

    @classmethod
    def start(cls, folder: Path, *, node: bool = False) -> Cluster:
        """Start one in an empty folder; with a node, pods really run.

        Raises:
            NotBuilt: its programs aren't there.
            AssertionError: one of them doesn't start; with the end of its log.
        """
        require_built(node=node)
        cluster = cls(folder)
        try:
            for one in (cluster.etcd, cluster.api_server, cluster.controllers, cluster.scheduler):
                one.start()
            cluster.wait_for_namespace("default")
            if node:
                cluster.start_node()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def start_node(self) -> Node:
        """Add the node: containerd and kubelet."""
        network, lock = take_network()
        self._keep.enter_context(lock)
        kubelet = self.authority.issue(
            "kubelet",
            "/O=system:nodes/CN=system:node:node1",
            hosts=("127.0.0.1", network.host, "node1"),
        )
        config = self.authority.kubeconfig(self.folder / "kubelet.kubeconfig", self.url, kubelet)
        self.node = Node(self.folder, network, pair=kubelet, kubeconfig=config)
        self.node.start()
        eventually(
            lambda: "True" in self.kubectl("get", "node", "node1", "--ignore-not-found", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'),
            what="node1 Ready",
        )  # fmt: skip
        return self.node

    @property
    def kubelet(self) -> Program:
        """The node's kubelet, to be paused, killed and restarted."""
        assert self.node is not None, "this cluster has no node"
        return self.node.kubelet

    def kubectl(self, *arguments: str, given: object = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl as the administrator; `given` is an object for its standard input (with `-f -`).

        Raises:
            AssertionError: it failed; with what it said.
        """
        done = subprocess.run(
            [program("kubectl"), "--kubeconfig", str(kubeconfig or self.kubeconfig), *arguments],
            input=None if given is None else json.dumps(given),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def get(self, *arguments: str) -> dict:
        """An object or a list of them, as `kubectl get` finds it."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments))

    def apply(self, *objects: dict) -> None:
        """Create or change objects."""
        self.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": list(objects)})  # fmt: skip

    def make_namespace(self, name: str, *, security: str = "restricted") -> None:
        """A namespace in which pods may run, and must meet a pod security standard."""
        labels = {"pod-security.kubernetes.io/enforce": security}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})  # fmt: skip
        self.wait_for_namespace(name)

    def wait_for_namespace(self, name: str) -> None:
        """Wait for a namespace's default service account: before, the API server refuses pods there."""
        eventually(
            lambda: self.kubectl("get", "serviceaccount", "default", "-n", name, "--ignore-not-found"),
            what=f"the service account of namespace {name}",
        )  # fmt: skip

    def stop(self) -> None:
        """End everything, and leave nothing: no process, mount, network or file."""
        if self.node is not None:
            self.node.stop()
        for one in (self.scheduler, self.controllers, self.api_server, self.etcd):
            one.kill()
        sweep(self.folder)
        self._keep.close()

    def _program(self, name: str, options: list[str], probe: str) -> Program:
        def ready() -> bool:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(probe, timeout=5, context=self._trust if probe.startswith("https") else None) as answer,
            ):  # fmt: skip
                return answer.status == 200
            return False

        return Program(name, [program(name), *options], self.folder, ready=ready)

    def _healthz(self, name: str) -> str:
        return f"https://127.0.0.1:{self.ports[name]}/healthz"

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "peer"))
        return [
            f"--data-dir={self.folder}/etcd", f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync", "--quota-backend-bytes=4294967296",
        ]  # fmt: skip

    def _api_server(self) -> list[str]:
        signing = self.authority.issue("accounts", "/CN=service-accounts")
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.ports['api']}",
            "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
            f"--client-ca-file={self.authority.pair.certificate}", *self._tls(),
            f"--service-account-key-file={signing.certificate}", f"--service-account-signing-key-file={signing.key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
            f"--kubelet-client-certificate={self.admin.certificate}", f"--kubelet-client-key={self.admin.key}",
            f"--kubelet-certificate-authority={self.authority.pair.certificate}",
            "--kubelet-preferred-address-types=InternalIP", "--allow-privileged=true",
            f"--default-not-ready-toleration-seconds={GIVEN_UP_AFTER}", f"--default-unreachable-toleration-seconds={GIVEN_UP_AFTER}",
        ]  # fmt: skip

    def _controllers(self) -> list[str]:
        return [
            *self._client("controllers"), f"--secure-port={self.ports['controllers']}", *self._tls(),
            f"--service-account-private-key-file={self.folder}/pki/accounts.key",
            f"--root-ca-file={self.authority.pair.certificate}",
            "--node-monitor-period=1s", f"--node-monitor-grace-period={NODE_LOST_AFTER}s",
        ]  # fmt: skip

    def _scheduler(self) -> list[str]:
        return [*self._client("scheduler"), f"--secure-port={self.ports['scheduler']}", *self._tls()]  # fmt: skip

    def _client(self, name: str) -> list[str]:
        """How a control loop of Kubernetes' own reaches the API server; each by a name of its own, to be told apart."""
        pair = self.authority.issue(name, f"/O=system:masters/CN={name}")
        config = self.authority.kubeconfig(self.folder / f"{name}.kubeconfig", self.url, pair)
        return [
            f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
            "--leader-elect=false", "--bind-address=127.0.0.1", "--kube-api-qps=1000", "--kube-api-burst=2000",
        ]  # fmt: skip

    def _tls(self) -> list[str]:
        return [
            f"--tls-cert-file={self.server.certificate}",
            f"--tls-private-key-file={self.server.key}",
        ]
