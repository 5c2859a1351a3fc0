"""A compiled closure made ready to run: the machine's plan, and what the shell needs beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyte_jupyter.engine.core.plan import Plan
from flyte_jupyter.engine.program.planning import PLAIN, Policies, goes_on, planned
from flyte_jupyter.engine.program.templates import Closure, Template
from flyte_jupyter.idl import core


@dataclass(frozen=True, slots=True)
class Program:
    """One closure: shared by all runs that have the same. `templates` are found by `Plan.template`."""

    plan: Plan
    templates: Mapping[str, Template]
    interruptible: bool = False
    """What its workflow says about nodes that do not say."""
    goes_on: bool = False
    """Whether its workflow goes on after a failure."""

    @property
    def primary(self) -> Template:
        """The workflow that the closure is of."""
        return self.templates[self.plan.template]


def program_of(
    closure: core.CompiledWorkflowClosure,
    prefix: str = "",
    policies: Policies = PLAIN,
    digest: str = "",
) -> Program:
    """Index a closure that the compiler made. `prefix` stands before the keys: ``<digest>:`` for what a dynamic task made.

    `digest` is the closure's, where it is known.
    """
    indexed = Closure(closure)
    template = closure.primary.template
    plan = planned(indexed, prefix, policies, digest)
    interruptible = template.metadata_defaults.interruptible
    return Program(plan, indexed.templates(prefix), interruptible, goes_on(template))
