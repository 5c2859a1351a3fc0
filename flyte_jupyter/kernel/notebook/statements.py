"""What one top-level statement of a cell binds, reads, changes and deletes.

The notebook's code is understood statement by statement. A name that is read while the statement
runs (``now``) must have been bound before it; a name that is read when a function is called
(``later``) has whatever the notebook gave it last. Python's own ``symtable`` decides which names
are global; the syntax tree decides what a statement does to them.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator
from dataclasses import dataclass

_FUTURE = "__future__"
_POSTPONED = "from __future__ import annotations\n"
SHELL = "get_ipython"
"""What IPython's transformer writes where a magic or a line for the shell stood."""
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Cell:
    """One execution of a notebook cell, as Python source.

    ``lines[i]`` is the line of the cell, as its author sees it, that source line ``i + 1`` stands
    for. ``postponed`` says that an earlier cell's ``from __future__ import annotations`` holds.
    """

    number: int
    cell_id: str
    label: str
    source: str
    lines: tuple[int, ...]
    postponed: bool = False


@dataclass(frozen=True)
class Statement:
    """One executed top-level statement; ``order`` says when, ``origin`` where the values come from.

    ``origin`` is empty for code that can be run again elsewhere, otherwise it says what made the
    values ("the shell", "a top-level await", "a loop"), which is why they cannot be captured.
    """

    cell: Cell
    order: tuple[int, int]
    node: ast.stmt
    text: str
    first: int
    binds: frozenset[str]
    now: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    quoted: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    deletes: frozenset[str] = frozenset()
    origin: str = ""

    @property
    def is_future_import(self) -> bool:
        """Whether this is a ``from __future__ import``."""
        return isinstance(self.node, ast.ImportFrom) and self.node.module == _FUTURE

    @property
    def is_import(self) -> bool:
        """Whether this statement only imports."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def star(self) -> str:
        """The module of a ``from module import *``, otherwise empty."""
        if isinstance(self.node, ast.ImportFrom) and self.node.names[0].name == "*":
            return "." * self.node.level + (self.node.module or "")
        return ""

    @property
    def is_assignment(self) -> bool:
        """Whether what it binds are values, not definitions or imports."""
        return not (self.is_import or isinstance(self.node, _DEFINITIONS))

    @property
    def is_for_loop(self) -> bool:
        """Whether this is a ``for`` loop."""
        return isinstance(self.node, ast.For)

    @property
    def writes(self) -> frozenset[str]:
        """The names it binds, deletes or may change."""
        return self.binds | self.deletes | self.changes | self.calls

    @property
    def where(self) -> str:
        """The place, for a message: ``cell In [3], line 7``."""
        return f"cell {self.cell.label}, line {self.cell.lines[self.first - 1]}"


def parse(source: str) -> ast.Module:
    """The syntax tree of a cell, in which ``await`` may stand at the top level.

    Raises:
        SyntaxError: this is not Python.
    """
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, "<cell>", "exec", flags, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def has_statements(source: str) -> bool:
    """Whether this is Python, and not only a comment."""
    try:
        return bool(parse(source).body)
    except SyntaxError:
        return False


def statements(cell: Cell, *, until: int | None = None) -> list[Statement]:
    """The statements of ``cell`` that ended before source line ``until`` (all by default)."""
    found: list[Statement] = []
    postponed = cell.postponed
    for index, node in enumerate(parse(cell.source).body):
        if until is not None and (node.end_lineno or node.lineno) >= until:
            break
        found.append(_statement(cell, node, index, postponed=postponed))
        postponed = postponed or (found[-1].is_future_import and "annotations" in found[-1].binds)
    return found


def _statement(cell: Cell, node: ast.stmt, index: int, *, postponed: bool) -> Statement:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    text = _text(cell.source, node, first)
    made = _origin(node)
    if made:
        return Statement(cell, (cell.number, index), node, text, first, _stored(node), origin=made)
    table = symtable.symtable(_POSTPONED + text if postponed else text, "<cell>", "exec")
    now, later = _reads(table)
    quoted = _quoted_names(node)
    changes, calls = _changes(node)
    augmented = {
        n.target.id
        for n in module_level(node)
        if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    }
    deletes = {
        t.id
        for n in module_level(node)
        if isinstance(n, ast.Delete)
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    binds = {
        s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()
    } - _only(node, augmented | deletes)
    if postponed and not isinstance(node, ast.Import | ast.ImportFrom):
        binds -= {"annotations"} - _stored(node)
    if isinstance(node, _LOOPS) and binds:
        made = "a loop or a with block"
    return Statement(
        cell=cell,
        order=(cell.number, index),
        node=node,
        text=text,
        first=first,
        binds=frozenset(binds),
        now=frozenset(now | augmented),
        later=frozenset(later),
        quoted=frozenset(quoted),
        changes=frozenset(changes | augmented),
        calls=frozenset(calls),
        deletes=frozenset(deletes),
        origin=made,
    )


def _text(source: str, node: ast.stmt, first: int) -> str:
    """The statement's own source with its decorators, cut from between semicolons if need be."""
    lines = source.splitlines()
    last = node.end_lineno or node.lineno
    whole = "\n".join(lines[first - 1 : last])
    segment = ast.get_source_segment(source, node) or whole
    if first != node.lineno or (whole.startswith(segment) and _is_comment(whole[len(segment) :])):
        return whole
    return segment


def _is_comment(rest: str) -> bool:
    return not rest.strip() or rest.lstrip().startswith("#")


def _reads(table: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """Global names read while the statement runs, and those read when its functions are called."""
    now = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    later: set[str] = set()
    _read_inside(table, now, later)
    return now, later


def _read_inside(table: symtable.SymbolTable, now: set[str], later: set[str]) -> None:
    for child in table.get_children():
        if child.get_type() == "annotation":
            continue  # from Python 3.14 on a scope of their own; _quoted_names finds their names
        lazy = child.get_type() == "function" and child.get_name() not in {
            "listcomp", "setcomp", "dictcomp", "genexpr",
        }  # fmt: skip
        found = later if lazy or now is later else now
        found |= {s.get_name() for s in child.get_symbols() if s.is_referenced() and s.is_global()}
        _read_inside(child, found, later)


def module_level(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run in the notebook's own scope; of definitions, their decorators."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, _DEFINITIONS):
        for decorator in node.decorator_list:
            yield from module_level(decorator)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from module_level(child)


def _only(node: ast.stmt, names: set[str]) -> set[str]:
    """Those of ``names`` that the statement changes or deletes but never binds afresh."""
    bound = {
        n.id
        for top in module_level(node)
        if not isinstance(top, ast.AugAssign)
        for n in ast.iter_child_nodes(top)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return names - bound


def _changes(node: ast.stmt) -> tuple[set[str], set[str]]:
    """Names whose value the statement changes in place, and names that it calls a method of."""
    changed: set[str] = set()
    called: set[str] = set()
    for n in module_level(node):
        if isinstance(n, ast.Subscript | ast.Attribute) and isinstance(n.ctx, ast.Store | ast.Del):
            changed |= _root(n)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
            called |= _root(n.func)
    for decorator in getattr(node, "decorator_list", []):
        if isinstance(decorator, ast.Attribute):
            called |= _root(decorator)
    return changed, called


def _root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _quoted_names(node: ast.stmt) -> set[str]:
    """Names inside annotations written as strings; under ``from __future__`` all of them."""
    names: set[str] = set()
    for n in ast.walk(node):
        annotation = getattr(n, "annotation", None) or getattr(n, "returns", None)
        if isinstance(annotation, ast.expr):
            names |= _annotation_names(annotation)
    return names - set(vars(builtins))


def _annotation_names(annotation: ast.expr) -> set[str]:
    names = set()
    for n in ast.walk(annotation):
        if isinstance(n, ast.Name):
            names.add(n.id)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str):
            try:
                names |= _annotation_names(ast.parse(n.value, mode="eval").body)
            except SyntaxError:
                continue
    return names


def _origin(node: ast.stmt) -> str:
    """What made the statement's values, when it is not code that can run elsewhere."""
    if isinstance(node, _DEFINITIONS):
        return ""
    for n in module_level(node):
        if isinstance(n, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return "a top-level await"
        if isinstance(n, ast.comprehension) and n.is_async:
            return "a top-level await"
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == SHELL:
            return "the shell or a magic"
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "input":
            return "input()"
    return ""


def _stored(node: ast.stmt) -> frozenset[str]:
    return frozenset(
        n.id for n in module_level(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    )
