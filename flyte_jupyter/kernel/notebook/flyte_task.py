"""``%%flyte_task``: a cell's body becomes a task, and runs here on the notebook's own variables.

The cell is turned into the source of a task function. That source is what travels; what runs in the
kernel is compiled from it with the cell's own line numbers.
"""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyte_jupyter.kernel.notebook.problems import NotebookError
from flyte_jupyter.kernel.notebook.statements import SHELL, Cell

_INDENT = "    "
_NAMING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.MatchAs, ast.MatchStar)
"""Nodes whose `name` they bind."""


class FlyteTaskError(NotebookError):
    """A ``%%flyte_task`` cell that cannot become a task; the message says what to write."""


@dataclass(frozen=True)
class Header:
    """The first line of the cell: the task's name, typed inputs and outputs, and its options.

    ``options`` are the keyword arguments of ``@task`` as source text, such as
    ``{"retries": "2", "timeout": "'5m'"}``.
    """

    name: str
    inputs: str
    outputs: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class TaskCell:
    """A task made from a cell: its source, and how its lines stand to the cell's."""

    header: Header
    source: str
    lines: tuple[int, ...]
    inputs: tuple[str, ...]
    required: frozenset[str]
    outputs: tuple[str, ...]

    def as_cell(self, cell_id: str, label: str) -> Cell:
        """The cell as the recorder keeps it; the number is the recorder's."""
        return Cell(0, cell_id, label, self.source, self.lines)

    def tree(self) -> ast.Module:
        """The undecorated function, its body at the lines where the author sees it.

        Raises:
            SyntaxError: the body is not Python.
        """
        function = ast.parse(self.source).body[1]
        assert isinstance(function, ast.FunctionDef)
        body = set()
        for statement in function.body:
            body |= {id(node) for node in ast.walk(statement)}
        function.decorator_list = []
        for node in ast.walk(function):
            if isinstance(node, ast.stmt | ast.expr | ast.arg | ast.keyword | ast.alias):
                self._move(node, inside=id(node) in body)
        return ast.Module([function], [])

    def _move(
        self, node: ast.stmt | ast.expr | ast.arg | ast.keyword | ast.alias, *, inside: bool
    ) -> None:
        """Give a node the place that it has in the cell; what the body doesn't hold is line 1."""
        last = node.end_lineno or node.lineno
        node.lineno = self.lines[node.lineno - 1] if inside else 1
        node.end_lineno = self.lines[last - 1] if inside else 1
        if inside:
            node.col_offset = max(0, node.col_offset - len(_INDENT))
            node.end_col_offset = max(0, (node.end_col_offset or 0) - len(_INDENT))


def task_cell(header: Header, body: str, body_lines: Sequence[int]) -> TaskCell:
    """Make the task's source from a cell.

    Args:
        header: the parsed first line.
        body: the cell's body as Python.
        body_lines: for each line of ``body`` its line in the cell.

    Raises:
        FlyteTaskError: names, annotations or outputs do not fit.
        SyntaxError: the body is not Python.
    """
    if not header.name.isidentifier() or keyword.iskeyword(header.name):
        raise FlyteTaskError(f"%%flyte_task {header.name}: the name must be a Python name")
    inputs = _parameters(header.name, "--inputs", header.inputs)
    outputs = _parameters(header.name, "--outputs", header.outputs)
    _check_body(header.name, body, {a.arg for a in inputs.args}, [a.arg for a in outputs.args])
    types = [ast.unparse(a.annotation) for a in outputs.args if a.annotation]
    names = tuple(a.arg for a in outputs.args)
    options = dict(header.options)
    if names:
        options["output_names"] = repr(names)
    arguments = ", ".join(f"{key}={value}" for key, value in options.items())
    returned = {0: "None", 1: types[0] if types else ""}.get(
        len(types), f"tuple[{', '.join(types)}]"
    )
    rows = body.splitlines() or ["pass"]
    inside = _inside_strings(body)
    source = [
        "import flyte_jupyter",
        f"@flyte_jupyter.task({arguments})" if arguments else "@flyte_jupyter.task",
        f"def {header.name}({ast.unparse(inputs)}) -> {returned}:",
        *(
            row if number in inside or not row.strip() else _INDENT + row
            for number, row in enumerate(rows, 1)
        ),
    ]
    mapped = [1, 1, 1, *(body_lines or [1])]
    if not ast.parse(body).body and body:
        source.append(f"{_INDENT}pass")
        mapped.append(mapped[-1])
    if names:
        source.append(f"{_INDENT}return {', '.join(names)}")
        mapped.append(mapped[-1])
    without_default = inputs.args[: len(inputs.args) - len(inputs.defaults)]
    return TaskCell(
        header,
        "\n".join(source) + "\n",
        tuple(mapped),
        tuple(a.arg for a in inputs.args),
        frozenset(a.arg for a in without_default),
        names,
    )


def arguments_from(cell: TaskCell, names: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The inputs that the notebook's variables give, and the names of required ones it lacks."""
    given = {name: names[name] for name in cell.inputs if name in names}
    return given, sorted(cell.required - given.keys())


def _parameters(task: str, option: str, text: str) -> ast.arguments:
    """``"df: pd.DataFrame, depth: int = 3"`` as a function's arguments."""
    place = f"%%flyte_task {task} {option} {text!r}"
    try:
        function = ast.parse(f"def _({text}\n): pass").body[0]
    except SyntaxError:
        raise FlyteTaskError(
            f"{place} cannot be read; write it like a function's parameters: "
            '"df: pd.DataFrame, depth: int = 3"'
        ) from None
    assert isinstance(function, ast.FunctionDef)
    found = function.args
    if found.vararg or found.kwarg or found.kwonlyargs or found.posonlyargs:
        raise FlyteTaskError(f"{place}: give plain names with types, without *, ** or /")
    for parameter in found.args:
        if parameter.annotation is None:
            raise FlyteTaskError(
                f"{place}: {parameter.arg} has no type; write {parameter.arg}: int, for example"
            )
    if option == "--outputs" and found.defaults:
        raise FlyteTaskError(f"{place}: an output has no default; assign it in the cell")
    return found


def _check_body(task: str, body: str, inputs: set[str], outputs: list[str]) -> None:
    tree = ast.parse(body)
    for node in _own_scope(tree):
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            word = "return" if isinstance(node, ast.Return) else "yield"
            raise FlyteTaskError(
                f"%%flyte_task {task}: {word} has no place in the cell; assign the declared "
                "outputs to their names instead"
            )
    assigned = inputs | {
        node.id
        for node in _own_scope(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in _own_scope(tree):
        if isinstance(node, _NAMING) and node.name is not None:
            assigned.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            assigned |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    missing = [name for name in outputs if name not in assigned]
    if missing:
        session = any(isinstance(node, ast.Name) and node.id == SHELL for node in ast.walk(tree))
        hint = "; what a magic (%) or shell (!) line assigns is not the task's" if session else ""
        raise FlyteTaskError(
            f"%%flyte_task {task}: the cell never assigns its output {', '.join(missing)}{hint}"
        )


def _own_scope(node: ast.AST) -> list[ast.AST]:
    """The nodes below ``node`` that run in its scope: what nested definitions hold is theirs."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        found.append(child)
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
        ):
            found += _own_scope(child)
    return found


def _inside_strings(body: str) -> set[int]:
    """Lines that begin inside a string of several lines: to indent them would change the string."""
    inside: set[int] = set()
    open_at: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(body).readline):
        kind = tokenize.tok_name[token.type]
        if kind.endswith("STRING_START"):
            open_at.append(token.start[0])
        elif kind.endswith("STRING_END"):
            inside |= set(range(open_at.pop() + 1, token.end[0] + 1))
        elif kind == "STRING":
            inside |= set(range(token.start[0] + 1, token.end[0] + 1))
    return inside
