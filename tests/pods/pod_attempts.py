"""Attempts to make pods of."""

from typing import Any

from google.protobuf.json_format import ParseDict

from flyte_jupyter.engine.pods.manifest import pod_for
from flyte_jupyter.engine.pods.manifests import PodRefused
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

RUN = RunId("flytesnacks", "development", "abc123")
SETTINGS = PodSettings()
TASK = core.Identifier(
    project="flytesnacks", domain="development", name="my.module.train", version="v1"
)


def container_task(**container: Any) -> core.TaskTemplate:
    """A task with one container, given as its message's JSON."""
    message = ParseDict({"image": "example.org/task:1", **container}, core.Container())
    return core.TaskTemplate(id=TASK, type="python-task", container=message)


def pod_task(pod_spec: dict[str, Any], primary: str = "main", **metadata: Any) -> core.TaskTemplate:
    """A task with a pod."""
    message = ParseDict({"pod_spec": pod_spec, "metadata": metadata}, core.K8sPod())
    config = {"primary_container_name": primary} if primary else {}
    return core.TaskTemplate(id=TASK, type="python-task", k8s_pod=message, config=config)


def attempt(task: core.TaskTemplate | None = None, **more: Any) -> AttemptSpec:
    """The first attempt at node n0."""
    facts: dict[str, Any] = {
        "id": AttemptId(RUN, ("n0",), 0),
        "template": task or container_task(),
        "inputs": "s3://bucket/meta/n0/inputs.pb",
        "output_prefix": "s3://bucket/meta/n0/0",
        "raw_output_prefix": "s3://bucket/raw/n0-0",
        "env": {},
        "workflow": "my.module.wf",
        "node": "n0",
    }
    return AttemptSpec(**{**facts, **more})


def pod_of(
    task: core.TaskTemplate | None = None, settings: PodSettings = SETTINGS, **more: Any
) -> dict[str, Any]:
    """The pod of the first attempt."""
    return pod_for(attempt(task, **more), settings)


def body_of(
    task: core.TaskTemplate | None = None, settings: PodSettings = SETTINGS, **more: Any
) -> dict[str, Any]:
    """The ``spec`` of that pod."""
    return pod_of(task, settings, **more)["spec"]


def main_of(
    task: core.TaskTemplate | None = None, settings: PodSettings = SETTINGS, **more: Any
) -> dict[str, Any]:
    """The first container of that pod."""
    return body_of(task, settings, **more)["containers"][0]


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    """Variables by name: their values, or where those come from."""
    found = {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}
    assert len(found) == len(container["env"]), "a variable stands twice"
    return found


def refusal_of(
    task: core.TaskTemplate | None = None, settings: PodSettings = SETTINGS, **more: Any
) -> tuple[str, str]:
    """Code and message of the refusal to make a pod."""
    try:
        made = pod_of(task, settings, **more)
    except PodRefused as e:
        return e.why.code, e.why.message
    raise AssertionError(f"a pod was made: {made}")
