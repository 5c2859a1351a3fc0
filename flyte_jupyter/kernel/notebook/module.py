"""Writing captured statements as one readable module, with a map from its lines to the cells."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from flyte_jupyter.kernel.bundling import Bundle, content_version, pack
from flyte_jupyter.kernel.notebook.statements import Statement

ENTRY = "notebook_cells"
FILE = f"{ENTRY}.py"


@dataclass(frozen=True)
class CellLines:
    """Lines ``first..last`` of ``file`` are the lines of a cell from ``cell_line`` on."""

    file: str
    first: int
    last: int
    cell_id: str
    cell_line: int
    label: str


@dataclass(frozen=True)
class Captured:
    """The source that a definition needs, ready to be packed.

    ``cells`` maps lines of the module to cells, ``definitions`` names to the ids of their cells;
    neither counts for the version.
    """

    name: str
    files: Mapping[str, bytes]
    cells: tuple[CellLines, ...]
    definitions: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The digest of all files, hexadecimal."""
        return content_version(self.files)

    @property
    def source(self) -> str:
        """The module that was written from the cells."""
        return self.files[FILE].decode()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))

    def bundle(self, namespace: str) -> Bundle:
        """All of it as one archive; ``namespace`` is what registered names begin with."""
        cells = [asdict(cell) for cell in self.cells]
        return pack(self.files, ENTRY, cells=cells, namespace=namespace, cell_ids=self.definitions)

    def preview(self) -> str:
        """What travels: one line per file with its size."""
        rows = [f"{len(content):>10,} B  {path}" for path, content in sorted(self.files.items())]
        return "\n".join([f"{self.name}, version {self.version[:12]}", *rows])


def write(name: str, ordered: Iterable[Statement], local: Mapping[str, bytes]) -> Captured:
    """Write the statements as module ``notebook_cells`` beside the ``local`` files."""
    lines: list[str] = []
    cells: list[CellLines] = []
    definitions: dict[str, str] = {}
    previous: Statement | None = None
    for statement in ordered:
        lines += [""] * _gap(previous, statement)
        text = statement.text.splitlines()
        start = len(lines) + 1
        lines += text
        cells += _mapped(statement, start, len(text))
        if not statement.is_import:
            definitions.update(dict.fromkeys(sorted(statement.binds), statement.cell.cell_id))
        previous = statement
    content = ("\n".join(lines) + "\n").encode()
    return Captured(name, {**local, FILE: content}, tuple(cells), definitions)


def _gap(previous: Statement | None, statement: Statement) -> int:
    """Blank lines between two statements, as a person would set them."""
    if previous is None:
        return 0
    both_imports = previous.is_import and statement.is_import
    small = isinstance(previous.node, ast.Assign) and isinstance(statement.node, ast.Assign)
    return 0 if both_imports or small else 2


def _mapped(statement: Statement, start: int, count: int) -> list[CellLines]:
    """One entry for each run of lines that follow one another in the cell too."""
    cell = statement.cell
    found: list[CellLines] = []
    begin = 0
    numbers = cell.lines[statement.first - 1 : statement.first - 1 + count]
    for index in range(1, len(numbers) + 1):
        if index < len(numbers) and numbers[index] == numbers[index - 1] + 1:
            continue
        found.append(
            CellLines(
                FILE, start + begin, start + index - 1, cell.cell_id, numbers[begin], cell.label
            )
        )
        begin = index
    return found
