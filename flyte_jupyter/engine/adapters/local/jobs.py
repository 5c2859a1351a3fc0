"""From an attempt to what a zygote is asked to run."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from flyte_jupyter.engine.adapters.local import command, containers, logs, secrets
from flyte_jupyter.engine.adapters.local.entries import Entry, LocalSettings
from flyte_jupyter.engine.adapters.local.link import Message
from flyte_jupyter.engine.adapters.local.refusals import rejected, task_of, unusable
from flyte_jupyter.engine.adapters.local.resources import Wants, memory_limit_of
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.adapters.local.templates import once_a_template
from flyte_jupyter.engine.adapters.local.zygotes import Kind
from flyte_jupyter.engine.ports import AttemptSpec, Rejected
from flyte_jupyter.idl import core

_INTERPRETER = "flyte_jupyter.interpreter"
_ENVIRONMENT = "flyte_jupyter.environment"
_REUSE = "flyte_jupyter.reuse"
_PRELOAD = "flyte_jupyter.preload"


class Places(NamedTuple):
    """Where an attempt works, and where its log goes."""

    work: str
    log: str


@once_a_template
def kind_of(template: core.TaskTemplate) -> Kind:
    """Which zygote runs the task. Commands that are not Python's go by this process's own interpreter."""
    if not command.is_pythons(template):
        return Kind(sys.executable)
    config = template.config
    return Kind(config.get(_INTERPRETER) or sys.executable, config.get(_ENVIRONMENT, ""))


def needs_image(spec: AttemptSpec, environ: Mapping[str, str]) -> bool:
    """Whether the task has to run in a container."""
    if not spec.template.container.image or command.is_pythons(spec.template):
        return False  # every launch asks
    return containers.needs_image(spec, _path_of(spec, environ))


def _path_of(spec: AttemptSpec, environ: Mapping[str, str]) -> str | None:
    return command.environment_of(spec, Grant(Wants()), environ, {}).get("PATH")


def problem_with(spec: AttemptSpec, environ: Mapping[str, str]) -> Rejected | None:
    """Why no process of this machine can run the task; None when one can."""
    if not command.words_of(spec.template):
        message = f"{task_of(spec)} has no command (its type is {spec.template.type!r})."
        return rejected("UnsupportedTask", f"{message} Local processes run containers only.")
    if command.is_pythons(spec.template):
        interpreter = kind_of(spec.template).interpreter
        return unusable(spec, interpreter) or _without_flytekit(spec, interpreter)
    program = command.program_of(spec)
    if shutil.which(program, path=_path_of(spec, environ)) is None:
        message = f"{task_of(spec)}: there is no command {program!r} on this machine."
        return rejected("CommandNotFound", f"{message} Install it, or give its absolute path.")
    return None


def _without_flytekit(spec: AttemptSpec, interpreter: str) -> Rejected | None:
    """Another interpreter is asked by its zygote."""
    if not command.is_flytekits(spec.template) or interpreter != sys.executable:
        return None
    if importlib.util.find_spec("flytekit") is not None:
        return None
    message = (
        f"{task_of(spec)} runs by flytekit's command, and flytekit is not installed for {interpreter}. Install it there "
        f"(pip install flytekit), or register the task with {_INTERPRETER} set to an interpreter that has it."
    )
    return rejected("FlytekitMissing", message)


async def inputs_of(spec: AttemptSpec) -> core.LiteralMap | None:
    """The attempt's inputs, when its command line names single ones."""
    if not command.wants_inputs(spec.template):
        return None
    path = Path(spec.inputs.removeprefix("file://"))
    return core.LiteralMap.FromString(await asyncio.to_thread(path.read_bytes))


def lay_down(spec: AttemptSpec) -> None:
    """Write the inputs that an attempt would be handed, for a runtime of an older release. Raises `OSError`."""
    if spec.given is None:
        return
    path = Path(spec.inputs.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_bytes(spec.given)
    beside.replace(path)


def in_common(template: core.TaskTemplate, wants: Wants, settings: LocalSettings) -> Message:
    """The part of the ``launch`` frames of a task's attempts that is the same in all that ask for the same."""
    return {
        "op": "launch",
        "log_limit": settings.log_bytes,
        "nice": settings.nice,
        "patience": settings.stopped_seconds,
        "memory": memory_limit_of(template) or settings.memory_limit,
        "slot": f"{wants.cpu}/{wants.memory}/{wants.gpu}",
        "reuse": _may_reuse(template),
        "preload": [m for m in template.config.get(_PRELOAD, "").split(",") if m],
    }


def launch_message(
    entry: Entry, inputs: core.LiteralMap | None, places: Places, common: Message
) -> Message:
    """The ``launch`` frame of an attempt, without its environment; `common` is what it has in common with others."""
    spec = entry.spec
    argv = command.argv_of(spec, entry.key, inputs)
    bundle = command.place_of_bundle(spec.template)
    message = {
        **common,
        "key": entry.key,
        "argv": argv,
        "cwd": places.work,
        "log": places.log,
        "bundle": argv[bundle] if bundle else "",
        "anew": entry.anew,
    }
    if spec.given is not None:
        message["inputs"] = base64.b64encode(spec.given).decode()
    return message


@once_a_template
def may_follow(template: core.TaskTemplate) -> bool:
    """Whether a worker that has done with one attempt of the task may go on with the next by itself."""
    return _may_reuse(template) and command.is_own(template)


def _may_reuse(template: core.TaskTemplate) -> bool:
    """Who has secrets leaves nothing of them to the next: its process ends with it."""
    return template.config.get(_REUSE) == "true" and not secrets.are_asked(template)


def warn_of_change(log: Path, interpreter: str) -> None:
    """Put a line at the head of a log: the environment is not the one that the task was registered from."""
    text = (
        f"[flyte-jupyter] The packages of {interpreter} have changed since this task was registered; "
        "register it again to be sure of what runs.\n"
    )
    logs.append(log, text)
