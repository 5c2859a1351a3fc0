"""The pod of an attempt."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flyte_jupyter.engine.command import UnknownInput, names_inputs
from flyte_jupyter.engine.pods.containers import customised, task_pod
from flyte_jupyter.engine.pods.gaps import closed, filling_of
from flyte_jupyter.engine.pods.manifests import Manifest, PodRefused
from flyte_jupyter.engine.pods.naming import (
    PRIMARY,
    UPLOADER,
    metadata_of,
)
from flyte_jupyter.engine.pods.placement import accelerated, kept_apart, placed, with_shared_memory
from flyte_jupyter.engine.pods.policy import check, check_service_account
from flyte_jupyter.engine.pods.secrets import with_secrets
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.pods.sidecars import (
    DOWNLOADER,
    UPLOADER_CONTAINER,
    data_config,
    with_copilot,
)
from flyte_jupyter.engine.pods.templates import base_of, merged, with_template
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

_BAD = "BadTaskSpecification"
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MOST_NAME = 253
"""What Kubernetes takes for an object's name: a DNS subdomain. Nothing else becomes a part of a path."""
_ANY = AttemptSpec(
    id=AttemptId(RunId("project", "domain", "execution"), ("n0",), 0),
    template=core.TaskTemplate(),
    inputs="s3://bucket/inputs.pb",
    output_prefix="s3://bucket/outputs",
    raw_output_prefix="s3://bucket/raw",
    env={},
)
"""An attempt like any other, to see what a task comes to."""
_UNSEEN: Manifest = {
    "spec": {
        "containers": [{"name": "default", "image": "unseen"}],
        "initContainers": [{"name": "default-init", "image": "unseen"}],
    }
}
"""A template of the cluster's that is not known yet."""
_SEEN_PARTS = 3
"""How many of the largest parts of a manifest that is too large are named."""


def names_template(template: core.TaskTemplate, settings: PodSettings) -> str:
    """The name of the cluster's ``PodTemplate`` that `pod_for` wants for the task; ``""`` when it wants none.

    Raises `PodRefused` for what cannot be the name of one.
    """
    name = template.metadata.pod_template_name or settings.default_template
    if name in settings.templates:
        return ""
    if name and not _is_object_name(name):
        text = (
            f"Task {template.id.name}: {name!r} cannot be the name of a pod template: Kubernetes' names are lower-case letters, "
            "digits, hyphens and dots. Correct the task's pod_template_name, or leave it out."
        )
        raise PodRefused(_BAD, text)
    return name


def refusal(template: core.TaskTemplate, settings: PodSettings) -> str | None:
    """Why no pod can ever be made for a task, with the remedy; None when its attempts will get theirs.

    A template that the settings do not have may be in the cluster by then, with whatever the task lacks.
    """
    attempt = replace(_ANY, template=template)
    try:
        pod_for(attempt, settings, inputs=core.LiteralMap(), template=_UNSEEN)
    except PodRefused as error:
        return error.why.message
    return None


def pod_for(
    spec: AttemptSpec,
    settings: PodSettings,
    *,
    inputs: core.LiteralMap | None = None,
    owner: Manifest | None = None,
    template: Manifest | None = None,
) -> Manifest:
    """The whole manifest. Equal arguments give equal manifests. Raises `PodRefused`, before anything was asked of a cluster.

    `inputs` is needed when `Draft.wants_inputs`; `owner` is an entry of ``metadata.ownerReferences``; `template` is the cluster's
    template that `names_template` says, as far as there is one.
    """
    return draft_for(spec, settings, template).pod(spec, inputs=inputs, owner=owner)


@dataclass(frozen=True, slots=True)
class Draft:
    """The pod of a task, open where its attempts differ."""

    settings: PodSettings
    task: str
    primary: str
    metadata: Manifest
    """Labels and annotations that the task and its template ask for."""
    body: Manifest
    uploads: bool
    wants_inputs: bool
    """Whether a command of the task names single inputs, so that `pod` needs their values."""

    def pod(
        self,
        spec: AttemptSpec,
        *,
        inputs: core.LiteralMap | None = None,
        owner: Manifest | None = None,
    ) -> Manifest:
        """The pod of an attempt; what all attempts have in common is shared with others, and not to be changed. Raises `PodRefused`."""
        filling = filling_of(spec, self.settings, inputs)
        try:
            body = closed(self.body, filling)
        except UnknownInput as error:
            raise PodRefused(_BAD, f"Task {self.task}: {error}") from None
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._metadata(spec, owner),
            "spec": body,
        }
        _check_size(pod, self.task, self.settings)
        return pod

    def _metadata(self, spec: AttemptSpec, owner: Manifest | None) -> Manifest:
        labels, annotations = (self.metadata.get(name) or {} for name in ("labels", "annotations"))
        made = metadata_of(spec, self.settings, owner, labels=labels, annotations=annotations)
        ours = {PRIMARY: self.primary, "kubectl.kubernetes.io/default-container": self.primary}
        if self.uploads:
            ours[UPLOADER] = UPLOADER_CONTAINER
        made["annotations"] = dict(sorted({**made["annotations"], **ours}.items()))
        return made


def draft_for(spec: AttemptSpec, settings: PodSettings, template: Manifest | None = None) -> Draft:
    """The draft of an attempt's task; arguments are those of `pod_for`. Raises `PodRefused`.

    It serves all attempts of the task that are as interruptible, run as the same service account and have variables of the same
    names from their execution.
    """
    task, primary = task_pod(spec.template, settings)
    below = _template(spec.template, settings, template)
    check(task, settings, below=below)
    check_service_account(spec.service_account, settings)
    if below is template:
        # Whoever may write into a namespace makes the cluster's templates, so they may ask for no more than tasks may.
        check(below, settings, below=task)
    under: Manifest = below.get("spec") or {}
    body = _body(task["spec"], primary, spec, settings, under)
    body = with_template(under, body, primary, DOWNLOADER)
    for container in body["containers"]:
        if container.get("name") == primary and settings.image:
            container["image"] = container.get("image") or settings.image
    body = kept_apart(body, settings, interruptible=spec.interruptible)
    extended = spec.template.extended_resources
    body = with_shared_memory(accelerated(body, extended, settings), extended, primary)
    names = frozenset(str(c.get("name")) for c in _containers(task["spec"]))
    body = with_secrets(body, spec.template.security_context.secrets, settings, names)
    body = _hardened(body, spec, settings)
    _check_images(body, spec.template)
    return Draft(
        settings=settings,
        task=spec.template.id.name,
        primary=primary,
        metadata=merged(below.get("metadata") or {}, task["metadata"]),
        body=body,
        uploads=data_config(spec.template) is not None,
        wants_inputs=_names_inputs(task["spec"]),
    )


def _body(
    given: Manifest, primary: str, spec: AttemptSpec, settings: PodSettings, below: Manifest
) -> Manifest:
    """The task's own pod with everything that Flyte fills in, or a gap for it. `below` is the template's ``spec``."""
    made = copy.deepcopy(given)
    for kind in ("initContainers", "containers"):
        if not given.get(kind):
            continue
        made[kind] = []
        for container in given[kind]:
            own = container.get("name") == primary
            base = base_of(below, kind, own=own and kind == "containers")
            made[kind].append(customised(container, spec, settings, own=own, base=base))
    made = with_copilot(made, spec, settings, primary)
    return placed(made, settings, interruptible=spec.interruptible)


def _template(task: core.TaskTemplate, settings: PodSettings, found: Manifest | None) -> Manifest:
    """The pod template below the task's pod, ``metadata`` and ``spec``: the settings' of its name, else the one `found`.

    A default that is not there is none (as in Flyte).
    """
    name = task.metadata.pod_template_name or settings.default_template
    if not names_template(task, settings):
        return settings.templates.get(name, {})
    if found is not None:
        return found
    if not task.metadata.pod_template_name:
        return {}
    known = ", ".join(sorted(settings.templates)) or "none"
    text = (
        f"Task {task.id.name}: there is no pod template {name!r}. The settings have {known}, and no PodTemplate object of that name "
        "can be read in the task's namespace or in kubernetes.template_namespace."
    )
    raise PodRefused(_BAD, text)


def _hardened(body: Manifest, spec: AttemptSpec, settings: PodSettings) -> Manifest:
    """What holds for every pod, below what the templates say: the "restricted" standard, no token, no restart.

    Above them stands the service account that the execution is to run as.
    """
    user = {"runAsUser": settings.run_as_user, "runAsGroup": settings.run_as_group}
    user["fsGroup"] = settings.run_as_group
    context: Manifest = {
        "runAsNonRoot": True,
        **{k: v for k, v in user.items() if v is not None},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    below: Manifest = {
        "serviceAccountName": spec.service_account or settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.termination_seconds,
        "securityContext": context,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
    }
    made = merged({k: v for k, v in below.items() if v != []}, body)
    if body.get("serviceAccount") and not body.get("serviceAccountName"):
        made["serviceAccountName"] = body["serviceAccount"]
    if spec.service_account:
        made["serviceAccountName"] = spec.service_account
        made.pop("serviceAccount", None)
    for container in _containers(made):
        container["securityContext"] = _context(container.get("securityContext") or {})
    made["restartPolicy"] = "Never"
    return {k: v for k, v in made.items() if v not in ([], {}, "", None)}


def _context(given: Manifest) -> Manifest:
    below: Manifest = {"capabilities": {"drop": ["ALL"]}}
    if not given.get("privileged"):
        below["allowPrivilegeEscalation"] = False
    return merged(below, given)


def _containers(spec: Manifest) -> Iterator[Manifest]:
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _is_object_name(name: str) -> bool:
    return len(name) <= _MOST_NAME and _OBJECT_NAME.fullmatch(name) is not None


def _names_inputs(spec: Manifest) -> bool:
    return any(names_inputs(_words(container)) for container in _containers(spec))


def _words(container: Manifest) -> list[str]:
    return [str(w) for w in (*(container.get("command") or ()), *(container.get("args") or ()))]


def _check_images(body: Manifest, task: core.TaskTemplate) -> None:
    for container in _containers(body):
        if not container.get("image"):
            text = (
                f"Task {task.id.name} has no image for its container {container.get('name')!r}. A task that runs on Kubernetes "
                "needs one: set an image (FLYTE_JUPYTER_IMAGE) when you register it, or kubernetes.pods.image for all that name none."
            )
            raise PodRefused("ImageMissing", text)


def _check_size(pod: Manifest, task: str, settings: PodSettings) -> None:
    size = _size(pod)
    if size <= settings.most_bytes:
        return
    parts = [(f"metadata.{key}", _size(value)) for key, value in pod["metadata"].items()]
    parts += [(f"spec.{k}", _size(v)) for k, v in pod["spec"].items() if not _is_containers(k)]
    for kind in ("initContainers", "containers"):
        for container in pod["spec"].get(kind) or ():
            place = f"spec.{kind}[{container.get('name')}]"
            parts += [(f"{place}.{key}", _size(value)) for key, value in container.items()]
    largest = sorted(parts, key=lambda part: -part[1])[:_SEEN_PARTS]
    named = ", ".join(f"{place} {bytes_} bytes" for place, bytes_ in largest)
    text = (
        f"Task {task}: its pod would take {size} bytes, and Kubernetes keeps at most {settings.most_bytes}. "
        f"Largest are {named}. Pass large values as inputs or files instead."
    )
    raise PodRefused("PodTooLarge", text)


def _is_containers(field: str) -> bool:
    return field in ("containers", "initContainers")


def _size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
