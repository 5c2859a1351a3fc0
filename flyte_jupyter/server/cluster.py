"""A control plane whose attempts run on Kubernetes: its executor, and its door for ``FlyteWorkflow`` objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flyte_jupyter.engine.adapters.blobs import blobs_at
from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.handles import NotYet, Standing, Wish
from flyte_jupyter.engine.adapters.kubernetes.onlooking import Onlooker
from flyte_jupyter.engine.adapters.kubernetes.routing import ClusterExecutor
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.adapters.kubernetes.warm.executor import WarmExecutor
from flyte_jupyter.engine.adapters.kubernetes.workflows import Workflows
from flyte_jupyter.engine.engine import Engine
from flyte_jupyter.engine.pods.manifest import refusal
from flyte_jupyter.engine.ports import Blobs, Clock, Executor
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.identifiers import entity_id, identifier
from flyte_jupyter.idl.ids import EntityId, EntityKind, RunId
from flyte_jupyter.server import ownership
from flyte_jupyter.server.admin import errors
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.launching import LaunchCases
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import check_open
from flyte_jupyter.server.blob_places import BlobBucket
from flyte_jupyter.server.engines import engine_over
from flyte_jupyter.server.json_inputs import literals_from
from flyte_jupyter.server.settings import Settings
from flyte_jupyter.server.wiring import Ground, Machine, make_parts
from flyte_jupyter.store import errors as store
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.feed import Feed
from flyte_jupyter.store.projections import execution_is_final
from flyte_jupyter.store.runs import SqlRuns

_PRINCIPAL = "kubernetes"
_PAUSE = 0.25
"""Seconds between two looks at the change feed: a handle need not show every node."""
_MOST_REMEMBERED = 10_000
_ENDS = ("start-node", "end-node")
_NOT_YET = errors.NotFound, errors.ProjectNotOpen, store.NotFound
_FOR_GOOD = errors.InvalidArgument, errors.FailedPrecondition, errors.PermissionDenied


class ClusterDoor:
    """What handles in a cluster may ask of this control plane. `open` it before the engine starts."""

    def __init__(self, database: Database) -> None:
        self._feed = Feed(database)
        self._runs = SqlRuns(database)
        self._platform: Platform | None = None
        self._sizes: dict[RunId, int] = {}

    def open(self, platform: Platform) -> None:
        """The use cases are there: what follows may be asked."""
        self._platform = platform

    @property
    def _use(self) -> Platform:
        assert self._platform is not None, "the door is opened before the engine starts"
        return self._platform

    # -- launching --

    async def launch(self, wish: Wish) -> str:
        """Create the execution if it is absent. Empty, or why there will never be one. Raises `NotYet`."""
        try:
            await check_open(self._use, wish.run.project, wish.run.domain)
            entity, expected = await self._entity(wish)
            request = admin.ExecutionCreateRequest(
                project=wish.run.project,
                domain=wish.run.domain,
                name=wish.run.name,
                spec=admin.ExecutionSpec(launch_plan=entity),
                inputs=literals_from(wish.inputs, expected),
            )
            await LaunchCases(self._use).create(request, Caller(_PRINCIPAL))
        except (errors.AlreadyExists, store.AlreadyExists):
            return ""
        except _NOT_YET as error:
            raise NotYet(str(error)) from error
        except _FOR_GOOD as error:
            return str(error)
        return ""

    async def abort(self, run: RunId, cause: str) -> None:
        """Ask for its end; nothing if it is unknown or over."""
        try:
            await self._use.executions.request_abort(run, cause, _PRINCIPAL, self._use.now())
        except (store.NotFound, store.AlreadyTerminal):
            return

    async def _entity(self, wish: Wish) -> tuple[core.Identifier, Mapping[str, core.LiteralType]]:
        specs = self._use.specs
        # A workflow is launched by the launch plan of its name that was registered with it, as Flyte's clients do.
        kind = EntityKind.TASK if wish.kind is EntityKind.TASK else EntityKind.LAUNCH_PLAN
        where = wish.run.project, wish.run.domain, wish.name
        if wish.version:
            entity = EntityId(kind, *where, wish.version)
        elif kind is EntityKind.TASK:
            entity = await specs.latest(kind, *where)
        else:
            entity = await self._newest_plan(where)
        if kind is EntityKind.TASK:
            task = (await specs.task(entity)).closure.compiled_task.template
            inputs = task.interface.inputs.variables
            return identifier(entity), {name: of.type for name, of in inputs.items()}
        plan = await specs.launch_plan(entity)
        parameters = plan.closure.expected_inputs.parameters
        return identifier(entity), {name: of.var.type for name, of in parameters.items()}

    async def _newest_plan(self, where: tuple[str, str, str]) -> EntityId:
        specs = self._use.specs
        try:
            found = (await specs.active_launch_plan(*where)).id
        except store.NotFound:
            return await specs.latest(EntityKind.LAUNCH_PLAN, *where)
        return entity_id(found)

    # -- standing --

    async def current(self, run: RunId) -> Standing | None:
        """How it stands; None when there is no such execution."""
        try:
            closure = (await self._use.executions.get(run)).closure
            left = await self._use.executions.open_nodes(run)
            total = await self._size(run)
        except store.NotFound:
            return None
        final = execution_is_final(closure.phase)
        return Standing(
            run=run,
            phase=core.WorkflowExecution.Phase.Name(closure.phase),
            final=final,
            # The end node is open until the end, and no work.
            done=total - min(total, max(0, left - 1)) if left or final else 0,
            total=total,
            message=closure.error.message or closure.abort_metadata.cause,
            workflow=closure.workflow_id.name,
            started=_moment(closure, "started_at"),
            ended=_moment(closure, "updated_at") if final else None,
        )

    async def changes(self) -> AsyncIterator[RunId]:
        """Executions that may stand differently, from now on; first all that are not final."""
        wakes = self._feed.subscribe()
        cursor = await self._feed.latest()
        for run in await self._runs.open_runs():
            yield run
        async for _ in wakes:
            while changes := await self._feed.since(cursor):
                cursor = changes[-1].seq
                for run in dict.fromkeys(change.run for change in changes):
                    yield run
            await asyncio.sleep(_PAUSE)

    async def _size(self, run: RunId) -> int:
        size = self._sizes.get(run)
        if size is None:
            body = await self._use.executions.closure(run)
            nodes = core.CompiledWorkflowClosure.FromString(body).primary.template.nodes
            size = self._sizes[run] = sum(1 for node in nodes if node.id not in _ENDS)
            if len(self._sizes) > _MOST_REMEMBERED:
                self._sizes.pop(next(iter(self._sizes)))
        return size


def _moment(closure: admin.ExecutionClosure, name: str) -> datetime | None:
    if not closure.HasField(name):
        return None
    moment: datetime = getattr(closure, name).ToDatetime(UTC)
    return moment


def cluster_machine(
    api: Api,
    clock: Clock,
    blobs: Blobs,
    *,
    logs: Path,
    door: ClusterDoor,
    settings: KubernetesSettings,
) -> Machine:
    """A cluster, with a pod for each attempt. `blobs` must be where pods reach them too; `logs` is a folder of ours."""
    owners = Workflows(api, clock, door, door, settings) if settings.workflows else None
    pods = KubernetesExecutor(api, clock, blobs, logs, settings=settings, owners=owners)
    executor: Executor = pods
    if settings.warm.most:
        executor = ClusterExecutor(pods, WarmExecutor(api, clock, logs, settings))
    return Machine(executor, {}, lambda task: refusal(task, settings.pods))


def looking_machine(api: Api, *, logs: Path, settings: KubernetesSettings) -> Machine:
    """A cluster that engines apart from this process have pods in."""
    return Machine(Onlooker(api, logs, settings), {}, lambda task: refusal(task, settings.pods))


@dataclass(frozen=True, slots=True)
class ClusterPlane:
    """A control plane over a cluster, apart from what serves clients."""

    engine: Engine
    platform: Platform


def plane_on(
    api: Api, database: Database, data_dir: Path, url: str, settings: KubernetesSettings
) -> ClusterPlane:
    """The engine and the use cases over this database and cluster, with all data below `url`. Needs the database for itself."""
    clock, blobs, door = SystemClock(), blobs_at(url), ClusterDoor(database)
    logs = data_dir / "logs" / "pods"
    ground = Ground(
        settings=Settings(str(data_dir), str(data_dir / "run")),
        database=database,
        blobs=blobs,
        blob_place=BlobBucket(url, data_dir / "spool"),
        machine=cluster_machine(api, clock, blobs, logs=logs, door=door, settings=settings),
        now=clock.now,
        secret=ownership.load_secret(data_dir),
    )
    parts = make_parts(ground, clock)
    door.open(parts.platform)
    return ClusterPlane(engine_over(parts), parts.platform)
