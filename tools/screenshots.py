"""Take the README's pictures: the quickstart's execution page in JupyterLab, in the light and in the dark theme.

    python tools/screenshots.py

Needs what the browser tests need: Chromium and the built extension.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from browser_lab import Window

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]


def main() -> int:
    """Run the quickstart and take the pictures. Gives the exit status."""
    from browser_lab import DARK, LIGHT, SIZE, NotReady, Window, laboratory, start_browser
    from playwright.sync_api import sync_playwright

    OUT.mkdir(parents=True, exist_ok=True)
    try:
        with (
            tempfile.TemporaryDirectory() as home,
            laboratory(Path(home)) as lab,
            sync_playwright() as playwright,
        ):
            browser = start_browser(playwright)
            window = Window(browser.new_page(viewport=SIZE, reduced_motion="reduce"), lab)
            show_quickstart(window.open("pictures"))
            for theme, name in ((LIGHT, "light"), (DARK, "dark")):
                window.use_theme(theme)
                window.page.screenshot(path=OUT / f"execution-{name}.png", animations="disabled")
                print(OUT / f"execution-{name}.png")
            window.end_kernels()
            browser.close()
    except NotReady as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def show_quickstart(window: Window) -> None:
    """Run the notebook, and choose the node whose deck is worth a look."""
    from browser_lab import QUICKSTART
    from playwright.sync_api import expect

    shutil.copy(QUICKSTART, window.lab.notebooks)
    window.open_notebook(QUICKSTART.name)
    window.run_all(wait=False)
    output = window.output("launch")
    expect(output.phase).to_have_text("Succeeded")
    output.press("Open")
    sidebar = window.open_sidebar()
    expect(sidebar.row(window.front.name)).to_be_visible()
    page = window.front
    page.choose("choose")
    page.tab("Deck")
    for _ in range(3):  # the deck is the picture's point: it gets more room than at first
        page.at.get_by_role("separator").press("ArrowUp")
    page.press("Fit View")
    deck = page.deck.content_frame
    deck.get_by_role("tab", name="ROC curves").click()
    expect(deck.locator(".scatterlayer path.js-line").first).to_be_visible()


if __name__ == "__main__":
    sys.exit(main())
