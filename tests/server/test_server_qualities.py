"""How long an execution's attempts may stay queued: its own word, its launch plan's, its workflow's, its domain's default."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_specs import as_json, integer, launch, launch_plan, task, workflow

from flyte_jupyter.idl import core
from flyte_jupyter.server.admin.qualities import QualitySettings
from flyte_jupyter.server.app import parse

Q = core.QualityOfService
TIERS = QualitySettings(
    budgets={"HIGH": timedelta(minutes=1), "LOW": timedelta(hours=1)},
    defaults={"development": "LOW"},
)


def seconds(number):
    quality = Q()
    quality.spec.queueing_budget.FromSeconds(number)
    return quality


@pytest.mark.parametrize(
    ("own", "plan", "flow", "budget"),
    [
        (seconds(7), Q(tier=Q.HIGH), Q(tier=Q.HIGH), "7s"),
        (Q(tier=Q.HIGH), seconds(7), seconds(8), "60s"),
        (None, seconds(7), seconds(8), "7s"),
        (None, None, seconds(8), "8s"),
        (None, None, Q(tier=Q.HIGH), "60s"),
        (None, None, None, "3600s"),
        (Q(tier=Q.UNDEFINED), None, seconds(8), "8s"),
        (Q(tier=Q.MEDIUM), seconds(7), None, ""),
    ],
)
def test_the_nearest_word_counts(make_server, own, plan, flow, budget):
    server = make_server(quality=TIERS)
    server.attempts.go.clear()
    asked = workflow()
    if flow is not None:
        asked.spec.template.metadata.quality_of_service.CopyFrom(flow)
    planned = launch_plan()
    if plan is not None:
        planned.spec.quality_of_service.CopyFrom(plan)
    for where, message in (("tasks", task()), ("workflows", asked), ("launch_plans", planned)):
        server.ok("POST", f"/api/v1/{where}", as_json(message))
    request = launch("one", x=integer(3))
    if own is not None:
        request.spec.quality_of_service.CopyFrom(own)
    server.ok("POST", "/api/v1/executions", as_json(request))
    told = server.ok("GET", "/api/v1/executions/flytesnacks/development/one")["spec"]
    quality = told.get("quality_of_service", told.get("qualityOfService", {})).get("spec", {})
    assert quality.get("queueing_budget", quality.get("queueingBudget", "")) == budget


def test_tiers_are_set_in_the_file_and_mistakes_are_named(tmp_path, capsys):
    file = tmp_path / "serve.toml"
    given = ["--data-dir", str(tmp_path / "data"), "--config", str(file)]
    file.write_text('[quality]\nbudgets = {HIGH = 60}\ndefaults = {production = "HIGH"}\n')
    assert parse(given).quality == QualitySettings(
        {"HIGH": timedelta(minutes=1)}, {"production": "HIGH"}
    )
    file.write_text("[quality]\nbudgets = {BEST = 60}\n")
    with pytest.raises(SystemExit):
        parse(given)
    assert "'BEST' is no tier of quality" in capsys.readouterr().err
