"""Pages of HTML that a task leaves for people: plots, tables, notes."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from flyte_jupyter.kernel.context import current_context
from flyte_jupyter.kernel.errors import FlyteJupyterError

_PLOTLY_MARK = "<!-- flyte-jupyter: plotly -->"
_MOST_ROWS = 1000


class DeckError(FlyteJupyterError):
    """The thing given to a deck is nothing that it can show."""


class Deck:
    """A page of HTML that is shown beside the node of the task that made it.

    ``Deck("Report", "<p>fine</p>")`` starts or continues the page of that name; `add` puts more on it. Everything is kept when
    the task fails later on.
    """

    def __init__(self, name: str, html: str = "") -> None:
        self.name = name
        if html:
            current_context().decks.add(name, html)

    @staticmethod
    def add(name: str, content: Any) -> None:
        """Put `content` at the end of the page called `name`.

        A string is taken as HTML, a plotly figure stays interactive, a matplotlib figure becomes a picture, a pandas or polars
        data frame a table of at most 1000 rows. Raises `DeckError` for anything else.
        """
        current_context().decks.add(name, to_html(content))


def to_html(content: Any) -> str:
    """HTML of one thing that a deck can show. Raises `DeckError` when it knows no way."""
    if isinstance(content, str):
        return content
    module = type(content).__module__.partition(".")[0]
    if module == "plotly" and hasattr(content, "to_html"):
        figure = content.to_html(full_html=False, include_plotlyjs=False)
        return f"{_PLOTLY_MARK}{figure}"
    if hasattr(content, "savefig"):
        return _picture(content)
    if module == "pandas" and hasattr(content, "iloc"):
        return _pandas_table(content)
    if module == "polars" and hasattr(content, "iter_rows"):
        return _table(content.columns, content.head(_MOST_ROWS).rows(), len(content))
    if hasattr(content, "_repr_html_"):
        shown = content._repr_html_()  # Jupyter's protocol for rich display
        if isinstance(shown, str):
            return shown
    given = f"{type(content).__module__}.{type(content).__qualname__}"
    message = (
        f"A deck cannot show a {given}. Give it a string of HTML, a plotly or matplotlib figure, a data frame, "
        "or an object with _repr_html_()."
    )
    raise DeckError(message)


def _picture(figure: Any) -> str:
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    data = base64.b64encode(png.getvalue()).decode()
    return f'<img alt="figure" src="data:image/png;base64,{data}">'


def _pandas_table(frame: Any) -> str:
    if not hasattr(frame, "columns"):
        frame = frame.to_frame()
    shown = frame.head(_MOST_ROWS)
    plain = shown.index.nlevels == 1 and list(shown.index) == list(range(len(shown)))
    columns = [str(c) for c in shown.columns]
    rows = [tuple(row) for row in shown.itertuples(index=not plain, name=None)]
    heads = columns if plain else [str(shown.index.name or ""), *columns]
    return _table(heads, rows, len(frame))


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], total: int) -> str:
    top = "".join(f"<th>{html.escape(str(h))}</th>" for h in heads)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(v))}</td>" for v in row) + "</tr>" for row in rows
    )
    more = f"<p>The first {len(rows)} of {total} rows.</p>" if total > len(rows) else ""
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>{more}'


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def render(pages: Mapping[str, Sequence[str]], title: str = "Deck") -> str:
    """One page of HTML with a tab for every deck. It needs no network and follows the reader's light or dark theme."""
    bodies = {name: "\n".join(parts) for name, parts in pages.items()}
    script = _plotly_script() if any(_PLOTLY_MARK in body for body in bodies.values()) else ""
    tabs, sections = [], []
    for at, (name, body) in enumerate(bodies.items()):
        chosen = "true" if at == 0 else "false"
        hidden = "" if at == 0 else " hidden"
        label = html.escape(name)
        tabs.append(
            f'<button role="tab" id="t{at}" aria-controls="s{at}" aria-selected="{chosen}"'
            f' tabindex="{0 if at == 0 else -1}">{label}</button>'
        )
        sections.append(
            f'<section role="tabpanel" id="s{at}" aria-labelledby="t{at}"{hidden}>\n{body}\n</section>'
        )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n{script}</head>\n<body>\n"
        f'<div role="tablist">{"".join(tabs)}</div>\n{"".join(sections)}\n'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _plotly_script() -> str:
    from plotly.offline import get_plotlyjs

    return f"<script>{get_plotlyjs()}</script>\n"


_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --page: #fff; --line: #d0d7de; --mark: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --page: #111418; --line: #3d444d; --mark: #4493f8; }
}
body { margin: 0; padding: 8px 16px; font: 14px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); }
[role=tablist] { display: flex; flex-wrap: wrap; gap: 4px; border-bottom: 1px solid var(--line); margin-bottom: 12px; }
[role=tab] { padding: 6px 12px; border: 0; border-bottom: 2px solid transparent; background: none; }
[role=tab] { color: inherit; font: inherit; cursor: pointer; }
[role=tab][aria-selected=true] { border-bottom-color: var(--mark); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: left; }
img { max-width: 100%; }
"""

# Plotly measures a figure when it is drawn, and a hidden one has no width: it is told to look again when its tab opens.
_SCRIPT = """
const tabs = [...document.querySelectorAll('[role=tab]')];
function open(chosen) {
  for (const tab of tabs) {
    const is = tab === chosen;
    tab.setAttribute('aria-selected', String(is));
    tab.tabIndex = is ? 0 : -1;
    document.getElementById(tab.getAttribute('aria-controls')).hidden = !is;
  }
  window.dispatchEvent(new Event('resize'));
}
tabs.forEach((tab, at) => {
  tab.addEventListener('click', () => open(tab));
  tab.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    open(next);
  });
});
"""
