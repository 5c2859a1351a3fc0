"""Decks: what a task shows, as one page that needs nothing else."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest

from flyte_jupyter.kernel.context import Context, current_context, entered
from flyte_jupyter.kernel.deck import Deck, DeckError, render, to_html


def test_decks_are_collected_in_the_present_context():
    with entered(Context()) as context:
        Deck("one", "<p>a</p>")
        Deck.add("two", "<p>b</p>")
        Deck("one").add("one", "<p>c</p>")
        assert context.decks.pages == {"one": ["<p>a</p>", "<p>c</p>"], "two": ["<p>b</p>"]}
    assert not current_context().decks


def test_a_page_has_a_tab_for_every_deck_and_escapes_their_names():
    page = render({"<b>": ["x"], "second": ["y"]})
    assert page.count('role="tab"') == 2
    assert "&lt;b&gt;" in page
    assert "prefers-color-scheme: dark" in page
    assert "http" not in page.replace("http-equiv", "")


def test_plotly_is_included_once_and_only_when_it_is_used():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))
    page = render({"a": [to_html(figure), to_html(figure)]})
    assert page.count("* plotly.js v") == 1
    assert page.count("Plotly.newPlot(") >= 2
    assert "<script src" not in page
    assert len(render({"a": ["text"]})) < 10_000


@pytest.mark.parametrize("library", [pd, pl])
def test_a_data_frame_becomes_a_table_and_its_content_cannot_be_markup(library):
    frame = library.DataFrame({"<x>": ["<script>alert(1)</script>"], "n": [0.123456789]})
    html = to_html(frame)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<th>&lt;x&gt;</th>" in html
    assert "<td>0.123457</td>" in html


def test_a_long_table_is_cut_and_says_so():
    html = to_html(pd.DataFrame({"a": range(5000)}))
    assert html.count("<tr>") == 1001
    assert "The first 1000 of 5000 rows." in html


def test_a_named_index_is_kept():
    frame = pd.DataFrame({"score": [1]}, index=pd.Index(["forest"], name="model"))
    assert "<th>model</th><th>score</th>" in to_html(frame)
    assert "forest" in to_html(frame["score"])


def test_whatever_jupyter_can_show():
    class Rich:
        def _repr_html_(self):
            return "<em>rich</em>"

    assert to_html(Rich()) == "<em>rich</em>"


def test_a_figure_that_saves_itself_becomes_a_picture():
    class Figure:
        def savefig(self, file, **options):
            assert options["format"] == "png"
            file.write(b"\x89PNG")

    assert to_html(Figure()).startswith('<img alt="figure" src="data:image/png;base64,')


def test_anything_else_is_an_error_that_says_what_goes():
    with pytest.raises(DeckError, match=r"cannot show a builtins\.int.*string of HTML"):
        to_html(3)
