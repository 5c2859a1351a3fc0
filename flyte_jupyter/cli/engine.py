"""``flyte-jupyter engine``: runs go on without anybody being served, their attempts as pods of a cluster.

It works on the database of a data folder, which one process has at a time: while another has it, this one stands by.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_jupyter.supervisor import places

if TYPE_CHECKING:
    from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
    from flyte_jupyter.store.database import Database

log = logging.getLogger(__name__)

FAILED, BAD_CONFIGURATION = 1, 2
_STAND_BY = 1.0
"""Seconds between two tries to get the database."""


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    engine = commands.add_parser(
        "engine", help="run the engine alone, with attempts as pods of a Kubernetes cluster"
    )
    engine.add_argument("--data-dir", type=Path, help="default: the data folder of this user")
    engine.add_argument(
        "--blobs", metavar="URL", help="where data is kept: an object store that pods reach too"
    )
    engine.add_argument("--config", type=Path, help="a TOML file with a table [kubernetes]")
    engine.add_argument(
        "--kubeconfig", type=Path, help="default: KUBECONFIG, ~/.kube/config, or the cluster around"
    )
    engine.add_argument("--context", default="", help="a context of the kubeconfig")
    engine.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until a signal. Exit status 1: it cannot run, 2: the configuration cannot be used."""
    from flyte_jupyter.engine.adapters.kubernetes.connection import NoCluster
    from flyte_jupyter.engine.ports import StoreFull
    from flyte_jupyter.server.configuration import BadConfiguration
    from flyte_jupyter.store.errors import StoreError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # fmt: skip
    try:
        url, settings = _configured(arguments)
        asyncio.run(_serve(arguments.data_dir or Path(places().data), url, settings))
    except BadConfiguration as error:
        return _refuse(error, BAD_CONFIGURATION)
    except (NoCluster, StoreError, StoreFull) as error:
        return _refuse(error, FAILED)
    return 0


def _refuse(error: Exception, status: int) -> int:
    print(f"flyte-jupyter: {error}", file=sys.stderr)
    return status


def _configured(arguments: argparse.Namespace) -> tuple[str, KubernetesSettings]:
    """Where data is kept, and how the cluster is used. Raises `BadConfiguration`."""
    from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
    from flyte_jupyter.server.configuration import (
        BadConfiguration,
        read_configuration,
        settings_from,
    )

    table: Mapping[str, Any] = read_configuration(arguments.config) if arguments.config else {}
    settings = settings_from(KubernetesSettings, table.get("kubernetes", {}), "kubernetes")
    connection = settings.connection
    connection = replace(
        connection,
        kubeconfig=arguments.kubeconfig or connection.kubeconfig,
        context=arguments.context or connection.context,
    )
    url = arguments.blobs or table.get("blobs", "")
    if not isinstance(url, str) or not url:
        raise BadConfiguration(
            "Pods cannot read this machine's folders: name an object store with --blobs, such as s3://bucket/prefix"
        )
    return url, replace(settings, connection=connection)


async def _serve(data_dir: Path, url: str, settings: KubernetesSettings) -> None:
    from flyte_jupyter.engine.adapters.kubernetes.api import Api
    from flyte_jupyter.engine.adapters.kubernetes.connection import connect
    from flyte_jupyter.server.cluster import plane_on

    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with AsyncExitStack() as held:
        database = await _database(data_dir, ending)
        if database is None:
            return
        held.push_async_callback(database.close)
        api = Api(await connect(settings.connection), settings.pace)
        held.push_async_callback(api.close)
        engine = plane_on(api, database, data_dir, url, settings).engine
        await engine.start()
        held.push_async_callback(engine.stop)
        print("engine: active", flush=True)
        await ending.wait()


async def _database(data_dir: Path, ending: asyncio.Event) -> Database | None:
    """The data folder's database, as soon as nobody else has it; None when told to end before."""
    from flyte_jupyter.server.assembly import open_database
    from flyte_jupyter.store.errors import DatabaseBusy

    told = False
    while not ending.is_set():
        try:
            return open_database(data_dir)
        except DatabaseBusy:
            if not told:
                print(f"engine: standing by, another process has {data_dir}", flush=True)
            told = True
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), _STAND_BY)
    return None
