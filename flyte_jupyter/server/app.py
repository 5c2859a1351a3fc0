"""The control plane's process: ``python -m flyte_jupyter.server --data-dir DIR``.

Exit status: 0 after an orderly stop, 1 after a defect of ours, 2 for wrong arguments, 3 when another control plane
owns the data, 4 when the database cannot be used, 5 when it cannot listen, 6 when the cluster or the object store that it is
told to use cannot be used. Each but 0 with one line on standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.server import ownership
from flyte_jupyter.server.assembly import serve
from flyte_jupyter.server.configuration import BadConfiguration, read_configuration, settings_from
from flyte_jupyter.server.control_plane import NotReady, PortTaken
from flyte_jupyter.server.settings import Settings, TcpSettings
from flyte_jupyter.store.errors import DatabaseBusy, StoreError
from flyte_jupyter.supervisor.endpoint import is_port

log = logging.getLogger(__name__)
ANOTHER_OWNS_IT, DATABASE_UNUSABLE, CANNOT_LISTEN, NOT_READY = 3, 4, 5, 6
_LOG_BYTES = 5 * 1024 * 1024
_LONGEST_LINGER = 10**9


def parse(arguments: Sequence[str]) -> Settings:
    """The settings that the command line asks for. Ends the process with status 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="flyte_jupyter.server", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where the data is kept")
    parser.add_argument("--run-dir", type=Path, help="where the socket is (default: DATA/run)")
    parser.add_argument("--linger", type=float, default=600.0, help="seconds to live on when idle")
    parser.add_argument("--stay", action="store_true", help="live on however long it is idle")
    parser.add_argument("--notice", default="", help="what clients should know about the folders")
    parser.add_argument("--log-file", type=Path, help="default: DATA/logs/control-plane.log")
    parser.add_argument("--tcp", metavar="[HOST:]PORT", help="listen on TCP too; host: 127.0.0.1")
    parser.add_argument(
        "--token", default=os.environ.get("FLYTE_JUPYTER_TOKEN", ""), help="wanted on TCP"
    )
    parser.add_argument("--config", type=Path, help="a TOML file with settings, for a cluster")
    parser.add_argument("--no-engine", action="store_true", help="leave deciding to engines apart")
    given = parser.parse_args(arguments)
    if not 0 <= given.linger <= _LONGEST_LINGER:
        parser.error("--linger is a number of seconds; --stay is for ever")
    data = given.data_dir.absolute()
    run = (given.run_dir or data / "run").absolute()
    try:
        table = dict(read_configuration(given.config)) if given.config else {}
        if given.no_engine:
            table["engine"] = False
        settings = settings_of(table, data, run)
    except BadConfiguration as error:
        parser.error(str(error))
    tcp = settings.tcp
    if given.tcp:
        host, _, port = given.tcp.rpartition(":")
        if not is_port(port):
            parser.error(f"--tcp takes [HOST:]PORT, a port from 0 to 65535, not {given.tcp!r}")
        tcp = TcpSettings(host.strip("[]") or "127.0.0.1", int(port), given.token)
    if tcp and not tcp.token:
        parser.error("--tcp wants a --token (or FLYTE_JUPYTER_TOKEN): anybody could connect")
    return replace(
        settings,
        linger=None if given.stay else timedelta(seconds=given.linger),
        notice=given.notice,
        log_file=str(given.log_file or data / "logs" / "control-plane.log"),
        tcp=tcp,
    )


def settings_of(table: Mapping[str, Any], data: Path, run: Path) -> Settings:
    """The settings that a file's table makes for these folders. Raises `BadConfiguration`."""
    if on_line := sorted(table.keys() & {"data_dir", "run_dir", "linger", "notice", "log_file"}):
        raise BadConfiguration(f"{on_line[0]} is for the command line, not for a file")
    settings = settings_from(Settings, {**table, "data_dir": str(data), "run_dir": str(run)})
    remote = "://" in settings.blobs and not settings.blobs.startswith("file:")
    if settings.kubernetes is not None and not remote:
        raise BadConfiguration(
            "blobs: pods cannot read this machine's folders: name an object store, such as s3://bucket/prefix"
        )
    if settings.kubernetes is None and settings.blobs:
        raise BadConfiguration("blobs: an object store needs a table [kubernetes]")
    if settings.kubernetes is None and not settings.engine:
        raise BadConfiguration(
            "engine: one that runs apart needs a table [kubernetes]: processes of this machine are this process's own"
        )
    return settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the control plane until it is told to stop or has nobody left to serve."""
    settings = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(settings)
    except ownership.AlreadyRunning as error:
        return _refuse(ANOTHER_OWNS_IT, str(error))
    except DatabaseBusy as error:
        return _refuse(ANOTHER_OWNS_IT, str(error))
    except (StoreError, StoreFull) as error:
        return _refuse(DATABASE_UNUSABLE, str(error))
    except NotReady as error:
        return _refuse(NOT_READY, str(error))
    except PortTaken as error:
        return _refuse(CANNOT_LISTEN, str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _refuse(
            CANNOT_LISTEN,
            f"The control plane cannot start in {settings.data_dir}: {place}"
            f"{error.strerror or error}. Mend that, or set FLYTE_JUPYTER_DATA_DIR.",
        )
    except Exception as error:
        log.exception("the control plane failed")
        return _refuse(1, f"The control plane failed: {error!r}. {settings.log_file} says more.")


def _run(settings: Settings) -> int:
    data, run = Path(settings.data_dir), Path(settings.run_dir)
    for folder in (data, run):
        ownership.private_folder(folder)
    with ownership.locked(run):
        _log_to(Path(settings.log_file))
        asyncio.run(serve(settings))
    return 0


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _refuse(status: int, message: str) -> int:
    if logging.getLogger().handlers:  # else logging itself would say it a second time
        log.error(message)
    with suppress(OSError):
        sys.stderr.write(" ".join(message.split()) + "\n")
    return status


# A client that was there before an upgrade starts it by this name.
if __name__ == "__main__":
    sys.exit(main())
