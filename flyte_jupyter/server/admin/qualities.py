"""Quality of service: how long an execution's attempts may stay queued (Flyte: ``flyteadmin/.../executions/quality_of_service.go``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from flyte_jupyter.idl import admin, core

_TIERS = ("HIGH", "MEDIUM", "LOW")
_LONGEST = 36_500 * 86_400
"""Seconds: a century is for ever."""


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """What the tiers of quality are worth here. Names are Flyte's: HIGH, MEDIUM, LOW."""

    budgets: Mapping[str, timedelta] = field(default_factory=dict)
    """By tier: how long an attempt may stay queued; a tier that is not named may for ever."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """By domain: the tier of executions that say nothing; a domain that is not named has none."""

    def __post_init__(self) -> None:
        for name in (*self.budgets, *self.defaults.values()):
            if name not in _TIERS:
                raise ValueError(f"{name!r} is no tier of quality; there are {', '.join(_TIERS)}")

    def budget(self, asked: Iterable[core.QualityOfService], domain: str) -> timedelta | None:
        """What the first who says anything asks for, else the domain's default; None: an attempt may stay queued for ever."""
        for quality in asked:
            if quality.HasField("spec"):
                given = quality.spec.queueing_budget
                lasting = timedelta(
                    seconds=min(max(given.seconds, -_LONGEST), _LONGEST),
                    microseconds=given.nanos // 1000,
                )
                return lasting if lasting > timedelta(0) else None
            if quality.tier != core.QualityOfService.UNDEFINED:
                return self.budgets.get(core.QualityOfService.Tier.Name(quality.tier))
        return self.budgets.get(self.defaults.get(domain, ""))


def resolve(
    settings: QualitySettings,
    spec: admin.ExecutionSpec,
    plan: admin.LaunchPlanSpec,
    workflow: core.WorkflowTemplate,
    domain: str,
) -> None:
    """Put what an execution's attempts get into its spec: its own word, its launch plan's, its workflow's, the domain's."""
    asked = (
        spec.quality_of_service,
        plan.quality_of_service,
        workflow.metadata.quality_of_service,
    )
    budget = settings.budget(asked, domain)
    if budget is not None:
        spec.quality_of_service.spec.queueing_budget.FromTimedelta(budget)
