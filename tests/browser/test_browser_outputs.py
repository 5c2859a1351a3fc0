"""An execution in a notebook's output: it outlives the kernel, the page, and in the end its data; it does nothing before it is trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_lab import Laboratory, Window, laboratory
from browser_notebooks import MIME, code, notebook, quick
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"window.attacked='markup'\">"


def quick_run(window: Window, lab: Laboratory, path: str) -> str:
    """Run the quick notebook to its end and save it; gives the execution's name."""
    window.open_notebook(lab.add(path, quick()))
    window.run_all()
    output = window.output("launch")
    expect(output.phase).to_have_text("Succeeded")
    expect(output.graph.locator(".jp-Flyte-kind-task.jp-Flyte-look-succeeded")).to_have_count(2)
    window.save()
    return output.name


def test_an_output_outlives_the_kernel_and_the_page(window: Window, lab: Laboratory):
    name = quick_run(window, lab, "kept.ipynb")
    before = lab.read("kept.ipynb")
    output = window.output("launch")

    window.confirm("kernelmenu:restart", "Restart")
    expect(output.phase).to_have_text("Succeeded")
    expect(output.graph).to_be_visible()

    window.open("reloaded")
    window.open_notebook("kept.ipynb")
    output = window.output("launch")
    expect(output.graph.locator(".jp-Flyte-kind-task.jp-Flyte-look-succeeded")).to_have_count(2)
    assert output.name == name
    window.save()
    assert lab.read("kept.ipynb") == before, "looking at an output never changes the notebook"
    assert window.errors() == []


def test_an_output_whose_data_is_gone_reads_as_a_picture(
    open_window, lab: Laboratory, tmp_path: Path
):
    name = quick_run(open_window(), lab, "moved.ipynb")
    with laboratory(tmp_path) as elsewhere:
        window = open_window(elsewhere)
        window.open_notebook(elsewhere.add("moved.ipynb", lab.read("moved.ipynb")))
        output = window.output("launch")
        expect(output.at).to_contain_text("Trust the notebook to see the execution live")
        window.confirm("notebook:trust", "Trust")
        expect(output.at).to_contain_text(
            "The state saved with the notebook; the control plane says"
        )
        expect(output.phase).to_have_text("Succeeded")
        expect(output.picture.locator(".jp-Flyte-boxLabel")).to_have_text(["say", "shout"])
        assert output.name == name
        assert window.errors() == []


def test_an_untrusted_output_asks_for_nothing_and_runs_nothing(window: Window, lab: Laboratory):
    name = quick_run(window, lab, "original.ipynb")
    saved = lab.read("original.ipynb")["cells"][-2]["outputs"][0]["data"][MIME]
    saved["workflow"] = HOSTILE
    for node in saved["snapshot"]["nodes"]:
        node["label"] = HOSTILE
    data = {MIME: saved, "text/html": f"<script>window.attacked='html'</script>{HOSTILE}"}
    shown = {"output_type": "display_data", "metadata": {"trusted": True}, "data": data}
    cell = code("launch", "run", [shown])
    cell["metadata"]["trusted"] = True
    lab.add("received.ipynb", notebook(cell))

    window.open("suspicious")
    window.requests.clear()
    window.sockets.clear()
    window.open_notebook("received.ipynb")
    output = window.output("launch")
    expect(output.picture).to_be_visible()
    expect(output.at).to_contain_text("Trust the notebook to see the execution live")
    expect(output.at).to_contain_text(HOSTILE)
    expect(output.at.get_by_role("button")).to_have_count(0)
    expect(output.at.locator("img")).to_have_count(0)
    assert window.asked_of_us() == []

    window.confirm("notebook:trust", "Trust")
    expect(output.graph.locator(".jp-Flyte-kind-task.jp-Flyte-look-succeeded")).to_have_count(2)
    assert output.name == name
    assert window.asked_of_us()
    assert window.page.evaluate("() => window.attacked") is None
    assert window.errors() == []
