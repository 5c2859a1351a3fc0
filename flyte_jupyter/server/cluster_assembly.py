"""A control plane over a cluster from real parts: SQLite, an object store, pods. What cannot be used is told at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from flyte_jupyter.engine.adapters.blobs import blobs_at
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.credentials import NoCluster
from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound, Blobs, Clock, Executor
from flyte_jupyter.server import ownership
from flyte_jupyter.server.blob_places import BlobBucket
from flyte_jupyter.server.cluster import ClusterDoor, cluster_machine, looking_machine
from flyte_jupyter.server.control_plane import NotReady
from flyte_jupyter.server.settings import Settings
from flyte_jupyter.server.wiring import Ground, Machine, MachineStatus, Parts, make_parts
from flyte_jupyter.store.database import Database

_PROBE = ".flyte-jupyter-probe"
_SAID = b"flyte-jupyter was here\n"
"""Always the same: processes that start at once ask each other's questions."""
_REMEDY = (
    "see that the bucket exists, and that the environment has its address and keys "
    "(for S3: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
)
_PATIENCE = 2.0
"""Seconds that a question about the cluster may take when somebody wants to know how it stands."""
_KEPT = 5.0
"""Seconds for which an answer is kept."""


@asynccontextmanager
async def cluster_parts(
    settings: Settings, database: Database, clock: Clock
) -> AsyncIterator[Parts]:
    """The parts over the cluster and the object store that the settings name.

    Raises:
        NotReady: one of them cannot be used.
    """
    assert settings.kubernetes is not None, "asked for by settings that name a cluster"
    data, cluster = Path(settings.data_dir), settings.kubernetes
    blobs = await _probed(settings.blobs)
    try:
        connection = await connect(cluster.connection, clock)
    except NoCluster as error:
        raise NotReady(str(error)) from error
    api = Api(connection, cluster.pace, seconds=cluster.connection.request_seconds)
    try:
        door, logs = ClusterDoor(database), data / "logs" / "pods"
        if settings.engine:
            machine = cluster_machine(api, clock, blobs, logs=logs, door=door, settings=cluster)
        else:
            machine = looking_machine(api, logs=logs, settings=cluster)
        ground = Ground(
            settings=settings,
            database=database,
            blobs=blobs,
            blob_place=BlobBucket(settings.blobs, data / "spool"),
            machine=replace(machine, status=_status(api, machine, settings, connection.server)),
            now=clock.now,
            secret=ownership.load_secret(data),
        )
        parts = make_parts(ground, clock)
        door.open(parts.platform)
        yield parts
    finally:
        await api.close()


async def _probed(url: str) -> Blobs:
    """The object store, written to and read from once. Raises `NotReady`."""
    what = f"The object store {url} cannot be used"
    try:
        blobs = blobs_at(url)
        await blobs.put(f"{url.rstrip('/')}/{_PROBE}", _SAID)
        same = await blobs.get(f"{url.rstrip('/')}/{_PROBE}") == _SAID
    except ImportError as error:
        remedy = "pip install the package that reaches it (for S3: 'flyte-jupyter[kubernetes]')"
        raise NotReady(f"{what}: {error}: {remedy}") from error
    except (BlobFailure, BlobNotFound, ValueError, OSError) as error:
        raise NotReady(f"{what}: {error}: {_REMEDY}") from error
    if not same:
        raise NotReady(f"{what}: it gives back something else than was put there: {_REMEDY}")
    return blobs


def _status(api: Api, machine: Machine, settings: Settings, server: str) -> ClusterStatus:
    assert settings.kubernetes is not None
    pods = settings.kubernetes.pods
    facts = {
        "server": server,
        "namespaces": pods.namespace,
        "image": pods.image,
        "blobs": settings.blobs,
    }
    return ClusterStatus(api, machine.executor, facts)


class ClusterStatus:
    """How the cluster stands, in an answer that is kept for a moment."""

    def __init__(self, api: Api, executor: Executor, facts: Mapping[str, object]) -> None:
        self._api = api
        self._executor = executor
        self._facts = facts
        self._kept: MachineStatus | None = None
        self._until = 0.0

    async def __call__(self) -> MachineStatus:
        """Ask, unless somebody just did."""
        now = asyncio.get_running_loop().time()
        if self._kept is None or now >= self._until:
            self._kept = await self._ask()
            self._until = now + _KEPT
        return self._kept

    async def _ask(self) -> MachineStatus:
        version, trouble = "", ""
        pods: dict[str, int] = {}
        try:
            async with asyncio.timeout(_PATIENCE):
                version = str((await self._api.read("/version")).get("gitVersion", ""))
                listing = await self._executor.listing()
                pods = {"pending": len(listing.queued), "running": len(listing.running)}
        except TimeoutError:
            trouble = f"no answer within {_PATIENCE:g} s"
        except (Refused, Unreachable) as error:
            trouble = str(error)
        facts = {**self._facts, "version": version, "pods": pods}
        where = self._facts["server"]
        notice = f"The cluster at {where} does not answer ({trouble}): runs go on when it does"
        notices = [notice] if trouble else []
        return MachineStatus({"cluster": facts}, notices)
