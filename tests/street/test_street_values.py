"""Values on the street: large ones, wrong ones, and options that make no sense."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import flows
import pytest

import flyte_jupyter
from flyte_jupyter import Cache, LaunchOptions, TypeMismatch, task, workflow
from flyte_jupyter.kernel.authoring.errors import AuthoringError
from flyte_jupyter.kernel.client import NotFound
from flyte_jupyter.kernel.launching import LaunchingError

pytestmark = pytest.mark.usefixtures("data_home")


def test_values_too_large_for_an_answer_are_fetched():
    numbers = list(range(600_000))
    execution = flyte_jupyter.launch(flows.backwards, numbers=numbers).wait(timeout=120)
    assert execution.outputs.o0 == numbers[::-1]
    assert execution.inputs.numbers == numbers
    (node,) = execution.nodes
    assert node.inputs.numbers == numbers
    assert node.outputs.o0[0] == numbers[-1]


def test_values_too_large_for_a_request_are_refused_with_the_input_and_the_remedy():
    with pytest.raises(LaunchingError, match=r"backwards.*numbers alone.*FlyteFile"):
        flyte_jupyter.launch(flows.backwards, numbers=[1] * 4_000_000)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"max_parallelism": -1}, "0 on"), ({"env": {"A": 1}}, "env"), ({"labels": {1: "a"}}, "text")],
)
def test_launch_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(LaunchingError, match=said):
        LaunchOptions(**options)


def test_an_unknown_input_is_named_even_when_another_is_missing():
    with pytest.raises(AuthoringError, match="no input 'nmae'"):
        flyte_jupyter.launch(flows.failing, nmae="Ada")


@dataclass
class Moment:
    when: datetime


def test_an_optional_value_is_refused_for_the_reason_of_the_type_that_was_meant():
    @task
    def note(moment: Moment | None = None) -> None: ...

    with pytest.raises(TypeMismatch, match=r"time zone.*at moment\.when"):
        note(moment=Moment(datetime(2024, 1, 1)))  # noqa: DTZ001 - naive on purpose


def test_a_default_of_the_wrong_type_is_refused_when_the_task_is_made():
    with pytest.raises(TypeMismatch, match=r"task note, default of parameter x: expected int"):

        @task
        def note(x: int = "seven") -> None: ...


def test_functions_that_return_no_result_of_their_own_are_refused():
    with pytest.raises(AuthoringError, match="task later: the function is async"):

        @task
        async def later(x: int) -> int:
            return x

    with pytest.raises(AuthoringError, match="task many: the function is a generator"):

        @task
        def many(x: int) -> int:
            yield x


def test_a_cache_that_ignores_what_is_no_input_is_refused_when_the_task_is_made():
    with pytest.raises(AuthoringError, match=r"task count: .*'nope'.*its inputs: x, loud"):

        @task(cache=Cache("1", ignored_inputs=("loud", "nope")))
        def count(x: int, loud: bool = False) -> int:
            return x

    @task
    def plain(x: int) -> int:
        return x

    with pytest.raises(AuthoringError, match=r"task plain: .*'nope'"):

        @workflow
        def overriding(x: int) -> int:
            return plain(x=x).with_overrides(cache=Cache("1", ignored_inputs=("nope",)))


def test_a_workflow_without_tasks_is_refused_when_it_is_made():
    with pytest.raises(AuthoringError, match="workflow empty calls no task"):

        @workflow
        def empty(x: int = 1) -> int:
            return x


def test_a_task_that_is_launched_by_itself_and_fails_is_named():
    execution = flyte_jupyter.launch(flows.raises, x=1).wait(timeout=120)
    assert [node.task for node in execution.nodes] == ["flows.raises"]
    with pytest.raises(flyte_jupyter.ExecutionFailed, match=r"\(task flows\.raises\): KeyError"):
        _ = execution.outputs


def test_an_execution_that_is_not_there_is_said_with_the_way_to_find_others():
    with pytest.raises(NotFound, match=r"'no-such'.*recent\(\)"):
        flyte_jupyter.execution("no-such")
