"""``register``, ``launch``, ``execution`` and ``recent``: what an author calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.authoring import Task, Workflow
from flyte_jupyter.kernel.authoring.interface import Interface
from flyte_jupyter.kernel.bundling import BundleProvider
from flyte_jupyter.kernel.client import AlreadyExists, Client, NotFound, UploadStorage
from flyte_jupyter.kernel.launching.around import check_not_imported, tell_notebook
from flyte_jupyter.kernel.launching.errors import LaunchingError
from flyte_jupyter.kernel.launching.execution import Execution, new_name
from flyte_jupyter.kernel.launching.registration import (
    DOMAIN,
    PROJECT,
    Registered,
    Registration,
    target_here,
)
from flyte_jupyter.kernel.types import Storage, TypeMismatch, Unfit


@dataclass(frozen=True)
class LaunchOptions:
    """How an execution is launched, apart from its inputs."""

    name: str = ""
    """The execution's name; made up when empty."""
    project: str = PROJECT
    domain: str = DOMAIN
    max_parallelism: int = 0
    """How many nodes may run at once; 0 leaves it to the platform."""
    overwrite_cache: bool = False
    """Run every task, and put its outputs in place of the cached ones."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for all attempts."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    bundle: BundleProvider | None = None
    """Who knows the source; found by itself when None."""
    client: Client | None = None
    """The control plane; found or started when None."""

    def __post_init__(self) -> None:
        most: object = self.max_parallelism
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise LaunchingError(
                f"LaunchOptions(max_parallelism={most!r}): give a whole number from 0 on; 0 leaves it to the platform"
            )
        for option in ("env", "labels", "annotations"):
            for name, value in dict(getattr(self, option)).items():
                if not isinstance(name, str) or not isinstance(value, str):
                    raise LaunchingError(
                        f"LaunchOptions({option}={{{name!r}: {value!r}}}): names and values are text"
                    )


_MOST_LISTED = 1000
"""What the control plane gives on one page."""
_MIB = 1024 * 1024
_LARGEST_INPUTS = 19 * _MIB
"""What a request may hold is 20 MiB, the rest of it included."""

_DEFAULTS = LaunchOptions()


def register(
    entity: Task | Workflow,
    *,
    project: str | None = None,
    domain: str | None = None,
    bundle: BundleProvider | None = None,
    client: Client | None = None,
) -> Registered:
    """Register a task or a workflow (with its tasks) at the control plane, under a version made from its source.

    Registering unchanged source again changes nothing.

    Raises:
        FlyteJupyterError: its source cannot be captured, or the control plane refuses it.
    """
    target = target_here(project, domain)
    return Registration(client or Client(), target, bundle).register(entity)


def launch(
    entity: Task | Workflow, /, *ordered: Any, options: LaunchOptions = _DEFAULTS, **inputs: Any
) -> Execution:
    """Run a workflow or task on the control plane, registering it first if need be; returns at once.

    Inputs are given as to the function itself, by name or in order.

    Raises:
        TypeMismatch: an input is not of its declared type.
        AuthoringError: an input is missing or unknown.
        FlyteJupyterError: its source cannot be captured, or the control plane refuses it.
    """
    if not isinstance(entity, Task | Workflow):
        raise LaunchingError(
            f"{entity!r} is neither a task nor a workflow: put @task or @workflow above its function"
        )
    interface = entity.interface
    check_not_imported(interface.entity)
    if "options" in interface.inputs:
        raise LaunchingError(
            f"{interface.entity} has an input called options, which launch() uses itself: rename it"
        )
    if not isinstance(options, LaunchOptions):
        raise LaunchingError(
            f"options={options!r}: write options=LaunchOptions(...); inputs are given by their own names"
        )
    values = interface.check_inputs(interface.bind(ordered, inputs))
    client = options.client or Client()
    target = target_here(options.project, options.domain)
    registered = Registration(client, target, options.bundle).register(entity)
    storage = UploadStorage(client, options.project, options.domain)
    message = admin.ExecutionCreateRequest(
        project=options.project,
        domain=options.domain,
        name=options.name or new_name(),
        spec=_spec(registered.identifier, options),
        inputs=_literals(interface, values, storage),
    )
    converters = {name: output.converter for name, output in interface.outputs.items()}
    made = Execution(client, _create(client, message, options), converters)
    tell_notebook(made)
    return made


def execution(
    name: str,
    *,
    project: str = PROJECT,
    domain: str = DOMAIN,
    client: Client | None = None,
) -> Execution:
    """Find an execution by its name, after a kernel restart or from another notebook.

    Raises:
        NotFound: there is none of that name.
    """
    run = core.WorkflowExecutionIdentifier(project=project, domain=domain, name=name)
    found = Execution(client or Client(), run)
    try:
        found.message  # noqa: B018 - asks, so that a wrong name shows here
    except NotFound:
        raise NotFound(
            f"there is no execution {name!r} in {project}/{domain}: flyte_jupyter.recent() lists the newest"
        ) from None
    return found


def recent(
    n: int = 10,
    *,
    project: str = PROJECT,
    domain: str = DOMAIN,
    client: Client | None = None,
) -> list[Execution]:
    """The last `n` executions, newest first.

    Raises:
        LaunchingError: `n` is no number from 1 to 1000.
    """
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= _MOST_LISTED:
        raise LaunchingError(f"recent({n!r}): give a whole number from 1 to {_MOST_LISTED}")
    asked = client or Client()
    listed = asked.list_executions(project, domain, limit=n)
    return [Execution(asked, message.id) for message in listed.executions]


def _create(
    client: Client, message: admin.ExecutionCreateRequest, options: LaunchOptions
) -> core.WorkflowExecutionIdentifier:
    try:
        return client.create_execution(message)
    except AlreadyExists:
        if options.name:
            raise
        # A name of our making exists: an earlier try of this request did arrive before its connection broke.
        return core.WorkflowExecutionIdentifier(
            project=message.project, domain=message.domain, name=message.name
        )


def _spec(identifier: core.Identifier, options: LaunchOptions) -> admin.ExecutionSpec:
    spec = admin.ExecutionSpec(
        launch_plan=identifier,
        metadata=admin.ExecutionMetadata(mode=admin.ExecutionMetadata.ExecutionMode.MANUAL),
        max_parallelism=options.max_parallelism,
        overwrite_cache=options.overwrite_cache,
        labels=admin.Labels(values=dict(options.labels)),
        annotations=admin.Annotations(values=dict(options.annotations)),
    )
    for name, value in options.env.items():
        spec.envs.values.append(core.KeyValuePair(key=name, value=value))
    return spec


def _literals(interface: Interface, values: Mapping[str, Any], storage: Storage) -> core.LiteralMap:
    literals = core.LiteralMap()
    sizes: dict[str, int] = {}
    for name, parameter in interface.inputs.items():
        try:
            literal = parameter.converter.encode(values[name], storage)
        except Unfit as unfit:
            raise TypeMismatch(interface.entity, f"parameter {name}", unfit) from None
        literals.literals[name].CopyFrom(literal)
        sizes[name] = literal.ByteSize()
    if sum(sizes.values()) > _LARGEST_INPUTS:
        largest = max(sizes, key=lambda each: sizes[each])
        raise LaunchingError(
            f"{interface.entity}: the inputs are too large to be sent as values ({largest} alone takes "
            f"{sizes[largest] / _MIB:.0f} MiB; all together may take {_LARGEST_INPUTS / _MIB:.0f}): "
            f"declare {largest} as pandas.DataFrame or FlyteFile, which are uploaded"
        )
    return literals
