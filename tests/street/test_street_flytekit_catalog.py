"""Outputs remembered: hits and whose they are, serialised computations, what the key is made of, and the catalog for people."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flytekit_specs import DOMAIN, PROJECT, specs
from flytekit_street import CACHE, EXECUTION, HERE, NODE, serving

from flyte_jupyter.idl import admin

EFFECTS, CACHES = specs("effects"), specs("caches")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("catalog"), "caches", "maps", "effects") as street:
        yield street


@pytest.fixture
def street(plane, tmp_path):
    return replace(plane, effects=tmp_path)


def run(street, made, short, spec=None, **inputs):
    name = street.launched(made, short, spec or admin.ExecutionSpec(), **inputs)
    street.succeeded(name)
    return name


def cache_of(street, name, node="n0"):
    """The node's cache status, and of a hit the execution whose outputs it took."""
    told = street.node(name, node).closure.task_node_metadata
    source = told.catalog_key.source_task_execution.node_execution_id.execution_id.name
    return CACHE.DESCRIPTOR.file.enum_types_by_name["CatalogCacheStatus"].values_by_number[
        told.cache_status
    ].name.removeprefix("CACHE_"), source


def test_a_hit_runs_nothing_and_names_whose_outputs_it_took(street):
    first = run(street, EFFECTS, "remembering", x=1)
    assert cache_of(street, first) == ("POPULATED", "")
    second = run(street, EFFECTS, "remembering", x=1)
    assert cache_of(street, second) == ("HIT", first)
    source = street.node(second, "n0").closure.task_node_metadata.catalog_key.source_task_execution
    assert (source.node_execution_id.node_id, source.retry_attempt) == ("n0", 0)
    assert source.task_id.name == EFFECTS.name("kept")
    assert not street.attempts(second, "n0"), "a hit has no task execution"
    assert cache_of(street, second, "n1") == ("DISABLED", "")
    assert street.all_marks() == {"kept": 1, "not-kept": 2}
    assert street.outputs(second) == street.outputs(first) == {"o0": 3}
    third = run(street, EFFECTS, "remembering", x=2)
    assert cache_of(street, third) == ("POPULATED", "")


def test_inputs_that_are_ignored_make_no_difference(street):
    first = run(street, CACHES, "ignoring", x=11, verbose=False)
    assert cache_of(street, run(street, CACHES, "ignoring", x=11, verbose=True)) == ("HIT", first)
    assert cache_of(street, run(street, CACHES, "ignoring", x=12, verbose=True))[0] == "POPULATED"


def test_a_hash_of_ones_own_stands_for_the_value(street):
    first = run(street, CACHES, "by_hash", x=4)
    second = run(street, CACHES, "by_hash", x=8)
    assert cache_of(street, second, "n1") == ("HIT", first)
    assert street.outputs(second) == {"o0": 4}, "both are even, and that is their hash"


def test_what_gives_nothing_is_not_remembered(street):
    for _ in range(2):
        name = run(street, CACHES, "without_outputs", x=1)
        assert cache_of(street, name)[0] == "DISABLED"
        assert len(street.attempts(name, "n0")) == 1


def test_a_node_may_say_otherwise_than_its_task(street):
    run(street, CACHES, "switched_off", x=31)
    second = run(street, CACHES, "switched_off", x=31)
    assert [cache_of(street, second, node)[0] for node in ("n0", "n1")] == ["DISABLED", "HIT"]


def test_a_cached_dynamic_task_needs_no_graph(street):
    first = run(street, CACHES, "of_graph", x=41)
    assert cache_of(street, first)[0] == "POPULATED"
    second = run(street, CACHES, "of_graph", x=41)
    assert cache_of(street, second) == ("HIT", first)
    assert not street.nodes(second, "n0")


def test_items_are_remembered_each_for_itself(street):
    maps = specs("maps")
    status = {"POPULATED": 3, "HIT": 2}
    for size, expected in ((2, ["POPULATED"] * 2), (3, ["HIT", "HIT", "POPULATED"])):
        name = run(street, maps, "cached", n=size)
        told = [each.cache_status for _, each in sorted(street.items(name, "n1").items())]
        assert told == [status[word] for word in expected]


def test_overwriting_reads_nothing_and_replaces(street):
    first = run(street, EFFECTS, "remembering", x=51)
    over = run(street, EFFECTS, "remembering", admin.ExecutionSpec(overwrite_cache=True), x=51)
    again = street.relaunch(first, overwrite_cache=True)
    street.succeeded(again)
    assert street.marks("kept") == 3
    assert {cache_of(street, name)[0] for name in (over, again)} == {"POPULATED"}
    assert cache_of(street, run(street, EFFECTS, "remembering", x=51)) == ("HIT", again)


def test_equal_computations_wait_for_one_another(street):
    names = [street.start(EFFECTS, "one_alone", x=61)]
    street.seen("alone")
    names += [street.start(EFFECTS, "one_alone", x=61) for _ in range(2)]
    for name in names[1:]:
        street.reached(name, "n0", NODE.QUEUED)
    street.open("alone")
    assert [street.succeeded(name) for name in names] == [{"o0": 62}] * 3
    assert street.marks("alone") == 1
    assert [cache_of(street, name) for name in names[1:]] == [("HIT", names[0])] * 2


def test_who_waits_takes_over_when_the_owner_stops(street):
    owner = street.start(EFFECTS, "one_alone", x=62)
    street.seen("alone")
    waiting = street.start(EFFECTS, "one_alone", x=62)
    street.reached(waiting, "n0", NODE.QUEUED)
    street.abort(owner)
    street.seen("alone", 2)
    street.open("alone")
    assert street.succeeded(waiting) == {"o0": 63}
    assert cache_of(street, waiting)[0] == "POPULATED"


def test_one_who_waits_can_be_stopped(street):
    owner = street.start(EFFECTS, "one_alone", x=63)
    street.seen("alone")
    waiting = street.start(EFFECTS, "one_alone", x=63)
    street.reached(waiting, "n0", NODE.QUEUED)
    street.abort(waiting)
    assert street.ended(waiting).closure.phase == EXECUTION.ABORTED
    street.open("alone")
    assert street.succeeded(owner) == {"o0": 64}


def test_outputs_that_are_gone_are_computed_again(street, plane):
    first = run(street, EFFECTS, "remembering", x=71)
    (lost,) = (plane.effects / "data" / "blobs").glob(f"**/*{first}/n0/data/0/outputs.pb")
    lost.unlink()
    second = run(street, EFFECTS, "remembering", x=71)
    assert street.marks("kept") == 2
    assert cache_of(street, second)[0] == "POPULATED", "what failed was the look-up, not the node"
    assert cache_of(street, run(street, EFFECTS, "remembering", x=71)) == ("HIT", second)


# -- for people --


def test_what_is_remembered_is_listed_and_can_be_forgotten(street):
    first = run(street, EFFECTS, "remembering", x=81)
    listed = street.own("GET", f"catalog/{HERE}?limit=1")["artifacts"]
    (newest,) = listed
    assert newest["source"] == f"{HERE}/{first}/n0/0"
    assert (newest["key"]["task"], newest["size"] > 0) == (EFFECTS.name("kept"), True)
    assert street.own("POST", "catalog/evict", {"keys": [newest["key"]]}) == {"evicted": 1}
    second = run(street, EFFECTS, "remembering", x=81)
    assert (cache_of(street, second)[0], street.marks("kept")) == ("POPULATED", 2)
    of_run = {"execution": {"project": PROJECT, "domain": DOMAIN, "name": second}}
    assert street.own("POST", "catalog/evict", of_run) == {"evicted": 1}
    third = run(street, EFFECTS, "remembering", x=81)
    assert street.marks("kept") == 3
    of_task = {"task": {"project": PROJECT, "domain": DOMAIN, "task": EFFECTS.name("kept")}}
    assert street.own("POST", "catalog/evict", of_task)["evicted"] >= 1
    run(street, EFFECTS, "remembering", x=81)
    assert street.marks("kept") == 4
    assert street.outputs(third) == {"o0": 83}, "outputs themselves are never deleted"


def test_what_would_hit_is_told_before_anything_runs(street):
    def foreseen(x):
        request = street.request(EFFECTS, "remembering", admin.ExecutionSpec(), x=x)
        body = {
            "project": PROJECT,
            "domain": DOMAIN,
            "spec": {
                "launch_plan": {
                    "resource_type": "LAUNCH_PLAN",
                    "project": PROJECT,
                    "domain": DOMAIN,
                    "name": request.spec.launch_plan.name,
                    "version": request.spec.launch_plan.version,
                }
            },
            "inputs": {"literals": {"x": {"scalar": {"primitive": {"integer": str(x)}}}}},
        }
        nodes = street.own("POST", "catalog/preview", body)["nodes"]
        return {each["node"]: (each["verdict"], each["source"]) for each in nodes}

    assert foreseen(91) == {"n0": ("miss", ""), "n1": ("unknown", "")}
    assert not street.all_marks()
    first = run(street, EFFECTS, "remembering", x=91)
    assert foreseen(91) == {"n0": ("hit", f"{HERE}/{first}/n0/0"), "n1": ("run", "")}
    assert street.marks("kept") == 1


def test_lineage_leads_from_execution_to_execution(street):
    first = run(street, EFFECTS, "remembering", x=95)
    second = run(street, EFFECTS, "remembering", x=95)
    theirs = street.own("GET", f"lineage/{HERE}/{first}")
    (use,) = theirs["used_by"]
    assert (use["execution"], use["node"], use["source"]) == (
        f"{HERE}/{second}",
        "n0",
        f"{HERE}/{first}/n0/0",
    )
    ours = {each["node"]: each for each in street.own("GET", f"lineage/{HERE}/{second}")["nodes"]}
    assert ours["n0"]["taken_from"] == f"{HERE}/{first}/n0/0"
    assert (ours["n1"]["from"], ours["n1"]["taken_from"]) == (["n0.o0"], "")
    assert ours["n1"]["task"] == EFFECTS.name("once")
