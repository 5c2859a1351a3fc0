"""Which attempts can share a worker pod, and what that pod looks like. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes.api import Json
from flyte_jupyter.engine.command import expanded, read_at_start
from flyte_jupyter.engine.pods.manifest import pod_for
from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.naming import (
    DOMAIN,
    EXECUTION,
    INSTALLATION,
    PRIMARY,
    label,
    namespace_of,
    pod_name,
)
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

WARM = "flyte_jupyter.warm"
"""A task's configuration: ``true`` asks for a worker pod that is there already."""
POOL = f"{DOMAIN}/worker-of"
"""Label of worker pods: whose they are. They don't have the label that pods of attempts are found by."""
WORKER_KIND = f"{DOMAIN}/worker-kind"
_PRELOAD = "flyte_jupyter.preload"
_STORES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
_OWN_PROGRAM = "flyte-jupyter-execute"
_OF_ATTEMPT = (
    "execution-id",
    "node-id",
    "task-name",
    "workflow-name",
    "shard-key",
    "interruptible",
)
_PROGRAM = ["python3", "-m", "flyte_jupyter.kernel.runtime.pod_worker"]
ATTEND = [*_PROGRAM, "attend"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Attempts of one kind can run in the same worker pods."""

    name: str
    namespace: str
    pod: str
    """The worker pod's manifest without its name, as JSON."""

    def manifest(self, number: str) -> Manifest:
        """A worker pod of this kind."""
        made: Manifest = json.loads(self.pod)
        made["metadata"]["name"] = f"worker-{self.name}-{number}"
        return made


def wants(spec: AttemptSpec) -> bool:
    """Whether the task asks for a warm worker, and is one that a worker can serve: run by our own entry point."""
    template = spec.template
    words = [*template.container.command, *template.container.args]
    ours = bool(words) and words[0].rpartition("/")[2] == _OWN_PROGRAM
    plain = template.WhichOneof("target") == "container"
    return plain and ours and template.config.get(WARM) == "true"


def kind_of(
    spec: AttemptSpec, settings: PodSettings, linger: float, template: Manifest | None = None
) -> tuple[Kind, Json]:
    """The kind of worker that an attempt needs, and what of the attempt's own pod the worker is told. Raises `PodRefused`.

    Variables with a plain value are the attempt's, and sent with it; the worker has the others (from secrets).
    """
    pod = pod_for(spec, settings, inputs=core.LiteralMap(), template=template)
    own = copy.deepcopy(pod)
    metadata, container = own["metadata"], _primary(own)
    env = {e["name"]: e["value"] for e in container.get("env", ()) if "value" in e}
    # Of a pod that is the attempt's own, Kubernetes would do it.
    argv = expanded([*container.get("command", ()), *container.get("args", ())], env)
    told = {"argv": argv, "env": env}
    container.pop("command", None)
    container["args"] = [*_PROGRAM, "serve", "--linger", f"{linger:g}"]
    container["env"] = [e for e in container.get("env", ()) if "value" not in e]
    labels = {k: v for k, v in metadata["labels"].items() if k not in _OF_ATTEMPT}
    for name in (INSTALLATION, EXECUTION):
        labels.pop(name, None)
    annotations = {
        k: v
        for k, v in metadata["annotations"].items()
        if k == PRIMARY or not k.startswith(f"{DOMAIN}/")
    }
    own["metadata"] = {"namespace": metadata["namespace"], "annotations": annotations}
    bundle = _bundle(argv)
    name = _digest([own["spec"], labels, annotations, bundle, metadata["namespace"]])
    labels |= {POOL: label(settings.installation), WORKER_KIND: name}
    own["metadata"]["labels"] = labels
    return Kind(name, namespace_of(spec.id.run, settings), json.dumps(own)), told


def launch_frame(spec: AttemptSpec, told: Mapping[str, Any], log_bytes: int) -> Json:
    """What a worker is asked to run (``docs/protocol.md``, section 4; its door fills in the folders)."""
    return {
        "op": "launch",
        "key": pod_name(spec.id),
        "attempt": facts(spec.id),
        "argv": told["argv"],
        "env": told["env"],
        "anew": bool(read_at_start(told["env"])),
        "log_limit": log_bytes,
        "preload": _preloads(spec),
    }


def _preloads(spec: AttemptSpec) -> list[str]:
    """What a worker imports once for all its attempts: what the task names, and what its object store is read with."""
    named = spec.template.config.get(_PRELOAD, "").split(",")
    stores = (spec.inputs, spec.output_prefix, spec.raw_output_prefix)
    readers = (_STORES.get(uri.partition("://")[0], "") for uri in stores)
    return sorted(set(filter(None, [*named, *readers])))


def facts(attempt: AttemptId) -> Json:
    """An attempt's id as JSON, for a worker to keep."""
    run = attempt.run
    return {
        "run": [run.project, run.domain, run.name],
        "path": list(attempt.path),
        "attempt": attempt.attempt,
    }


def attempt_from(said: object) -> AttemptId | None:
    """The id that `facts` gave; None when it is none."""
    try:
        assert isinstance(said, dict)
        path: Path = tuple(p if isinstance(p, int) else str(p) for p in said["path"])
        return AttemptId(RunId(*map(str, said["run"])), path, int(said["attempt"]))
    except (AssertionError, KeyError, TypeError, ValueError):
        return None


def worker_selector(settings: PodSettings) -> str:
    """Finds all worker pods of an installation."""
    return f"{POOL}={label(settings.installation)}"


def _primary(pod: Json) -> Json:
    name = pod["metadata"]["annotations"][PRIMARY]
    found: Json = next(c for c in pod["spec"]["containers"] if c["name"] == name)
    return found


def _bundle(argv: list[str]) -> str:
    return next((argv[i + 1] for i, word in enumerate(argv[:-1]) if word == "--bundle"), "")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
