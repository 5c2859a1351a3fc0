"""The order in which a run hears things: what may wait, what is left out, what is put back. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import takewhile

from flyte_jupyter.engine.core.observations import (
    AttemptAccepted,
    AttemptEnded,
    AttemptStarted,
    Observation,
    Tick,
)

CAN_WAIT = (AttemptAccepted, AttemptStarted)
"""Acknowledgements. What follows from them can wait for some milliseconds: places for more of a wide graph to begin."""


def is_gap(seen: Observation) -> bool:
    """Whether it says that the clock stood still: the one thing that must be heard once."""
    return isinstance(seen, Tick) and bool(seen.gap)


def without_overtaken(heard: Sequence[Observation]) -> Sequence[Observation]:
    """What was heard, but for the starts of attempts whose ends were heard too: an end says all that they say."""
    ended = {(seen.path, seen.attempt) for seen in heard if isinstance(seen, AttemptEnded)}
    if not ended:
        return heard
    return [
        seen
        for seen in heard
        if not (isinstance(seen, CAN_WAIT) and (seen.path, seen.attempt) in ended)
    ]


def put_back(inbox: deque[Observation], heard: Sequence[Observation]) -> None:
    """What could not be worked off goes before all that came meanwhile, but for gaps of the clock, which are told first."""
    gaps = list(takewhile(is_gap, inbox))
    for _ in gaps:
        inbox.popleft()
    inbox.extendleft(reversed([*gaps, *heard]))


def without(inbox: Iterable[Observation], gone: Iterable[Observation]) -> deque[Observation]:
    """An inbox without these very observations; equal ones stay."""
    left_out = {id(seen) for seen in gone}
    return deque(seen for seen in inbox if id(seen) not in left_out)
