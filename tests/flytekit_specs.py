"""What flytekit registers for a module of workflows: its own serialiser's messages, made once for each session."""

from __future__ import annotations

import importlib
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_jupyter.engine.compiler import (
    Compiled,
    LaunchPlanInterface,
    Library,
    compile_workflow,
)
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.server.admin.launch_plans import expected_inputs

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"
IMAGE = "localhost/flyte-jupyter/task:test"
FAMILIES = (
    "attributes",
    "branches",
    "caches",
    "chains",
    "checkpoints",
    "dynamics",
    "gates",
    "handlers",
    "launch_plans",
    "maps",
    "overrides",
    "policies",
    "subworkflows",
)

Spec = admin.TaskSpec | admin.WorkflowSpec | admin.LaunchPlanSpec


@dataclass(frozen=True)
class Specs:
    """Everything of one module in an order in which it can be registered: what is used before what uses it."""

    module: str
    entities: Sequence[tuple[core.Identifier, Spec]]

    @property
    def tasks(self) -> Mapping[str, admin.TaskSpec]:
        return {i.name: s for i, s in self.entities if isinstance(s, admin.TaskSpec)}

    @property
    def workflows(self) -> Mapping[str, admin.WorkflowSpec]:
        return {i.name: s for i, s in self.entities if isinstance(s, admin.WorkflowSpec)}

    @property
    def launch_plans(self) -> Mapping[str, admin.LaunchPlanSpec]:
        return {i.name: s for i, s in self.entities if isinstance(s, admin.LaunchPlanSpec)}

    def name(self, short: str) -> str:
        """The registered name of something in the module."""
        return f"flytekit_programs.{self.module}.{short}"

    def workflow(self, short: str) -> admin.WorkflowSpec:
        return self.workflows[self.name(short)]

    def library(self, workflow: admin.WorkflowSpec | None = None) -> Library:
        """All of it for the compiler, with the sub-workflows that a workflow brings along."""
        brought = workflow.sub_workflows if workflow is not None else ()
        return Library(
            tasks={_named(EntityKind.TASK, i): s.template for i, s in self._of(admin.TaskSpec)},
            workflows={_named(EntityKind.WORKFLOW, w.id): w for w in brought},
            launch_plans={
                _named(EntityKind.LAUNCH_PLAN, i): self._interface(i, s)
                for i, s in self._of(admin.LaunchPlanSpec)
            },
        )

    def compiled(self, short: str) -> Compiled:
        """A workflow of the module as it runs."""
        spec = self.workflow(short)
        return compile_workflow(spec.template, self.library(spec))

    def _of(self, kind: type) -> list[tuple[core.Identifier, Spec]]:
        return [(i, s) for i, s in self.entities if isinstance(s, kind)]

    def _interface(self, plan: core.Identifier, spec: admin.LaunchPlanSpec) -> LaunchPlanInterface:
        interface = self.workflows[spec.workflow_id.name].template.interface
        expected = expected_inputs(_named(EntityKind.LAUNCH_PLAN, plan), spec, interface)
        return LaunchPlanInterface(expected, interface.outputs, spec.fixed_inputs)


@cache
def specs(
    module: str,
    *,
    version: str = VERSION,
    project: str = PROJECT,
    domain: str = DOMAIN,
    bare: bool = False,
) -> Specs:
    """Import ``flytekit_programs.<module>`` and serialise all of its tasks, workflows and launch plans.

    Tasks run by import: their processes find this folder on ``PYTHONPATH``. `bare`: they must be given it, since a task
    without variables of its own is forked from a parent that has flytekit.
    """
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase
    from flytekit.tools.translator import get_serializable

    settings = _settings(project, domain, version, bare=bare)
    made: OrderedDict[object, object] = OrderedDict()
    for entity in _entities(importlib.import_module(f"flytekit_programs.{module}")):
        get_serializable(made, settings, entity)
        if isinstance(entity, WorkflowBase):
            get_serializable(made, settings, LaunchPlan.get_default_launch_plan(_context(), entity))
    # The same map task used twice is serialised twice.
    found = {str(name): (name, spec) for model in made.values() for name, spec in _spec(model)}
    return Specs(module, tuple(found.values()))


def futures(module: str, task: str, **inputs: object) -> core.DynamicJobSpec:
    """What a dynamic task of a module leaves as ``futures.pb`` for these inputs."""
    from flytekit.core.context_manager import ExecutionState, FlyteContextManager

    entity = copy(getattr(importlib.import_module(f"flytekit_programs.{module}"), task))
    entity._wf = None  # flytekit keeps the first graph that it made: a process makes one only
    ctx = FlyteContextManager.current_context()
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    builder = ctx.with_serialization_settings(_settings(PROJECT, DOMAIN, VERSION))
    with FlyteContextManager.with_context(builder.with_execution_state(state)) as inside:
        return entity.compile_into_workflow(inside, entity.task_function, **inputs).to_flyte_idl()


def _settings(project: str, domain: str, version: str, *, bare: bool = False) -> Any:
    from flytekit.configuration import Image, ImageConfig, SerializationSettings

    name, _, tag = IMAGE.rpartition(":")
    return SerializationSettings(
        image_config=ImageConfig(default_image=Image("default", name, tag)),
        project=project,
        domain=domain,
        version=version,
        env=None if bare else {"PYTHONPATH": str(Path(__file__).parent)},
        python_interpreter=sys.executable,
    )


def _context() -> object:
    from flytekit.core.context_manager import FlyteContextManager

    return FlyteContextManager.current_context()


def _entities(module: ModuleType) -> list[object]:
    from flytekit.core.base_task import PythonTask
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    kinds = (PythonTask, WorkflowBase, LaunchPlan)
    return [value for value in vars(module).values() if isinstance(value, kinds)]


def _spec(model: object) -> list[tuple[core.Identifier, Spec]]:
    """The message of what flytekit's serialiser made, if it is something to register."""
    from flytekit.models.admin.workflow import WorkflowSpec
    from flytekit.models.launch_plan import LaunchPlan
    from flytekit.models.task import TaskSpec

    if isinstance(model, TaskSpec | WorkflowSpec):
        spec = model.to_flyte_idl()
        return [(spec.template.id, spec)]
    if isinstance(model, LaunchPlan):
        return [(model.id.to_flyte_idl(), model.spec.to_flyte_idl())]
    return []


def _named(kind: EntityKind, of: core.Identifier) -> EntityId:
    return EntityId(kind, of.project, of.domain, of.name, of.version)
