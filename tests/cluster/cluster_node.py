"""The test cluster's one node: containerd and kubelet on this machine, pods on a bridge that leads nowhere else."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from pathlib import Path

from cluster_certificates import Pair
from cluster_places import Network, free_ports, program
from cluster_programs import Program
from cluster_sweep import NETWORK_FILE, group_name, group_roots
from image_archive import Image, write_archive
from task_image import PAUSE_IMAGE, images

# restrict_oom_score_adj: where the machine lacks CAP_SYS_RESOURCE, lowering the score is refused and every sandbox would fail.
CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


class Node:
    """containerd and a kubelet named node1; task images are imported before the kubelet starts."""

    def __init__(self, folder: Path, network: Network, *, pair: Pair, kubeconfig: Path) -> None:
        self.folder = folder
        self.network = network
        self.socket = folder / "containerd.sock"
        self._pair = pair
        self._port, self._health = free_ports(2)
        self._write_configuration()
        self.containerd = Program(
            "containerd", [program("containerd"), "-c", f"{folder}/containerd.toml"], folder,
            ready=lambda: self.socket.exists() and self._answers(),
        )  # fmt: skip
        self.kubelet = Program(
            "kubelet",
            [
                program("kubelet"), f"--config={folder}/kubelet.json", f"--kubeconfig={kubeconfig}",
                "--hostname-override=node1", f"--node-ip={network.host}", f"--root-dir={folder}/kubelet",
            ],
            folder, ready=self._healthy,
        )  # fmt: skip

    def start(self) -> None:
        """Start both, with the images that tests use."""
        self._make_bridge()
        for root in group_roots(self.folder):
            with contextlib.suppress(OSError):
                root.mkdir()
        # in memory: thousands of small files that nobody needs afterwards
        (self.folder / "containerd").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", self.folder / "containerd"], check=True)  # fmt: skip
        self.containerd.start()
        with images() as made:
            for image in made:
                self.import_image(image)
        self.kubelet.start()

    def stop(self) -> None:
        """End both and all containers."""
        self.kubelet.kill()
        if self.containerd.running:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                left = self.ctr("tasks", "ls", "-q").split()
                if left:
                    self.ctr("tasks", "rm", "-f", *left)
        self.containerd.kill()

    def import_image(self, image: Image) -> None:
        """Make an image known to the node; there is no registry.

        Raises:
            AssertionError: containerd refused it; with what it said.
        """
        command = [*self._ctr(), "images", "import", "-"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as importing:
            assert importing.stdin is not None
            assert importing.stdout is not None
            with contextlib.suppress(BrokenPipeError), importing.stdin as out:
                write_archive(image, out)
            told = importing.stdout.read().decode()
        assert importing.returncode == 0, f"import of {image.name}: {told}"

    def ctr(self, *arguments: str) -> str:
        """Run containerd's own command on what belongs to Kubernetes.

        Raises:
            AssertionError: it failed; with what it said.
        """
        done = subprocess.run(
            [*self._ctr(), *arguments],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"ctr {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def _ctr(self) -> list[str]:
        return [program("ctr"), "-a", str(self.socket), "-n", "k8s.io"]

    def _answers(self) -> bool:
        with contextlib.suppress(AssertionError):
            return bool(self.ctr("version"))
        return False

    def _healthy(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as answer,
        ):
            return answer.status == 200
        return False

    def _make_bridge(self) -> None:
        network = self.network
        (self.folder / NETWORK_FILE).write_text(network.bridge)
        subprocess.run(["ip", "link", "delete", network.bridge], check=False, capture_output=True)
        for words in (
            ("link", "add", network.bridge, "address", network.hardware, "type", "bridge"),
            ("address", "add", f"{network.host}/24", "dev", network.bridge),
            ("link", "set", network.bridge, "up"),
        ):
            subprocess.run(["ip", *words], check=True)

    def _write_configuration(self) -> None:
        (self.folder / "containerd.toml").write_text(
            CONTAINERD.format(folder=self.folder, pause=PAUSE_IMAGE)
        )
        ranges = {"type": "host-local", "dataDir": f"{self.folder}/addresses", "ranges": [[{"subnet": self.network.subnet}]]}  # fmt: skip
        bridge = {"type": "bridge", "bridge": self.network.bridge, "ipam": ranges}
        (self.folder / "cni").mkdir()
        (self.folder / "cni" / "10-bridge.conflist").write_text(
            json.dumps({"cniVersion": "1.0.0", "name": "bridge", "plugins": [bridge]})
        )
        (self.folder / "kubelet.json").write_text(json.dumps(self._kubelet()))

    def _kubelet(self) -> dict:
        authority = str(self._pair.certificate.parent / "ca.crt")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.network.host,
            "port": self._port,
            "healthzPort": self._health,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": authority},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(self._pair.certificate),
            "tlsPrivateKeyFile": str(self._pair.key),
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{group_name(self.folder)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "podLogsDir": f"{self.folder}/pod-logs",
            "volumePluginDir": f"{self.folder}/volume-plugins",
            "resolvConf": "",
            "clusterDNS": ["127.0.0.1"],  # no names: nothing leaves this machine
            "makeIPTablesUtilChains": False,
            "maxPods": 200,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "nodeLeaseDurationSeconds": 8,
            "nodeStatusUpdateFrequency": "2s",
        }  # fmt: skip
