"""Recording what ran: the cells of a notebook, as Python source with the author's line numbers.

IPython's own history holds cells that raised and magics; here each execution becomes a ``Cell`` and
the list of statements that it completed.
"""

from __future__ import annotations
import __future__

import ast
import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType, TracebackType
from typing import Any

from flyte_jupyter.kernel.notebook.statements import (
    Cell,
    Statement,
    has_statements,
    module_level,
    parse,
    statements,
)

_TRANSPARENT = {"time", "capture", "prun"}


@dataclass
class _Running:
    """A cell between its start and its end."""

    number: int
    cell_id: str
    label: str
    raw: str
    source: str
    postponed: bool
    definition: Cell | None = None
    outputs: frozenset[str] = frozenset()


class Recorder:
    """Listens to one IPython shell and keeps what its cells have done."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._executed: list[Statement] = []
        self._running: list[_Running] = []
        self._count = 0

    def start(self) -> None:
        """Begin to listen, and take in the cells that ran before."""
        self._adopt_history()
        self._shell.events.register("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)

    def stop(self) -> None:
        """Stop listening."""
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.unregister("post_run_cell", self._end)

    def executed(self) -> list[Statement]:
        """The statements that ran, those of a cell that is still running included."""
        found = list(self._executed)
        for running in self._running:
            line = _module_line(sys._getframe(), self._shell.user_ns)  # noqa: SLF001 - no other way
            found += self._statements(running, until=line)
        return found

    def define(self, cell: Cell, outputs: frozenset[str]) -> None:
        """Say that the running cell defined what ``cell``'s source says and assigned ``outputs``."""
        if self._running:
            running = self._running[-1]
        else:
            running = self._started("", "", "")
            self._running.append(running)
            self._finish(running, cell, outputs)
            return
        running.definition, running.outputs = cell, outputs

    def place(self) -> tuple[str, str]:
        """The id and the label of the cell that is running, empty ones between cells."""
        if not self._running:
            return "", f"In [{self._shell.execution_count}]"
        return self._running[-1].cell_id, self._running[-1].label

    def raw(self) -> str:
        """The running cell as its author wrote it, empty between cells."""
        return self._running[-1].raw if self._running else ""

    def _finish(self, running: _Running, cell: Cell, outputs: frozenset[str]) -> None:
        running.definition, running.outputs = cell, outputs
        self._running.remove(running)
        self._executed += self._statements(running)

    def _adopt_history(self) -> None:
        manager = getattr(self._shell, "history_manager", None)
        sources = dict(enumerate(getattr(manager, "input_hist_raw", None) or []))
        failed = getattr(manager, "exceptions", None) or {}
        inside = _module_line(sys._getframe(), self._shell.user_ns) is not None  # noqa: SLF001 - no other way
        current = self._shell.execution_count - 1 if inside else None
        for count, raw in sources.items():
            if not raw.strip() or count in failed:
                continue
            running = self._started(raw, "", f"In [{count}]")
            if count == current:
                self._running.append(running)
            else:
                self._executed += self._statements(running)

    def _begin(self, info: Any) -> None:
        label = f"In [{self._shell.execution_count - bool(info.store_history)}]"
        cell_id = getattr(info, "cell_id", None) or ""
        source = getattr(info, "transformed_cell", None)
        self._running.append(self._started(info.raw_cell, cell_id, label, source))

    def _end(self, result: Any) -> None:
        if not self._running or result.info is None:
            return
        running = self._running.pop()
        # IPython's history, from which the cell that loads us is taken, has no line ends at the end of a cell.
        same = running.raw.rstrip("\n") == result.info.raw_cell.rstrip("\n")
        if not same or result.error_before_exec is not None:
            return
        error = result.error_in_exec
        line = None if error is None else _failed_line(error.__traceback__, self._shell.user_ns)
        if error is not None and line is None and running.definition is None:
            return
        self._executed += self._statements(running, until=line)

    def _started(self, raw: str, cell_id: str, label: str, source: str | None = None) -> _Running:
        self._count += 1
        postponed = bool(self._shell.compile.flags & __future__.annotations.compiler_flag)
        python = self._python(raw, source)
        return _Running(self._count, cell_id, label, raw, python, postponed)

    def _python(self, raw: str, source: str | None) -> str:
        if source is not None:
            return source
        try:
            return str(self._shell.transform_cell(raw))
        except SyntaxError:
            return ""

    def _statements(self, running: _Running, until: int | None = None) -> list[Statement]:
        if running.definition is not None:
            cell = replace(running.definition, number=running.number, postponed=running.postponed)
            found = statements(cell)
            assigned = found[-1].order[1] + 1
            origin = f"running %%flyte_task in {cell.label}"
            return found + [
                replace(found[-1], order=(cell.number, assigned), text="", binds=frozenset({name}),
                        now=frozenset(), later=frozenset(), quoted=frozenset(), calls=frozenset(),
                        changes=frozenset(), origin=origin)
                for name in sorted(running.outputs)
            ]  # fmt: skip
        try:
            source, lines = python_source(running.source, running.raw, self._python_again)
            place = (running.number, running.cell_id, running.label)
            cell = Cell(*place, source, lines, running.postponed)
            return statements(cell, until=until)
        except SyntaxError:
            return []

    def _python_again(self, raw: str) -> str:
        return str(self._shell.transform_cell(raw))


def python_source(
    source: str, raw: str, transform: Callable[[str], str]
) -> tuple[str, tuple[int, ...]]:
    """The Python that a cell amounts to, and for each of its lines the line of the cell.

    Timing and capturing magics (``%%time``, ``%time``, ...) are looked through; other magics stay as IPython writes them.

    Raises:
        SyntaxError: the cell is not Python.
    """
    tree = parse(source)
    if len(tree.body) == 1 and (call := _looked_through(tree.body[0], "run_cell_magic")):
        body = call[1]
        skipped = len(raw.split(body, 1)[0].splitlines()) if body in raw else 1
        inner, lines = python_source(transform(body), body, transform)
        return inner, tuple(line + skipped for line in lines)
    mapped = line_map(source, raw)
    rows = source.splitlines()
    for node in module_level(tree):
        if not isinstance(node, ast.Expr):
            continue
        if (call := _looked_through(node, "run_line_magic")) and has_statements(call[0]):
            row = rows[node.lineno - 1].encode()
            rest = row[node.end_col_offset :]
            rows[node.lineno - 1] = (row[: node.col_offset] + call[0].encode() + rest).decode()
    return "\n".join(rows), mapped


def _looked_through(node: ast.stmt, method: str) -> tuple[str, str] | None:
    """Line and body of a call of a transparent magic that IPython wrote, or None."""
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=attr),
                args=[ast.Constant(value=str(name)), ast.Constant(value=str(line)), *rest],
            )
        ) if attr == method and name in _TRANSPARENT and node.lineno == node.end_lineno:
            body = rest[0].value if rest and isinstance(rest[0], ast.Constant) else ""
            return line, str(body)
    return None


def line_map(source: str, raw: str) -> tuple[int, ...]:
    """For each line of ``source`` the line of ``raw`` that it came from."""
    ours, theirs = source.splitlines(), raw.splitlines()
    if len(ours) == len(theirs):
        return tuple(range(1, len(ours) + 1))
    mapped = [1] * len(ours)
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for _, a, a_end, b, b_end in matcher.get_opcodes():
        for offset in range(a_end - a):
            mapped[a + offset] = min(b + offset, max(b_end - 1, 0)) + 1
    return tuple(mapped)


def _failed_line(trace: TracebackType | None, names: dict[str, Any]) -> int | None:
    """The line of the cell's own code in which an exception passed, innermost cell code first."""
    found = None
    while trace is not None:
        if _is_cell_code(trace.tb_frame, names):
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _module_line(frame: FrameType | None, names: dict[str, Any]) -> int | None:
    while frame is not None:
        if _is_cell_code(frame, names):
            return frame.f_lineno
        frame = frame.f_back
    return None


def _is_cell_code(frame: FrameType, names: dict[str, Any]) -> bool:
    name = frame.f_code.co_name
    return frame.f_globals is names and (name == "<module>" or name.startswith("<cell line"))
