"""JupyterLab in a real browser; what went wrong is kept in test-results/."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from browser_lab import ROOT, SIZE, Laboratory, Window, laboratory, start_browser
from playwright.sync_api import Browser, sync_playwright

RESULTS = ROOT / "test-results"
NUMBERS = count(1)
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Laboratory]:
    """One JupyterLab with one control plane for all tests of this folder; each test brings its own notebooks."""
    with laboratory(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file: Playwright's event loop must not live on in tests that want their own."""
    with sync_playwright() as playwright:
        running = start_browser(playwright)
        yield running
        running.close()


@pytest.fixture
def open_window(
    request: pytest.FixtureRequest, browser: Browser, lab: Laboratory
) -> Iterator[Callable[..., Window]]:
    """Opens windows on JupyterLab, each with cookies of its own, and keeps pictures of them when the test fails."""
    windows: list[Window] = []

    def open_one(where: Laboratory = lab) -> Window:
        context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
        window = Window(context.new_page(), where)
        windows.append(window)
        return window.open(f"window-{next(NUMBERS)}")

    yield open_one
    name = re.sub(r"\W+", "-", request.node.name)
    for number, window in enumerate(windows):
        if request.node.stash.get(FAILED, True):
            RESULTS.mkdir(exist_ok=True)
            window.page.screenshot(path=RESULTS / f"{name}-{number}.png")
            said = "\n".join(f"{kind}: {text}" for kind, text in window.said)
            (RESULTS / f"{name}-{number}.txt").write_text(
                f"{said}\n\n{window.lab.server.log.read_text()}"
            )
        if window.lab is lab:
            window.end_kernels()
        window.page.context.close()


@pytest.fixture
def window(open_window: Callable[..., Window]) -> Window:
    """One window on JupyterLab."""
    return open_window()
