"""What a task's own pod template may not ask for: checked before anything is sent to a cluster.

The rules are those of the "restricted" pod security standard, and a few about what is not a template's to say: other people's
service accounts, namespaces and nodes. `Allowed` lifts some of them for an installation.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_jupyter.engine.pods.manifests import Manifest, PodRefused
from flyte_jupyter.engine.pods.settings import Allowed, PodSettings

_VOLUMES = frozenset(
    {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image",
    }
)  # fmt: skip
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    }
)  # fmt: skip
_SELINUX = frozenset(
    {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_Problem = tuple[str, str]
"""A field and what is wrong with it."""


def check(pod: Manifest, settings: PodSettings, *, below: Manifest | None = None) -> None:
    """Raise `PodRefused` for the first thing that a pod (``metadata``, ``spec``) asks for and may not have, naming its field.

    What it mounts may be a volume of the pod template `below` it.
    """
    hosted = _Hosted(
        frozenset(_hosted(below or {}) | _hosted(pod)),
        frozenset(_closed(below or {}, settings.allowed)) - _names(pod),
    )
    for field, what in _problems(pod, settings, hosted):
        message = (
            f"The task's pod template asks for {field} {what}, which this platform does not allow. "
            "Leave it out, or ask whoever runs the platform to allow it."
        )
        raise PodRefused("PodTemplateRefused", message)


def check_service_account(name: str, settings: PodSettings) -> None:
    """Raise `PodRefused` unless tasks may run as this service account."""
    allowed = settings.allowed.service_accounts
    if name in ("", settings.service_account) or name in allowed or "*" in allowed:
        return
    message = (
        f"Service account {name!r} is not one that tasks may run as here. "
        f"Use {settings.service_account!r}, or ask whoever runs the platform to allow it."
    )
    raise PodRefused("ServiceAccountRefused", message)


@dataclass(frozen=True, slots=True)
class _Hosted:
    """The volumes that are folders of the node, by name."""

    all: frozenset[Any]
    closed: frozenset[Any]
    """Those that only the platform's own template may have: a task may read there."""


def _volumes(pod: Manifest) -> Iterator[Manifest]:
    yield from (pod.get("spec") or {}).get("volumes") or ()


def _names(pod: Manifest) -> set[Any]:
    return {volume.get("name") for volume in _volumes(pod)}


def _hosted(pod: Manifest) -> set[Any]:
    return {volume.get("name") for volume in _volumes(pod) if "hostPath" in volume}


def _closed(pod: Manifest, allowed: Allowed) -> set[Any]:
    return {
        volume.get("name")
        for volume in _volumes(pod)
        if "hostPath" in volume and not _below(_host_path(volume), allowed.host_paths)
    }


def _problems(pod: Manifest, settings: PodSettings, hosted: _Hosted) -> Iterator[_Problem]:
    allowed = settings.allowed
    yield from _metadata_problems(pod.get("metadata") or {}, allowed)
    spec: Manifest = pod.get("spec") or {}
    yield from _host_problems(spec, allowed)
    yield from _identity_problems(spec, settings)
    yield from _context_problems("spec.securityContext", spec.get("securityContext"), allowed)
    for at, volume in enumerate(_volumes(pod)):
        yield from _volume_problems(f"spec.volumes[{at}]", volume, allowed)
    for kind in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(kind) or ()):
            yield from _container_problems(f"spec.{kind}[{at}]", container, allowed, hosted)
    if spec.get("ephemeralContainers"):
        yield "spec.ephemeralContainers", "at its creation"


def _metadata_problems(metadata: Manifest, allowed: Allowed) -> Iterator[_Problem]:
    for field in ("namespace", "name", "ownerReferences", "finalizers"):
        if metadata.get(field):
            yield f"metadata.{field}", f"{metadata[field]!r}"
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    for key, value in sorted(annotations.items()):
        relaxed = "apparmor" in key or "seccomp" in key
        if relaxed and str(value) == "unconfined" and not allowed.privileged:
            yield f"metadata.annotations[{key}]", "unconfined"


def _host_problems(spec: Manifest, allowed: Allowed) -> Iterator[_Problem]:
    if not allowed.host_namespaces:
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"spec.{field}", "true"
    if spec.get("nodeName") and not allowed.privileged:
        yield "spec.nodeName", f"{spec['nodeName']!r}, past the scheduler"


def _identity_problems(spec: Manifest, settings: PodSettings) -> Iterator[_Problem]:
    if spec.get("namespace"):
        yield "spec.namespace", f"{spec['namespace']!r}"
    for field in ("serviceAccountName", "serviceAccount"):
        name = str(spec.get(field) or "")
        try:
            check_service_account(name, settings)
        except PodRefused:
            yield f"spec.{field}", f"{name!r}"
    if spec.get("automountServiceAccountToken") and not settings.allowed.tokens:
        yield "spec.automountServiceAccountToken", "true"


def _volume_problems(field: str, volume: Manifest, allowed: Allowed) -> Iterator[_Problem]:
    for kind, source in volume.items():
        if kind == "name":
            continue
        if kind == "hostPath":
            path = _host_path(volume)
            if not _below(path, allowed.host_paths):
                yield f"{field}.hostPath.path", f"{path!r}"
        elif kind not in _VOLUMES:
            yield f"{field}.{kind}", "(a kind of volume)"
        elif kind == "projected" and not allowed.tokens:
            for at, one in enumerate((source or {}).get("sources") or ()):
                if "serviceAccountToken" in one:
                    yield f"{field}.projected.sources[{at}].serviceAccountToken", "(a token)"


def _host_path(volume: Manifest) -> str:
    return str((volume["hostPath"] or {}).get("path") or "")


def _below(path: str, folders: frozenset[str]) -> bool:
    """Whether a path is one of these folders, or below one, once it is written plainly."""
    plain = posixpath.normpath(path)
    if not plain.startswith("/") or ".." in path.split("/"):
        return False
    return any(plain == f or plain.startswith(f.rstrip("/") + "/") for f in folders)


def _container_problems(
    field: str, container: Manifest, allowed: Allowed, hosted: _Hosted
) -> Iterator[_Problem]:
    context = container.get("securityContext")
    yield from _context_problems(f"{field}.securityContext", context, allowed)
    for at, mount in enumerate(container.get("volumeMounts") or ()):
        yield from _mount_problems(f"{field}.volumeMounts[{at}]", mount, allowed, hosted)
    if allowed.host_namespaces:
        return
    for at, port in enumerate(container.get("ports") or ()):
        if port.get("hostPort"):
            yield f"{field}.ports[{at}].hostPort", f"{port['hostPort']}"
    for name, handler in _handlers(container):
        for kind in ("httpGet", "tcpSocket"):
            host = ((handler or {}).get(kind) or {}).get("host")
            if host:
                yield f"{field}.{name}.{kind}.host", f"{host!r}"


def _handlers(container: Manifest) -> Iterator[tuple[str, Manifest]]:
    for probe in _PROBES:
        yield probe, container.get(probe) or {}
    for moment, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            yield f"lifecycle.{moment}", handler


def _mount_problems(
    field: str, mount: Manifest, allowed: Allowed, hosted: _Hosted
) -> Iterator[_Problem]:
    path = str(mount.get("subPath") or "")
    # On a folder of the node a link below the sub-path leads wherever its maker wants.
    if path and (
        path.startswith("/") or ".." in path.split("/") or mount.get("name") in hosted.all
    ):
        yield f"{field}.subPath", f"{path!r}"
    if mount.get("name") in hosted.closed and mount.get("readOnly") is not True:
        yield field, f"{mount['name']!r}, a folder of the node, for writing"
    if mount.get("subPathExpr"):
        yield f"{field}.subPathExpr", f"{mount['subPathExpr']!r}"
    if ".." in str(mount.get("mountPath") or "").split("/"):
        yield f"{field}.mountPath", f"{mount['mountPath']!r}"
    if mount.get("mountPropagation") not in (None, "", "None") and not allowed.privileged:
        yield f"{field}.mountPropagation", f"{mount['mountPropagation']!r}"


def _context_problems(field: str, context: Any, allowed: Allowed) -> Iterator[_Problem]:
    """The fields that pods' and containers' security contexts share, and those of either."""
    if not isinstance(context, dict):
        return
    for name in (context.get("capabilities") or {}).get("add") or ():
        if name not in allowed.capabilities:
            yield f"{field}.capabilities.add", f"{name!r}"
    if allowed.privileged:
        return
    for name in ("privileged", "allowPrivilegeEscalation"):
        if context.get(name):
            yield f"{field}.{name}", "true"
    if context.get("runAsUser") == 0:
        yield f"{field}.runAsUser", "0"
    if context.get("runAsNonRoot") is False:
        yield f"{field}.runAsNonRoot", "false"
    yield from _rare_problems(field, context)


def _rare_problems(field: str, context: Manifest) -> Iterator[_Problem]:
    if context.get("procMount") not in (None, "", "Default"):
        yield f"{field}.procMount", f"{context['procMount']!r}"
    for profile in ("seccompProfile", "appArmorProfile"):
        kind = (context.get(profile) or {}).get("type")
        if kind not in (None, "RuntimeDefault", "Localhost"):
            yield f"{field}.{profile}.type", f"{kind!r}"
    options: Manifest = context.get("seLinuxOptions") or {}
    if options.get("type", "") not in _SELINUX or options.get("user") or options.get("role"):
        yield f"{field}.seLinuxOptions", f"{options}"
    windows: Manifest = context.get("windowsOptions") or {}
    if windows.get("hostProcess"):
        yield f"{field}.windowsOptions.hostProcess", "true"
    for at, sysctl in enumerate(context.get("sysctls") or ()):
        if sysctl.get("name") not in _SYSCTLS:
            yield f"{field}.sysctls[{at}]", f"{sysctl.get('name')!r}"
