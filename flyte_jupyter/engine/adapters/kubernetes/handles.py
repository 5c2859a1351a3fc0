"""The custom resource of an execution: what it says, and what is made of it. Pure.

It is a handle, not a record: its spec asks for an execution, its status shows how the execution stands, and nothing of it is ever
read back as state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from flyte_jupyter.engine.adapters.kubernetes.api import Json
from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.naming import (
    DOMAIN,
    EXECUTION,
    INSTALLATION,
    label,
    namespace_of,
    run_digest,
)
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.idl.ids import EntityKind, RunId

GROUP, VERSION, PLURAL, KIND = DOMAIN, "v1alpha1", "flyteworkflows", "FlyteWorkflow"
FINALIZER = f"{DOMAIN}/execution"
REJECTED, UNKNOWN, UNCLAIMED, WAITING = "REJECTED", "UNKNOWN", "UNCLAIMED", "WAITING"
_MOST_MESSAGE = 1000
_MOST_NAME = 63
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_KINDS = {
    "launchPlan": EntityKind.LAUNCH_PLAN,
    "workflow": EntityKind.WORKFLOW,
    "task": EntityKind.TASK,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """An execution that somebody asks for with a custom resource."""

    run: RunId
    kind: EntityKind
    name: str
    version: str
    """Empty: the newest; of a launch plan, the active one."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """As JSON, by name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an execution stands, as far as a handle shows it."""

    run: RunId
    phase: str
    """Flyte's name for it: ``RUNNING``, ``SUCCEEDED``, ..."""
    final: bool
    done: int = 0
    total: int = 0
    """Nodes of the workflow itself, ended ones and all; 0 when nobody knows."""
    message: str = ""
    workflow: str = ""
    started: datetime | None = None
    ended: datetime | None = None


class BadWish(Exception):
    """The spec of a custom resource asks for nothing that can be launched: why, and what to write."""


class NotYet(Exception):
    """What a wish names is not registered (yet), in words."""


class Launcher(Protocol):
    """The control plane's door for handles. Failures that may pass are raised."""

    async def launch(self, wish: Wish) -> str:
        """Create the execution if it is absent. Empty, or why there will never be one. Raises `NotYet`."""

    async def abort(self, run: RunId, cause: str) -> None:
        """Ask for its end; nothing if it is unknown or over."""


def path_of(namespace: str = "", name: str = "", part: str = "") -> str:
    """Where handles stand in the API: all, those of a namespace, one, or a part of one."""
    where = f"/apis/{GROUP}/{VERSION}"
    if namespace:
        where += f"/namespaces/{namespace}"
    return "/".join(filter(None, [f"{where}/{PLURAL}", name, part]))


def handle_name(run: RunId, settings: PodSettings) -> str:
    """The name of an execution's handle: the execution's, where namespaces keep projects and domains apart."""
    apart = all(f"{{{{{word}}}}}" in settings.namespace for word in ("project", "domain"))
    if apart and _DNS.fullmatch(run.name) and len(run.name) <= _MOST_NAME:
        return run.name
    readable = re.sub(r"[^a-z0-9]+", "-", run.name.lower()).strip("-")[: _MOST_NAME - 11]
    return f"{readable or 'run'}-{run_digest(run)[:10]}"


def labels_of(run: RunId, settings: PodSettings) -> dict[str, str]:
    """What says whose handle it is, and of which execution."""
    return {
        "app.kubernetes.io/managed-by": "flyte-jupyter",
        "project": label(run.project),
        "domain": label(run.domain),
        INSTALLATION: label(settings.installation),
        EXECUTION: run_digest(run),
    }


def handle_of(run: RunId, workflow: str, settings: PodSettings) -> Manifest:
    """The handle of an execution that was launched elsewhere."""
    spec = {"project": run.project, "domain": run.domain, "execution": run.name}
    if workflow:
        spec["workflowName"] = workflow
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "name": handle_name(run, settings),
            "namespace": namespace_of(run, settings),
            "labels": labels_of(run, settings),
            "finalizers": [FINALIZER],
        },
        "spec": spec,
    }


def run_of(handle: Json) -> RunId:
    """The execution that a handle is of. Raises `BadWish`."""
    spec = handle.get("spec") or {}
    words = [spec.get("project"), spec.get("domain")]
    if not all(isinstance(word, str) and word for word in words):
        raise BadWish("spec.project and spec.domain are needed: where the execution belongs")
    name = str(spec.get("execution") or handle["metadata"]["name"])
    return RunId(str(words[0]), str(words[1]), name)


def wish_of(handle: Json) -> Wish:
    """What a handle that somebody wrote asks for. Raises `BadWish`."""
    spec = handle.get("spec") or {}
    named = [word for word in _KINDS if spec.get(word)]
    if len(named) != 1:
        raise BadWish("spec needs one of launchPlan, workflow and task, with a name and a version")
    (word,) = named
    entity = spec[word]
    if not isinstance(entity, dict) or not isinstance(entity.get("name"), str):
        raise BadWish(f"spec.{word}.name is needed: what to launch")
    inputs = spec.get("inputs") or {}
    if not isinstance(inputs, dict):
        raise BadWish("spec.inputs is an object with a value for each input")
    version = str(entity.get("version") or "")
    return Wish(run_of(handle), _KINDS[word], entity["name"], version, inputs)


def is_wish(handle: Json) -> bool:
    """Whether somebody asks for an execution with it, rather than that it shows one launched elsewhere."""
    return not (handle.get("spec") or {}).get("execution")


def status_of(standing: Standing) -> Json:
    """The status that a handle is to show."""
    run = standing.run
    status: Json = {
        "phase": standing.phase,
        "execution": {"project": run.project, "domain": run.domain, "name": run.name},
        "message": cut(standing.message),
        "startedAt": _time(standing.started),
        "endedAt": _time(standing.ended),
    }
    if standing.total:
        status["progress"] = f"{standing.done}/{standing.total}"
    return {name: value for name, value in status.items() if value}


def rejection(handle: Json, why: str, phase: str = REJECTED) -> Json:
    """The status of a handle that comes to nothing, as long as it stays as it is."""
    status = {"phase": phase, "message": cut(why)}
    generation = handle["metadata"].get("generation")
    return status | ({"observedGeneration": generation} if generation is not None else {})


def wait_for(handle: Json, why: str) -> Json:
    """The status of a handle that is tried again until what it names is there."""
    return rejection(handle, f"{why} (tried again until it is there)", WAITING)


def phase_of(handle: Json) -> str:
    """The phase that it shows; empty when nothing has been made of it."""
    return str((handle.get("status") or {}).get("phase") or "")


def is_rejected(handle: Json) -> bool:
    """Whether what it asks for has been rejected; once its spec is corrected it asks for something else."""
    now = handle["metadata"].get("generation")
    seen = (handle.get("status") or {}).get("observedGeneration", now)
    return phase_of(handle) == REJECTED and bool(seen == now)


def change_to(status: Json, now: object) -> Json:
    """The merge patch that makes a status, which may have been edited by hand, this one; empty when it is."""
    was = now if isinstance(now, dict) else {}
    change = {name: value for name, value in status.items() if was.get(name) != value}
    return change | {name: None for name in was if name not in status}


def owner_reference(handle: Json) -> Manifest:
    """The entry of ``metadata.ownerReferences`` for what a handle owns."""
    metadata = handle["metadata"]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def cut(text: str) -> str:
    """A message short enough for an object that is to stay small."""
    return text if len(text) <= _MOST_MESSAGE else f"{text[:_MOST_MESSAGE]}…"


def slim(handle: Json) -> Json:
    """What is kept of a handle in memory."""
    metadata = handle["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "labels", "finalizers", "generation")
    times = "creationTimestamp", "deletionTimestamp"
    kept = {name: metadata[name] for name in (*names, *times) if name in metadata}
    spec = handle.get("spec") or {}
    claimed = INSTALLATION in (metadata.get("labels") or {})
    settled = is_rejected(handle) or phase_of(handle) not in ("", REJECTED, UNCLAIMED, WAITING)
    if claimed and settled and len(json.dumps(spec)) > _MOST_MESSAGE:
        spec = {name: spec[name] for name in ("project", "domain", "execution") if name in spec}
    return {"metadata": kept, "spec": spec, "status": handle.get("status")}


def _time(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else ""
