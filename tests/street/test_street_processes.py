"""How an attempt's process comes to be."""

from __future__ import annotations

import flows
import pytest

import flyte_jupyter

pytestmark = pytest.mark.usefixtures("data_home")


def test_an_attempt_is_forked_unless_its_author_asks_for_a_program_of_its_own():
    execution = flyte_jupyter.launch(flows.births)
    execution.wait(timeout=120)
    assert execution.outputs["o0"].endswith("zygote")
    assert execution.outputs["o1"].endswith("entrypoint")


def test_what_a_task_launches_runs_on_the_control_plane_that_runs_the_task():
    execution = flyte_jupyter.launch(flows.launches, name="Ada")
    execution.wait(timeout=120)
    inner = flyte_jupyter.execution(execution.outputs["o0"])
    assert inner.outputs["o0"] == "hello Ada"
