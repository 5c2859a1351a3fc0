"""Source and specifications on their way to the control plane, each version once."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any

from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.authoring import Task, Workflow
from flyte_jupyter.kernel.bundling import (
    Bundle,
    BundleProvider,
    bundle_of_module,
    is_in_its_module,
)
from flyte_jupyter.kernel.client import Client, InvalidRequest, NotFound
from flyte_jupyter.kernel.environment import fingerprint
from flyte_jupyter.kernel.launching.around import session_around, shell_around
from flyte_jupyter.kernel.launching.errors import LaunchingError, SharedCache
from flyte_jupyter.kernel.lowering import (
    NOTEBOOK,
    Code,
    Target,
    lower_launch_plan,
    lower_task,
    task_version,
    versioned_workflow,
)

PROJECT = "flytesnacks"
DOMAIN = "development"
_IMAGE = "FLYTE_JUPYTER_IMAGE"
_BUNDLE_FILE = "bundle.tar.gz"


@dataclass(frozen=True)
class Registered:
    """One version of a task or workflow at the control plane. `already` when it was there before."""

    name: str
    version: str
    already: bool
    identifier: core.Identifier
    """What to launch: the task itself, or the workflow's default launch plan."""

    def __str__(self) -> str:
        state = "was registered already" if self.already else "is registered"
        return f"{self.name} {state} as version {self.version}"


class Modules:
    """Bundles of entities that are defined in modules, each read once: the tasks of a workflow mostly share theirs."""

    def __init__(self) -> None:
        self._known: dict[str, Bundle] = {}

    def bundle_of(self, entity: Any) -> Bundle:
        """The module's files."""
        known = self._known.get(entity.module)
        if known is not None and is_in_its_module(entity):
            return known
        made = self._known[entity.module] = bundle_of_module(entity)
        return made


def provider_of(entity: Task | Workflow, modules: Modules | None = None) -> BundleProvider:
    """Who knows the entity's source: the notebook's session for what cells define, else its module's files."""
    session = session_around()
    if entity.module == "__main__" and shell_around() is not None:
        if session is None:
            raise LaunchingError(
                f"{entity.name} is defined in a notebook: run %load_ext flyte_jupyter and then its cells again"
            )
        provider: BundleProvider = session
        return provider
    return modules or Modules()


def target_here(project: str | None, domain: str | None) -> Target:
    """Attempts run with this very Python, or in a cluster in the image that ``FLYTE_JUPYTER_IMAGE`` names."""
    return Target(
        project=project or PROJECT,
        domain=domain or DOMAIN,
        interpreter=sys.executable,
        environment=fingerprint(),
        image=os.environ.get(_IMAGE, ""),
    )


class Registration:
    """Registers entities at one control plane."""

    def __init__(
        self, client: Client, target: Target, provider: BundleProvider | None = None
    ) -> None:
        self._client = client
        self._target = target
        self._provider = provider
        self._modules = Modules()
        self._uris: dict[str, str] = {}

    def register(self, entity: Task | Workflow) -> Registered:
        """Register a task, or a workflow with its tasks and its default launch plan.

        Raises:
            LaunchingError: it is neither.
            FlyteJupyterError: its source cannot be captured, or the control plane refuses it.
        """
        if isinstance(entity, Task):
            return self._task(entity)
        if isinstance(entity, Workflow):
            return self._workflow(entity)
        raise LaunchingError(
            f"{entity!r} is neither a task nor a workflow: put @task or @workflow above its function"
        )

    def _task(self, task: Task) -> Registered:
        bundle, code, identifier = self._named_task(task)
        already = self._has_task(identifier)
        if not already:
            spec = lower_task(task, self._target, self._stored(bundle, code), identifier.version)
            self._warn_of_namesakes(task, spec.template)
            already = not self._created(identifier, spec)
        return Registered(identifier.name, identifier.version, already, identifier)

    def _workflow(self, workflow: Workflow) -> Registered:
        _, code = self._code(workflow)
        tasks = {task: self._named_task(task)[2] for task in workflow.graph.tasks}
        spec = versioned_workflow(workflow, self._target, code, tasks)
        identifier, version = spec.template.id, spec.template.id.version
        plan = core.Identifier()
        plan.CopyFrom(identifier)
        plan.resource_type = core.ResourceType.LAUNCH_PLAN
        # The launch plan is created last, so when it is there, so is everything that it needs.
        already = self._has_launch_plan(plan)
        if not already:
            for task in workflow.graph.tasks:
                self._task(task)
            self._client.create_workflow(identifier, spec)
            self._client.create_launch_plan(plan, lower_launch_plan(workflow, identifier))
        return Registered(identifier.name, version, already, plan)

    def _named_task(self, task: Task) -> tuple[Bundle, Code, core.Identifier]:
        bundle, code = self._code(task)
        identifier = core.Identifier(
            resource_type=core.ResourceType.TASK,
            project=self._target.project,
            domain=self._target.domain,
            name=code.entity_name(task.name),
            version=task_version(task, self._target, code),
        )
        return bundle, code, identifier

    def _code(self, entity: Task | Workflow) -> tuple[Bundle, Code]:
        bundle = (self._provider or provider_of(entity, self._modules)).bundle_of(entity)
        code = Code(
            module=bundle.entry_module,
            namespace=bundle.namespace or bundle.entry_module,
            digest=bundle.version,
            cell=bundle.cells.get(entity.name, ""),
            notebook=bundle.notebook,
        )
        return bundle, code

    def _created(self, identifier: core.Identifier, spec: admin.TaskSpec) -> bool:
        """Register a task, unless somebody else has, at this very moment: a version says all but the notebook and its cells."""
        try:
            return self._client.create_task(identifier, spec)
        except InvalidRequest:
            if not self._has_task(identifier):
                raise
            return False

    def _warn_of_namesakes(self, task: Task, template: core.TaskTemplate) -> None:
        """A version that its author chose promises equal outputs, which another notebook of this name knows nothing of."""
        cache, ours = task.policy.cache, template.config.get(NOTEBOOK)
        if cache is None or not cache.version or not ours:
            return
        latest = self._client.latest_task(template.id)
        if latest is None:
            return
        other = latest.closure.compiled_task.template
        same = other.metadata.discovery_version == cache.version
        if same and other.config.get(NOTEBOOK, ours) != ours:
            warnings.warn(
                f"{template.id.name}: a notebook of this name in another folder has a task of this name with cache version "
                f"{cache.version!r}, and they share what is remembered: one may get outputs of the other's code. Rename one "
                "notebook, give the cache another version, or write cache=True, which follows the source",
                SharedCache,
                stacklevel=2,
            )

    def _stored(self, bundle: Bundle, code: Code) -> Code:
        """The code with the place where its bundle is stored, uploaded once."""
        uri = self._uris.get(bundle.version)
        if uri is None:
            uri = self._client.upload(
                self._target.project, self._target.domain, bundle.data, _BUNDLE_FILE
            )
            self._uris[bundle.version] = uri
        return replace(code, uri=uri)

    def _has_task(self, identifier: core.Identifier) -> bool:
        try:
            self._client.get_task(identifier)
        except NotFound:
            return False
        return True

    def _has_launch_plan(self, identifier: core.Identifier) -> bool:
        try:
            self._client.get_launch_plan(identifier)
        except NotFound:
            return False
        return True
