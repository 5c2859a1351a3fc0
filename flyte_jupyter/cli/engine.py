"""``flyte-jupyter engine``: decides about runs apart from what serves clients, their attempts as pods of a cluster.

It shares the database of a data folder with ``flyte-jupyter serve --no-engine`` and with other engines. One engine decides at a
time, by the lease; the others stand by. While a control plane has the folder for itself, all of them do.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_jupyter.supervisor import places

if TYPE_CHECKING:
    from flyte_jupyter.engine.engine import Engine
    from flyte_jupyter.server.settings import Settings
    from flyte_jupyter.store.database import Database

log = logging.getLogger(__name__)

FAILED, BAD_CONFIGURATION = 1, 2
_LOOK = 1.0
"""Seconds between two tries to get the database, and two looks at how the engine stands."""


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    engine = commands.add_parser(
        "engine", help="run the engine apart, with attempts as pods of a Kubernetes cluster"
    )
    engine.add_argument("--data-dir", type=Path, help="default: the data folder of this user")
    engine.add_argument(
        "--blobs", metavar="URL", help="where data is kept: an object store that pods reach too"
    )
    engine.add_argument("--config", type=Path, help="the TOML file of flyte-jupyter serve")
    engine.add_argument(
        "--kubeconfig", type=Path, help="default: KUBECONFIG, ~/.kube/config, or the cluster around"
    )
    engine.add_argument("--context", default="", help="a context of the kubeconfig")
    engine.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until a signal. Exit status 1: it cannot run, 2: the configuration cannot be used."""
    from flyte_jupyter.engine.ports import StoreFull
    from flyte_jupyter.server.configuration import BadConfiguration
    from flyte_jupyter.server.control_plane import NotReady
    from flyte_jupyter.store.errors import StoreError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # fmt: skip
    try:
        asyncio.run(_serve(_configured(arguments)))
    except BadConfiguration as error:
        return _refuse(error, BAD_CONFIGURATION)
    except (NotReady, StoreError, StoreFull) as error:
        return _refuse(error, FAILED)
    return 0


def _refuse(error: Exception, status: int) -> int:
    print(f"flyte-jupyter: {error}", file=sys.stderr)
    return status


def _configured(arguments: argparse.Namespace) -> Settings:
    """The settings of the control plane that this is the engine of. Raises `BadConfiguration`."""
    from flyte_jupyter.server.app import settings_of
    from flyte_jupyter.server.configuration import BadConfiguration, read_configuration

    table = dict(read_configuration(arguments.config)) if arguments.config else {}
    cluster = table.get("kubernetes") or {}
    on_line = {"kubeconfig": arguments.kubeconfig, "context": arguments.context}
    said = cluster.get("connection", {}) if isinstance(cluster, dict) else None
    if isinstance(said, dict):  # what is no table is refused with the other settings
        given = {name: str(value) for name, value in on_line.items() if value}
        cluster = {**cluster, "connection": {**said, **given}}
    table |= {"kubernetes": cluster, "engine": True}
    if arguments.blobs:
        table["blobs"] = arguments.blobs
    if not table.get("blobs"):
        raise BadConfiguration(
            "Pods cannot read this machine's folders: name an object store with --blobs, such as s3://bucket/prefix"
        )
    data = (arguments.data_dir or Path(places().data)).absolute()
    return settings_of(table, data, data / "run")


async def _serve(settings: Settings) -> None:
    from flyte_jupyter.engine.adapters.clock import SystemClock
    from flyte_jupyter.server import ownership
    from flyte_jupyter.server.cluster_assembly import cluster_parts
    from flyte_jupyter.server.engines import engine_over
    from flyte_jupyter.server.living import LivingEngine

    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    ownership.private_folder(Path(settings.data_dir))
    async with AsyncExitStack() as held:
        database = await _database(Path(settings.data_dir), ending)
        if database is None:
            return
        held.push_async_callback(database.close)
        parts = await held.enter_async_context(cluster_parts(settings, database, SystemClock()))
        living = LivingEngine(Path(settings.data_dir))
        held.callback(living.leave)
        engine = engine_over(parts, living.holder)
        await engine.start()
        held.push_async_callback(engine.stop)
        await _say(engine, ending)


async def _say(engine: Engine, ending: asyncio.Event) -> None:
    """Until told to end, say when this engine decides and when another does."""
    said = ""
    while not ending.is_set():
        status = engine.status()
        word = str(status.state) + (f": {status.notice}" if status.notice else "")
        if word != said:
            print(f"engine: {word}", flush=True)
            said = word
        await _wait(ending)


async def _database(data_dir: Path, ending: asyncio.Event) -> Database | None:
    """The data folder's database, as soon as nobody has it alone; None when told to end before."""
    from flyte_jupyter.server.assembly import open_database
    from flyte_jupyter.store.errors import DatabaseBusy

    told = False
    while not ending.is_set():
        try:
            return open_database(data_dir, shared=True)
        except DatabaseBusy as error:
            if not told:
                print(f"engine: standing by: {error}", flush=True)
            told = True
        await _wait(ending)
    return None


async def _wait(ending: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), _LOOK)
