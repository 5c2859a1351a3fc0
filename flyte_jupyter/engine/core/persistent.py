"""Two persistent containers: changing one gives a new one, shares all but a few dozen slots, and leaves the old one as it was.

Both cost the same whether a run has ten nodes or a hundred thousand, which is what keeps a step's cost that of its changes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Generic, TypeVar, cast, overload

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
E = TypeVar("E", bound=tuple[Any, ...])

_BITS = 6
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1
_PLACES = _WIDTH * _WIDTH - 1
_EMPTY_SHELF: tuple[dict[Any, Any], ...] = ({},) * _WIDTH
_CHUNK = 128
_ABSENT: Any = object()


class PersistentMap(Mapping[K, V]):
    """A mapping that is never mutated in place: 64 shelves of 64 small buckets, copied only where they change.

    Iteration follows the keys' hashes, so no decision may depend on its order.
    """

    __slots__ = ("_shelves", "_size")

    def __init__(self, items: Mapping[K, V] | None = None) -> None:
        self._shelves: tuple[tuple[dict[K, V], ...], ...] = (_EMPTY_SHELF,) * _WIDTH
        self._size = 0
        if items:
            self._shelves, self._size, _ = self._laid_over(items)

    def __getitem__(self, key: K) -> V:
        mark = hash(key)
        return self._shelves[mark & _MASK][(mark >> _BITS) & _MASK][key]

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T) -> V | T: ...
    def get(self, key: K, default: Any = None) -> Any:
        """As of any mapping; asked too often for one that catches an exception."""
        mark = hash(key)
        return self._shelves[mark & _MASK][(mark >> _BITS) & _MASK].get(key, default)

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(chain.from_iterable(self._shelves))

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self)!r})"

    def updated(self, changes: Mapping[K, V]) -> PersistentMap[K, V]:
        """This mapping with `changes` laid over it."""
        return self.changed(changes)[0]

    def changed(self, changes: Mapping[K, V]) -> tuple[PersistentMap[K, V], frozenset[K]]:
        """The same, and the keys that have another value now."""
        shelves, size, keys = self._laid_over(changes)
        if not keys:
            return self, frozenset()
        made: PersistentMap[K, V] = PersistentMap.__new__(PersistentMap)
        made._shelves, made._size = shelves, size
        return made, frozenset(keys)

    def _laid_over(
        self, changes: Mapping[K, V]
    ) -> tuple[tuple[tuple[dict[K, V], ...], ...], int, list[K]]:
        shelves: dict[int, list[dict[K, V]]] = {}
        fresh: set[int] = set()
        size, keys = self._size, list[K]()
        for key, value in changes.items():
            mark = hash(key)
            high, low = mark & _MASK, (mark >> _BITS) & _MASK
            shelf = shelves.get(high)
            if shelf is None:
                shelf = shelves[high] = list(self._shelves[high])
            old = shelf[low].get(key, _ABSENT)
            if type(old) is type(value) and old == value:
                continue
            keys.append(key)
            size += old is _ABSENT
            place = mark & _PLACES
            if place not in fresh:
                fresh.add(place)
                shelf[low] = shelf[low].copy()
            shelf[low][key] = value
        outer = list(self._shelves)
        for high, shelf in shelves.items():
            outer[high] = tuple(shelf)
        return tuple(outer), size, keys


def _first(chunk: tuple[E, ...]) -> E:
    return chunk[0]


class Ordered(Generic[E]):
    """A sorted set of tuples that is never mutated in place, kept in short sorted chunks."""

    __slots__ = ("_chunks", "first")

    first: E | None
    """The smallest entry; None when there is none."""

    def __init__(self, entries: Iterable[E] = ()) -> None:
        flat = sorted(set(entries))
        self._chunks: tuple[tuple[E, ...], ...] = tuple(
            tuple(flat[at : at + _CHUNK]) for at in range(0, len(flat), _CHUNK)
        )
        self.first = flat[0] if flat else None

    def __iter__(self) -> Iterator[E]:
        return chain.from_iterable(self._chunks)

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ordered):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Ordered({list(self)!r})"

    @property
    def single(self) -> bool:
        """Whether there is exactly one entry."""
        return len(self._chunks) == 1 and len(self._chunks[0]) == 1

    def add(self, entry: E) -> Ordered[E]:
        """This set with `entry` in it."""
        chunks = self._chunks
        if not chunks:
            return self._of(((entry,),))
        last = chunks[-1]
        if entry > last[-1]:
            # Entries mostly arrive in order: leave full chunks full.
            grown = (*chunks, (entry,)) if len(last) == _CHUNK else (*chunks[:-1], (*last, entry))
            return self._of(grown)
        at, spot = self._find(entry)
        chunk = chunks[at]
        if spot < len(chunk) and chunk[spot] == entry:
            return self
        full = (*chunk[:spot], entry, *chunk[spot:])
        middle = len(full) // 2
        parts = (full,) if len(full) <= _CHUNK else (full[:middle], full[middle:])
        return self._of(chunks[:at] + parts + chunks[at + 1 :])

    def extended(self, entries: Sequence[E]) -> Ordered[E]:
        """This set with `entries` in it: they are in order, and come after all that are in it."""
        chunks = list(self._chunks)
        flat = [*chunks.pop(), *entries] if chunks else list(entries)
        chunks += (tuple(flat[at : at + _CHUNK]) for at in range(0, len(flat), _CHUNK))
        return self._of(tuple(chunks))

    def discard(self, entry: E) -> Ordered[E]:
        """This set without `entry`."""
        chunks = self._chunks
        if not chunks:
            return self
        at, spot = self._find(entry)
        chunk = chunks[at]
        if spot == len(chunk) or chunk[spot] != entry:
            return self
        left = chunk[:spot] + chunk[spot + 1 :]
        return self._of(chunks[:at] + ((left,) if left else ()) + chunks[at + 1 :])

    def without(self, entries: AbstractSet[E]) -> Ordered[E]:
        """This set without any of `entries`. Costs its size where they are many."""
        if len(entries) < _CHUNK:
            made = self
            for entry in entries:
                made = made.discard(entry)
            return made
        left = (tuple(e for e in chunk if e not in entries) for chunk in self._chunks)
        return self._of(tuple(chunk for chunk in left if chunk))

    def _find(self, entry: E) -> tuple[int, int]:
        first = self._chunks[0]
        if entry <= first[-1]:
            # Who has waited longest mostly goes first.
            return 0, bisect_left(first, entry)
        at = max(0, bisect_right(self._chunks, entry, key=_first) - 1)
        return at, bisect_left(self._chunks[at], entry)

    @staticmethod
    def _of(chunks: tuple[tuple[E, ...], ...]) -> Ordered[E]:
        made = cast("Ordered[E]", Ordered.__new__(Ordered))
        made._chunks = chunks  # noqa: SLF001  its own class
        made.first = chunks[0][0] if chunks else None
        return made
