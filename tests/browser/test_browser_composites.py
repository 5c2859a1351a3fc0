"""Nodes that hold others: graphs made at run time, branches, maps, child executions; and gates that want an answer."""

from __future__ import annotations

import re

import pytest
from browser_lab import ExecutionPage, Laboratory, Window
from browser_notebooks import failing, mapping, remembering
from flytekit_platform import register
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def look(name: str) -> re.Pattern[str]:
    """The class of a box that looks like this."""
    return re.compile(rf"\bjp-Flyte-look-{name}\b")


def launched(lab: Laboratory, module: str, short: str, **inputs: object) -> str:
    """Register the programs of a module and start one; gives the execution's name."""
    platform = lab.platform()
    return platform.launch(register(platform.call, module), short, **inputs)


def test_a_graph_made_at_run_time_is_entered_while_it_runs(window: Window, lab: Laboratory):
    page = window.open_execution(launched(lab, "dynamics", "mixture", n=2))
    page.enter("mixed")
    for label in ("squared", "squares", "fan", "total"):
        expect(page.box(label)).to_be_visible()
    page.enter("fan")
    expect(page.box("square")).to_have_count(2)
    expect(page.box("total")).to_have_class(look("succeeded"))
    page.choose("total")
    expect(page.tab("Outputs")).to_contain_text("o0")
    crumbs = page.at.get_by_role("navigation", name="Where this graph is")
    expect(crumbs.get_by_role("listitem")).to_have_text(["Workflow", "mixed", "fan"])
    crumbs.get_by_role("button", name="Workflow").click()
    expect(page.box("mixed")).to_have_class(look("succeeded"))

    page.press("Table")
    expect(page.at.locator(".jp-Flyte-rowNode")).to_have_count(9)
    assert page.rows() == [
        "mixed", "  squared", "    square", "  squares", "  fan", "    square", "    square", "    total",
        "  total",
    ]  # fmt: skip
    page.at.get_by_role("button", name="Nodes inside fan").click()
    expect(page.at.locator(".jp-Flyte-rowNode")).to_have_count(6)

    page.at.get_by_role("button", name="squares", exact=True).click()
    parent = page.name
    page.head.get_by_title("Open the page of this execution").click()
    child = window.front
    expect(child.at.locator("h1")).to_have_text("squared")
    expect(child.at.locator(".jp-Flyte-facts")).to_contain_text("Started by node n0-0-dn1 of")
    child.at.get_by_role("button", name=parent).click()
    expect(window.front.at.locator("h1")).to_have_text("mixture")
    assert window.errors() == []


def test_the_arms_that_a_branch_did_not_take_are_skipped(window: Window, lab: Laboratory):
    page = window.open_execution(launched(lab, "branches", "chosen", x=0.5))
    expect(page.phase).to_have_text("Succeeded")
    expect(page.box("size")).to_have_class(look("succeeded"))
    expect(page.box("huge").locator(".jp-Flyte-boxDetail")).to_have_text("Skipped")
    page.enter("deeper")
    expect(page.box("measured")).to_have_class(look("succeeded"))
    expect(page.box("small")).to_have_class(look("succeeded"))
    page.press("Table")
    assert page.rows() == [
        "measured", "size", "  small", "  deeper", "    measured", "    small", "  huge", "small", "joined"
    ]  # fmt: skip
    assert window.errors() == []


def test_what_runs_only_on_failure_is_shown(window: Window, lab: Laboratory):
    page = window.open_execution(launched(lab, "handlers", "handled_by_workflow", x=1))
    expect(page.phase).to_have_text("Failed")
    expect(page.box("broken")).to_have_class(look("failed"))
    handler = page.box("cleaning").locator(".jp-Flyte-boxDetail")
    expect(handler).to_have_text("On failure · Succeeded")
    page.enter("cleaning")
    expect(page.box("clean")).to_have_class(look("succeeded"))
    assert window.errors() == []


def waiting_gate(window: Window, execution: str, gate: str) -> ExecutionPage:
    page = window.open_execution(execution)
    expect(page.box(gate)).to_have_class(look("asking"))
    page.choose(gate)
    return page


def test_gates_are_answered_from_the_page(open_window, lab: Laboratory):
    one, other = open_window(), open_window()
    platform = lab.platform()
    gates = register(platform.call, "gates")
    approved, rejected = (platform.launch(gates, "approved", x=1) for _ in range(2))
    asked = launched(lab, "questions", "how_many")

    page = waiting_gate(one, approved, "is-it-right")
    expect(page.box("is-it-right")).to_contain_text("Waiting for approval")
    expect(page.tab("Approval").locator("tr", has_text="o0")).to_contain_text("2")
    late = waiting_gate(other, approved, "is-it-right")
    page.press("Approve")
    expect(page.box("is-it-right")).to_have_class(look("succeeded"))
    expect(page.tab("Approval")).to_contain_text("True")
    expect(page.phase).to_have_text("Succeeded")
    expect(late.at.get_by_role("button", name="Approve")).to_have_count(0)

    page = waiting_gate(one, rejected, "is-it-right")
    page.press("Reject")
    expect(page.phase).to_have_text("Failed")
    expect(page.tab("Approval")).to_contain_text("False")

    cut_off = waiting_gate(other, asked, "how-many")
    cut_off.at.get_by_label("how-many (int)").fill("7")
    other.page.context.set_offline(True)
    cut_off.press("Send")
    expect(cut_off.at.get_by_role("alert")).to_have_text(re.compile(r"\w"))

    page = waiting_gate(one, asked, "how-many")
    field = page.at.get_by_label("how-many (int)")
    field.fill("a few")
    page.press("Send")
    expect(page.at.get_by_role("alert")).to_have_text("This is no value of the type int.")
    field.fill("21")
    page.press("Send")
    expect(page.phase).to_have_text("Succeeded")
    expect(page.tab("Answer")).to_contain_text("21")
    assert one.errors() == []


def test_the_items_of_a_map_are_counted_and_each_has_its_log(
    window: Window, lab: Laboratory, tmp_path
):
    gate = tmp_path / "gate"
    window.open_notebook(lab.add("mapping.ipynb", mapping(str(gate))))
    window.run_all(wait=False)
    output = window.output("launch")
    detail = output.graph.locator(".jp-Flyte-kind-map .jp-Flyte-boxDetail")
    expect(detail).to_contain_text("2 / 4, 1 failed")
    output.press("Open")
    page = window.front
    page.choose("judge")
    expect(page.head).to_contain_text("2 / 4, 1 failed")
    items = page.tab("Items")
    expect(items.locator("summary")).to_have_text(
        [
            re.compile("Failed.*1 item"),
            re.compile("Running.*1 item"),
            re.compile("Succeeded.*2 items"),
        ]
    )
    items.get_by_role("button", name="Log of item 1").click()
    expect(items).to_contain_text("item of 1")
    expect(items).to_contain_text("one is not judged")
    items.get_by_role("button", name="All items").click()
    items.get_by_role("button", name="Log of item 2").click()
    expect(items).to_contain_text("item of 2")
    expect(items).not_to_contain_text("not at once")
    items.get_by_label("Attempt").select_option("1")
    expect(items).to_contain_text("not at once")
    items.get_by_role("button", name="All items").click()
    items.get_by_role("button", name="Log of item 3").click()
    expect(items).to_contain_text("item of 3")
    expect(items).to_contain_text("following")
    gate.touch()
    expect(page.phase).to_have_text("Succeeded")
    expect(page.box("judge").locator(".jp-Flyte-boxDetail")).to_contain_text("3 / 4, 1 failed")
    items.get_by_role("button", name="All items").click()
    expect(items.locator("summary")).to_have_text(
        [re.compile("Failed.*1 item"), re.compile("Succeeded.*3 items")]
    )
    expect(items).to_contain_text("computed and put into the cache")
    assert window.errors() == []


def test_a_failed_run_is_recovered_from_its_page(window: Window, lab: Laboratory):
    window.open_notebook(lab.add("recovered.ipynb", failing()))
    window.run_all()
    output = window.output("launch")
    expect(output.phase).to_have_text("Failed")
    failed = output.name
    output.press("Recover")
    page = window.front
    expect(page.at.locator(".jp-Flyte-facts")).to_contain_text(f"Recovers{failed}")
    expect(page.box("numbers")).to_have_class(look("recovered"))
    expect(page.box("numbers").locator(".jp-Flyte-boxDetail")).to_contain_text("Recovered")
    expect(page.box("divide")).to_have_class(look("failed"))
    assert window.errors() == []


def test_a_hit_says_whose_output_it_is(window: Window, lab: Laboratory):
    window.open_notebook(lab.add("remembering.ipynb", remembering()))
    window.run_all()
    first = window.output("launch").name
    window.output("again").press("Open")
    page = window.front
    expect(page.box("twice")).to_contain_text("cached")
    page.choose("twice")
    expect(page.head).to_contain_text("taken from the cache")
    expect(page.head).to_contain_text("as node n0 left it in")
    page.head.get_by_role("button", name=first).click()
    expect(window.front.at.locator(".jp-Flyte-facts")).to_contain_text(first)
    window.front.choose("twice")
    expect(window.front.head).to_contain_text("computed and put into the cache")
    assert window.errors() == []
