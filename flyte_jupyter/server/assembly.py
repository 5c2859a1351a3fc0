"""A control plane from real parts: SQLite, a local folder of blobs and local processes, unless its settings name a cluster."""

from __future__ import annotations

import asyncio
import gc
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.local.executor import LocalExecutor
from flyte_jupyter.engine.adapters.local.resources import BadQuantity, refusal, wants_of
from flyte_jupyter.engine.ports import Clock
from flyte_jupyter.idl import core
from flyte_jupyter.server import ownership
from flyte_jupyter.server.blob_places import BlobFolder
from flyte_jupyter.server.control_plane import ControlPlane
from flyte_jupyter.server.engines import EmbeddedEngine, EngineApart
from flyte_jupyter.server.settings import Settings
from flyte_jupyter.server.wiring import Ground, Machine, Parts, make_parts
from flyte_jupyter.store.database import Database

_COLLECTIONS = (20_000, 20, 20)
"""Garbage is looked for rarely: a turn makes thousands of objects, and hardly any of them ends in a circle."""


def open_database(data_dir: Path, *, shared: bool = False) -> Database:
    """The data folder's database, alone or `shared` with other processes. Raises `StoreError` or `StoreFull`, with the remedy."""
    folder = data_dir / "db"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Database.open(folder / "flyte.db", shared=shared)


def local_machine(data_dir: Path, clock: Clock) -> Machine:
    """This machine, with a local process for each attempt."""
    executor = LocalExecutor(data_dir / "executor", data_dir / "logs" / "attempts", clock)
    capacity = executor.capacity

    def refused(task: core.TaskTemplate) -> str | None:
        try:
            return refusal(wants_of(task), capacity)
        except BadQuantity as error:
            return str(error)

    slots = {"cpu": capacity.cpu, "memory": float(capacity.memory), "gpu": float(capacity.gpu)}
    return Machine(executor, slots, refused)


def make_control_plane(
    settings: Settings, database: Database, machine: Machine, clock: Clock
) -> ControlPlane:
    """A control plane over this data folder, blobs and all."""
    folder = ownership.private_folder(Path(settings.data_dir) / "blobs")
    ground = Ground(
        settings=settings,
        database=database,
        blobs=FolderBlobs(folder),
        blob_place=BlobFolder(folder),
        machine=machine,
        now=clock.now,
        secret=ownership.load_secret(Path(settings.data_dir)),
    )
    return plane_of(make_parts(ground, clock))


def plane_of(parts: Parts) -> ControlPlane:
    """What listens, with its engine or beside engines apart."""
    here = parts.ground.settings.engine
    return ControlPlane(parts, EmbeddedEngine(parts) if here else EngineApart(parts))


async def serve(settings: Settings) -> None:
    """Run a control plane until a signal, a request to stop, or nobody is left. Needs the run folder's lock.

    Raises:
        StoreError, StoreFull: the database cannot be used.
        NotReady: the cluster or the object store that the settings name cannot be used.
        PortTaken: the TCP listener cannot be had.
    """
    async with AsyncExitStack() as held:
        database = open_database(Path(settings.data_dir), shared=not settings.engine)
        held.push_async_callback(database.close)
        clock = SystemClock()
        if settings.kubernetes is None:
            machine = local_machine(Path(settings.data_dir), clock)
            plane = make_control_plane(settings, database, machine, clock)
        else:
            from flyte_jupyter.server.cluster_assembly import cluster_parts

            parts = await held.enter_async_context(cluster_parts(settings, database, clock))
            plane = plane_of(parts)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, plane.stop)
        settling = asyncio.create_task(_collect_once(plane.listening))
        held.callback(settling.cancel)
        await plane.serve()


async def _collect_once(started: asyncio.Event) -> None:
    """What the start has made stays for good: no collection need look at it while runs wait."""
    await started.wait()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)
    gc.enable()
