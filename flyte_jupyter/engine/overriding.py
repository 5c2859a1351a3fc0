"""A task as one node asks for it: the node's overrides put into the task's template. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from flyte_jupyter.idl import core

PRIMARY_CONTAINER = "primary_container_name"
"""The key of a task's ``config`` that names its own container among those of its pod (Flyte's)."""
GPU = "gpu"
"""A GPU among a pod's resources, whatever the cluster calls one: an installation's settings say that, and Flyte takes this too."""
_NAMES = {
    core.Resources.CPU: "cpu",
    core.Resources.MEMORY: "memory",
    core.Resources.GPU: GPU,
    core.Resources.STORAGE: "ephemeral-storage",
    core.Resources.EPHEMERAL_STORAGE: "ephemeral-storage",
}


def with_overrides(task: core.TaskTemplate, overrides: core.TaskNodeOverrides) -> core.TaskTemplate:
    """The task with a node's resources, image, accelerator, shared memory and pod template in place of its own.

    A pod template that has containers takes the place of the task's container or pod, as in Flyte; resources then go to the
    template's own container, one by one. The task itself is left as it is.
    """
    if not overrides.ListFields():
        return task
    changed = core.TaskTemplate()
    changed.CopyFrom(task)
    if overrides.HasField("pod_template"):
        _replace_pod(changed, overrides.pod_template)
    if overrides.HasField("extended_resources"):
        _replace_extended(changed.extended_resources, overrides.extended_resources)
    in_pod = changed.WhichOneof("target") == "k8s_pod"
    if overrides.HasField("resources"):
        if in_pod:
            _resources_in_pod(changed, overrides.resources)
        else:
            changed.container.resources.CopyFrom(overrides.resources)
    if overrides.container_image:
        if in_pod:
            _image_in_pod(changed, overrides.container_image)
        else:
            changed.container.image = overrides.container_image
    return changed


def _replace_pod(task: core.TaskTemplate, pod: core.K8sPod) -> None:
    """Put a pod in place of what the task has; without containers it gives labels and annotations only, above the task's own."""
    if "containers" in pod.pod_spec.fields:
        task.k8s_pod.CopyFrom(pod)
        if pod.primary_container_name:
            task.config[PRIMARY_CONTAINER] = pod.primary_container_name
    for field in ("labels", "annotations"):
        getattr(task.metadata.metadata, field).update(getattr(pod.metadata, field))


def _replace_extended(given: core.ExtendedResources, wanted: core.ExtendedResources) -> None:
    """Each of the two kinds is taken whole (Flyte's ``applyExtendedResourcesOverrides``)."""
    for field in ("gpu_accelerator", "shared_memory"):
        if wanted.HasField(field):
            getattr(given, field).CopyFrom(getattr(wanted, field))


def _resources_in_pod(task: core.TaskTemplate, wanted: core.Resources) -> None:
    spec = MessageToDict(task.k8s_pod.pod_spec)
    for container in _own_container(task, spec):
        resources = container.setdefault("resources", {})
        for kind, entries in (("requests", wanted.requests), ("limits", wanted.limits)):
            amounts = resources.setdefault(kind, {})
            amounts.update({_NAMES[e.name]: e.value for e in entries if e.name in _NAMES})
    _put(task, spec)


def _image_in_pod(task: core.TaskTemplate, image: str) -> None:
    spec = MessageToDict(task.k8s_pod.pod_spec)
    for container in _own_container(task, spec):
        container["image"] = image
    _put(task, spec)


def _own_container(task: core.TaskTemplate, spec: dict[str, Any]) -> Iterable[dict[str, Any]]:
    name = task.config.get(PRIMARY_CONTAINER) or task.k8s_pod.primary_container_name
    containers = spec.get("containers")
    found = containers if isinstance(containers, list) else []
    return [c for c in found if isinstance(c, dict) and c.get("name") == name]


def _put(task: core.TaskTemplate, spec: dict[str, Any]) -> None:
    task.k8s_pod.pod_spec.Clear()
    ParseDict(spec, task.k8s_pod.pod_spec)
