"""Everything from a notebook that one definition needs, in an order that runs elsewhere.

Rules of this file:

1. What is read while a statement runs is taken as it was before it, what is read when a function is
   called is taken as it is now.
2. The answer depends on the statements that are needed and on nothing else: not on cell ids, not on
   when an unchanged cell ran again, not on other cells.
3. All problems are reported, not the first.
"""

from __future__ import annotations

import builtins
import heapq
from collections.abc import Callable, Iterable, Mapping

from flyte_jupyter.kernel.notebook import problems as wrong
from flyte_jupyter.kernel.notebook import values
from flyte_jupyter.kernel.notebook.history import History, Order
from flyte_jupyter.kernel.notebook.problems import CaptureError, Problem
from flyte_jupyter.kernel.notebook.statements import Statement

_IMPLICIT = frozenset(vars(builtins)) | {"__name__", "__file__", "__doc__", "__builtins__"}
_NOTEBOOK_ONLY = {"get_ipython", "In", "Out", "_", "__", "___", "_ih", "_oh", "_dh"}
_ABSENT = object()

StarNames = Callable[[str], frozenset[str]]


def capture(
    history: History, entity: str, live: Mapping[str, object], star_names: StarNames
) -> list[Statement]:
    """The statements that define ``entity`` and all it uses, ready to be written as a module.

    Args:
        history: what the notebook ran.
        entity: the name of the task, workflow, class or function.
        live: the notebook's variables as they are now.
        star_names: the names that ``from <module> import *`` brings.

    Raises:
        CaptureError: something needed cannot travel as source.
    """
    search = _Search(history, live, star_names)
    search.need(entity, "the call", None)
    search.run()
    target = history.binding(entity)
    if target is not None:
        for statement in history.future_imports(target.order):
            search.include(statement)
    ordered = _ordered(search)
    search.compare(ordered)
    if search.problems:
        raise CaptureError(entity, search.problems)
    return ordered


class _Search:
    """A work list over names; knows why each statement is in."""

    def __init__(self, history: History, live: Mapping[str, object], star_names: StarNames) -> None:
        self.history = history
        self.live = live
        self.star_names = star_names
        self.included: dict[Order, Statement] = {}
        self.before: dict[Order, set[Order]] = {}
        self.used: dict[str, str] = {}
        self.problems: set[Problem] = set()
        self._waiting: list[tuple[str, str, Order | None]] = []
        self._seen: set[tuple[str, Order | None]] = set()

    def need(self, name: str, used: str, before: Order | None, *, maybe: bool = False) -> None:
        """Put ``name`` on the list, as it stood ``before``; ``maybe`` forgives its absence."""
        if (name, before) in self._seen:
            return
        if maybe and self._binding(name, before) is None:
            return
        self._seen.add((name, before))
        self._waiting.append((name, used, before))

    def run(self) -> None:
        """Work the list off."""
        while self._waiting:
            name, used, before = self._waiting.pop()
            self.used.setdefault(name, used)
            binding = self._binding(name, before)
            if binding is None:
                self._unbound(name, used)
            elif name in binding.deletes:
                self.problems.add(wrong.deleted(name, used, binding.where))
            elif binding.origin:
                self.problems.add(wrong.not_code(name, used, binding.where, binding.origin))
            elif self._may_travel(name, used, binding, before):
                self.include(binding)
                self._include_changes(name, binding, before)

    def include(self, statement: Statement) -> None:
        """Take a statement in, and put on the list what it needs."""
        if statement.order in self.included:
            return
        self.included[statement.order] = statement
        used = statement.where
        self.before[statement.order] = self._needed_to_run(statement)
        for name in statement.later:
            self.need(name, used, None)
        for name in statement.quoted:
            self.need(name, used, None, maybe=True)

    def compare(self, ordered: list[Statement]) -> None:
        """Find names whose live value is not what the captured source says."""
        for name, replay in values.replayed(ordered).items():
            live = self.live.get(name, _ABSENT)
            binding = self.history.binding(name)
            if live is _ABSENT or binding is None or binding.order not in self.included:
                continue
            if not values.same(live, replay):
                used = self.used.get(name, binding.where)
                self.problems.add(wrong.changed(name, used, binding.where))

    def _binding(self, name: str, before: Order | None) -> Statement | None:
        found = self.history.binding(name, before)
        if found is None:
            found = self._star_import(name, before)
        return found

    def _star_import(self, name: str, before: Order | None) -> Statement | None:
        """The star import that brought ``name``, when no statement names it."""
        stars = [s for s in self.history.executed if s.star and (not before or s.order < before)]
        for statement in reversed(stars):
            if name in self.star_names(statement.star):
                return statement
        return None

    def _unbound(self, name: str, used: str) -> None:
        if name in _IMPLICIT and name not in _NOTEBOOK_ONLY:
            return
        if name in _NOTEBOOK_ONLY:
            self.problems.add(wrong.of_the_session(name, used))
        elif name in self.live:
            self.problems.add(wrong.without_cell(name, used))
        else:
            self.problems.add(wrong.undefined(name, used))

    def _may_travel(self, name: str, used: str, binding: Statement, before: Order | None) -> bool:
        """Whether the value may be made again from its source; otherwise a problem is noted."""
        if not binding.is_assignment:
            return True
        current = self._binding(name, None)
        live = self.live.get(name, _ABSENT) if current is binding else _ABSENT
        if live is _ABSENT and before is None:
            self.problems.add(wrong.undefined(name, used))
            return False
        if live is not _ABSENT and values.is_code(live):
            return True
        if live is not _ABSENT and not values.is_plain(live):
            kind = values.kind_of(live)
            self.problems.add(wrong.not_small(name, used, binding.where, kind))
            return False
        if not values.is_constructor_call(binding.node, self.live):
            self.problems.add(wrong.computed(name, used, binding.where))
            return False
        return True

    def _include_changes(self, name: str, binding: Statement, before: Order | None) -> None:
        live = self.live.get(name)
        calls = type(live) in {list, dict, set} or (callable(live) and not isinstance(live, type))
        for change in self.history.changes(binding, name, before, calls=calls):
            if change.origin and not change.is_for_loop:
                origin = wrong.not_code(name, self.used[name], change.where, change.origin)
                self.problems.add(origin)
            else:
                self.include(change)

    def _needed_to_run(self, statement: Statement) -> set[Order]:
        """What must have run before ``statement``: what it reads, and what that reads when called."""
        needed: set[Order] = set()
        names = sorted(statement.now)
        seen = set(names)
        while names:
            name = names.pop()
            direct = name in statement.now
            found = self._binding(name, statement.order)
            if found is None:
                if direct and name not in statement.binds:
                    self.need(name, statement.where, None)
                continue
            self.need(name, statement.where, statement.order)
            needed.add(found.order)
            fresh = (found.later | found.now) - seen
            seen |= fresh
            names.extend(fresh)
        return needed - {statement.order}


def _ordered(search: _Search) -> list[Statement]:
    """The included statements: imports, then values, and what is needed before what needs it."""
    included = search.included
    before = {
        order: {o for o in needed if o in included} for order, needed in search.before.items()
    }
    for name, touching in _by_name(included.values()).items():
        for index, statement in enumerate(touching):
            for earlier in touching[:index]:
                writes = name in earlier.writes or name in statement.writes
                if writes and earlier.order != statement.order:
                    before[statement.order].add(earlier.order)
    rank = {
        order: (not s.is_future_import, not s.is_import, not s.is_assignment, s.text)
        for order, s in included.items()
    }
    waiting = {order: len(needed) for order, needed in before.items()}
    after: dict[Order, list[Order]] = {}
    for order, needed in before.items():
        for one in needed:
            after.setdefault(one, []).append(order)
    ready = [(rank[o], o) for o, count in waiting.items() if not count]
    heapq.heapify(ready)
    done: list[Statement] = []
    while ready:
        _, order = heapq.heappop(ready)
        done.append(included[order])
        for follower in after.get(order, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (rank[follower], follower))
    return done


def _by_name(included: Iterable[Statement]) -> dict[str, list[Statement]]:
    touching: dict[str, list[Statement]] = {}
    for statement in sorted(included, key=lambda s: s.order):
        for name in statement.writes | statement.now:
            touching.setdefault(name, []).append(statement)
    return touching
