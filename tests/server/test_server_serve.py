"""A control plane told by a file where tasks run: every mistake is named at the start, and costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flyte_jupyter.cli.main import main as command_line
from flyte_jupyter.server.app import parse

PODS = 'blobs = "s3://bucket"\n[kubernetes.pods'
CLUSTER = '[kubernetes.pods]\nimage = "localhost/task:1"\n'


def given(tmp_path, text, *more):
    file = tmp_path / "serve.toml"
    file.write_text(text)
    return ["--data-dir", str(tmp_path / "data"), "--config", str(file), *more]


def test_a_file_says_where_tasks_run_and_where_data_is(tmp_path):
    gpus = '[kubernetes.pods.resource_tolerations]\n"nvidia.com/gpu" = [{key = "gpu", operator = "Exists"}]\n'
    text = f'blobs = "s3://bucket/data"\nmax_parallelism = 7\n{CLUSTER}{gpus}[kubernetes.graces]\nimage_pull = 9\n'
    settings = parse(given(tmp_path, text, "--stay"))
    assert settings.blobs == "s3://bucket/data"
    assert settings.max_parallelism == 7
    assert settings.kubernetes.pods.image == "localhost/task:1"
    tolerated = settings.kubernetes.pods.resource_tolerations["nvidia.com/gpu"]
    assert list(tolerated) == [{"key": "gpu", "operator": "Exists"}]
    assert settings.kubernetes.graces.image_pull.total_seconds() == 9
    assert settings.linger is None
    assert settings.data_dir == str(tmp_path / "data")


def test_it_may_serve_without_an_engine(tmp_path):
    text = f'blobs = "s3://bucket/data"\n{CLUSTER}'
    assert parse(given(tmp_path, text)).engine
    assert not parse(given(tmp_path, f"engine = false\n{text}")).engine
    assert not parse(given(tmp_path, text, "--no-engine")).engine


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('blobs = "s3://bucket"\n[kubernetes.pod]\nimage = "x"\n', "kubernetes.pod: there is no"),
        (CLUSTER, "blobs: pods cannot read this machine's folders"),
        (f'blobs = "file:///data"\n{CLUSTER}', "blobs: pods cannot read this machine's folders"),
        ('blobs = "s3://bucket"\n', "blobs: an object store needs a table [kubernetes]"),
        ('data_dir = "elsewhere"\n', "data_dir is for the command line"),
        ('[tcp]\nhost = ""\nport = 0\ntoken = ""\n', "--tcp wants a --token"),
        ('[tcp]\nhost = ""\nport = 65536\ntoken = "t"\n', "tcp: port 65536"),
        ("engine = false\n", "engine: one that runs apart needs a table [kubernetes]"),
        ("max_parallelism = 'many'\n", "max_parallelism: expected a whole number"),
        ("max_parallelism =\n", "is not TOML"),
        (
            f'{PODS}.resources]\nrequests = {{memory = "1 GB"}}\n',
            "kubernetes.pods.resources: requests.memory: '1 GB' is no quantity; write it like 2, 500m, 1.5Gi",
        ),
        (
            f'{PODS}.resources.limits]\ncpu = "two"\n',
            "kubernetes.pods.resources: limits.cpu: 'two'",
        ),
        (
            f'{PODS}.resources.most]\n"nvidia.com/gpu" = "-1"\n',
            "kubernetes.pods.resources: most.nvidia.com/gpu: '-1'",
        ),
        (f'{PODS}.copilot]\nmost_cpu = "all"\n', "kubernetes.pods.copilot: most_cpu: 'all'"),
        (f'{PODS}.copilot]\nmemory = ""\n', "kubernetes.pods.copilot: memory: ''"),
        (
            f'{PODS}.templates.base.spec]\ncontainers = "task"\n',
            "kubernetes.pods: templates.base.spec.containers is 'task', and not a list",
        ),
        (
            f"{PODS}.templates.base.metadata]\nlabels = [1]\n",
            "kubernetes.pods: templates.base.metadata.labels is a list, and not an object",
        ),
        (
            f"{PODS}.templates.base.metadata.labels]\nteam = 7\n",
            "kubernetes.pods: templates.base.metadata.labels.team is 7, and not text",
        ),
        (
            f'{PODS}]\nimage_pull_policy = "always"\n',
            "kubernetes.pods: image_pull_policy: 'always' is none of Always, IfNotPresent, Never",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, capsys, text, named):
    with pytest.raises(SystemExit) as ended:
        parse(given(tmp_path, text))
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("kubernetes = 1\n", "kubernetes: expected a table, got 1"),
        ('[kubernetes]\nconnection = "x"\n', "kubernetes.connection: expected a table, got 'x'"),
        ("[kubernetes]\n", "name an object store with --blobs"),
        ("blobs =\n", "is not TOML"),
    ],
)
def test_an_engine_apart_names_it_too(tmp_path, capsys, text, named):
    blobs = "" if "blobs" in named or "blobs" in text else 'blobs = "s3://bucket"\n'
    _, data, _, file = given(tmp_path, blobs + text)
    assert command_line(["engine", "--data-dir", data, "--config", file]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("blobs", "named"),
    [
        ("nowhere://bucket", "The object store nowhere://bucket cannot be used"),
        ("memory://bucket", "absent.kubeconfig cannot be used"),
    ],
)
def test_a_store_or_a_cluster_that_cannot_be_had_ends_it_with_one_line(tmp_path, blobs, named):
    where = f'[kubernetes.connection]\nkubeconfig = "{tmp_path / "absent.kubeconfig"}"\n'
    words = given(tmp_path, f'blobs = "{blobs}"\n{where}{CLUSTER}', "--stay")
    done = subprocess.run(
        [sys.executable, "-m", "flyte_jupyter.server", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1
