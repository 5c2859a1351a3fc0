"""The test cluster does what tests rely on, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_places import NotBuilt, program, require_built, running_folder
from cluster_sweep import groups, mounts, processes, sweep
from kubernetes_cluster import Cluster
from object_storage import S3Server
from processes import alive, eventually
from task_image import USER
from task_pods import pod, run


def test_the_control_plane_alone_accepts_pods(control_plane_cluster):
    cluster = control_plane_cluster
    cluster.make_namespace("alone")
    cluster.apply(pod("waiting", "alone", "true"))
    assert cluster.get("pod", "waiting", "-n", "alone")["status"]["phase"] == "Pending"
    told = json.loads(cluster.kubectl("version", "-o", "json"))
    assert told["serverVersion"]["gitVersion"] == told["clientVersion"]["gitVersion"] != "v0.0.0"


def test_the_restricted_standard_is_enforced(control_plane_cluster):
    control_plane_cluster.make_namespace("strict")
    made = pod("loose", "strict", "true")
    del made["spec"]["containers"][0]["securityContext"]
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest"'):
        control_plane_cluster.apply(made)


def test_a_pod_runs_python_without_rights(node_cluster, namespace):
    code = "import os, tempfile; tempfile.TemporaryFile().write(b'x'); print('user', os.getuid())"
    assert run(node_cluster, pod("python", namespace, "python", "-c", code)) == ("Succeeded", f"user {USER}\n")  # fmt: skip


def test_a_pod_that_fails_is_failed(node_cluster, namespace):
    made = pod("failing", namespace, "python", "-c", "raise SystemExit(7)")
    assert run(node_cluster, made)[0] == "Failed"
    status = node_cluster.get("pod", "failing", "-n", namespace)["status"]
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7


def test_the_task_image_has_both_sdks(node_cluster, namespace):
    code = (
        "import flytekit, s3fs, flyte_jupyter.kernel.runtime.entrypoint, flyte_jupyter, shutil\n"
        "print(flytekit.__version__, flyte_jupyter.__file__)\n"
        "print(all(map(shutil.which, ['pyflyte-execute', 'pyflyte-fast-execute', 'pyflyte-map-execute', 'flyte-jupyter-execute'])))"
    )
    ended, printed = run(node_cluster, pod("sdks", namespace, "python", "-c", code))
    assert ended == "Succeeded"
    assert printed.splitlines() == [
        "1.16.31 /opt/flyte-jupyter/flyte_jupyter/__init__.py",
        "True",
    ]


def test_the_commands_of_flytekit_run_and_tar_is_gnus(node_cluster, namespace):
    script = "tar --version | head -1 && gzip --version | head -1 && pyflyte-execute --help > /tmp/help && grep -c Usage /tmp/help"
    ended, printed = run(node_cluster, pod("commands", namespace, "sh", "-c", script))
    tar, gzip, usage = printed.splitlines()
    assert ended == "Succeeded"
    assert tar.startswith("tar (GNU tar)")
    assert gzip.startswith("gzip ")
    assert usage == "1"


def test_an_attempts_storage_is_the_same_with_s3fs_and_without(node_cluster, namespace, s3_server):
    """What is missing is said by s3fs; what is there needs none of it."""
    s3_server.put("flyte", "storage/from-host", b"hello")
    code = (
        "import sys; from flyte_jupyter.kernel.runtime import storage\n"
        "assert storage.read('s3://flyte/storage/from-host') == b'hello'\n"
        "storage.write('s3://flyte/storage/from-pod', b'hello back')\n"
        "assert 's3fs' not in sys.modules\n"
        "try: storage.read('s3://flyte/storage/nothing')\n"
        "except FileNotFoundError: print('missing')\n"
    )
    made = pod("storage-itself", namespace, "python", "-c", code, env=s3_server.environment)
    said = run(node_cluster, made)
    assert said[0] == "Succeeded", said[1]
    assert said[1] == "missing\n"
    assert s3_server.get("flyte", "storage/from-pod") == b"hello back"


def test_a_pod_and_this_machine_meet_in_object_storage(node_cluster, namespace, s3_server):
    s3_server.put("flyte", "from/host", b"hello")
    code = (
        "import s3fs; files = s3fs.S3FileSystem()\n"
        "files.pipe('flyte/from/pod', files.cat('flyte/from/host') + b' back')"
    )
    made = pod("storage", namespace, "python", "-c", code, env=s3_server.environment)
    assert run(node_cluster, made)[0] == "Succeeded"
    assert s3_server.get("flyte", "from/pod") == b"hello back"


def test_stopping_leaves_nothing():
    with running_folder() as folder:
        cluster = Cluster.start(folder, node=True)
        assert cluster.node is not None
        bridge = Path("/sys/class/net") / cluster.node.network.bridge
        cluster.make_namespace("busy")
        cluster.apply(pod("long", "busy", "sleep", "1000"))
        eventually(
            lambda: cluster.get("pod", "long", "-n", "busy")["status"]["phase"] == "Running",
            what="the pod running",
        )
        running = processes(folder)
        assert len(running) >= 8  # six programs, a shim and two containers
        assert mounts(folder)
        assert bridge.exists()
        cluster.stop()
        assert not any(map(alive, running))
        assert not processes(folder)
        assert not mounts(folder)
        assert not groups(folder)
        assert not bridge.exists()
        assert not folder.exists()
        remembered = Path("/var/lib/cni/results").glob("*")
        assert not [file for file in remembered if str(folder) in file.read_text()]


def test_what_a_killed_run_left_is_swept_by_the_next():
    started = "import sys; sys.path[:0] = sys.argv[1:]; from cluster_places import *; from kubernetes_cluster import Cluster\n"
    started += "context = running_folder(); folder = context.__enter__(); Cluster.start(folder); print(folder, flush=True)\n"
    started += "input()"
    here = Path(__file__).resolve().parent
    killed = subprocess.Popen(
        [sys.executable, "-c", started, str(here), str(here.parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with killed:
        assert killed.stdout is not None
        left = Path(killed.stdout.readline().strip())
        assert left.is_dir()
        killed.kill()
    assert processes(left)
    with running_folder():
        assert not processes(left)
        assert not left.exists()


def test_a_running_cluster_is_not_swept(control_plane_cluster):
    with running_folder():
        assert control_plane_cluster.get("namespace", "default")["kind"] == "Namespace"


def test_sweeping_nothing_is_no_error(tmp_path):
    sweep(tmp_path / "never-was")


def test_object_storage_ends(tmp_path):
    server = S3Server.start(tmp_path)
    assert server.program.running
    server.stop()
    assert not server.program.running


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("cluster_places.CACHE", tmp_path)
    with pytest.raises(NotBuilt, match=r"kubelet.*Run: make cluster"):
        require_built(node=True)
    with pytest.raises(NotBuilt, match="Run: make cluster"):
        program("etcd")


def test_the_api_server_comes_back_with_its_data(control_plane_cluster):
    cluster = control_plane_cluster
    cluster.make_namespace("kept")
    cluster.api_server.restart()
    assert cluster.get("namespace", "kept")["metadata"]["name"] == "kept"
