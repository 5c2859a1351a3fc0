"""``flyte-jupyter``: see to the control plane from a shell.

Exit statuses: 0 done, 1 it could not be done, 2 wrong words on the command line, 3 refused because runs are active.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from flyte_jupyter._version import __version__
from flyte_jupyter.cli import engine
from flyte_jupyter.supervisor import SupervisorError, find, find_or_start, places, status, stop
from flyte_jupyter.supervisor.endpoint import is_port
from flyte_jupyter.supervisor.finding import command_for

FAILED, REFUSED = 1, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    arguments = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except SupervisorError as error:
        print(f"flyte-jupyter: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Every command and its options; the documentation is tested against it."""
    top = argparse.ArgumentParser(
        prog="flyte-jupyter", description="Workflows from notebook cells."
    )
    top.add_argument("--version", action="version", version=f"flyte-jupyter {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("status", help="say whether a control plane runs, and what it does")
    show.add_argument("--json", action="store_true", help="for programs")
    show.set_defaults(command=_status)

    start = commands.add_parser("start", help="start the control plane if none runs")
    start.add_argument(
        "--linger", type=float, metavar="SECONDS", help="how long it stays without clients and runs"
    )
    start.set_defaults(command=_start)

    end = commands.add_parser("stop", help="stop the control plane")
    end.add_argument(
        "--force",
        action="store_true",
        help="also while runs are active: they go on at the next start",
    )
    end.set_defaults(command=_stop)

    serve = commands.add_parser("serve", help="run a control plane in the foreground")
    serve.add_argument("--tcp", metavar="HOST:PORT", help="listen there too; port 0: any free one")
    serve.add_argument(
        "--token", help="what clients of --tcp must send (or in FLYTE_JUPYTER_TOKEN)"
    )
    serve.add_argument(
        "--config", metavar="FILE", help="settings in TOML: [kubernetes] runs tasks as pods"
    )
    serve.add_argument(
        "--no-engine",
        action="store_true",
        help="serve only: flyte-jupyter engine, beside it, decides (needs --config with [kubernetes])",
    )
    serve.set_defaults(command=_serve, refuse=serve.error)

    engine.add_to(commands)

    doctor = commands.add_parser("doctor", help="look for what is wrong on this machine")
    doctor.set_defaults(command=_doctor)
    return top


def _status(arguments: argparse.Namespace) -> int:
    endpoint = find()
    if endpoint is None:
        print("null" if arguments.json else "no control plane runs; the first client starts one")
        return FAILED
    said = status(endpoint)
    if arguments.json:
        print(json.dumps({"endpoint": endpoint.url, **said}))
    else:
        _print_status(endpoint.url, said)
    return 0


def _print_status(url: str, said: dict[str, Any]) -> None:
    print(f"control plane {said.get('version')} at {url}")
    print(
        f"  process {said.get('pid')}, engine {said.get('engine')}, {said.get('active_runs')} active runs"
    )
    print(f"  data in {said.get('data_dir')}")
    if cluster := said.get("cluster"):
        print(
            f"  tasks run as pods on Kubernetes {cluster['version'] or '(not reached)'} at {cluster['server']}, data in {cluster['blobs']}"
        )
    for notice in said.get("notices", ()):
        print(f"  note: {notice}")


def _start(arguments: argparse.Namespace) -> int:
    print(find_or_start(linger=arguments.linger).url)
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    endpoint = find()
    if endpoint is None:
        print("no control plane runs")
        return 0
    if stop(endpoint, force=arguments.force):
        return 0
    print(
        "runs are active: wait for them, abort them, or use --force (they go on at the next start)",
        file=sys.stderr,
    )
    return REFUSED


def _serve(arguments: argparse.Namespace) -> int:
    import os

    where = places()
    command = [*command_for(where), "--stay"]
    if arguments.config:
        command += ["--config", os.path.abspath(arguments.config)]  # noqa: PTH100 - it is only passed on
    if arguments.no_engine:
        command += ["--no-engine"]
    environ = dict(os.environ)
    if arguments.token:
        environ["FLYTE_JUPYTER_TOKEN"] = arguments.token
    if arguments.tcp:
        if not is_port(arguments.tcp.rpartition(":")[2]):
            arguments.refuse(
                f"--tcp takes HOST:PORT, such as 127.0.0.1:8090; not {arguments.tcp!r}"
            )
        if not environ.get("FLYTE_JUPYTER_TOKEN"):
            arguments.refuse(
                "--tcp needs --token (or FLYTE_JUPYTER_TOKEN): without it anybody could connect"
            )
        command += ["--tcp", arguments.tcp]
    print(f"control plane on {where.data}; it logs to {where.log} and ends with Ctrl+C", flush=True)
    if where.notice:
        print(f"  note: {where.notice}", flush=True)
    os.execve(sys.executable, command, environ)  # noqa: S606  our own module, by this interpreter


def _doctor(_: argparse.Namespace) -> int:
    from flyte_jupyter.cli.doctor import examine

    worst = 0
    for finding in examine():
        print(f"{'ok  ' if finding.good else 'BAD '} {finding.what}")
        if finding.remedy:
            print(f"       {finding.remedy}")
        worst = max(worst, 0 if finding.good else FAILED)
    return worst


if __name__ == "__main__":
    sys.exit(main())
