"""map_task: lists in, lists out, one node."""

from __future__ import annotations

import functools
from typing import NamedTuple

import pytest

from flyte_jupyter import TypeMismatch, map_task, task, workflow
from flyte_jupyter.idl import core
from flyte_jupyter.kernel.authoring import AuthoringError
from flyte_jupyter.kernel.lowering import Code, Target, lower_workflow


class Halves(NamedTuple):
    low: int
    high: int


@task(retries=2)
def scale(x: int, by: int = 1) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * by


@task
def split(x: int) -> Halves:
    return Halves(x // 2, x - x // 2)


@task
def total(values: list[int]) -> int:
    return sum(values)


@workflow
def scaled(xs: list[int], by: int = 3) -> int:
    return total(
        values=map_task(functools.partial(scale, by=by), concurrency=4, min_success_ratio=1.0)(x=xs)
    )


def lowered(flow):
    names = {
        each: core.Identifier(resource_type=core.ResourceType.TASK, project="p", domain="d", name=each.name, version="v")
        for each in flow.graph.tasks
    }  # fmt: skip
    target = Target(project="p", domain="d", interpreter="", environment="")
    code = Code(module="m", namespace="m", digest="d")
    return lower_workflow(flow, target, code, "v", names).template


def test_it_runs_each_element_here_in_order():
    assert map_task(functools.partial(scale, by=2))(x=[1, 2, 3]) == [2, 4, 6]
    assert map_task(scale)(x=[], by=[]) == []
    assert scaled(xs=[1, 2, 3]) == 18


def test_several_outputs_are_lists_by_name():
    assert map_task(split)(x=[4, 5]) == Halves([2, 2], [2, 3])


def test_items_that_fail_are_none_as_far_as_the_ratio_allows():
    half = map_task(functools.partial(scale, by=2), min_success_ratio=0.5)
    assert half(x=[1, -1]) == [2, None]
    with pytest.raises(ValueError, match="-2 is negative") as caught:
        half(x=[1, -1, -2])
    assert "item 2 of map_task(scale)" in "".join(caught.value.__notes__)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(AuthoringError, match="x has 2, by has 1"):
        map_task(scale)(x=[1, 2], by=[1])


def test_an_element_of_another_type_is_refused_by_its_place():
    with pytest.raises(TypeMismatch, match=r"\[1\]"):
        map_task(functools.partial(scale, by=1))(x=[1, "2"])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: map_task(len), "takes a task"),
        (lambda: map_task(functools.partial(scale, 1)), "by name"),
        (lambda: map_task(functools.partial(scale, z=1)), "no input 'z'"),
        (lambda: map_task(scale, concurrency=0), "from 1 up"),
        (lambda: map_task(scale, min_success_ratio=0), "above 0"),
        (lambda: map_task(scale, min_success_ratio=1.5), "at most 1"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(make, says):
    with pytest.raises(AuthoringError, match=says):
        make()


def test_it_becomes_one_array_node_over_the_registered_task():
    template = lowered(scaled)
    node = next(n for n in template.nodes if n.HasField("array_node"))
    array = node.array_node
    assert array.node.task_node.reference_id.name == "scale"
    assert array.node.metadata.retries.retries == 2
    assert (array.parallelism, array.min_success_ratio) == (4, 1.0)
    assert list(array.bound_inputs) == ["by"]
    assert array.data_mode == core.ArrayNode.INDIVIDUAL_INPUT_FILES
    assert {b.var for b in node.inputs} == {"x", "by"}
    assert {each.name for each in scaled.graph.tasks} == {"scale", "total"}


def test_a_time_limit_is_each_items_and_not_the_whole_maps():
    @workflow
    def limited(xs: list[int]) -> list[int]:
        return map_task(functools.partial(scale, by=1))(x=xs).with_overrides(timeout=5)

    (node,) = lowered(limited).nodes
    assert node.array_node.node.metadata.timeout.seconds == 5
    assert not node.metadata.HasField("timeout")


def test_without_a_concurrency_the_execution_decides():
    @workflow
    def plain(xs: list[int]) -> list[int]:
        return map_task(functools.partial(scale, by=1))(x=xs)

    (node,) = lowered(plain).nodes
    assert node.array_node.WhichOneof("parallelism_option") is None
