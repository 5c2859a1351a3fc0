"""The secrets that a task asks for, from Kubernetes secrets of its namespace. Their values never stand in a manifest.

A group is a Kubernetes secret, a key one of its keys. A task finds them as flytekit looks for them: in an environment variable
``_FSEC_<GROUP>_<KEY>``, or in a file ``/etc/flyte/secrets/<group>/<key>``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from flyte_jupyter.engine.pods.manifests import Manifest, PodRefused
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.secrets import (
    FOLDER,
    directions,
    file_of,
    is_variable,
    is_word,
    variables_of,
)
from flyte_jupyter.idl import core

_READABLE = 0o444
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_MOST_NAME = 253


def with_secrets(
    spec: Manifest, secrets: Sequence[core.Secret], settings: PodSettings, names: frozenset[str]
) -> Manifest:
    """A pod's ``spec`` whose containers of these `names`, init containers too, have the secrets. Raises `PodRefused`."""
    if not secrets:
        return spec
    for secret in secrets:
        _check(secret, settings)
    variables = _variables(secrets, settings)
    volumes, mounts = _volumes(secrets, settings)
    made = copy.deepcopy(spec)
    if volumes:
        made["volumes"] = [*(made.get("volumes") or ()), *volumes]
    for kind in ("initContainers", "containers"):
        for container in made.get(kind) or ():
            if container.get("name") in names:
                _give(container, variables, mounts)
    return made


def _give(container: Manifest, variables: list[Manifest], mounts: list[Manifest]) -> None:
    ours = {v["name"] for v in variables}
    env = [v for v in container.get("env") or () if v.get("name") not in ours]
    container["env"] = [*env, *variables]
    if mounts:
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), *mounts]


def _variables(secrets: Sequence[core.Secret], settings: PodSettings) -> list[Manifest]:
    found: dict[str, Manifest] = {
        name: {"value": value} for name, value in directions(FOLDER).items()
    }
    for secret in secrets:
        if secret.mount_requirement == core.Secret.ENV_VAR:
            reference = {"name": settings.secret_prefix + secret.group, "key": secret.key}
            source = {"valueFrom": {"secretKeyRef": reference}}
            found |= dict.fromkeys(variables_of(secret), source)
        elif secret.env_var:
            found[secret.env_var] = {"value": f"{FOLDER}/{file_of(secret)}"}
    return [{"name": name, **source} for name, source in found.items()]


def _volumes(
    secrets: Sequence[core.Secret], settings: PodSettings
) -> tuple[list[Manifest], list[Manifest]]:
    """One volume, and one mount, for each folder of secrets."""
    items: dict[str, dict[str, Manifest]] = {}
    sources: dict[str, str] = {}
    for secret in secrets:
        if secret.mount_requirement == core.Secret.ENV_VAR:
            continue
        folder, _, path = f"{FOLDER}/{file_of(secret)}".rpartition("/")
        sources[folder] = settings.secret_prefix + secret.group
        items.setdefault(folder, {})[path] = {"key": secret.key, "path": path}
    volumes, mounts = [], []
    for at, (folder, files) in enumerate(sorted(items.items())):
        name = f"flyte-secret-{at}"
        source = {
            "secretName": sources[folder],
            "items": [files[path] for path in sorted(files)],
            "defaultMode": _READABLE,
        }
        volumes.append({"name": name, "secret": source})
        mounts.append({"name": name, "mountPath": folder, "readOnly": True})
    return volumes, mounts


def _check(secret: core.Secret, settings: PodSettings) -> None:
    name = settings.secret_prefix + secret.group
    if not secret.group or not _NAME.fullmatch(name) or len(name) > _MOST_NAME:
        what = f"group {secret.group!r}, and {name!r} is no name of a Kubernetes secret"
    elif not is_word(secret.key):
        what = f"key {secret.key!r} of group {secret.group!r}, which no Kubernetes secret can have"
    elif secret.group_version and not is_word(secret.group_version):
        what = (
            f"version {secret.group_version!r} of group {secret.group!r}, which can name no folder"
        )
    elif secret.env_var and not is_variable(secret.env_var):
        what = f"variable {secret.env_var!r}, which is no name of a variable"
    else:
        return
    raise PodRefused("BadTaskSpecification", f"The task asks for a secret with {what}.")
