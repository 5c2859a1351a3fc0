"""What may run on this machine, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyte_jupyter.engine.adapters.local import command, jobs
from flyte_jupyter.engine.adapters.local.containers import Engines
from flyte_jupyter.engine.adapters.local.entries import Entry
from flyte_jupyter.engine.adapters.local.folders import key_of
from flyte_jupyter.engine.adapters.local.refusals import rejected, task_of
from flyte_jupyter.engine.adapters.local.resources import (
    BadQuantity,
    Capacity,
    Wants,
    refusal,
    shared_memory_of,
    wants_of,
)
from flyte_jupyter.engine.adapters.local.secrets import Secrets, are_asked
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.adapters.local.templates import once_a_template
from flyte_jupyter.engine.adapters.local.zygotes import Kind, Zygotes
from flyte_jupyter.engine.ports import AttemptSpec, Rejected
from flyte_jupyter.idl import core


@dataclass(frozen=True, slots=True)
class Admission:
    """Turns away at once what can never run here. `environ` is the control plane's own environment."""

    capacity: Capacity
    environ: Mapping[str, str]
    zygotes: Zygotes
    engines: Engines
    secrets: Secrets

    def entry(self, spec: AttemptSpec, grant: Grant) -> Entry:
        """The attempt as the executor keeps it in mind."""
        variables = command.variables_of(spec)
        anew = command.starts_anew(spec, variables, self.environ)
        return Entry(spec, key_of(spec.id), grant, anew=anew, variables=variables)

    async def judge(self, spec: AttemptSpec) -> Entry | Rejected:
        """The attempt, not begun and without a slot, or why there will never be one."""
        try:
            wants = _wants_of(spec.template)
        except BadQuantity as e:
            return rejected("BadResources", f"{task_of(spec)}: {e}")
        why = refusal(wants, self.capacity)
        if why:
            return rejected("TooLarge", f"{task_of(spec)} cannot run on this machine. {why}")
        return await self._problem_with(spec) or self.entry(spec, Grant(wants))

    async def _problem_with(self, spec: AttemptSpec) -> Rejected | None:
        """Why it cannot run here as it is; None when it can."""
        if self.is_at_home(spec):
            return None
        if problem := self.secrets.problem_with(spec.template):
            return rejected(problem.code, f"{task_of(spec)}: {problem}")
        if jobs.needs_image(spec, self.environ):
            return await self.engines.refusal(spec)
        return jobs.problem_with(spec, self.environ)

    def is_at_home(self, spec: AttemptSpec) -> bool:
        """Whether it is our own runtime's, whose interpreter runs already, and wants nothing that has to be looked for."""
        kind = _kind_at_home(spec.template)
        return kind is not None and self.zygotes.ready(kind) is not None


@once_a_template
def _wants_of(template: core.TaskTemplate) -> Wants:
    """What the task asks for, all of which can be read. Raises `BadQuantity`."""
    wants = wants_of(template)
    shared_memory_of(template)
    return wants


@once_a_template
def _kind_at_home(template: core.TaskTemplate) -> Kind | None:
    """Which zygote runs a task of our own runtime that has no secrets; None for any other task."""
    ours = command.is_own(template) and not are_asked(template)
    return jobs.kind_of(template) if ours else None
