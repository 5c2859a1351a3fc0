"""From a task template to a command line and an environment. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import path_text

OWN_PROGRAM = "flyte-jupyter-execute"
FLYTEKITS_PROGRAMS = frozenset({"pyflyte-execute", "pyflyte-fast-execute", "pyflyte-map-execute"})
_TEMPLATE = re.compile(r"\{\{\s*\.?\$?\.?(?P<name>[A-Za-z_][\w.]*)\s*\}\}")
_EMPTY = '""'
_DESTINATION = "--dest-dir"
# What an attempt gets of the control plane's own environment: enough to run programs and reach the network, no secrets.
_PASSED = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "PYTHONPATH", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}  # fmt: skip
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


def is_own(template: core.TaskTemplate) -> bool:
    """Whether the task is run by this platform's own entry point."""
    words = [*template.container.command, *template.container.args]
    return bool(words) and words[0].rpartition("/")[2] == OWN_PROGRAM


def is_flytekits(template: core.TaskTemplate) -> bool:
    """Whether the task is run by an entry point of flytekit."""
    words = [*template.container.command, *template.container.args]
    return bool(words) and words[0].rpartition("/")[2] in FLYTEKITS_PROGRAMS


def is_pythons(template: core.TaskTemplate) -> bool:
    """Whether the task runs in a process of its interpreter, so that a fork can serve it."""
    return is_own(template) or is_flytekits(template)


def bundle_of(argv: Sequence[str]) -> str:
    """The URI of the code bundle on a command line of ours; empty when there is none."""
    for at, word in enumerate(argv[:-1]):
        if word == "--bundle":
            return argv[at + 1]
    return ""


def argv_of(spec: AttemptSpec, key: str, inputs: core.LiteralMap | None = None) -> list[str]:
    """The task's command with its templates filled as Flyte fills them.

    ``{{.input}}``, ``{{$input}}``, whatever the case. Unknown templates are left as they stand; known ones that are empty become
    two quotes. `inputs` serves ``{{.inputs.x}}``; a word that is nothing but one input is left out when there is no such input.
    """
    values = _values(spec, key) | _texts(inputs)

    def filled(match: re.Match[str]) -> str:
        value = values.get(match["name"].lower())
        return match[0] if value is None else value or _EMPTY

    words = [*spec.template.container.command, *spec.template.container.args]
    return _at_home([_TEMPLATE.sub(filled, word) for word in words])


def _at_home(argv: list[str]) -> list[str]:
    """Let flytekit unpack code in the attempt's own folder. In an image it may take another one; here that is somebody's."""
    if argv and argv[0].rpartition("/")[2] == "pyflyte-fast-execute" and _DESTINATION in argv[:-1]:
        argv[argv.index(_DESTINATION) + 1] = "."
    return argv


def wants_inputs(template: core.TaskTemplate) -> bool:
    """Whether the command names single inputs, so that their values must be read to write it."""
    words = [*template.container.command, *template.container.args]
    names = (m["name"].lower() for word in words for m in _TEMPLATE.finditer(word))
    return any(name.startswith("inputs.") for name in names)


def _values(spec: AttemptSpec, key: str) -> dict[str, str]:
    return {
        "input": spec.inputs,
        "inputprefix": spec.inputs.rpartition("/")[0],
        "outputprefix": spec.output_prefix,
        "rawoutputdataprefix": spec.raw_output_prefix,
        "perretryuniquekey": key,
        "checkpointoutputprefix": f"{spec.raw_output_prefix}/_flytecheckpoints",
        "prevcheckpointprefix": spec.prev_checkpoint,
        "namespace": f"{spec.id.run.project}-{spec.id.run.domain}",
        "tasktemplatepath": "",
    }


def _texts(inputs: core.LiteralMap | None) -> dict[str, str]:
    found = inputs.literals.items() if inputs is not None else []
    return {f"inputs.{name}".lower(): _text(literal) for name, literal in found}


def _text(literal: core.Literal) -> str:
    if literal.WhichOneof("value") == "collection":
        return "[" + ",".join(_text(item) for item in literal.collection.literals) + "]"
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            name = scalar.primitive.WhichOneof("value")
            value = getattr(scalar.primitive, name) if name else ""
            if isinstance(value, bool):
                return "true" if value else "false"
            return str(value.ToJsonString()) if hasattr(value, "ToJsonString") else str(value)
        case "blob":
            return scalar.blob.uri
        case "schema":
            return scalar.schema.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case _:
            return ""


def passed_on(ambient: Mapping[str, str]) -> dict[str, str]:
    """The part of the control plane's environment that its processes may see."""
    return {k: v for k, v in ambient.items() if k in _PASSED or k.startswith("LC_")}


def environment_of(
    spec: AttemptSpec, grant: Grant, ambient: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """All environment variables of an attempt.

    `ambient` is the control plane's environment, of which a known few are passed on; `own` is set by the executor. The task's
    own variables win over those, and the execution's over the task's.
    """
    task = spec.template.id
    run = spec.id.run
    flyte = {
        "FLYTE_INTERNAL_EXECUTION_ID": run.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": run.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.domain,
        "FLYTE_ATTEMPT_NUMBER": str(spec.id.attempt),
        "FLYTE_INTERNAL_TASK_PROJECT": task.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.version,
        "FLYTE_INTERNAL_NODE_ID": path_text(spec.id.path),
    }
    machine = dict.fromkeys(_THREAD_VARIABLES, str(grant.wants.threads))
    machine["CUDA_VISIBLE_DEVICES"] = ",".join(grant.devices)
    chosen = {pair.key: pair.value for pair in spec.template.container.env}
    fixed = {"PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": machine["CUDA_VISIBLE_DEVICES"]}
    return passed_on(ambient) | flyte | machine | dict(own) | chosen | dict(spec.env) | fixed
