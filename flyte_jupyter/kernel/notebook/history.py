"""What the notebook has done to each name, in the order in which it happened."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable

from flyte_jupyter.kernel.notebook.statements import Statement

Order = tuple[int, int]


class History:
    """The executed statements of a notebook, found by the names that they touch."""

    def __init__(self, executed: Iterable[Statement]) -> None:
        self.executed = sorted(executed, key=lambda s: s.order)
        self._bindings: dict[str, list[Statement]] = defaultdict(list)
        self._changes: dict[str, list[Statement]] = defaultdict(list)
        self._calls: dict[str, list[Statement]] = defaultdict(list)
        self._first: dict[Order, Statement] = {}
        for statement in self.executed:
            for name in statement.binds | statement.deletes:
                self._bindings[name].append(statement)
            for name in statement.changes:
                self._changes[name].append(statement)
            for name in statement.calls - statement.changes:
                self._calls[name].append(statement)
        for statement in self.executed:
            self._repeated(statement)  # in this order none has to look far back

    def binding(self, name: str, before: Order | None = None) -> Statement | None:
        """The statement that last bound (or deleted) ``name`` before ``before``, or at all.

        A statement that only repeats what the name already had is told as the one it repeats,
        so that running an unchanged cell again changes nothing.
        """
        found = self._bound_just_before(name, before)
        return self._repeated(found) if found else None

    def changes(
        self, binding: Statement, name: str, before: Order | None, *, calls: bool
    ) -> list[Statement]:
        """What changed the value of ``name`` in place since ``binding``, until ``before``.

        With ``calls``, calling a method of the value counts as changing it.
        """
        touching = [*self._changes.get(name, ()), *(self._calls.get(name, ()) if calls else ())]
        since = [
            s
            for s in sorted(touching, key=lambda s: s.order)
            if s.order > binding.order and (before is None or s.order < before)
        ]
        return _without_repetitions(since)

    def future_imports(self, before: Order) -> list[Statement]:
        """The ``from __future__`` imports in force where a statement ran."""
        return [s for s in self.executed if s.is_future_import and s.order <= before]

    def _repeated(self, statement: Statement) -> Statement:
        """The first of a run of identical statements that nothing came between."""
        known = self._first.get(statement.order)
        if known is None:
            known = self._first[statement.order] = statement
            earlier = self._same_before(statement)
            if earlier is not None:
                known = self._first[statement.order] = earlier
        return known

    def _same_before(self, statement: Statement) -> Statement | None:
        if not statement.binds or statement.deletes or statement.changes:
            return None
        before = {self._bound_just_before(name, statement.order) for name in statement.binds}
        earlier = before.pop() if len(before) == 1 else None
        if earlier is None or earlier.text != statement.text or earlier.origin:
            return None
        for name in statement.binds:
            if self._touched(name, earlier.order, statement.order):
                return None
        for name in statement.now - statement.binds:
            then, now = self.binding(name, earlier.order), self.binding(name, statement.order)
            if then is not now or self._changed(name, earlier.order, statement.order):
                return None
        return self._repeated(earlier)

    def _bound_just_before(self, name: str, before: Order | None) -> Statement | None:
        bound = self._bindings.get(name, [])
        index = len(bound) if before is None else bisect_left(bound, before, key=_order_of)
        return bound[index - 1] if index else None

    def _touched(self, name: str, since: Order, until: Order) -> bool:
        called = _any_between(self._calls.get(name, []), since, until)
        return called or self._changed(name, since, until)

    def _changed(self, name: str, since: Order, until: Order) -> bool:
        return _any_between(self._changes.get(name, []), since, until)


def _order_of(statement: Statement) -> Order:
    return statement.order


def _any_between(statements: list[Statement], since: Order, until: Order) -> bool:
    index = bisect_right(statements, since, key=_order_of)
    return index < len(statements) and statements[index].order < until


def _without_repetitions(changes: list[Statement]) -> list[Statement]:
    """Drop assignments such as ``d["a"] = 1`` that an earlier, unchanged one has made already."""
    kept: list[Statement] = []
    standing: dict[str, str] = {}
    for statement in changes:
        node = statement.node
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = ast.unparse(node.targets[0])
            if standing.get(target) == statement.text:
                continue
            standing[target] = statement.text
        else:
            standing.clear()
        kept.append(statement)
    return kept
