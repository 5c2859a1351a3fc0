"""Parts of a whole, as Flyte's numbers in 32 bits say them. Pure."""

from __future__ import annotations

from math import ceil

_AS_SAID = 1 - 2**-23
"""By how much a number in 32 bits may be more than the one that was written."""


def least_of(ratio: float, size: int) -> int:
    """How many of `size` are at least this part of them.

    0.8 travels as 0.800000012. Flyte asks for 9 of 10 then (``array/handler.go``), this for the 8 that were meant.
    """
    return ceil(ratio * size * _AS_SAID)
