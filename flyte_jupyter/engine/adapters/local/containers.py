"""Tasks that need a container's image: which they are, and how podman or docker is asked to run them."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.engine.adapters.local import command
from flyte_jupyter.engine.adapters.local.entries import Entry
from flyte_jupyter.engine.adapters.local.refusals import rejected, task_of
from flyte_jupyter.engine.adapters.local.resources import memory_limit_of
from flyte_jupyter.engine.ports import AttemptSpec, Rejected
from flyte_jupyter.idl import core

_ENGINES = ("podman", "docker")
_MODULE = "flyte_jupyter.kernel.runtime.container"
_RAW = "raw-container"
_PROBE_SECONDS = 10.0
_TRIES, _PAUSE = 5, 0.3
_GOOD_FOR, _BAD_FOR = 300.0, 5.0
INPUTS, OUTPUTS = "/var/inputs", "/var/outputs"


def needs_image(template: core.TaskTemplate, path: str | None) -> bool:
    """Whether the task cannot run without its image: it wants its data carried, or has a command that this machine lacks."""
    container = template.container
    if not container.image or command.is_pythons(template):
        return False
    if container.data_config.enabled or template.type == _RAW:
        return True
    words = [*container.command, *container.args]
    return not words or shutil.which(words[0], path=path) is None


@dataclass(slots=True)
class Engines:
    """The container engines of this machine. Whether one works is found out when a task first needs it, and again now and then."""

    environ: Mapping[str, str]
    _found: str = ""
    _why: str = ""
    _until: float = 0.0
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def usable(self) -> str:
        """The path of one that works; empty when there is none, and `why` says what is missing."""
        async with self._busy:
            if time.monotonic() >= self._until:
                await self._look()
                self._until = time.monotonic() + (_GOOD_FOR if self._found else _BAD_FOR)
        return self._found

    async def refusal(self, spec: AttemptSpec) -> Rejected | None:
        """Why no container can be run for the task; None when one can."""
        if await self.usable():
            return None
        message = (
            f"{task_of(spec)} runs in the image {spec.template.container.image}, which takes podman or docker on this machine: "
            f"{self._why}. Install podman, or start the docker service, and launch again; or run it on a cluster."
        )
        return rejected("NoContainerEngine", message)

    async def _look(self) -> None:
        self._found, problems = "", []
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
            process = await asyncio.create_subprocess_exec(
                path, "info", "--format", "{{json .}}",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                env=command.passed_on(self.environ),
            )  # fmt: skip
        except OSError as e:
            return f"is installed and cannot be run ({e.strerror})"
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                out, err = await process.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            return f"is installed, and `info` gives no answer within {_PROBE_SECONDS:.0f} s"
        errors = _server_errors(out)
        if process.returncode == 0 and not errors:
            return ""
        words = errors or err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason"]
        return f"is installed and not usable ({words[0]})"

    async def remove(self, key: str) -> None:
        """Remove an attempt's container, whatever state it is in; nothing when there is none."""
        engine = await self.usable()
        for _ in range(_TRIES if engine else 0):
            said = await self._removal(engine, key)
            if not said or "no such container" in said.lower():
                return
            # Its helpers may be about to note their own end.
            await asyncio.sleep(_PAUSE)

    async def _removal(self, engine: str, key: str) -> str:
        """What the engine has against it."""
        try:
            process = await asyncio.create_subprocess_exec(
                engine, "rm", *_forced(engine), name_of(key),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
                env=command.passed_on(self.environ),
            )  # fmt: skip
        except OSError as e:
            return str(e)
        _, err = await process.communicate()
        return err.decode("utf-8", "replace") if process.returncode else ""


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


def argv_of(entry: Entry, words: list[str], environment: Mapping[str, str]) -> list[str]:
    """The command line of the attempt's process, which runs the container. `words` is the task's own command, filled."""
    spec, container = entry.spec, entry.spec.template.container
    config = container.data_config
    formats = core.DataLoadingConfig.LiteralMapFormat
    order: dict[str, Any] = {
        "engine": entry.engine,
        "name": name_of(entry.key),
        "image": container.image,
        "command": words,
        "variables": sorted(environment.keys() - command.passed_on(environment).keys()),
        "memory": memory_limit_of(spec.template),
        "devices": entry.grant.devices,
        "places": [],
        "inputs": spec.inputs,
        "output_prefix": spec.output_prefix,
        "raw_output_prefix": spec.raw_output_prefix,
    }
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
