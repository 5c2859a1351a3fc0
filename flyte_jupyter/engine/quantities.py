"""Quantities as Kubernetes writes them. Pure."""

from __future__ import annotations

import math
import re

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>[eE][+-]?\d+|[a-zA-Z]*)")
_UNITS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


class BadQuantity(ValueError):
    """A resource is not written as Kubernetes writes quantities."""


def amount(text: str) -> float:
    """A quantity (``2``, ``500m``, ``1.5Gi``, ``1e3``) as a number. Raises `BadQuantity`."""
    found = _QUANTITY.fullmatch(text.strip())
    unit = found["unit"] if found else ""
    if found is None or not (unit in _UNITS or unit[:1] in "eE"):
        raise BadQuantity(f"{text!r} is no quantity; write it like 2, 500m, 1.5Gi")
    value = float(found["number"]) * (_UNITS[unit] if unit in _UNITS else float(f"1{unit}"))
    if not math.isfinite(value):
        raise BadQuantity(f"{text!r} is too large a quantity")
    return value
