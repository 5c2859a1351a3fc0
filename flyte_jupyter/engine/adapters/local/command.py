"""From a task template to a command line and an environment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.adapters.local.templates import once_a_template
from flyte_jupyter.engine.command import (
    PLACES,
    Form,
    escaped,
    expanded,
    identity_of,
    names_inputs,
    place_of,
    read_at_start,
    values_for,
)
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core

OWN_PROGRAM = "flyte-jupyter-execute"
FLYTEKITS_PROGRAMS = frozenset({"pyflyte-execute", "pyflyte-fast-execute", "pyflyte-map-execute"})
_BUNDLE = "--bundle"
_DESTINATION = "--dest-dir"
_RAW_OUTPUT = "rawoutputdataprefix"
# What an attempt gets of the control plane's own environment: enough to run programs and reach the network, no secrets.
_PASSED = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "PYTHONPATH", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    # Where a control plane is found: what a task launches would run on another one.
    "FLYTE_JUPYTER_DATA_DIR", "FLYTE_JUPYTER_LOCAL_DIR", "JUPYTER_DATA_DIR", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
}  # fmt: skip
_NO_FORK = "FLYTE_JUPYTER_NO_FORK"
# Variables that no library looks at when it is imported, and no interpreter when it starts.
_OURS = ("FLYTE_", "_F_", "BATCH_JOB_ARRAY_")
_FIXED = ("PYTHONUNBUFFERED", "CUDA_VISIBLE_DEVICES")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


@once_a_template
def is_own(template: core.TaskTemplate) -> bool:
    """Whether the task is run by this platform's own entry point."""
    words = words_of(template)
    return bool(words) and words[0].rpartition("/")[2] == OWN_PROGRAM


@once_a_template
def is_flytekits(template: core.TaskTemplate) -> bool:
    """Whether the task is run by an entry point of flytekit."""
    words = words_of(template)
    return bool(words) and words[0].rpartition("/")[2] in FLYTEKITS_PROGRAMS


@once_a_template
def is_pythons(template: core.TaskTemplate) -> bool:
    """Whether the task runs in a process of its interpreter, so that a fork can serve it."""
    return is_own(template) or is_flytekits(template)


def bundle_of(argv: Sequence[str]) -> str:
    """The URI of the code bundle on a command line of ours; empty when there is none."""
    return _after(_BUNDLE, argv)


@once_a_template
def place_of_bundle(template: core.TaskTemplate) -> int:
    """Where in its command a bundle's URI stands; zero for nowhere."""
    words = words_of(template)
    return words.index(_BUNDLE) + 1 if _BUNDLE in words[:-1] else 0


def module_of(argv: Sequence[str]) -> str:
    """The module of the bundle that defines the task, from a command line of ours; empty when there is none."""
    return _after("--entity", argv).partition(":")[0]


def _after(option: str, argv: Sequence[str]) -> str:
    return next((value for word, value in pairwise(argv) if word == option), "")


def argv_of(spec: AttemptSpec, key: str, inputs: core.LiteralMap | None = None) -> list[str]:
    """The task's command with its templates filled; `inputs` serves ``{{.inputs.x}}``. Raises `UnknownInput`.

    A command that is not Python's has the variables filled in too that its task, its execution and the platform give it.
    """
    namespace = f"{spec.id.run.project}-{spec.id.run.domain}"
    values = values_for(spec, key, namespace, inputs)
    form = _form_of(spec.template)
    if is_own(spec.template):
        return form.filled(values)
    if is_flytekits(spec.template):
        # For its files and tables a folder of this machine is a path; behind a scheme it looks for another file system.
        values[_RAW_OUTPUT] = values[_RAW_OUTPUT].removeprefix("file://")
        return _at_home(form.filled(values))
    return expanded(form.filled(escaped(values)), _variables(spec))


@once_a_template
def _form_of(template: core.TaskTemplate) -> Form:
    return Form(words_of(template))


def program_of(spec: AttemptSpec) -> str:
    """The program that a command which is not Python's begins with; empty when there is none."""
    return "".join(expanded(words_of(spec.template)[:1], _variables(spec)))


def _variables(spec: AttemptSpec) -> Mapping[str, str]:
    """What a pod would have too, and nothing of this machine's."""
    return {**identity_of(spec), **_chosen(spec.template), **spec.env}


def _at_home(argv: list[str]) -> list[str]:
    """Let flytekit unpack code in the attempt's own folder. In an image it may take another one; here that is somebody's."""
    if argv and argv[0].rpartition("/")[2] == "pyflyte-fast-execute" and _DESTINATION in argv[:-1]:
        argv[argv.index(_DESTINATION) + 1] = "."
    return argv


@once_a_template
def wants_inputs(template: core.TaskTemplate) -> bool:
    """Whether the command names single inputs, so that their values must be read to write it."""
    return names_inputs(words_of(template))


@once_a_template
def is_simple(template: core.TaskTemplate) -> bool:
    """Whether the task runs in a process of its interpreter, and nothing has to be read to write its command."""
    return is_pythons(template) and not wants_inputs(template)


@once_a_template
def words_of(template: core.TaskTemplate) -> tuple[str, ...]:
    """The command with its arguments, their templates as they stand."""
    return (*template.container.command, *template.container.args)


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
    shared = shared_environment(spec, grant, ambient, own)
    return {**shared, **environment_alone(spec, shared)}


def shared_environment(
    spec: AttemptSpec, grant: Grant, ambient: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """The part that an attempt has in common with others of its task in its execution that have such a grant."""
    machine = dict.fromkeys(_THREAD_VARIABLES, str(grant.wants.threads))
    passed, chosen = passed_on(ambient), _chosen(spec.template)
    return {**passed, **identity_of(spec), **machine, **own, **chosen, **_fixed(grant)}


def environment_alone(spec: AttemptSpec, shared: Mapping[str, str]) -> dict[str, str]:
    """What an attempt has otherwise than `shared`, which may be made from another of its task in its execution with such a grant."""
    env: Mapping[str, str] = spec.env
    if not env.keys() >= PLACES:
        chosen = _chosen(spec.template)
        place = {name: value for name, value in place_of(spec).items() if name not in chosen}
        env = {**place, **env}
    alone = {name: value for name, value in env.items() if shared.get(name) != value}
    for name in _FIXED:
        alone.pop(name, None)
    return alone


def _fixed(grant: Grant) -> dict[str, str]:
    """What nobody can choose."""
    return dict(zip(_FIXED, ("1", ",".join(grant.devices)), strict=True))


def variables_of(spec: AttemptSpec) -> Mapping[str, str]:
    """The variables that the task and the execution choose, as far as a library may look at them when it is imported."""
    tasks = _chosen_for_libraries(spec.template)
    runs = {name: spec.env[name] for name in _for_libraries(tuple(spec.env))}
    return {**tasks, **runs} if runs else tasks


@lru_cache(maxsize=64)  # every launch asks, and attempts of a run have the same names
def _for_libraries(names: tuple[str, ...]) -> Sequence[str]:
    return [name for name in names if not name.startswith(_OURS)]


@once_a_template
def _chosen_for_libraries(template: core.TaskTemplate) -> Mapping[str, str]:
    chosen = _chosen(template)
    return {name: chosen[name] for name in _for_libraries(tuple(chosen))}


@once_a_template
def _chosen(template: core.TaskTemplate) -> Mapping[str, str]:
    return {pair.key: pair.value for pair in template.container.env}


def starts_anew(
    spec: AttemptSpec, variables: Mapping[str, str], ambient: Mapping[str, str]
) -> bool:
    """Whether the attempt's process must be no fork: its author says so, or has set what only the start of a process heeds.

    `variables` are those that libraries may look at; `ambient` is the control plane's environment, whose part the parents of
    attempts were started with.
    """
    if not is_pythons(spec.template):
        return False
    if spec.env.get(_NO_FORK, _chosen(spec.template).get(_NO_FORK)) == "1":
        return True
    if not variables:
        return False  # every launch asks
    started_with = passed_on(ambient)
    late = read_at_start(name for name in variables if variables[name] != started_with.get(name))
    if is_flytekits(spec.template):
        late.discard("PYTHONPATH")  # whose runner sees to that one itself
    return bool(late)
