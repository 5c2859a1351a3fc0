"""Who may run next: first come, first served, as far as the machine's CPU, memory and GPUs go. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from flyte_jupyter.engine.adapters.local.resources import Capacity, Wants

# Thousandths of a core.
_LEAST = 10
Attempt = TypeVar("Attempt")
"""Whatever stands for one, and can be looked up quickly."""


class Grant(NamedTuple):  # as names are: every launch looks for what goes with one
    """A slot: what is taken up, and which devices are its own."""

    wants: Wants
    devices: tuple[str, ...] = ()


class Slots(Generic[Attempt]):
    """The queue and the grants.

    An attempt that does not fit keeps its place: those behind it get only what is left once it has been set aside in full, so
    a large one is never starved by small ones, while one that waits for a GPU holds up nobody who asks for none.
    """

    def __init__(self, capacity: Capacity, devices: Sequence[str] = ()) -> None:
        self.capacity = capacity
        # Its head is found at once however many have left it, which a dict does not promise.
        self._queue: OrderedDict[Attempt, Wants] = OrderedDict()
        self._behind: OrderedDict[Attempt, None] = OrderedDict()
        """Those of the queue that have not been sent ahead."""
        self._granted: dict[Attempt, Grant] = {}
        self._devices = tuple(devices) or tuple(str(at) for at in range(capacity.gpu))
        self._free = list(self._devices)
        self._cpu = round(capacity.cpu * 1000)
        self._memory = capacity.memory

    def ask(self, attempt: Attempt, wants: Wants) -> None:
        """Queue at the end; nothing when it is queued or granted already."""
        if attempt not in self._granted and attempt not in self._queue:
            self._queue[attempt] = wants
            self._behind[attempt] = None

    def has_room(self, wants: Wants) -> bool:
        """Whether one that asks for this would have a slot at once, whichever device it got."""
        fits = _share(wants) <= self._cpu and wants.memory <= self._memory
        return fits and not wants.gpu and not self._queue

    def adopt(self, attempt: Attempt, grant: Grant) -> None:
        """Count one that runs already, even if that takes more than there is."""
        if attempt not in self._granted:
            self._leave(attempt)
            self._take(attempt, grant)

    def release(self, attempt: Attempt) -> None:
        """Give the slot, or the place in the queue, back."""
        grant = self._granted.pop(attempt, None)
        if grant is None:
            self._leave(attempt)
            return
        self._cpu += _share(grant.wants)
        self._memory += grant.wants.memory
        self._free += [d for d in grant.devices if d in self._devices]

    def behind(self, most: int) -> Sequence[Attempt]:
        """The first in the queue that have not been sent ahead, as many as may be when `most` are ahead in all."""
        room = most - len(self._queue) + len(self._behind)
        return list(islice(self._behind, room)) if room > 0 else ()

    def send_ahead(self, attempt: Attempt) -> None:
        """It is where it will run, and waits there for its slot."""
        self._behind.pop(attempt, None)

    def call_back(self, attempts: Iterable[Attempt]) -> None:
        """They are not there any more, and wait as before."""
        back = {each for each in attempts if each in self._queue and each not in self._behind}
        if back:
            waits = back.union(self._behind)
            self._behind = OrderedDict((each, None) for each in self._queue if each in waits)

    @property
    def overdrawn(self) -> bool:
        """Whether more is taken up than there is, as after a restart with less."""
        return self._cpu < 0 or self._memory < 0

    @property
    def granted(self) -> Iterable[Attempt]:
        """Who has a slot."""
        return self._granted

    def hand_over(self, attempt: Attempt, following: Attempt) -> None:
        """Give the slot of an attempt that is over to one of the queue that asks for the same."""
        grant = self._granted.get(attempt)
        if grant is not None and not grant.devices and following not in self._granted:
            # No more and no less is taken up.
            del self._granted[attempt]
            self._leave(following)
            self._granted[following] = grant
            return
        self.release(attempt)
        if grant is not None:
            self.adopt(following, Grant(grant.wants))

    def grant(self) -> list[tuple[Attempt, Grant]]:
        """Everybody who may run now, in the order in which they came."""
        if not self._queue or self._cpu <= 0:
            return []
        chosen: list[tuple[Attempt, Wants]] = []
        cpu, memory, gpu = self._cpu, self._memory, len(self._free)
        for attempt, wants in self._queue.items():
            if cpu <= 0:
                break
            asked = ((wants.cpu, cpu), (wants.memory, memory), (wants.gpu, gpu))
            if all(size <= left for size, left in asked if size):
                chosen.append((attempt, wants))
            cpu -= _share(wants)
            memory -= wants.memory
            gpu -= wants.gpu
        granted: list[tuple[Attempt, Grant]] = []
        for attempt, wants in chosen:
            self._leave(attempt)
            grant = Grant(wants, tuple(self._free[: wants.gpu]))
            self._take(attempt, grant)
            granted.append((attempt, grant))
        return granted

    def _leave(self, attempt: Attempt) -> None:
        if self._queue.pop(attempt, None) is not None:
            self._behind.pop(attempt, None)

    def _take(self, attempt: Attempt, grant: Grant) -> None:
        self._granted[attempt] = grant
        self._cpu -= _share(grant.wants)
        self._memory -= grant.wants.memory
        if grant.devices:
            self._free = [d for d in self._free if d not in grant.devices]


def _share(wants: Wants) -> int:
    """The CPU that it counts for. Nobody counts for nothing: that bounds how many run, and how far a look into the queue goes."""
    return max(wants.cpu, _LEAST)
