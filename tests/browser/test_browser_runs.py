"""Looking after runs: abort, relaunch, the live list and its filters, and a task that fails."""

from __future__ import annotations

import re

import pytest
from browser_lab import Laboratory, Window
from browser_notebooks import failing, waiting
from playwright.sync_api import expect
from processes import eventually

pytestmark = pytest.mark.browser


def look(name: str) -> re.Pattern[str]:
    """The class of a box that looks like this."""
    return re.compile(rf"\bjp-Flyte-look-{name}\b")


def test_a_run_is_aborted_and_relaunched_from_its_page(window: Window, lab: Laboratory, tmp_path):
    gate = tmp_path / "gate"
    window.open_notebook(lab.add("abort.ipynb", waiting(str(gate))))
    window.run_all()
    output = window.output("launch")
    expect(output.phase).to_have_text("Running")
    aborted = output.name
    output.press("Open")
    page = window.front
    page.choose("patient")
    expect(page.tab("Logs")).to_contain_text("ready, waiting")
    expect(page.tab("Logs")).to_contain_text("following")

    page.press("Abort")
    window.answer("Keep running")
    expect(page.phase).to_have_text("Running")
    page.press("Abort")
    window.answer("Abort")
    expect(page.phase).to_have_text("Aborted")
    expect(page.at.get_by_text("Aborted in JupyterLab")).to_be_visible()
    expect(page.box("patient").locator(".jp-Flyte-boxDetail")).to_contain_text("Aborted")
    expect(page.at.get_by_role("button", name="Abort", exact=True)).to_have_count(0)

    page.press("Relaunch")
    title = window.page.locator(".lm-DockPanel-tabBar .lm-mod-current .lm-TabBar-tabLabel")
    expect(title).not_to_have_text(aborted)
    again = window.front
    expect(again.phase).to_have_text("Running")
    again.choose("patient")
    expect(again.tab("Logs")).to_contain_text("ready, waiting")
    gate.touch()
    expect(again.phase).to_have_text("Succeeded")
    expect(again.tab("Logs")).to_contain_text("let through")
    expect(again.tab("Outputs")).to_contain_text("gate")
    assert window.errors() == []


def test_the_sidebar_lists_runs_live_and_filters_on_the_server(
    window: Window, lab: Laboratory, tmp_path
):
    gate = tmp_path / "let-me-through"
    window.open_notebook(lab.add("listed.ipynb", waiting(str(gate))))
    sidebar = window.open_sidebar()
    window.run_all()
    first = window.output("launch").name
    expect(sidebar.row(first).locator(".jp-Flyte-phaseText")).to_have_text("Running")

    window.output("launch").press("Relaunch")
    expect(window.front.phase).to_have_text("Running")
    second = window.front.name
    expect(sidebar.row(second)).to_be_visible()
    assert sidebar.names.index(second) < sidebar.names.index(first)

    sidebar.filter_phase("Succeeded")
    expect(sidebar.row(first)).to_have_count(0)
    gate.touch()
    expect(sidebar.row(first).locator(".jp-Flyte-phaseText")).to_have_text("Succeeded")
    expect(sidebar.row(second)).to_be_visible()
    sidebar.filter_name("listed.slow")
    eventually(lambda: set(sidebar.names) == {first, second}, what="only this notebook's runs")
    sidebar.filter_name("no-such-name")
    expect(sidebar.at.get_by_text("No execution fits the filter")).to_be_visible()
    sidebar.filter_name("")
    sidebar.filter_phase("Aborted")
    expect(sidebar.row(first)).to_have_count(0)
    assert window.errors() == []


def test_a_failing_task_is_red_and_its_traceback_leads_to_the_cell(window: Window, lab: Laboratory):
    window.open_notebook(lab.add("failing.ipynb", failing()))
    window.run_all()
    output = window.output("launch")
    expect(output.phase).to_have_text("Failed")
    output.press("Open")
    page = window.front
    expect(page.box("numbers")).to_have_class(look("succeeded"))
    expect(page.box("divide")).to_have_class(look("failed"))
    expect(page.box("total").locator(".jp-Flyte-boxDetail")).to_have_text("Not started")

    page.choose("divide")
    error = page.tab("Error")
    expect(error).to_contain_text("ZeroDivisionError: division by zero")
    expect(error).to_contain_text("return 1 / number")
    link = error.get_by_role("button", name="line 4")
    link.click()
    assert eventually(window.active_cell) == "helper"
    cursor = "() => window.jupyterapp.shell.currentWidget.content.activeCell.editor.getCursorPosition().line"
    eventually(lambda: window.page.evaluate(cursor) == 3, what="the cursor in the fourth line")
    assert window.errors() == []


def test_two_windows_see_the_same_runs(open_window, lab: Laboratory, tmp_path):
    gate = tmp_path / "gate"
    one, other = open_window(), open_window()
    one.open_notebook(lab.add("shared.ipynb", waiting(str(gate))))
    sidebar = other.open_sidebar()
    one.run_all()
    output = one.output("launch")
    expect(sidebar.row(output.name).locator(".jp-Flyte-phaseText")).to_have_text("Running")
    sidebar.row(output.name).get_by_role("button").click()
    expect(other.front.phase).to_have_text("Running")
    other.front.press("Abort")
    other.answer("Abort")
    expect(output.phase).to_have_text("Aborted")
    expect(other.front.phase).to_have_text("Aborted")
    assert one.errors() == other.errors() == []
