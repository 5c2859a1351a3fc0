"""Where a pod may run: tolerations, node selectors and affinities, for interruptible attempts and for accelerators."""

from __future__ import annotations

import copy

from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.idl import core


def placed(spec: Manifest, settings: PodSettings, *, interruptible: bool) -> Manifest:
    """A pod's ``spec`` with the settings' tolerations before its own, selectors below its own, and what an interruptible one may have."""
    made = dict(spec)
    tolerations = [*settings.tolerations, *_for_resources(spec, settings)]
    if interruptible:
        tolerations += settings.interruptible_tolerations
    made["tolerations"] = _once([*tolerations, *(spec.get("tolerations") or ())])
    selector = {**settings.node_selector, **(spec.get("nodeSelector") or {})}
    if interruptible:
        selector |= settings.interruptible_selector
    made["nodeSelector"] = selector
    made["affinity"] = copy.deepcopy(spec.get("affinity") or settings.affinity or {})
    if settings.scheduler:
        made.setdefault("schedulerName", settings.scheduler)
    if settings.priority_class:
        made.setdefault("priorityClassName", settings.priority_class)
    return made


def kept_apart(spec: Manifest, settings: PodSettings, *, interruptible: bool) -> Manifest:
    """A pod's ``spec`` that goes to nodes of its kind only. After its template's: each alternative of an affinity must say so."""
    requirement = (
        settings.interruptible_requirement
        if interruptible
        else settings.non_interruptible_requirement
    )
    if not requirement:
        return spec
    return spec | {"affinity": required(spec.get("affinity") or {}, requirement)}


def accelerated(spec: Manifest, wanted: core.ExtendedResources, settings: PodSettings) -> Manifest:
    """A pod's ``spec`` with what its accelerator asks of nodes. Nothing when no container asks for a GPU (Flyte's rule)."""
    rules = settings.accelerators
    accelerator = wanted.gpu_accelerator
    if not wanted.HasField("gpu_accelerator") or rules.resource not in _asked(spec, "limits"):
        return spec
    made = copy.deepcopy(spec)
    affinity: Manifest = made.get("affinity") or {}
    tolerations = list(made.get("tolerations") or ())
    labels = []
    if accelerator.device:
        labels.append((rules.device_label, accelerator.device))
    match accelerator.WhichOneof("partition_size_value"):
        case "partition_size":
            labels.append((rules.partition_label, accelerator.partition_size))
        case "unpartitioned" if accelerator.unpartitioned:
            absent = {"key": rules.partition_label, "operator": "DoesNotExist"}
            affinity = required(affinity, rules.unpartitioned_requirement or absent)
            tolerations += [rules.unpartitioned_toleration] * bool(rules.unpartitioned_toleration)
    for key, value in labels:
        affinity = required(affinity, {"key": key, "operator": "In", "values": [value]})
        tolerations.append(
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
        )
    made["affinity"], made["tolerations"] = affinity, _once(tolerations)
    return made


def with_shared_memory(spec: Manifest, wanted: core.ExtendedResources, primary: str) -> Manifest:
    """A pod's ``spec`` with the shared memory volume that the task asks for, at ``/dev/shm`` unless it says where."""
    if not wanted.HasField("shared_memory"):
        return spec
    memory = wanted.shared_memory
    name = memory.mount_name or "flyte-shared-memory"
    volume: Manifest = {"name": name, "emptyDir": {"medium": "Memory"}}
    if memory.size_limit:
        volume["emptyDir"]["sizeLimit"] = memory.size_limit
    mount = {"name": name, "mountPath": memory.mount_path or "/dev/shm"}  # noqa: S108 - in a pod
    made = copy.deepcopy(spec)
    made["volumes"] = [*(v for v in made.get("volumes") or () if v.get("name") != name), volume]
    for container in made["containers"]:
        if container.get("name") == primary:
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    return made


def required(affinity: Manifest, requirement: Manifest) -> Manifest:
    """An affinity that asks this of every node too. Its terms are alternatives, so each of them asks it."""
    made = copy.deepcopy(affinity)
    nodes = made.setdefault("nodeAffinity", {})
    wanted = nodes.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = wanted.setdefault("nodeSelectorTerms", [])
    if not terms:
        terms.append({})
    for term in terms:
        term.setdefault("matchExpressions", []).append(copy.deepcopy(requirement))
    return made


def _for_resources(spec: Manifest, settings: PodSettings) -> list[Manifest]:
    asked = {*_asked(spec, "requests"), *_asked(spec, "limits")}
    return [
        each
        for name, tolerations in settings.resource_tolerations.items()
        if name in asked
        for each in tolerations
    ]


def _asked(spec: Manifest, kind: str) -> set[str]:
    """The resources that the containers of a pod ask for."""
    return {
        name
        for container in spec.get("containers") or ()
        for name in (container.get("resources") or {}).get(kind) or ()
    }


def _once(items: list[Manifest]) -> list[Manifest]:
    kept: list[Manifest] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept
