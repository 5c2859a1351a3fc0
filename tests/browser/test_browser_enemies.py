"""What tasks write is shown as if an enemy had written it."""

from __future__ import annotations

import re

import pytest
from browser_lab import Laboratory, Window
from browser_notebooks import code, launching, notebook
from playwright.sync_api import expect
from processes import eventually

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=window.attacked=1><script>window.attacked=2</script>"
# Everything that a page could try against the one around it. Each attempt reports to the console; what happens outside
# the frame is what the test looks at.
ATTACK = """
<a id="link" data-commandlinker-command="notebook:run-all-cells" data-commandlinker-args="{}"
   href="/lab?reset" target="_top">press me</a>
<form id="MathJax" method="post" action="/api/contents" target="_top"><input name="type" value="notebook"></form>
<svg onload="console.log('deck: svg ran')"></svg>
<img src="/flyte-jupyter/x/v1/status">
<link rel="stylesheet" href="/api/contents?style">
<script src="/api/contents?script"></script>
<script>
const tried = async (what, act) => {
  try { await act(); console.log('deck: ' + what + ' went through'); }
  catch (error) { console.log('deck: ' + what + ' refused'); }
};
(async () => {
  await tried('parent document', () => parent.document.body.append('attacked'));
  await tried('parent variable', () => { parent.attacked = 'deck'; });
  await tried('cookies', () => document.cookie);
  await tried('storage', () => localStorage.length);
  await tried('fetch', () => fetch('/api/contents', {credentials: 'include'}));
  await tried('flyte', () => fetch('/flyte-jupyter/api/v1/projects', {credentials: 'include'}));
  await tried('beacon', () => { if (!navigator.sendBeacon('/api/contents')) throw 0; });
  await tried('socket', () => new Promise((yes, no) => {
    const socket = new WebSocket('ws://' + 'HOST' + '/flyte-jupyter/x/v1/events');
    socket.onopen = yes; socket.onerror = no;
  }));
  await tried('worker', () => new Worker('/api/contents?worker'));
  await tried('top navigation', () => { top.location = '/lab?attacked'; });
  await tried('popup', () => { if (!open('/lab?attacked')) throw 0; });
  await tried('alert', () => { alert('attacked'); });
  parent.postMessage({type: 'execute', command: 'notebook:run-all-cells', attacked: true}, '*');
  document.getElementById('MathJax').submit();
  document.getElementById('link').click();
  console.log('deck: all tried');
})();
</script>
"""
REFUSED = (
    "parent document", "parent variable", "cookies", "storage", "fetch", "flyte", "socket", "top navigation", "popup",
)  # fmt: skip
LEAVE = "<meta http-equiv='refresh' content='0; url=/api/contents?refresh'><p>going</p>"


def hostile_notebook(html: str) -> dict:
    return notebook(
        code("html", f"HTML = {html!r}\nMARKUP = {MARKUP!r}"),
        code(
            "decorate",
            "@task\ndef decorate(text: str) -> dict[str, str]:\n"
            "    print(MARKUP)\n    print('\\x1b]8;;javascript:alert(1)\\x07link\\x1b]8;;\\x07')\n"
            "    Deck.add(MARKUP, HTML)\n    return {MARKUP: MARKUP}",
        ),
        code(
            "break",
            "@task\ndef fall(text: dict[str, str]) -> str:\n    raise ValueError(MARKUP)",
        ),
        code(
            "flow",
            "@workflow\ndef hostile(text: str) -> str:\n    return fall(text=decorate(text=text))",
        ),
        launching(f"hostile, text={MARKUP!r}"),
    )


def open_run(window: Window, path: str):
    window.open_notebook(path)
    window.run_all()
    output = window.output("launch")
    expect(output.phase).to_have_text("Failed")
    output.press("Open")
    page = window.front
    page.choose("decorate")
    return page


def from_the_frame(window: Window) -> list:
    """Requests of frames that reached the server, those for the frame's own text apart."""
    return [
        request
        for request in window.requests
        if request.frame != window.page.main_frame and request.url.startswith("http")
    ]


def test_a_hostile_deck_is_inert(window: Window, lab: Laboratory):
    html = ATTACK.replace("HOST", f"127.0.0.1:{lab.server.port}")
    page = open_run(window, lab.add("hostile.ipynb", hostile_notebook(html)))
    dialogs = []
    window.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    pages = len(window.page.context.pages)
    heard = "() => { window.heard = []; window.addEventListener('message', e => window.heard.push(e.data)); }"
    window.page.evaluate(heard)
    where = window.page.url
    with window.page.expect_console_message(lambda message: message.text == "deck: all tried"):
        page.tab("Deck")
    said = [text for _, text in window.said if text.startswith("deck: ")]
    for what in REFUSED:
        assert f"deck: {what} refused" in said
    # The message arrives: that nobody acts on it is what counts.
    window.page.wait_for_function("() => window.heard.some(data => data?.attacked)")
    assert window.page.evaluate("() => window.attacked") is None
    assert window.page.url == where
    assert dialogs == []
    assert len(window.page.context.pages) == pages
    for request in from_the_frame(window):
        assert request.failure is not None, f"{request.url} reached the server"
    prompts = window.page.locator(".jp-InputPrompt", has_text="[*]")
    expect(prompts).to_have_count(0)


def test_a_deck_that_leaves_takes_no_credentials_along(window: Window, lab: Laboratory):
    """The server says who came: it logs what it refuses, and would answer a logged-in visitor without a word."""
    page = open_run(window, lab.add("leaving.ipynb", hostile_notebook(LEAVE)))
    page.tab("Deck")
    refused = re.compile(r"(302|403) GET /api/contents\?refresh")
    eventually(lambda: refused.search(lab.server.log.read_text()), what="the deck's request")
    assert page.deck_frame().evaluate("() => window.origin") == "null"


def test_names_and_texts_of_tasks_are_shown_never_obeyed(window: Window, lab: Laboratory):
    page = open_run(window, lab.add("names.ipynb", hostile_notebook("<p>a deck</p>")))
    shown = page.at.locator("img, script, a[href^='javascript']")
    for tab in ("Inputs", "Outputs", "Logs"):
        expect(page.tab(tab)).to_contain_text(MARKUP)
        expect(shown).to_have_count(0)
    page.tab("Deck")
    expect(page.deck.content_frame.get_by_role("tab")).to_have_text([MARKUP])
    page.choose("fall")
    expect(page.tab("Error")).to_contain_text(f"ValueError: {MARKUP}")
    expect(page.tab("Attempts")).to_contain_text(MARKUP)
    expect(shown).to_have_count(0)
    window.page.keyboard.press("Escape")
    assert window.page.evaluate("() => window.attacked") is None
    assert window.errors() == []
