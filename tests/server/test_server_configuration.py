"""Configuration files: every field can be set, and what is no field is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flyte_jupyter.server.configuration import BadConfiguration, read_configuration, settings_from


@dataclass(frozen=True)
class Inner:
    qps: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)
    grace: timedelta | None = timedelta(minutes=1)


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    count: int = 1
    on: bool = False
    file: Path | None = None
    inner: Inner = Inner()
    tolerations: Sequence[Mapping[str, Any]] = ()


def read(folder, text):
    path = folder / "it.toml"
    path.write_text(text)
    return settings_from(Outer, read_configuration(path))


def test_every_kind_of_field_is_read(tmp_path):
    made = read(
        tmp_path,
        """
name = "a"
count = 3
on = true
file = "/etc/x"
tolerations = [{key = "spot", operator = "Exists"}]
[inner]
qps = 5
grace = 2.5
[inner.labels]
team = "a"
""",
    )
    assert made == Outer(
        "a", 3, True, Path("/etc/x"), Inner(5.0, {"team": "a"}, timedelta(seconds=2.5)),
        ({"key": "spot", "operator": "Exists"},),
    )  # fmt: skip


def test_what_is_not_said_keeps_its_default(tmp_path):
    assert read(tmp_path, "") == Outer()
    assert read(tmp_path, '[inner]\ngrace = ""').inner.grace is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nmae = 'a'", "nmae: there is no such setting; known: count,"),
        ("[inner]\nqsp = 1", "inner.qsp"),
        ("count = 'three'", "count: expected a whole number, got 'three'"),
        ("count = true", "count: expected a whole number"),
        ("[inner.labels]\na = 1", "inner.labels.a: expected text"),
        ("inner = 1", "inner: expected a table"),
        ("tolerations = 1", "tolerations: expected a list"),
        ("= 3", "is not TOML"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path, text, says):
    with pytest.raises(BadConfiguration, match=says):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadConfiguration, match=r"none\.toml cannot be read"):
        read_configuration(tmp_path / "none.toml")
