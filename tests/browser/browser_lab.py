"""A person in front of JupyterLab: a real server, a real Chromium, and what one does and sees there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from flytekit_platform import Platform
from playwright.sync_api import Browser, Frame, Locator, Page, Playwright, Request, expect
from processes import JupyterServer, eventually, run_jupyter

from flyte_jupyter.supervisor import Endpoint, find, places

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "notebooks" / "quickstart.ipynb"
SIZE = {"width": 1440, "height": 900}
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Patience for a machine with little to spare; a passing test never uses it up.
WITHIN_MS = 60_000
# Chromium drops what is under way when a network interface comes or goes, as those of containers do.
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": False,
    },
}


class NotReady(Exception):
    """Something that these tests need is not on this machine; the message says how to get it."""


def start_browser(playwright: Playwright) -> Browser:
    """The machine's own Chromium: nothing is downloaded."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise NotReady(
            f"No browser: none of {', '.join(BROWSERS)} is on PATH. `make browser` installs one where it can "
            "and says how where it can't."
        )
    expect.set_options(timeout=WITHIN_MS)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


def require_extension() -> None:
    """Fail, with the remedy, when JupyterLab would not find our extension."""
    from jupyter_core.paths import jupyter_path

    folders = [Path(each) / "flyte-jupyter" for each in jupyter_path("labextensions")]
    if not any((each / "package.json").is_file() for each in folders):
        raise NotReady(
            "JupyterLab has no flyte-jupyter extension here: `make .venv/.lab` (or `pip install -e '.[lab]'`) "
            "builds it and puts it where JupyterLab looks."
        )


@dataclass(frozen=True)
class Laboratory:
    """A running JupyterLab and the folder that it shows."""

    server: JupyterServer
    notebooks: Path

    def add(self, name: str, notebook: dict) -> str:
        """Put a notebook there; gives its path for JupyterLab."""
        (self.notebooks / name).write_text(json.dumps(notebook, indent=1))
        return name

    def platform(self) -> Platform:
        """The control plane, for what is launched from elsewhere."""
        where = places(
            {**os.environ, "FLYTE_JUPYTER_DATA_DIR": str(self.notebooks.parent / "data")}
        )
        endpoint = eventually(lambda: find(where), what="the control plane")
        assert isinstance(endpoint, Endpoint)
        return Platform(endpoint)

    def read(self, path: str) -> dict:
        return json.loads((self.notebooks / path).read_text())


@contextlib.contextmanager
def laboratory(home: Path) -> Iterator[Laboratory]:
    """JupyterLab in a home of its own, silent about news."""
    require_extension()
    settings = home / "config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(OVERRIDES))
    options = (
        "--LabApp.expose_app_in_browser=True",
        f"--LabApp.user_settings_dir={home / 'settings'}",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
    )
    (home / "workspaces").mkdir(parents=True, exist_ok=True)
    environ = {"FLYTE_JUPYTER_DATA_DIR": str(home / "data"), "FLYTE_JUPYTER_ENDPOINT": ""}
    with run_jupyter(home, lab=True, options=options, environ=environ) as server:
        yield Laboratory(server, home / "notebooks")


class Window:
    """One browser window on JupyterLab, and everything that it said and asked for."""

    def __init__(self, page: Page, lab: Laboratory) -> None:
        self.page, self.lab = page, lab
        self.said: list[tuple[str, str]] = []
        self.requests: list[Request] = []
        self.sockets: list[str] = []
        page.set_default_timeout(WITHIN_MS)
        page.on("console", lambda message: self.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: self.said.append(("error", str(error))))
        page.on("request", lambda request: self.requests.append(request))  # noqa: PLW0108  a handler must take attributes
        page.on("websocket", lambda socket: self.sockets.append(socket.url))

    def open(self, workspace: str, *, reset: bool = True) -> Window:
        """Load JupyterLab and wait until it can be worked with."""
        query = urlencode({"token": self.lab.server.token}) + ("&reset" if reset else "")
        self.page.goto(f"{self.lab.server.url}lab/workspaces/{workspace}?{query}")
        self.page.wait_for_function("() => window.jupyterapp !== undefined")
        self.page.evaluate("async () => { await window.jupyterapp.restored; }")
        return self

    def command(self, name: str, **arguments: object) -> None:
        """Run a command of JupyterLab to its end."""
        self.page.evaluate(
            "async ([name, given]) => { await window.jupyterapp.commands.execute(name, given); }",
            [name, arguments],
        )

    def confirm(self, name: str, button: str) -> None:
        """Run a command that asks first, and press a button of its dialog."""
        self.page.evaluate("name => void window.jupyterapp.commands.execute(name)", name)
        self.answer(button)

    def answer(self, button: str) -> None:
        """Press a button of the dialog that is open."""
        dialog = self.page.get_by_role("dialog")
        # By what it says: the names for screen readers are longer, and differ from dialog to dialog.
        dialog.locator(".jp-Dialog-button").get_by_text(button, exact=True).click()
        expect(dialog).to_have_count(0)

    def open_notebook(self, path: str, *, kernel: bool = True) -> None:
        """Open a notebook and, unless told not to, wait for its kernel."""
        self.page.evaluate(
            """async ([path, kernel]) => {
              const app = window.jupyterapp;
              const panel = await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
              await panel.revealed;
              await panel.context.ready;
              if (kernel) { await panel.sessionContext.ready; }
            }""",
            [path, kernel],
        )

    def run_all(self, *, wait: bool = True) -> None:
        """Run all cells of the notebook in front."""
        self.page.evaluate(
            """async wait => {
              const done = window.jupyterapp.commands.execute('notebook:run-all-cells');
              if (wait) { await done; }
            }""",
            wait,
        )

    def save(self) -> None:
        self.command("docmanager:save")

    def use_theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        light = "true" if name == LIGHT else "false"
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", light)

    def show_cell(self, cell_id: str) -> Locator:
        """Scroll to a cell: JupyterLab draws only what is near the view."""
        self.page.evaluate(
            """async id => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              const index = notebook.widgets.findIndex(cell => cell.model.id === id);
              await notebook.scrollToItem(index, 'start');
            }""",
            cell_id,
        )
        return self.page.locator(f'.jp-Cell[data-windowed-list-index="{self.index_of(cell_id)}"]')

    def index_of(self, cell_id: str) -> int:
        return self.page.evaluate(
            """id => window.jupyterapp.shell.currentWidget.content.widgets
              .findIndex(cell => cell.model.id === id)""",
            cell_id,
        )

    def output(self, cell_id: str) -> RunOutput:
        """The execution shown below a cell."""
        return RunOutput(self.show_cell(cell_id).locator(".jp-Flyte-output"))

    def open_execution(self, name: str) -> ExecutionPage:
        """Open the page of an execution."""
        self.page.evaluate(
            "async name => { await window.jupyterapp.commands.execute('flyte:open-execution', {name}); }",
            name,
        )
        expect(self.front.at.locator(".jp-Flyte-facts")).to_contain_text(name)
        return self.front

    @property
    def front(self) -> ExecutionPage:
        """The execution page in front."""
        return ExecutionPage(self.page.locator(".jp-Flyte-execution:visible"))

    def open_sidebar(self) -> Sidebar:
        self.command("flyte:show-executions")
        return Sidebar(self.page.locator(".jp-Flyte-sidebar"))

    def active_cell(self) -> str:
        return self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.activeCell.model.id"
        )

    def end_kernels(self) -> None:
        """Leave no kernel behind for the next test to share the machine with."""
        self.page.evaluate("() => window.jupyterapp?.serviceManager.sessions.shutdownAll()")

    def errors(self) -> list[str]:
        """What went wrong in the browser, with our extension or with anything at all but the machine's network."""
        return [t for kind, t in self.said if kind == "error" and NETWORK_CHANGED not in t]

    def asked_of_us(self) -> list[str]:
        """What was requested of the control plane, by whatever way."""
        urls = [request.url for request in self.requests] + self.sockets
        return [url for url in urls if "/flyte-jupyter/" in url]


@dataclass(frozen=True)
class RunOutput:
    """An execution below a notebook cell."""

    at: Locator

    @property
    def phase(self) -> Locator:
        return self.at.locator(".jp-Flyte-outputHead .jp-Flyte-phaseText")

    @property
    def name(self) -> str:
        return self.at.locator(".jp-Flyte-outputHead .jp-Flyte-rowId").inner_text()

    @property
    def graph(self) -> Locator:
        """The live graph; the static picture is another element."""
        return self.at.locator(".react-flow")

    @property
    def picture(self) -> Locator:
        return self.at.locator(".jp-Flyte-picture")

    def press(self, button: str) -> None:
        self.at.get_by_role("button", name=button, exact=True).click()


@dataclass(frozen=True)
class ExecutionPage:
    """The page of one execution."""

    at: Locator

    @property
    def phase(self) -> Locator:
        return self.at.locator(".jp-Flyte-header .jp-Flyte-phaseText")

    @property
    def name(self) -> str:
        """The execution's name."""
        facts = self.at.locator(".jp-Flyte-facts > div").filter(has_text="Execution")
        return facts.locator("dd").inner_text()

    def box(self, label: str) -> Locator:
        """A node of the graph by the name on it."""
        return self.at.locator(".react-flow__node").filter(
            has=self.at.page.locator(f'.jp-Flyte-boxLabel[title="{label}"]')
        )

    def choose(self, label: str) -> None:
        self.box(label).first.click()
        expect(self.at.locator(".jp-Flyte-detailsHead strong")).to_have_text(label)

    def enter(self, label: str) -> None:
        """Go into what runs inside a node of the graph."""
        self.at.get_by_role("button", name=f"Look inside {label}", exact=True).click()
        expect(self.at.locator(".jp-Flyte-crumbs [aria-current]")).to_have_text(label)

    @property
    def head(self) -> Locator:
        """The head of a node's details."""
        return self.at.locator(".jp-Flyte-details > .jp-Flyte-detailsHead")

    def rows(self) -> list[str]:
        """The names in the table of nodes, indented by depth."""
        cells = self.at.locator(".jp-Flyte-rowNode")
        return cells.evaluate_all(
            """cells => cells.map(cell => ' '.repeat(parseInt(cell.style.paddingLeft) / 10)
                 + cell.querySelector('button.jp-Flyte-link').textContent)"""
        )

    def tab(self, name: str) -> Locator:
        """Open a tab of the details; gives its panel."""
        tab = self.at.get_by_role("tab", name=name, exact=True)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        return self.at.get_by_role("tabpanel")

    def press(self, button: str) -> None:
        self.at.get_by_role("button", name=button, exact=True).click()

    @property
    def deck(self) -> Locator:
        return self.at.locator("iframe.jp-Flyte-deck")

    def deck_frame(self) -> Frame:
        """The document inside the deck's frame."""
        handle = self.deck.element_handle()
        assert handle is not None
        frame = handle.content_frame()
        assert frame is not None
        return frame


@dataclass(frozen=True)
class Sidebar:
    """The list of executions."""

    at: Locator

    @property
    def rows(self) -> Locator:
        return self.at.locator(".jp-Flyte-rows > li")

    @property
    def names(self) -> list[str]:
        return self.at.locator(".jp-Flyte-rows .jp-Flyte-rowId").all_inner_texts()

    def row(self, execution: str) -> Locator:
        return self.rows.filter(has=self.at.page.locator(f'[title="{execution}"]'))

    def filter_name(self, text: str) -> None:
        self.at.locator("jp-search input").fill(text)

    def filter_phase(self, choice: str) -> None:
        self.at.get_by_label("Filter by phase").select_option(choice)
