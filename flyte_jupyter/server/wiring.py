"""The control plane put together: store, engine, use cases and handlers. Nothing is decided here."""

from __future__ import annotations

import getpass
import os
import secrets
import string
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from flyte_jupyter._version import __version__
from flyte_jupyter.engine.answers import AnswerSettings
from flyte_jupyter.engine.ports import Blobs, Clock, Executor, Ports
from flyte_jupyter.idl import core
from flyte_jupyter.server.admin.catalog import CatalogCases
from flyte_jupyter.server.admin.children import ChildExecutions
from flyte_jupyter.server.admin.lineage import LineageCases
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.signing import Signer
from flyte_jupyter.server.admin.table import use_cases
from flyte_jupyter.server.blob_handlers import BlobHandler, DeckHandler
from flyte_jupyter.server.blob_places import BlobPlace, md5_of
from flyte_jupyter.server.catalog_handlers import (
    CatalogHandler,
    EvictHandler,
    LineageHandler,
    PreviewHandler,
)
from flyte_jupyter.server.events import EventsHandler
from flyte_jupyter.server.handlers import Listener
from flyte_jupyter.server.living import is_dead
from flyte_jupyter.server.logs import Logs
from flyte_jupyter.server.presence import Presence
from flyte_jupyter.server.process_handlers import (
    Control,
    LogHandler,
    NowhereHandler,
    StatusHandler,
    StopHandler,
)
from flyte_jupyter.server.rest import RpcHandler
from flyte_jupyter.server.routes import API as API_ROOT
from flyte_jupyter.server.routes import OWN_ROUTES
from flyte_jupyter.server.settings import Settings
from flyte_jupyter.server.subscriptions import Sources
from flyte_jupyter.store.artifacts import Artifacts
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.feed import Feed
from flyte_jupyter.store.lineage import Lineage
from flyte_jupyter.store.literals import StoredLiterals
from flyte_jupyter.store.names import Names
from flyte_jupyter.store.projects import Projects
from flyte_jupyter.store.runs import SqlRuns
from flyte_jupyter.store.signals import SqlSignals
from flyte_jupyter.store.specs import Specs

API = 1
"""The version of ``docs/protocol.md``."""
_LARGEST_HEADERS = 64 * 1024
_LARGEST_WEBSOCKET_REQUEST = 64 * 1024
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """What the status endpoint shows of the machine."""

    facts: Mapping[str, object] = field(default_factory=dict)
    notices: Sequence[str] = ()


async def _nothing_to_say() -> MachineStatus:
    return MachineStatus()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where attempts run, and what it has."""

    executor: Executor
    slots: Mapping[str, float]
    """``cpu`` in cores, ``memory`` in bytes, ``gpu`` in devices."""
    refusal: Callable[[core.TaskTemplate], str | None]
    """Why a task can never run there, with the remedy."""
    status: Callable[[], Awaitable[MachineStatus]] = _nothing_to_say
    """How it stands, when it is more than this process knows anyway."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a control plane stands on."""

    settings: Settings
    database: Database
    blobs: Blobs
    blob_place: BlobPlace
    machine: Machine
    now: Callable[[], datetime]
    secret: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers are made from."""

    ground: Ground
    platform: Platform
    ports: Ports
    """The engine's world, for what looks ahead."""
    answers: AnswerSettings
    """How the engine answers its machine's questions."""


def make_platform(parts: Ground) -> Platform:
    """The use cases' world."""
    settings = parts.settings
    return Platform(
        specs=Specs(parts.database),
        names=Names(parts.database),
        executions=Executions(parts.database),
        projects=Projects(parts.database),
        signals=SqlSignals(parts.database),
        artifacts=Artifacts(parts.database),
        blobs=StoredLiterals(parts.blobs, parts.database),
        md5_of=partial(md5_of, parts.blob_place),
        signer=Signer(parts.secret),
        refusal=parts.machine.refusal,
        now=parts.now,
        new_name=_new_name,
        upload_expiry=settings.upload_expiry,
        inline_data=settings.limits.inline_data,
        max_listing=settings.limits.listing,
        max_parallelism=settings.max_parallelism,
        max_nesting=settings.max_nesting,
        quality=settings.quality,
        execution_timeout=settings.execution_timeout,
    )


def make_parts(ground: Ground, clock: Clock) -> Parts:
    """The use cases, and the engine's world over the same database and blobs."""
    platform = make_platform(ground)
    ports = Ports(
        runs=SqlRuns(ground.database, partial(is_dead, data_dir=Path(ground.settings.data_dir))),
        executor=ground.machine.executor,
        blobs=platform.blobs,
        catalog=platform.artifacts,
        clock=clock,
        children=ChildExecutions(platform),
        signals=platform.signals,
    )
    return Parts(ground, platform, ports, ground.settings.answers)


def make_server(
    parts: Parts, control: Control, presence: Presence, *, token: str = ""
) -> HTTPServer:
    """An HTTP server for one listener: with a token on TCP, without on the owner's socket."""
    listener = Listener(presence, owner_name(), token)
    application = Application(
        _handlers(parts, control, listener),
        default_handler_class=NowhereHandler,
        default_handler_args={"listener": listener},
        websocket_max_message_size=_LARGEST_WEBSOCKET_REQUEST,
        websocket_ping_interval=30,
        log_function=lambda _: None,
    )
    return HTTPServer(
        application,
        max_body_size=parts.ground.settings.limits.request_body,
        max_header_size=_LARGEST_HEADERS,
        idle_connection_timeout=3600,
    )


def _handlers(
    parts: Parts, control: Control, listener: Listener
) -> Sequence[tuple[str, type[Any], dict[str, Any]]]:
    ground, platform = parts.ground, parts.platform
    limits = ground.settings.limits
    logs = Logs(ground.machine.executor, platform.executions)
    feed = Feed(ground.database)
    own = {"listener": listener}
    rpc = own | {"use_cases": use_cases(platform), "limit": limits.request_body}
    process = own | {"control": control}
    blobs = own | {
        "platform": platform,
        "place": ground.blob_place,
        "limit": limits.upload,
    }
    sources = Sources(platform.executions, feed, logs, parts.ground.settings)
    catalog = own | {"catalog": CatalogCases(platform, parts.ports, parts.answers)}
    lineage = LineageCases(platform, Lineage(ground.database))
    served: Mapping[str, tuple[type[Any], dict[str, Any]]] = {
        "status": (StatusHandler, process),
        "stop": (StopHandler, process),
        "upload": (BlobHandler, blobs),
        "download": (BlobHandler, blobs),
        "deck": (DeckHandler, own | {"platform": platform}),
        "log": (LogHandler, own | {"logs": logs, "limit": limits.log_read}),
        "catalog": (CatalogHandler, catalog),
        "evict": (EvictHandler, catalog),
        "preview": (PreviewHandler, catalog),
        "lineage": (LineageHandler, own | {"lineage": lineage}),
        "events": (EventsHandler, own | {"sources": sources}),
    }
    return (
        (f"{API_ROOT}/.*", RpcHandler, rpc),
        *((route.pattern, *served[route.name]) for route in OWN_ROUTES),
    )


def runtime_facts(settings: Settings, started: datetime) -> Mapping[str, object]:
    """What the runtime file and the status have alike."""
    return {
        "api": API,
        "version": __version__,
        "pid": os.getpid(),
        "started_at": started.isoformat(),
        "data_dir": settings.data_dir,
    }


def owner_name() -> str:
    """The owner of the process, by name when the system knows one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _new_name() -> str:
    return "a" + "".join(secrets.choice(_LETTERS) for _ in range(19))
