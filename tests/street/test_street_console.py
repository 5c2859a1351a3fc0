"""What the console asks for, against a real run."""

from __future__ import annotations

import json
from urllib.parse import quote

import flows
import pytest

import flyte_jupyter
from flyte_jupyter.supervisor import find_or_start, request

pytestmark = pytest.mark.usefixtures("data_home")


def names(text: str) -> list[str]:
    """The executions whose names, or whose workflows' names, hold a text."""
    path = f"/api/v1/executions/flytesnacks/development?limit=50&filters={quote(f'contains(search,{text})')}"
    answer = request(find_or_start(), "GET", path)
    assert answer.status == 200, answer.body
    return [e["id"]["name"] for e in json.loads(answer.body)["executions"]]


def test_executions_are_found_by_their_own_name_and_by_their_workflows():
    execution = flyte_jupyter.launch(flows.greeting, name="Ada")
    execution.wait(timeout=120)
    assert names("greeting") == [execution.name]
    assert names(execution.name[3:12]) == [execution.name]
    assert names("nothing of that kind") == []
    assert names("100%") == []
