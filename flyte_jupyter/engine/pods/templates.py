"""Merging manifests: pod templates below what a task says itself, container by container."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from flyte_jupyter.engine.pods.manifests import Manifest

_KEYS = {"volumeMounts": "mountPath", "ports": "containerPort", "volumeDevices": "devicePath"}
"""What tells the entries of a list apart, when it is not their name."""
_WHOLE = frozenset({"command", "args"})
_BASES = {
    "containers": ("default", "primary"),
    "initContainers": ("default-init", "primary-init"),
}


def merged(below: Manifest, above: Manifest) -> Manifest:
    """Both manifests in one: what `above` says goes before what `below` says, objects are merged field by field.

    Lists are joined, as in Flyte, except that an entry takes the place of one of the same name (volumes, variables),
    and that commands and arguments are taken whole.
    """
    both = copy.deepcopy(below)
    for key, value in above.items():
        both[key] = _one(key, both.get(key), value)
    return both


def with_template(template: Manifest, spec: Manifest, primary: str, first: str = "") -> Manifest:
    """A pod's ``spec`` over a template's.

    The template's containers are no containers: ``default`` is put below every container, ``primary`` below the task's own,
    ``default-init`` and ``primary-init`` likewise below the init containers, of which `first` is the task's own. Others are left out.
    """
    both = merged(_without(template), _without(spec))
    for kind, name in (("containers", primary), ("initContainers", first)):
        made = [
            merged(base_of(template, kind, own=container.get("name") == name), container)
            for container in spec.get(kind) or ()
        ]
        if made:
            both[kind] = made
    return both


def base_of(template: Manifest, kind: str, *, own: bool) -> Manifest:
    """What the ``spec`` of a template puts below a container of this kind, which is the task's `own` of them or another."""
    default, primary = _BASES[kind]
    bases = {c.get("name"): c for c in template.get(kind) or ()}
    base = bases.get(default) or {}
    return merged(base, bases.get(primary) or {}) if own else base


def _without(spec: Manifest) -> Manifest:
    return {k: v for k, v in spec.items() if k not in ("containers", "initContainers")}


def _one(key: str, below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return merged(below, above)
    if isinstance(below, list) and isinstance(above, list) and key not in _WHOLE:
        return _joined(below, above, _KEYS.get(key, "name"))
    # Saying nothing is no way to take something back.
    empty = above is None or above in ("", [], {})
    return copy.deepcopy(below) if empty and below is not None else copy.deepcopy(above)


def _joined(below: Sequence[Any], above: Sequence[Any], key: str) -> list[Any]:
    names = {item[key] for item in above if isinstance(item, dict) and key in item}
    kept = [
        item
        for item in below
        if item not in above and not (isinstance(item, dict) and item.get(key) in names)
    ]
    return copy.deepcopy([*kept, *above])
