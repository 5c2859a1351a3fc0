"""Literals in files of their own, when the installation says so: for flytekit's tasks as for the engine nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flytekit_specs import specs
from flytekit_street import serving

from flyte_jupyter.idl import core, literals

MODULES = ("attributes", "branches", "dynamics", "maps", "effects")
SETTINGS = """
[answers.offload]
least = 0
most = 1
"""
PROGRAMS = [
    ("attributes", "of_containers", {}, {"o0": 3, "o1": "xy"}),
    ("attributes", "of_dataclass", {}, {"o0": 9, "o1": "ab", "o2": 2}),
    ("attributes", "in_condition", {}, {"o0": "two!"}),
    ("branches", "chosen", {"x": 0.5}, {"o0": "small 5.0 and small 0.5"}),
    ("dynamics", "mapping", {"n": 3}, {"o0": 5}),
    ("maps", "plain", {"n": 4}, {"o0": 14}),
    ("maps", "tolerant", {"n": 6}, {"o0": 4}),
]


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offloading")
    with serving(folder, *MODULES, config=SETTINGS) as street:
        yield street


@pytest.fixture
def street(plane, tmp_path):
    return replace(plane, effects=tmp_path)


def opened(literal):
    uri = literal.offloaded_metadata.uri
    if not uri:
        return literal
    return core.Literal.FromString(Path(uri.removeprefix("file://")).read_bytes())


def test_programs_give_the_same(street):
    runs = [
        (street.start(specs(module), short, **inputs), short, wanted)
        for module, short, inputs, wanted in PROGRAMS
    ]
    for name, short, wanted in runs:
        closure = street.ended(name).closure
        assert closure.error.message == "", short
        outputs = street.data(name).full_outputs.literals
        assert {key: literals.value(opened(each)) for key, each in outputs.items()} == wanted


def test_a_maps_list_is_kept_beside_its_outputs(street):
    name = street.start(specs("maps"), "zipped", n=4)
    street.ended(name)
    kept = street.node_data(name, "n2").full_outputs.literals["o0"]
    told = kept.offloaded_metadata
    assert told.uri.endswith("/n2/data/0/o0_offloaded_metadata.pb")
    assert told.inferred_type.collection_type.simple == core.SimpleType.INTEGER
    whole = opened(kept)
    assert (whole.ByteSize(), kept.hash != "") == (told.size_bytes, True)
    items = [literals.value(opened(each)) for each in whole.collection.literals]
    assert items == [1, 1, 4, 27]


def test_tasks_are_told_from_which_size_on(street):
    name = street.start(specs("effects"), "named")
    street.ended(name)
    (environment,) = street.node_data(name, "n0").full_outputs.literals.values()
    found = literals.value(opened(environment))
    assert found | {"_F_L_MIN_SIZE_MB": "0", "_F_L_MAX_SIZE_MB": "1"} == found
