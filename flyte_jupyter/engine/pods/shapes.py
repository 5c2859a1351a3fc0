"""Objects, lists and words where Kubernetes has them: as much of a pod's shape as this package relies on."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

_WORD = "a word or number"
_TEXT = "text"
_EACH = "*"
"""In an object: any of its fields."""
_Shape = str | list[Any] | Mapping[str, Any]
"""A word; a list of one shape; an object, with the shapes of some of its fields."""
_HANDLER: _Shape = {"httpGet": {}, "tcpSocket": {}}
_CONTEXT: _Shape = {
    "capabilities": {"add": [_WORD], "drop": [_WORD]},
    "seccompProfile": {},
    "appArmorProfile": {},
    "seLinuxOptions": {"type": _WORD},
    "windowsOptions": {},
    "sysctls": [{"name": _WORD}],
}
_CONTAINER: _Shape = {
    "name": _WORD,
    "command": [_WORD],
    "args": [_WORD],
    "env": [{"name": _WORD}],
    "resources": {"requests": {}, "limits": {}},
    "volumeMounts": [{"name": _WORD, "mountPath": _WORD}],
    "volumeDevices": [{"devicePath": _WORD}],
    "ports": [{"containerPort": _WORD}],
    "securityContext": _CONTEXT,
    "livenessProbe": _HANDLER,
    "readinessProbe": _HANDLER,
    "startupProbe": _HANDLER,
    "lifecycle": {"postStart": _HANDLER, "preStop": _HANDLER},
}
_NODES: _Shape = {"nodeSelectorTerms": [{"matchExpressions": [{}]}]}
_SPEC: _Shape = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name": _WORD, "hostPath": {}, "projected": {"sources": [{}]}}],
    "tolerations": [{}],
    "nodeSelector": {},
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _NODES}},
    "imagePullSecrets": [{"name": _WORD}],
    "securityContext": _CONTEXT,
}

_TEXTS: _Shape = {_EACH: _TEXT}
_TEMPLATE: _Shape = {"metadata": {"labels": _TEXTS, "annotations": _TEXTS}, "spec": _SPEC}


def misshapen(spec: Any) -> str:
    """The first thing in a pod's ``spec`` that is of another kind than Kubernetes has there, in words; ``""`` when all is well."""
    return next(_problems("spec", spec, _SPEC), "")


def misshapen_template(name: str, template: Any) -> str:
    """The same for a pod template (``metadata``, ``spec``) that is called so."""
    return next(_problems(name, template, _TEMPLATE), "")


def _problems(field: str, value: Any, shape: _Shape) -> Iterator[str]:
    match shape:
        case list():
            if not isinstance(value, list):
                yield f"{field} is {_kind(value)}, and not a list"
                return
            for at, item in enumerate(value):
                yield from _problems(f"{field}[{at}]", item, shape[0])
        case Mapping():
            if not isinstance(value, dict):
                yield f"{field} is {_kind(value)}, and not an object"
                return
            for name, inner in shape.items():
                for each in value if name == _EACH else (name,):
                    if each in value:
                        yield from _problems(f"{field}.{each}", value[each], inner)
        case _:
            if isinstance(value, list | dict) or value is None or not _is(value, shape):
                yield f"{field} is {_kind(value)}, and not {shape}"


def _is(value: Any, shape: str) -> bool:
    return shape != _TEXT or isinstance(value, str)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return reprlib.repr(value)
