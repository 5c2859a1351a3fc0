"""By keyboard alone, with a screen reader, in light and in dark."""

from __future__ import annotations

import pytest
from browser_lab import DARK, LIGHT, Laboratory, Window
from browser_notebooks import quick
from playwright.sync_api import expect
from processes import eventually

pytestmark = pytest.mark.browser

OURS = ".jp-Flyte-sidebar, .jp-Flyte-execution, .jp-Flyte-renderer"
NAMELESS = """ours => [...document.querySelectorAll(ours)].flatMap(view =>
  [...view.querySelectorAll('button, select, input, iframe, [role=separator], [role=tab]')]
    .filter(each => !(each.getAttribute('aria-label') || each.title || each.textContent.trim()
                      || each.placeholder || each.labels?.length))
    .map(each => each.outerHTML.slice(0, 120)))"""
# WCAG 2's contrast of a text with what is painted behind it.
CONTRAST = """selector => {
  const parse = text => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((value, at) => value * a + under[at] * (1 - a));
  const light = rgb => rgb.map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = element => {
    const behind = [];
    for (let at = element; at; at = at.parentElement) { behind.push(parse(getComputedStyle(at).backgroundColor)); }
    const page = behind.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
    const text = over(parse(getComputedStyle(element).color), page);
    const [low, high] = [light(text), light(page)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  return [...document.querySelectorAll(selector)].filter(each => each.checkVisibility()).map(contrast);
}"""
TEXTS = (
    ".jp-Flyte-rowName", ".jp-Flyte-rowId", ".jp-Flyte-execution .jp-Flyte-phaseText", ".jp-Flyte-facts dt",
    ".jp-Flyte-facts dd", ".jp-Flyte-boxLabel", ".jp-Flyte-boxDetail", ".jp-Flyte-execution [role=tab]",
    ".jp-Flyte-table th", ".jp-Flyte-type", ".jp-Flyte-execution .jp-Flyte-button", ".jp-Flyte-execution .jp-Flyte-link",
)  # fmt: skip
READABLE = 4.5


def focused(window: Window, what: str) -> object:
    return window.page.evaluate(f"() => {{ const at = document.activeElement; return {what}; }}")


def test_everything_can_be_reached_and_done_by_keyboard(window: Window, lab: Laboratory):
    window.open_notebook(lab.add("keys.ipynb", quick()))
    window.run_all()
    name = window.output("launch").name
    keys = window.page.keyboard
    sidebar = window.open_sidebar()
    expect(sidebar.row(name).locator(".jp-Flyte-phaseText")).to_have_text("Succeeded")
    sidebar.at.get_by_label("Filter by phase").focus()
    keys.press("Tab")
    assert focused(window, "at.closest('.jp-Flyte-rows') !== null")
    sidebar.row(name).get_by_role("button").focus()
    keys.press("Enter")
    page = window.front
    expect(page.phase).to_have_text("Succeeded")

    page.box("shout").focus()
    keys.press("Enter")
    expect(page.at.locator(".jp-Flyte-detailsHead strong")).to_have_text("shout")
    page.at.get_by_role("tab", selected=True).focus()
    keys.press("Home")
    expect(page.at.get_by_role("tab", name="Inputs")).to_have_attribute("aria-selected", "true")
    keys.press("ArrowRight")
    expect(page.at.get_by_role("tab", name="Outputs")).to_be_focused()
    bar = page.at.get_by_role("separator")
    bar.focus()
    before = int(bar.get_attribute("aria-valuenow") or 0)
    keys.press("ArrowUp")
    eventually(
        lambda: int(bar.get_attribute("aria-valuenow") or 0) < before, what="a smaller graph"
    )

    page.press("Table")
    rows = page.at.get_by_role("table", name="Nodes of the workflow").get_by_role("row")
    expect(rows).to_have_count(3)
    assert window.page.evaluate(NAMELESS, OURS) == []
    assert window.errors() == []


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_text_can_be_read(window: Window, lab: Laboratory, theme: str):
    window.open_notebook(lab.add(f"{theme}.ipynb", quick()))
    window.run_all()
    window.output("launch").press("Open")
    window.open_sidebar()
    expect(window.front.phase).to_have_text("Succeeded")
    window.front.choose("say")
    window.front.tab("Outputs")
    window.use_theme(theme)
    try:
        for selector in TEXTS:
            found = window.page.evaluate(CONTRAST, selector)
            assert found, f"nothing to read at {selector}"
            assert min(found) >= READABLE, f"{selector}: {min(found):.1f}"
    finally:
        window.use_theme(LIGHT)
