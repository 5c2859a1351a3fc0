"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import stop_control_plane

_REAL = {
    "browser", "cluster", "extension", "kernel", "kubernetes", "local", "notebook", "runtime", "street", "supervisor",
}  # fmt: skip
"""Folders whose tests drive real browsers, clusters and processes: what a slow machine does to them says nothing about us."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the real world that fails is tried once more; the summary tells of it."""
    for item in items:
        if item.path.parent.name in _REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder for a control plane that is started on demand and ended with the test."""
    data = tmp_path / "data"
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(data))
    monkeypatch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
    yield data
    stop_control_plane(data)
