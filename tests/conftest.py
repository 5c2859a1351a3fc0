"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import stop_control_plane

_REAL = {
    "browser", "cluster", "copilot", "extension", "kernel", "kubernetes", "local", "notebook", "runtime", "server", "store",
    "street", "supervisor",
}  # fmt: skip
"""Folders whose tests drive real browsers, clusters and processes: what a slow machine does to them says nothing about us."""


_ALONE = ("cluster", "browser")
"""Folders whose tests share one Kubernetes, or one JupyterLab. The first takes longest, so it is begun with."""


def pytest_configure() -> None:
    """Say once what is missing: each module of tests would say it in its own way."""
    if find_spec("flytekit") is None:
        pytest.exit(
            "The tests run programs of flytekit, and it is not installed. For Python 3.13 there is none: make them with an older one,"
            " `make clean test PYTHON=python3.12`",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the real world that fails is tried once more; the summary tells of it."""
    for item in items:
        if item.path.parent.name in _REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=lambda item: _ALONE.index(f) if (f := item.path.parent.name) in _ALONE else 0.5)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Of several workers one runs all tests of a module, or of a folder that shares what it has started."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            folder = module.rpartition("/")[0]
            return folder if folder.rpartition("/")[2] in _ALONE else module

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):
    """What a failed try left open was kept with its frames until now: it is no fault of the tests that follow."""
    outcome = yield
    if getattr(item, "execution_count", 1) > 1:
        sys.last_value = sys.last_traceback = sys.last_exc = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return outcome


@pytest.fixture(scope="module", autouse=True)
def _own_garbage(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a module of real tests leaves open is told at its own end, not in a stranger's test."""
    yield
    if request.path.parent.name in _REAL:
        gc.collect()


@pytest.fixture
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder for a control plane that is started on demand and ended with the test."""
    data = tmp_path / "data"
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(data))
    monkeypatch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
    yield data
    stop_control_plane(data)
