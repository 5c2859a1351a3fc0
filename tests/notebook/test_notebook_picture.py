from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from flyte_jupyter.kernel.notebook.layout import place, without_implied
from flyte_jupyter.kernel.notebook.snapshot import (
    MIME,
    ItemCounts,
    NodeSnapshot,
    Snapshot,
    duration,
)
from flyte_jupyter.kernel.notebook.svg import draw

SVG = "{http://www.w3.org/2000/svg}"


def run(*nodes: NodeSnapshot, phase: str = "RUNNING", workflow: str = "quick.wf") -> Snapshot:
    return Snapshot("p", "d", "x1", workflow, "v1", phase, nodes, "2026-01-01T00:00:00Z")


DIAMOND = run(
    NodeSnapshot("n0", "load", "SUCCEEDED", 1, 0.25, (), "cell-a"),
    NodeSnapshot("n1", "left", "FAILED", 3, 61.0, ("n0",)),
    NodeSnapshot("n2", "right", "RUNNING", 1, None, ("n0",)),
    NodeSnapshot("n3", "join", "UNDEFINED", 0, None, ("n1", "n2", "n0")),
)

graphs = st.integers(1, 14).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            f"n{i}": st.lists(
                st.sampled_from([f"n{j}" for j in range(i)] or ["x"]), unique=True, max_size=4
            )
            for i in range(size)
        }
    )
)


def reachable(upstream, node):
    found, waiting = set(), list(upstream[node])
    while waiting:
        each = waiting.pop()
        if each in upstream and each not in found:
            found.add(each)
            waiting += upstream[each]
    return found


@given(graphs)
def test_a_node_stands_below_those_before_it_and_alone_in_its_place(upstream):
    places = place(upstream)
    assert set(places) == set(upstream)
    assert len({(p.layer, p.x) for p in places.values()}) == len(places)
    for node, before in upstream.items():
        assert all(places[p].layer < places[node].layer for p in before if p in places)


@given(graphs)
def test_leaving_implied_edges_out_loses_no_order(upstream):
    fewer = without_implied(upstream)
    for node in upstream:
        assert reachable(fewer, node) == reachable(upstream, node)


def test_a_circle_does_not_hang():
    assert set(place({"a": ["b"], "b": ["a"]})) == {"a", "b"}


@given(st.text(), st.text(), st.sampled_from(["SUCCEEDED", "FAILED", "QUEUED", "ABORTED", "odd"]))
def test_the_picture_is_well_formed_whatever_the_names(label, workflow, phase):
    picture = draw(run(NodeSnapshot("n0", label, phase), workflow=workflow, phase=phase))
    root = ET.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    assert not [
        e for e in root.iter() if e.tag in {f"{SVG}script", f"{SVG}a", f"{SVG}foreignObject"}
    ]


def test_the_picture_is_the_same_each_time():
    assert draw(DIAMOND) == draw(DIAMOND)


def test_phases_are_told_in_words_and_to_screen_readers():
    root = ET.fromstring(draw(DIAMOND))
    titles = [e.text for e in root.iter(f"{SVG}title")]
    assert titles[0] == "quick.wf, execution x1: running"
    assert "n1, left: failed · 1 min 01 s · 3 attempts" in titles
    assert root.find(f"{SVG}desc").text == "1 failed, 1 not started, 1 running, 1 succeeded"


def test_a_large_run_is_told_in_numbers():
    nodes = [NodeSnapshot(f"n{i}", "f", "SUCCEEDED") for i in range(1000)]
    picture = draw(run(*nodes))
    assert len(picture) < 5000
    assert "1000 succeeded" in picture


def test_nodes_of_every_kind_are_in_the_picture_and_items_are_counted():
    items = ItemCounts(37, 2, 100)
    snapshot = run(
        NodeSnapshot("n0", "inner", "DYNAMIC_RUNNING", kind="workflow"),
        NodeSnapshot("n1", "square", "RUNNING", upstream=("n0",), kind="map", items=items),
        NodeSnapshot("n2", "fine?", "RUNNING", upstream=("n1",), kind="gate"),
    )
    root = ET.fromstring(draw(snapshot))
    titles = [e.text for e in root.iter(f"{SVG}title")]
    assert titles[1:] == [
        "n0, inner: running",
        "n1, square: 37 / 100, 2 failed",
        "n2, fine?: waiting",
    ]
    assert "RUNNING 37 / 100, 2 failed" in snapshot.as_text()
    nodes = snapshot.as_json()["snapshot"]["nodes"]
    assert [node["kind"] for node in nodes] == ["workflow", "map", "gate"]
    assert nodes[1]["items"] == {"succeeded": 37, "failed": 2, "total": 100}


def test_the_document_is_the_protocols():
    document = DIAMOND.as_json()
    assert json.loads(json.dumps(document)) == document
    assert set(document) == {"project", "domain", "name", "workflow", "version", "snapshot"}
    assert set(document["snapshot"]) == {"phase", "started_at", "updated_at", "nodes"}
    assert document["snapshot"]["nodes"][1] == {
        "id": "n1", "label": "left", "kind": "task", "phase": "FAILED", "attempts": 3,
        "seconds": 61.0, "upstream": ["n0"], "cell_id": "",
    }  # fmt: skip
    assert MIME == "application/vnd.flyte.execution.v1+json"


def test_the_text_has_a_line_for_each_node():
    lines = DIAMOND.as_text().splitlines()
    assert lines[0] == "quick.wf  execution x1  RUNNING"
    assert len(lines) == 6
    assert lines[3].split() == ["n1", "left", "FAILED", "1", "min", "01", "s", "3"]


def test_durations_are_for_people():
    assert [duration(s) for s in (None, 0, 59.94, 60, 3725)] == [
        "",
        "0.0 s",
        "59.9 s",
        "1 min 00 s",
        "1 h 02 min",
    ]
