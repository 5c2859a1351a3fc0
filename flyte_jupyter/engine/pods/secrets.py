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
from flyte_jupyter.idl import core

VARIABLE_PREFIX = "_FSEC_"
FOLDER = "/etc/flyte/secrets"
_READABLE = 0o444
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9._-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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
        "FLYTE_SECRETS_ENV_PREFIX": {"value": VARIABLE_PREFIX},
        "FLYTE_SECRETS_DEFAULT_DIR": {"value": FOLDER},
        "FLYTE_SECRETS_FILE_PREFIX": {"value": ""},
    }
    for secret in secrets:
        if secret.mount_requirement == core.Secret.ENV_VAR:
            parts = [p for p in (secret.group, secret.group_version, secret.key) if p]
            reference = {"name": settings.secret_prefix + secret.group, "key": secret.key}
            source = {"valueFrom": {"secretKeyRef": reference}}
            # As Flyte has it: flytekit looks for the one, the task's author perhaps for the other.
            found[VARIABLE_PREFIX + "_".join(parts).upper()] = source
            if secret.env_var:
                found[secret.env_var] = source
        elif secret.env_var:
            found[secret.env_var] = {"value": f"{_folder(secret)}/{secret.key.lower()}"}
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
        folder = _folder(secret)
        sources[folder] = settings.secret_prefix + secret.group
        path = secret.key.lower()
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


def _folder(secret: core.Secret) -> str:
    parts = [p.lower() for p in (secret.group, secret.group_version) if p]
    return "/".join([FOLDER, *parts])


def _check(secret: core.Secret, settings: PodSettings) -> None:
    name = settings.secret_prefix + secret.group
    if not secret.group or not _NAME.fullmatch(name) or len(name) > _MOST_NAME:
        what = f"group {secret.group!r}, and {name!r} is no name of a Kubernetes secret"
    elif not _is_key(secret.key):
        what = f"key {secret.key!r} of group {secret.group!r}, which no Kubernetes secret can have"
    elif secret.group_version and not _is_key(secret.group_version):
        what = (
            f"version {secret.group_version!r} of group {secret.group!r}, which can name no folder"
        )
    elif secret.env_var and not _VARIABLE.fullmatch(secret.env_var):
        what = f"variable {secret.env_var!r}, which is no name of a variable"
    else:
        return
    raise PodRefused("BadTaskSpecification", f"The task asks for a secret with {what}.")


def _is_key(word: str) -> bool:
    return _KEY.fullmatch(word) is not None and word not in (".", "..")
