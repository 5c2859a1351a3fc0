"""The table of what Flyte does and what this platform does names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent
TABLE = TESTS.parent / "docs" / "flyte-semantics.md"
_ROW = re.compile(r"^\| (?!Flyte \|)(.+?) \| (.+?) \| (.+?) \|$")
_PROOF = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


def test_every_row_names_its_proof():
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith("| Flyte |")]
    assert len(rows) > 100
    for line in rows:
        found = _ROW.match(line.replace("\\|", ""))
        assert found, line
        proof = found[3]
        assert _PROOF.search(proof) or proof == "not built", line


def test_every_proof_exists():
    named = _PROOF.findall(TABLE.read_text())
    missing = [f"{file}::{name}" for file, name in named if name not in names_in(file)]
    assert not missing
