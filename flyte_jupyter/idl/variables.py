"""Environment variables, as a process can have them."""

from __future__ import annotations


def is_possible(name: str, value: str) -> bool:
    """Whether a process can have this variable: its name has no ``=`` and is not empty, and neither has a NUL."""
    return bool(name) and "=" not in name and "\0" not in name + value
