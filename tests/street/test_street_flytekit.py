"""Workflows written with flytekit, unchanged: serialised, registered, launched, run by its own entrypoints."""

from __future__ import annotations

import hashlib

import pytest
from flytekit_platform import Platform, register
from processes import stop_control_plane

from flyte_jupyter.idl import core
from flyte_jupyter.supervisor import find_or_start, places

SECRETS = {
    "db/password": "first-of-the-secrets\n",
    "Db/2/Key": "second-of-the-secrets",
    "db/either": "third-of-the-secrets",
}
PASSWORD, KEY, EITHER = (
    hashlib.sha256(value.strip().encode()).hexdigest()[:8] for value in SECRETS.values()
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """One control plane for all of them: what is slow is the import of flytekit into a new parent process."""
    data = tmp_path_factory.mktemp("flytekit") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_JUPYTER_DATA_DIR", str(data))
        patch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
        for name, value in SECRETS.items():
            file = data / "secrets" / name
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_text(value)
            file.chmod(0o600)
        yield Platform(find_or_start())
    stop_control_plane(data)


PROGRAMS = {
    "attributes": [
        ("of_dataclass", {}, {"o0": 9, "o1": "ab", "o2": 2}),
        ("of_containers", {}, {"o0": 3, "o1": "xy"}),
        ("as_output", {}, {"o0": 2, "o1": "y"}),
        ("in_condition", {}, {"o0": "two!"}),
        ("out_of_range", {}, "the list has 2 items"),
    ],
    "branches": [
        ("simple", {"x": 0.5}, {"o0": "small 0.5"}),
        ("simple", {"x": 1.5}, {"o0": "large 1.5"}),
        ("chosen", {"x": 0.05}, {"o0": "small 0.5 and small 0.05"}),
        ("chosen", {"x": 0.5}, {"o0": "small 5.0 and small 0.5"}),
        ("chosen", {"x": 50.0}, {"o0": "small 500.0 and small 50.0"}),
        ("chosen", {"x": 60.0}, {"o0": "huge 600.0 and small 60.0"}),
        ("nested", {"x": 0.2}, {"o0": "small 0.2"}),
        ("nested", {"x": 5.0}, {"o0": "large 5.0"}),
        ("nested", {"x": 50.0}, "far too large"),
        ("else_fails", {"x": 2.0}, "x must be below 1"),
        ("on_truth", {"x": 0.5}, {"o0": "small 0.5"}),
    ],
    "caches": [
        ("plain", {"x": 1}, {"o0": 2}),
        ("serialised", {"x": 1}, {"o0": 3}),
        ("ignoring", {"x": 1, "verbose": True}, {"o0": 4}),
        ("by_hash", {"x": 4}, {"o0": 4}),
        ("without_outputs", {}, {}),
        ("of_graph", {"x": 1}, {"o0": 2}),
        ("switched_off", {"x": 1}, {"o0": 2, "o1": 2}),
    ],
    "chains": [
        ("chain", {"a": 1}, {"o0": 5}),
        ("named", {"a": 2}, {"total": 10, "text": "3+4+3"}),
        ("typed", {"x": 2}, {"o0": "p2:2:red:None", "o1": "int 2"}),
        ("ordered", {}, {}),
    ],
    "checkpoints": [("steps", {"n": 3}, {"o0": 3})],
    "dynamics": [
        ("fan_out", {"n": 3}, {"o0": 25}),
        ("recursion", {"n": 3}, {"o0": 1}),
        ("mixture", {"n": 2}, {"o0": 9}),
        ("mapping", {"n": 3}, {"o0": 5}),
        ("around_failing", {"n": 2}, "2 breaks"),
        ("around_better", {"n": 2}, {"o0": 4}),
        ("around_nothing", {"n": 2}, {"o0": 2}),
    ],
    "gates": [("rested", {"x": 1}, {"o0": 2})],
    "handlers": [
        ("handled", {}, "1 breaks"),
        ("handled_by_workflow", {}, "1 breaks"),
        ("handled_badly", {}, "the handler breaks too"),
        ("around_handled", {}, "1 breaks"),
    ],
    "launch_plans": [
        ("parent", {"x": 2}, {"o0": 4, "o1": 8, "o2": 100}),
        ("grandparent", {"x": 2}, {"o0": 16}),
        ("around_failing", {}, "the child fails"),
    ],
    "maps": [
        ("plain", {"n": 4}, {"o0": 14}),
        ("constant", {}, {"o0": [1, 4, 9]}),
        ("bound", {"n": 4, "exponent": 3}, {"o0": [0, 1, 8, 27]}),
        ("zipped", {"n": 4}, {"o0": [1, 1, 4, 27]}),
        ("tolerant", {"n": 6}, {"o0": 4}),
        ("intolerant", {"n": 6}, "is a multiple of three"),
        ("at_least", {"n": 3}, {"o0": [0, 1, 4]}),
        ("two_at_once", {"n": 4}, {"o0": [0, 1, 4, 9]}),
        ("retried", {"n": 2}, {"o0": [0, 1]}),
        ("cached", {"n": 3}, {"o0": [100, 101, 102]}),
        ("empty", {}, {"o0": []}),
        ("nothing", {}, {}),
        ("changed", {"n": 2}, {"o0": [0, 1]}),
        ("executions", {}, {"o0": [1, 4, 9]}),
    ],
    "overrides": [
        ("resources", {"x": 1}, {"o0": 2}),
        ("policies", {"x": 1}, {"o0": 2}),
        ("in_graph", {"x": 1}, {"o0": 2}),
    ],
    "policies": [
        ("patient", {"x": 1}, {"o0": 1}),
        ("permanent", {}, "an exception of the user's is not tried again"),
        ("left", {}, "status 3"),
        ("cheap", {"x": 1}, {"o0": 1, "o1": 1}),
        ("goes_on", {}, "an exception of the user's is not tried again"),
    ],
    "subworkflows": [
        ("middle", {"x": 2}, {"o0": 8, "o1": 32}),
        ("outer", {"x": 1}, {"o0": 32}),
        ("around_failing", {}, "2 is never right"),
        ("beside_failing", {}, "2 is never right"),
        ("around_nothing", {"x": 3}, {"o0": 3}),
    ],
}
"""By family: workflow, inputs, and the outputs, or what the failure's message says."""


@pytest.mark.parametrize("module", PROGRAMS)
def test_programs_of_flytekits_users_run_unchanged(platform, module):
    made = register(platform.call, module)
    runs = [
        (platform.launch(made, n, **inputs), n, wanted) for n, inputs, wanted in PROGRAMS[module]
    ]
    for execution, name, wanted in runs:
        closure = platform.ended(execution).closure
        if isinstance(wanted, str):
            assert closure.phase == core.WorkflowExecution.FAILED, name
            assert wanted in closure.error.message, name
        else:
            assert closure.phase == core.WorkflowExecution.SUCCEEDED, (name, closure.error)
            assert platform.outputs(execution) == wanted, name


def test_tasks_have_the_secrets_that_they_ask_for_and_no_file_of_ours_holds_one(platform):
    made = register(platform.call, "secrets")
    told, untold = platform.launch(made, "told"), platform.launch(made, "untold")
    assert platform.ended(told).closure.phase == core.WorkflowExecution.SUCCEEDED
    items = [f"1 {PASSWORD}", f"2 {PASSWORD}"]
    wanted = {"o0": f"{PASSWORD} {KEY} {EITHER}", "o1": "none", "o2": items}
    assert platform.outputs(told) == wanted
    closure = platform.ended(untold).closure
    assert closure.phase == core.WorkflowExecution.FAILED
    assert closure.error.code == "SecretMissing"
    data = places().data
    assert f"{data}/secrets/db/absent" in closure.error.message
    files = [p for p in data.rglob("*") if p.is_file() and not p.is_symlink()]
    holding = {str(p.relative_to(data)) for p in files if b"-of-the-secrets" in p.read_bytes()}
    assert holding == {f"secrets/{name}" for name in SECRETS}
