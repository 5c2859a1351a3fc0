"""Texts that are too long."""

from __future__ import annotations

LISTED_ERROR = 4000
"""Characters of an error's message in a list of many; who wants all of it asks for the one by its name."""


def both_ends(text: str, most: int) -> str:
    """The two ends of a text of more than `most` characters: they say what happened and where, as Flyte's own messages are cut."""
    left_out = len(text) - most
    if left_out <= 0:
        return text
    half = most // 2
    return f"{text[:half]}\n[{left_out} characters left out]\n{text[-half:]}"
