"""What answers know about one run: what it was created with, and the graphs that its dynamic tasks have made since."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flyte_jupyter.engine.answers.alike import Alike
from flyte_jupyter.engine.core.plan import Plans
from flyte_jupyter.engine.program import Policies, Program, Template
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import Path, RunId

if TYPE_CHECKING:
    from flyte_jupyter.engine.answers.places import Place

PLAIN = Policies()


@dataclass(frozen=True, slots=True)
class Said:
    """What an execution says about all of its attempts: read once, and shared by them."""

    raw_output: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service_account: str

    @staticmethod
    def by(spec: admin.ExecutionSpec) -> Said:
        """What its spec says."""
        own = spec.security_context.run_as.k8s_service_account
        return Said(
            raw_output=spec.raw_output_data_config.output_location_prefix,
            labels=dict(spec.labels.values),
            annotations=dict(spec.annotations.values),
            service_account=own or spec.auth_role.kubernetes_service_account,
        )


@dataclass(slots=True)
class RunContext:
    """One run. All of it is fixed when the run is created, but for its graphs: those grow."""

    id: RunId
    program: Program
    inputs: str
    """URI of the run's inputs; ``""`` when it has none."""
    env: Mapping[str, str]
    spec: admin.ExecutionSpec = field(default_factory=admin.ExecutionSpec)
    recovers: RunId | None = None
    """The execution whose successes are taken over."""
    policies: Policies = PLAIN
    """What the execution says about all of its nodes."""
    unsaved: dict[str, bytes] = field(default_factory=dict)
    """Compiled closures by digest that no commit has kept yet."""
    literals: dict[str, bytes] = field(default_factory=dict)
    """Small inputs and outputs by URI that no commit has kept yet."""
    alike: Alike = field(init=False, default_factory=Alike)
    """What its nodes have in common."""
    places: OrderedDict[Path, Place] = field(init=False, default_factory=OrderedDict)
    """Where its nodes stand, of those that were asked for last (`places.place_of`)."""
    said: Said = field(init=False)
    plans: Plans = field(init=False)
    _expansions: dict[str, Program] = field(init=False, default_factory=dict)
    _templates: dict[str, Template] = field(init=False)

    def __post_init__(self) -> None:
        self.said = Said.by(self.spec)
        self.plans = Plans(self.program.plan)
        self._templates = dict(self.program.templates)

    @property
    def expansion_policies(self) -> Policies:
        """What the execution and its workflow say about the nodes that a dynamic task makes."""
        program = self.program
        return replace(
            self.policies, default_interruptible=program.interruptible, goes_on=program.goes_on
        )

    @property
    def workflow(self) -> core.Identifier:
        """The workflow that the run is an execution of."""
        return self.program.primary.workflow

    def template(self, key: str) -> Template:
        """A workflow of the run, by `Plan.template`."""
        return self._templates[key]

    def grow(self, digest: str, expansion: Program) -> None:
        """Add a graph that a dynamic task has made. Adding it again changes nothing."""
        if digest in self._expansions:
            return
        self._expansions[digest] = expansion
        self._templates.update(expansion.templates)
        plans = {known: program.plan for known, program in self._expansions.items()}
        self.plans = Plans(self.program.plan, plans)

    def has(self, digest: str) -> bool:
        """Whether it knows this graph."""
        return digest in self._expansions
