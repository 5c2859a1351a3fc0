"""Files of runs that are damaged under a control plane's hands, and values at the ends of their types: named, or exact, never null."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fault_planes import NODE, Plane, done, plane
from processes import eventually

from flyte_jupyter.idl import admin, core, literals

LEAST, MOST = -(2**63), 2**63 - 1
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
REALS = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with plane(tmp_path_factory.mktemp("data")) as made:
        yield made


def exactly(values: object) -> str:
    """NaN is not equal to itself, and zero is to minus zero: texts tell them apart."""
    return repr(values)


@pytest.mark.parametrize(
    ("workflow", "values"),
    [
        ("real_items", REALS),
        ("number_items", [LEAST, -1, 0, MOST]),
        ("moment_items", [FIRST, LAST]),
    ],
)
def test_values_at_the_ends_of_their_types_go_through_maps(street, workflow, values):
    name = street.start(workflow, values=values)
    street.succeeded(name)
    assert exactly(street.outputs(name)["o0"]) == exactly(values)


@pytest.mark.parametrize("real", REALS)
def test_values_at_the_ends_of_their_types_go_through_attribute_paths(street, real):
    name = street.start("inside", number=MOST, real=real, moment=LAST)
    street.succeeded(name)
    given = street.outputs(name)
    assert exactly([given[f"o{i}"] for i in range(3)]) == exactly([MOST, real, [real, real]])


def test_branches_judge_what_is_no_number_as_every_machine_does(street):
    for x, wanted in [
        (math.nan, "no number"),
        (math.inf, "not below"),
        (-math.inf, "below"),
        (-0.0, "not below"),
    ]:
        name = street.start("compared", x=x)
        street.succeeded(name)
        assert street.outputs(name) == {"o0": wanted}


def test_a_whole_number_that_does_not_fit_fails_and_is_no_null(street):
    """flytekit's own program cannot write it: it ends with 1, and says why in the log."""
    error = street.failed(street.start("overflow"))
    assert error.kind == core.ExecutionError.USER
    assert error.code == "NonZeroExit"
    assert "items failed" in error.message


def number(value: object) -> bytes:
    return core.LiteralMap(literals={"o0": literals.literal(value)}).SerializeToString()


DAMAGE = {
    "missing": (Path.unlink, "there is nothing at"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-1]), "holds no literals"),
    "garbage": (lambda file: file.write_bytes(b"\xff" * 64), "holds no literals"),
    "empty": (lambda file: file.write_bytes(b""), "gave no 'o0'"),
    "swapped": (lambda file: file.write_bytes(number("seven")), "expected"),
}


def damage(street: Plane, name: str, node: str, how: str) -> Path:
    """Damage what a node left; the control plane that knew it by heart is gone."""
    (file,) = (street.data / "blobs").glob(f"**/*{name}/{node}/data/**/outputs.pb")
    street.kill()
    DAMAGE[how][0](file)
    street.restart()
    return file


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_outputs_fail_who_reads_them_with_the_path(street, tmp_path, how):
    trace = tmp_path / "trace"
    name = street.start("handed_over", file=str(trace))
    eventually(lambda: street.phase(name, "n0") == NODE.SUCCEEDED and done(trace)["waits"])
    file = damage(street, name, "n0", how)
    Path(f"{trace}.go").touch()
    error = street.failed(name)
    assert DAMAGE[how][1] in error.message
    assert str(file) in error.message or "n0" in error.message or "after" in error.message
    assert done(trace) == {"first": 1, "waits": 1}, "who reads it never ran"


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_outputs_of_an_item_fail_its_map_with_the_index(street, tmp_path, how):
    trace = tmp_path / "trace"
    name = street.start("handed_over_by_items", file=str(trace))

    def one_is_done() -> bool:
        items = street.items(name, "n1")
        return (
            0 in items and items[0].phase == core.TaskExecution.SUCCEEDED and len(done(trace)) == 3
        )

    eventually(one_is_done)
    file = damage(street, name, "n1", how)
    Path(f"{trace}.go").touch()
    error = street.failed(name)
    assert DAMAGE[how][1] in error.message
    assert str(file) in error.message or "0" in error.message
    assert done(trace).total() == 3, "no item ran again"


@pytest.mark.parametrize("content", ["printf garbage", ":"], ids=["garbage", "empty"])
def test_futures_that_are_no_graph_fail_the_task_that_left_them(street, content):
    fan = street.made.tasks[street.made.name("fan")]
    broken = admin.TaskSpec()
    broken.CopyFrom(fan)
    broken.template.id.version = f"no-graph-{content[0]}"
    words = [
        "/bin/sh",
        "-c",
        f'mkdir -p "${{1#file://}}"; {content} > "${{1#file://}}/futures.pb"',
        "sh",
    ]
    broken.template.container.ClearField("command")
    broken.template.container.args[:] = [*words, "{{.outputPrefix}}"]
    task = broken.template.id
    made = admin.TaskCreateRequest(id=task, spec=broken).SerializeToString()
    assert street.call("POST", "/api/v1/tasks", made).status == 200
    wish = street.wish("child", file="nowhere", prefix="p", n=4)
    wish.spec.launch_plan.CopyFrom(task)
    answer = street.call("POST", "/api/v1/executions", wish.SerializeToString())
    assert answer.status == 200, answer.body
    error = street.failed(admin.ExecutionCreateResponse.FromString(answer.body).id.name)
    assert (error.kind, error.code) == (core.ExecutionError.USER, "DynamicWorkflowBuildFailed")
    assert "Error parsing message" in error.message or "has no nodes" in error.message
