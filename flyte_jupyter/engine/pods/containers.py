"""A task's containers: command, environment and resources as Flyte fills them."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from flyte_jupyter.engine.command import identity_of
from flyte_jupyter.engine.overriding import GPU, PRIMARY_CONTAINER
from flyte_jupyter.engine.pods.gaps import variable, who, word
from flyte_jupyter.engine.pods.manifests import Manifest, PodRefused
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.pods.shapes import misshapen
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.engine.quantities import BadQuantity, amount
from flyte_jupyter.idl import core

TASK_CONTAINER = "task"
"""What the container of a task is called that has only one."""

_BAD = "BadTaskSpecification"


def task_pod(template: core.TaskTemplate, settings: PodSettings) -> tuple[Manifest, str]:
    """The pod as the task itself describes it (``metadata``, ``spec``), and the name of its own container.

    Raises `PodRefused` for a task that describes none.
    """
    match template.WhichOneof("target"):
        case "container":
            container = _container_of(template.container, settings)
            pod = {"metadata": _metadata(template), "spec": {"containers": [container]}}
            return pod, TASK_CONTAINER
        case "k8s_pod":
            return _pod_of(template)
        case other:
            what = f"a {other}" if other else "no container and no pod"
            raise PodRefused(_BAD, f"Task {template.id.name} has {what}: no pod can run it.")


def _pod_of(template: core.TaskTemplate) -> tuple[Manifest, str]:
    pod = template.k8s_pod
    name = template.config.get(PRIMARY_CONTAINER) or pod.primary_container_name
    if not name:
        text = f"Task {template.id.name} has a pod and does not say which container is its own: its config lacks {PRIMARY_CONTAINER}."
        raise PodRefused(_BAD, text)
    spec = plain(MessageToDict(pod.pod_spec))
    if what := misshapen(spec):
        text = f"Task {template.id.name}: its pod's {what}. Correct the task's pod."
        raise PodRefused(_BAD, text)
    if not any(c.get("name") == name for c in spec.get("containers") or ()):
        names = ", ".join(str(c.get("name")) for c in spec.get("containers") or ()) or "none"
        text = f"Task {template.id.name}: its pod has no container {name!r}; it has {names}."
        raise PodRefused(_BAD, text)
    return {"metadata": _metadata(template), "spec": spec}, name


def _metadata(template: core.TaskTemplate) -> Manifest:
    """Labels and annotations of the task's pod, and over them those of the task itself (flytekit's ``@task(labels=...)``)."""
    said = template.k8s_pod.metadata, template.metadata.metadata
    return {
        "labels": {k: v for one in said for k, v in one.labels.items()},
        "annotations": {k: v for one in said for k, v in one.annotations.items()},
    }


def plain(value: Any) -> Any:
    """JSON out of a ``Struct``, which knows no integers: whole numbers become them again. A field that is null is none."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _container_of(container: core.Container, settings: PodSettings) -> Manifest:
    made: Manifest = {
        "name": TASK_CONTAINER,
        "image": container.image,
        "command": list(container.command),
        "args": list(container.args),
        "env": [{"name": pair.key, "value": pair.value} for pair in container.env],
        "resources": {
            "requests": _listed(container.resources.requests, settings),
            "limits": _listed(container.resources.limits, settings),
        },
    }
    ports = [{"containerPort": port.container_port} for port in container.ports]
    return {k: v for k, v in (made | {"ports": ports}).items() if v}


def _listed(entries: Any, settings: PodSettings) -> dict[str, str]:
    """A task's resources by Kubernetes' names."""
    names = {
        core.Resources.CPU: "cpu",
        core.Resources.MEMORY: "memory",
        core.Resources.GPU: settings.accelerators.resource,
        core.Resources.STORAGE: "ephemeral-storage",
        core.Resources.EPHEMERAL_STORAGE: "ephemeral-storage",
    }
    return {names[e.name]: e.value for e in entries if e.name in names}


def customised(
    container: Manifest, spec: AttemptSpec, settings: PodSettings, *, own: bool, base: Manifest
) -> Manifest:
    """A container of the task's with gaps for templates, environment and resources; only its `own` gets default resources.

    `base` is what a pod template puts below it: resources that the task doesn't name are the template's before they are the platform's.
    """
    made = dict(container)
    for field in ("command", "args"):
        if made.get(field):
            made[field] = [word(str(each)) for each in made[field]]
    made["env"] = environment(container.get("env") or [], spec, settings)
    given = _over(base.get("resources") or {}, container.get("resources") or {}, settings, own=own)
    resources = _resources(given, settings, own=own, task=spec)
    if resources:
        made["resources"] = resources
    made.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    if settings.image_pull_policy:
        made.setdefault("imagePullPolicy", settings.image_pull_policy)
    return made


def environment(
    given: list[Manifest], spec: AttemptSpec, settings: PodSettings, *, own: bool = True
) -> list[Manifest]:
    """All variables, each once: the settings', then who the attempt is, then the task's own, then the execution's, the last wins.

    A container that isn't the task's `own` gets the first two. What the attempt says is open. A variable stands where its last word
    does: Kubernetes puts into a value (``$(NAME)``) what stands before it only.
    """
    pairs: dict[str, Manifest] = {
        name: {"name": name, "value": value} for name, value in sorted(settings.env.items())
    }
    for secret in settings.secret_env:
        source = {"secretKeyRef": {"name": secret.secret, "key": secret.key}}
        pairs[secret.variable] = {"name": secret.variable, "valueFrom": source}
    for name in identity_of(spec):
        pairs[name] = {"name": name, "value": who(name)}
    if not own:
        return list(pairs.values())
    last = [dict(one) for one in given]
    last += [{"name": name, "value": variable(name)} for name in sorted(spec.env)]
    for one in last:
        pairs.pop(name := str(one.get("name")), None)
        pairs[name] = one
    return list(pairs.values())


def _resources(given: Manifest, settings: PodSettings, *, own: bool, task: AttemptSpec) -> Manifest:
    """Requests and limits within the platform's (Flyte's ``container_helper.go``).

    A request that is not given, or is 0, is the limit, else the platform's default; a limit likewise is the platform's, else the
    request. Neither exceeds what the platform allows at most.
    """
    requests, limits, rules = given["requests"], given["limits"], settings.resources
    names = dict.fromkeys([*requests, *limits])
    if own:
        names |= dict.fromkeys([*rules.requests, *rules.limits])
    made_requests, made_limits = {}, {}
    for name in sorted(names):
        default = rules.requests.get(name) if own else None
        request = requests.get(name) or limits.get(name) or default
        limit = limits.get(name) or (rules.limits.get(name) if own else None) or request
        request = request or limit
        if request is None or limit is None:
            continue
        most = rules.most.get(name)
        try:
            limit = limit if most is None else _less(limit, most)
            # An extended resource takes no other request than its limit.
            request = limit if name == settings.accelerators.resource else _less(request, limit)
        except BadQuantity as e:
            text = f"Task {task.template.id.name} asks for {name}: {e}"
            raise PodRefused("BadResources", text) from e
        made_requests[name], made_limits[name] = request, limit
    kept = {k: v for k, v in given.items() if k not in ("requests", "limits")}
    made = {"requests": made_requests, "limits": made_limits}
    return kept | {k: v for k, v in made.items() if v}


def _over(below: Manifest, above: Manifest, settings: PodSettings, *, own: bool) -> Manifest:
    """A container's resources by the cluster's names, over those of a template: whoever names one first says request and limit."""
    made = {**above}
    kinds = ("requests", "limits")
    said = {kind: _amounts(above.get(kind), settings, own=own) for kind in kinds}
    named = {*said["requests"], *said["limits"]}
    for kind in kinds:
        base = _amounts(below.get(kind), settings, own=own)
        made[kind] = {k: v for k, v in base.items() if k not in named} | said[kind]
    return made


def _amounts(entries: Manifest | None, settings: PodSettings, *, own: bool) -> dict[str, str]:
    """Quantities by the cluster's names. For a container of the task's `own` 0 is nothing: as a limit it would be none at all."""
    found = {k: str(v) for k, v in (entries or {}).items()}
    if GPU in found:
        # Where a node overrides it, the task's own amount may stand beside it by the cluster's name.
        found[settings.accelerators.resource] = found.pop(GPU)
    return {k: v for k, v in found.items() if not (own and _is_nothing(v))}


def _is_nothing(quantity: str) -> bool:
    try:
        return amount(quantity) == 0
    except BadQuantity:
        return False


def _less(one: str, other: str) -> str:
    return one if amount(one) <= amount(other) else other
