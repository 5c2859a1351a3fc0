"""Tasks that need a container's image: which they are, and how podman or docker is asked to run them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.engine.adapters.local import command
from flyte_jupyter.engine.adapters.local.entries import Entry
from flyte_jupyter.engine.adapters.local.refusals import rejected, system_failure, task_of
from flyte_jupyter.engine.adapters.local.resources import memory_limit_of, shared_memory_of
from flyte_jupyter.engine.adapters.local.secrets import Given
from flyte_jupyter.engine.ports import AttemptSpec, NotNow, Rejected, passes
from flyte_jupyter.engine.secrets import FOLDER
from flyte_jupyter.idl import core

_ENGINES = ("podman", "docker")
_MODULE = "flyte_jupyter.kernel.runtime.container"
_RAW = "raw-container"
_PROBE_SECONDS, _REMOVAL_SECONDS = 10.0, 20.0
_LAST_WORDS = 0.5
_TRIES, _PAUSE = 5, 0.3
_GOOD_FOR, _BAD_FOR = 300.0, 5.0
INPUTS, OUTPUTS = "/var/flyte/inputs", "/var/flyte/outputs"
"""Where data lies of a task that does not say where: where Flyte, and so a pod, has it."""


def needs_image(spec: AttemptSpec, path: str | None) -> bool:
    """Whether the task cannot run without its image: it wants its data carried, or has a command that this machine lacks."""
    template, container = spec.template, spec.template.container
    if not container.image or command.is_pythons(template):
        return False
    if container.data_config.enabled or template.type == _RAW:
        return True
    program = command.program_of(spec)
    return not program or shutil.which(program, path=path) is None


class NoEngine(NotNow):
    """No container engine works, or the one that does gives no answer: ask again."""


@dataclass(slots=True)
class Engines:
    """The container engines of this machine. Whether one works is found out when a task first needs it, and again now and then."""

    environ: Mapping[str, str]
    _found: str = ""
    _why: str = ""
    _silent: bool = False
    _until: float = 0.0
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def usable(self) -> str:
        """The path of one that works. Raises `NoEngine`: what wants an image never runs without."""
        await self._looked()
        if not self._found:
            raise NoEngine(self._why)
        return self._found

    async def refusal(self, spec: AttemptSpec) -> Rejected | None:
        """Why no container can be run for the task; None when one can."""
        await self._looked()
        if self._found:
            return None
        message = (
            f"{task_of(spec)} runs in the image {spec.template.container.image}, which takes podman or docker on this machine: "
            f"{self._why}. "
        )
        if self._silent:
            message += "Restart it if it does not recover; see what `podman info` or `docker info` waits for."
            return Rejected(system_failure("NoContainerEngine", message))
        message += (
            "Install podman, or start the docker service, and launch again; or run it on a cluster."
        )
        return rejected("NoContainerEngine", message)

    async def _looked(self) -> None:
        async with self._busy:
            if time.monotonic() >= self._until:
                await self._look()
                self._until = time.monotonic() + (_GOOD_FOR if self._found else _BAD_FOR)

    async def _look(self) -> None:
        self._found, self._silent, problems = "", False, []
        for name in _ENGINES:
            path = shutil.which(name, path=self.environ.get("PATH"))
            problem = await self._problem(path) if path else "is not installed"
            if path and not problem:
                self._found = path
                return
            problems.append(f"{name} {problem}")
        self._why = "; ".join(problems)

    async def _problem(self, path: str) -> str:
        try:
            code, out, err = await self._asked(
                _PROBE_SECONDS, path, "info", "--format", "{{json .}}"
            )
        except TimeoutError:
            self._silent = True
            return f"is installed, and `info` gives no answer within {_PROBE_SECONDS:.0f} s"
        except OSError as e:
            if passes(e):
                raise  # this machine's want of files or processes says nothing of the engine
            return f"is installed and cannot be run ({e.strerror})"
        errors = _server_errors(out)
        if code == 0 and not errors:
            return ""
        words = errors or err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason"]
        return f"is installed and not usable ({words[0]})"

    async def remove(self, key: str) -> bool:
        """Remove an attempt's container, whatever state it is in. False when the engine refuses to, or there is none to ask.

        Raises `NoEngine` when the engine gives no answer: the container may be there, and go on.
        """
        await self._looked()
        if self._silent and not self._found:
            raise NoEngine(f"the container {name_of(key)} may still be there: {self._why}")
        engine = self._found
        for _ in range(_TRIES if engine else 0):
            said = await self._removal(engine, key)
            if not said or "no such container" in said.lower():
                return True
            # Its helpers may be about to note their own end.
            await asyncio.sleep(_PAUSE)
        return False

    async def _removal(self, engine: str, key: str) -> str:
        """What the engine has against it."""
        name = name_of(key)
        try:
            code, _, err = await self._asked(_REMOVAL_SECONDS, engine, "rm", *_forced(engine), name)
        except TimeoutError:
            # The next one looks first, for all: it would wait for as long.
            self._until = 0.0
            message = f"{engine} has not removed {name} within {_REMOVAL_SECONDS:.0f} s"
            raise NoEngine(message) from None
        except OSError as e:
            if passes(e):
                raise
            return str(e)
        return err.decode("utf-8", "replace") if code else ""

    async def _asked(self, seconds: float, *words: str) -> tuple[int, bytes, bytes]:
        """Run the engine's command: its status, output and errors. Raises `OSError`, or `TimeoutError` when it has not ended in time.

        It never waits for longer: children of the command may hold its pipes, whatever becomes of itself.
        """
        transport, heard = await asyncio.get_running_loop().subprocess_exec(
            _Heard, *words, stdin=asyncio.subprocess.DEVNULL,
            env=command.passed_on(self.environ), start_new_session=True,
        )  # fmt: skip
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await heard.over.wait()
            code = transport.get_returncode()
            if code is None:
                raise TimeoutError
            return code, bytes(heard.said[1]), bytes(heard.said[2])
        finally:
            if transport.get_returncode() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(transport.get_pid(), signal.SIGKILL)
            for number in heard.said:
                if pipe := transport.get_pipe_transport(number):
                    pipe.close()


class _Heard(asyncio.SubprocessProtocol):
    """What a command has said. `over` comes when it has ended; who else holds its pipes then gets a moment to let go of them."""

    def __init__(self) -> None:
        self.said = {1: bytearray(), 2: bytearray()}
        self.over = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has been started."""
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """It says something."""
        assert isinstance(data, bytes)
        self.said[fd] += data

    def process_exited(self) -> None:
        """It has ended."""
        asyncio.get_running_loop().call_later(_LAST_WORDS, self.over.set)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the status tells
        """It has ended, and its pipes are closed."""
        if self._transport:
            self._transport.close()
        self.over.set()


def _forced(engine: str) -> list[str]:
    """Podman would give it ten seconds to end by itself."""
    return ["--force", "--time", "0"] if engine.endswith("podman") else ["--force"]


def _server_errors(out: bytes) -> list[str]:
    """Docker's client ends well without its server, and says so in this."""
    try:
        said = json.loads(out)
    except ValueError:
        return []
    found = said.get("ServerErrors") if isinstance(said, dict) else None
    return [str(error) for error in found or ()]


def name_of(key: str) -> str:
    """The container of an attempt."""
    return f"flyte-jupyter-{key}"


def _much() -> int:
    """Half of the machine's memory: what Linux gives to a file system in memory that nobody has limited."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def argv_of(
    entry: Entry, words: list[str], environment: Mapping[str, str], secrets: Given
) -> list[str]:
    """The command line of the attempt's process, which runs the container. `words` is the task's own command, filled.

    As in a pod, a task's command takes the place of the image's program, and its arguments that of the image's command.
    """
    spec, container = entry.spec, entry.spec.template.container
    config = container.data_config
    formats = core.DataLoadingConfig.LiteralMapFormat
    variables = environment.keys() - command.passed_on(environment).keys()
    order: dict[str, Any] = {
        "engine": entry.engine,
        "name": name_of(entry.key),
        "image": container.image,
        "program": words[0] if container.command else "",
        "command": words[1:] if container.command else words,
        "variables": sorted(variables | secrets.names),
        "memory": memory_limit_of(spec.template),
        "devices": entry.grant.devices,
        "places": [],
        "inputs": spec.inputs,
        "output_prefix": spec.output_prefix,
        "raw_output_prefix": spec.raw_output_prefix,
    }
    if secrets.files:
        seen = {path: f"{FOLDER}/{name}" for name, path in secrets.files.items()}
        order["secrets"] = seen
    if shared := shared_memory_of(spec.template):
        order |= {"shared": shared.folder, "shared_bytes": shared.most or _much()}
    if config.enabled:
        bare = core.TypedInterface()
        for name, variable in spec.template.interface.outputs.variables.items():
            bare.outputs.variables[name].type.CopyFrom(variable.type)
        strategy = config.io_strategy.download_mode
        order |= {
            "input_path": config.input_path or INPUTS,
            "output_path": config.output_path or OUTPUTS,
            "data_format": formats.Name(config.format),
            "keep_uris": strategy == core.IOStrategy.DO_NOT_DOWNLOAD,
            "interface": base64.b64encode(bare.SerializeToString()).decode(),
        }
    else:
        uris = (spec.inputs.rpartition("/")[0], spec.output_prefix, spec.raw_output_prefix)
        order["places"] = [u.removeprefix("file://") for u in uris if u.startswith("file://")]
    return [sys.executable, "-P", "-u", "-m", _MODULE, json.dumps(order)]
