"""The main job: the quickstart notebook in JupyterLab, from its first cell to the deck of its last node."""

from __future__ import annotations

import re
import shutil

import pytest
from browser_lab import QUICKSTART, Window
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TASKS = 7


def test_the_quickstart_goes_green_and_shows_its_log_its_deck_and_its_score(window: Window, lab):
    shutil.copy(QUICKSTART, lab.notebooks / "quickstart.ipynb")
    window.open_notebook("quickstart.ipynb")
    window.run_all(wait=False)
    output = window.output("launch")
    expect(output.graph.locator(".jp-Flyte-kind-task")).to_have_count(TASKS)
    expect(output.graph.locator(".jp-Flyte-kind-task.jp-Flyte-look-succeeded")).to_have_count(TASKS)
    judged = output.graph.locator(".jp-Flyte-kind-map.jp-Flyte-look-succeeded")
    expect(judged.locator(".jp-Flyte-boxDetail")).to_contain_text("3 / 3")
    expect(output.phase).to_have_text("Succeeded")

    output.press("Open")
    page = window.front
    expect(page.phase).to_have_text("Succeeded")
    score = page.tab("Outputs").locator("tr", has_text="score").locator(".jp-Flyte-valueText")
    expect(score).to_have_text(re.compile(r"^0\.9\d+$"))

    page.choose("choose")
    values = page.tab("Outputs")
    for name in ("score", "model", "table"):
        expect(values.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
    expect(page.tab("Logs").get_by_role("status")).to_contain_text("0 lines")
    page.tab("Deck")
    expect(page.deck).to_have_attribute("sandbox", "allow-scripts")
    deck = page.deck.content_frame
    deck.get_by_role("tab", name="ROC curves").click()
    curve = deck.locator(".js-plotly-plot").first.locator(".scatterlayer path.js-line")
    expect(curve).to_have_count(4)
    expect(curve.first).to_be_visible()
    deck.get_by_role("tab", name="Confusion matrix").click()
    expect(deck.locator(".js-plotly-plot").nth(1).locator(".heatmaplayer image")).to_be_visible()
    assert page.deck_frame().evaluate("() => window.origin") == "null"
    assert window.errors() == []
