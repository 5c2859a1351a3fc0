"""The containers behave like a dict and a sorted set, their older versions stay as they were, and a change copies little."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_jupyter.engine.core.persistent import Ordered, PersistentMap

quickly = settings(max_examples=100, deadline=None, derandomize=True, database=None)
keys = st.integers(-(2**40), 2**40) | st.text(max_size=3)
entries = st.tuples(st.integers(0, 300), st.integers(0, 3))


class Clash:
    """A key that shares its hash with every other one."""

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return 7

    def __eq__(self, other):
        return isinstance(other, Clash) and self.name == other.name


@quickly
@given(st.lists(st.dictionaries(keys, st.integers(), max_size=5), max_size=10))
def test_a_map_is_a_dict(changes):
    made, like = PersistentMap(), {}
    for change in changes:
        older, kept = made, dict(made)
        made, like = made.updated(change), {**like, **change}
        assert made == like
        assert len(made) == len(like)
        assert set(made) == set(like)
        assert all(made[key] == value for key, value in like.items())
        assert older == kept
        assert len(older) == len(kept)
    assert PersistentMap(like) == made
    assert made.updated({}) is made
    assert ("no", "such") not in made
    assert made.get(("no", "such")) is None


def test_clashing_hashes_keep_their_keys_apart():
    made = PersistentMap({Clash(i): i for i in range(20)}).updated({Clash(3): "three"})
    assert [made[Clash(i)] for i in (2, 3, 4)] == [2, "three", 4]
    assert len(made) == 20
    assert "PersistentMap" in repr(PersistentMap({1: 2}))


def test_a_change_to_a_large_map_copies_little():
    large = PersistentMap({(f"n{i}",): i for i in range(50_000)})
    changed = large.updated({("n7",): -1})
    before = [bucket for shelf in large._shelves for bucket in shelf]
    after = [bucket for shelf in changed._shelves for bucket in shelf]
    fresh = [b for b, a in zip(before, after, strict=True) if a is not b]
    assert len(fresh) == 1
    assert len(fresh[0]) < 100


@quickly
@given(st.lists(st.tuples(st.booleans(), entries), max_size=400), st.sets(entries))
def test_an_ordered_set_is_a_sorted_set(changes, begin):
    made, like = Ordered(begin), set(begin)
    for add, entry in changes:
        older, kept = made, list(made)
        made = made.add(entry) if add else made.discard(entry)
        (like.add if add else like.discard)(entry)
        assert list(older) == kept
        assert made.first == min(like, default=None)
    assert list(made) == sorted(like)
    assert len(made) == len(like)
    assert bool(made) == bool(like)
    assert made == Ordered(like)
    assert hash(made) == hash(Ordered(like))
    assert made != sorted(like)
    assert made.single == (len(like) == 1)
    beyond = [(400 + i, 0) for i in range(len(changes))]
    longer = made.extended(beyond)
    assert list(longer) == sorted(like) + beyond
    assert longer == Ordered(like | set(beyond))
    for gone in (set(beyond[::2]), set(list(like)[::2]), set(beyond) | like):
        assert longer.without(gone) == Ordered((like | set(beyond)) - gone)
    assert longer.add((350, 1)).discard((350, 1)) == longer


def test_chunks_stay_short_whatever_the_order():
    for order in (range(5000), range(5000, 0, -1), [i * 7919 % 5000 for i in range(5000)]):
        made = Ordered()
        for i in order:
            made = made.add((i,))
        assert max(map(len, made._chunks)) <= 128
        assert len(made._chunks) <= 5000 // 32
