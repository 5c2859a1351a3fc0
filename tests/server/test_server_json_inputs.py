"""Inputs that a person wrote as JSON: whatever is wrong with one is told with its name."""

from __future__ import annotations

import pytest

from flyte_jupyter.idl import core
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.json_inputs import literals_from

OF = {name: core.LiteralType(simple=kind) for name, kind in core.SimpleType.items()}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("DURATION", 1e300),
        ("DURATION", float("inf")),
        ("DURATION", float("nan")),
        ("DATETIME", "9999-12-31T23:59:59"),
        ("INTEGER", 2**70),
        ("INTEGER", 2**63),
        ("INTEGER", 1.5),
        ("FLOAT", 2**2000),
        ("STRING", "\ud800"),
        ("STRING", {"scalar": {"primitive": {"integer": "x"}}}),
    ],
)
def test_a_value_that_is_none_of_its_type_is_refused_by_name(kind, value):
    with pytest.raises(InvalidArgument, match="Input 'x'"):
        literals_from({"x": value}, {"x": OF[kind]})
