"""What a pod is called, and whose it is: from an attempt to names and labels, and back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache

from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl.ids import AttemptId, Path, RunId, path_text

DOMAIN = "flyte-jupyter.dev"
INSTALLATION = f"{DOMAIN}/installation"
"""Label: whose pod it is."""
EXECUTION = f"{DOMAIN}/execution"
"""Label: a digest of the run's whole name, so that one selector finds all of a run's pods."""
ATTEMPT = f"{DOMAIN}/attempt"
"""Annotation: the attempt, as JSON."""
PRIMARY = f"{DOMAIN}/primary-container"
"""Annotation: the container whose end is the attempt's end."""
UPLOADER = f"{DOMAIN}/uploader"
"""Annotation: the container that carries the outputs away, when there is one."""

_MOST_LABEL = 63
_REMEMBERED = 2048
"""Names that are kept: each is asked for several times on the way from an attempt to its pod and back."""
_DIGEST = 10
_PLACEHOLDER = re.compile(r"\{\{\s*(project|domain)\s*\}\}")


@lru_cache(_REMEMBERED)
def pod_name(attempt: AttemptId) -> str:
    """The name of an attempt's pod: always the same one, a DNS label, and no other attempt's of any project.

    It begins with words to read and ends with a digest, since node ids may hold what names may not and run names
    are unique only within a domain.
    """
    words = f"{attempt.run.name}-{path_text(attempt.path)}-{attempt.attempt}"
    digest = _digest(json.dumps(_facts(attempt), sort_keys=True))
    readable = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    if not readable[:1].isalpha():
        readable = f"a-{readable}".rstrip("-")
    return f"{readable[: _MOST_LABEL - _DIGEST - 1].rstrip('-')}-{digest}"


def namespace_of(run: RunId, settings: PodSettings) -> str:
    """The namespace that a run's pods go to."""
    return _namespace(run.project, run.domain, settings.namespace)


@lru_cache(_REMEMBERED)
def _namespace(project: str, domain: str, pattern: str) -> str:
    values = {"project": project, "domain": domain}
    filled = _PLACEHOLDER.sub(lambda m: values[m[1]], pattern)
    return re.sub(r"[^a-z0-9-]+", "-", filled.lower()).strip("-")[:_MOST_LABEL].strip("-")


def selector(settings: PodSettings, run: RunId | None = None) -> str:
    """The label selector of all pods of an installation, or of those of one run."""
    ours = f"{INSTALLATION}={label(settings.installation)}"
    return f"{ours},{EXECUTION}={run_digest(run)}" if run else ours


@lru_cache(_REMEMBERED)
def run_digest(run: RunId) -> str:
    """A run's whole name as a label value."""
    return _digest(str(run), 32)


def attempt_of(pod: Mapping[str, object]) -> AttemptId | None:
    """Whose pod it is, from its annotation; None when there is none, or it does not go with the pod's name (edited by hand)."""
    metadata = pod.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    try:
        said = json.loads(metadata["annotations"][ATTEMPT])
        path: Path = tuple(p if isinstance(p, int) else str(p) for p in said["path"])
        run = RunId(str(said["project"]), str(said["domain"]), str(said["execution"]))
        attempt = AttemptId(run, path, int(said["attempt"]))
    except (KeyError, TypeError, ValueError):
        return None
    return attempt if metadata.get("name") == pod_name(attempt) else None


def metadata_of(
    spec: AttemptSpec,
    settings: PodSettings,
    owner: Manifest | None,
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> Manifest:
    """Name, namespace, labels, annotations and owner of an attempt's pod.

    The settings' words come first, over them those of the task (`labels`, `annotations`), then the execution's; Flyte's labels
    and ours stand above all. Names of ours are nobody else's to give: a pod that says it is a worker gets others' attempts.
    """
    run, task = spec.id.run, spec.template.id
    flyte = {
        "project": run.project,
        "domain": run.domain,
        "execution-id": run.name,
        "workflow-name": _last(spec.workflow),
        "node-id": spec.node or path_text(spec.id.path),
        "task-name": _last(task.name),
        "interruptible": str(spec.interruptible).lower(),
        "shard-key": _shard(run),
    }
    own = {
        "app.kubernetes.io/managed-by": "flyte-jupyter",
        INSTALLATION: settings.installation,
        EXECUTION: run_digest(run),
    }
    all_labels = _not_ours({**settings.labels, **labels, **spec.labels}) | flyte | own
    said = _not_ours({**settings.annotations, **annotations, **spec.annotations})
    said[ATTEMPT] = _json(_facts(spec.id))
    metadata: Manifest = {
        "name": pod_name(spec.id),
        "namespace": namespace_of(run, settings),
        "labels": {key: label(value) for key, value in sorted(all_labels.items())},
        "annotations": dict(sorted(said.items())),
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return metadata


@lru_cache(_REMEMBERED)
def label(value: str) -> str:
    """A text as a label value: at most 63 of letters, digits, ``-``, ``_``, ``.``, beginning and ending with one of the first two."""
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "-", value)
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", kept[:_MOST_LABEL].lstrip("-_."))


def _not_ours(words: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in words.items() if not key.startswith(f"{DOMAIN}/")}


def _last(name: str) -> str:
    """The end of a long dotted name: what people call it."""
    if len(name) <= _MOST_LABEL:
        return name
    return name[-_MOST_LABEL:]


def _facts(attempt: AttemptId) -> dict[str, object]:
    run = attempt.run
    return {
        "project": run.project,
        "domain": run.domain,
        "execution": run.name,
        "path": list(attempt.path),
        "attempt": attempt.attempt,
    }


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def _digest(text: str, length: int = _DIGEST) -> str:
    hashed = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(hashed).decode().lower()[:length]


@lru_cache(_REMEMBERED)
def _shard(run: RunId) -> str:
    return str(_fnv32a(str(run)) % 32)


def _fnv32a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
