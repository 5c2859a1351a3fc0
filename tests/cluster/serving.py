"""`flyte-jupyter serve` on a cluster: a process that can be killed and started again, and what its clients do with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from cluster_planes import CRD
from flytekit_attempts import fast
from flytekit_platform import Platform, registration
from flytekit_specs import DOMAIN, PROJECT, Specs, specs
from kubernetes_cluster import Cluster
from object_storage import S3Server
from processes import eventually
from task_image import TASK_IMAGE

from flyte_jupyter.idl import admin, core
from flyte_jupyter.supervisor import Endpoint, status

NAMESPACE = f"{PROJECT}-{DOMAIN}"
CODE = "s3://flyte/code/programs.tar.gz"
TOKEN = "a-token-for-tests"


class Served:
    """The control plane of one data folder. `start` it; after `kill` it can be started again."""

    def __init__(self, folder: Path, cluster: Cluster, s3: S3Server, extra: str = "") -> None:
        self.folder, self.cluster, self.s3 = folder, cluster, s3
        self.config = folder / "serve.toml"
        self.config.write_text(configuration(account(cluster, folder), s3, extra))
        self.log = folder / "serve.out"
        self.process: subprocess.Popen | None = None
        self.endpoint = Endpoint("")

    def start(self) -> Served:
        command = [
            sys.executable, "-m", "flyte_jupyter.cli.main", "serve",
            "--config", str(self.config), "--tcp", "127.0.0.1:0", "--token", TOKEN,
        ]  # fmt: skip
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLYTE_JUPYTER_")}
        env |= {"FLYTE_JUPYTER_DATA_DIR": str(self.folder / "data"), **self.s3.environment}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env)

        def listens() -> str | None:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"listening on (\S+)", self.log.read_text())
            return found[1] if found else None

        self.endpoint = Endpoint(str(eventually(listens, what=f"it listens: {self.log}")), TOKEN)
        return self

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        """As an operator would; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    @property
    def platform(self) -> Platform:
        return Platform(self.endpoint)

    def status(self) -> dict:
        return dict(status(self.endpoint))

    def register(self, module: str) -> Specs:
        """A module of flytekit's, its code uploaded apart from the image."""
        made = specs(module, bare=True)
        for name, spec in made.entities:
            ours = admin.TaskSpec.FromString(spec.SerializeToString()) if isinstance(spec, admin.TaskSpec) else spec  # fmt: skip
            if isinstance(ours, admin.TaskSpec):
                container = ours.template.container
                container.args[:] = fast(list(container.args), CODE, "/tmp")
            self.post(*registration(name, ours))
        return made

    def post(self, path: str, message) -> bytes:
        answer = self.platform.call("POST", path, message.SerializeToString())
        assert answer.status == 200, answer.body
        return answer.body

    def ended(self, run: str) -> admin.Execution:
        """The execution at its end; importing flytekit in many pods takes its time on a busy machine."""
        over = (
            core.WorkflowExecution.SUCCEEDED,
            core.WorkflowExecution.FAILED,
            core.WorkflowExecution.ABORTED,
        )

        def look() -> admin.Execution | None:
            found = self.platform.execution(run)
            return found if found.closure.phase in over else None

        found = eventually(look, within=500, what=f"the end of {run}")
        assert isinstance(found, admin.Execution)
        return found

    def pods(self, run: str = "") -> list[dict]:
        """Pods, of one execution or of all."""
        wanted = ["-l", f"execution-id={run}"] if run else []
        return self.cluster.get("pods", "-n", NAMESPACE, *wanted)["items"]

    def handle(self, run: str) -> list[str]:
        """What ``kubectl get`` shows of an execution."""
        table = self.cluster.kubectl("get", "flyteworkflows", run, "-n", NAMESPACE, "--no-headers")
        return table.split()


def configuration(kubeconfig: Path, s3: S3Server, extra: str = "") -> str:
    env = "\n".join(f'{name} = "{value}"' for name, value in s3.environment.items())
    return f"""
blobs = "s3://flyte/served"
max_parallelism = 50
{extra}
[kubernetes]
kill_seconds = 1
[kubernetes.connection]
kubeconfig = "{kubeconfig}"
[kubernetes.graces]
image_pull = 3
[kubernetes.pods]
installation = "served"
image = "{TASK_IMAGE}"
image_pull_policy = "IfNotPresent"
[kubernetes.pods.copilot]
image = "{TASK_IMAGE}"
[kubernetes.pods.resources]
requests = {{cpu = "20m", memory = "64Mi"}}
limits = {{cpu = "2", memory = "1Gi"}}
[kubernetes.pods.env]
{env}
"""


def account(cluster: Cluster, folder: Path) -> Path:
    """A kubeconfig of the service account that `deploy/rbac.yaml` makes, so that its rights are known to be enough."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flyte-jupyter"}})
    cluster.kubectl("apply", "-f", str(CRD.with_name("rbac.yaml")))
    token = cluster.kubectl("create", "token", "flyte-jupyter", "-n", "flyte-jupyter", "--duration=8h")  # fmt: skip
    file = folder / "account.kubeconfig"
    file.write_bytes(cluster.kubeconfig.read_bytes())
    cluster.kubectl("config", "set-credentials", "account", f"--token={token.strip()}", kubeconfig=file)  # fmt: skip
    cluster.kubectl("config", "set-context", "--current", "--user=account", kubeconfig=file)
    return file


def define(cluster: Cluster) -> None:
    """Executions as objects of the cluster."""
    cluster.kubectl("apply", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", "crd/flyteworkflows.flyte-jupyter.dev")
