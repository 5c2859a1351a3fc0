"""What ``%flyte <command>`` does."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from flyte_jupyter.kernel.notebook.problems import NotebookError
from flyte_jupyter.kernel.notebook.session import Session
from flyte_jupyter.kernel.notebook.snapshots import snapshot_of

_RECENT = 10
_MOST_LISTED = 1000
_SHOWN = 100_000
"""Characters of a log that a cell shows: megabytes would stop the browser, and a log's end says more than its beginning."""


class CommandError(NotebookError):
    """A ``%flyte`` line that asks for something that is not there; the message says what is."""


def run(session: Session, words: Sequence[str]) -> Any:
    """``%flyte run WORKFLOW [--INPUT VALUE ...] [--wait]``: launch, and perhaps wait."""
    if not words or words[0].startswith("-"):
        raise CommandError("name the workflow: %flyte run WORKFLOW [--INPUT VALUE ...]")
    entity = entity_named(session, words[0])
    wait = "--wait" in words
    asked = _options([word for word in words[1:] if word != "--wait"])
    parameters = entity.interface.inputs
    for name in asked:
        if name not in parameters:
            known = ", ".join(f"--{each}" for each in parameters) or "no inputs"
            raise CommandError(f"{words[0]} has no input {name}; it takes {known}")
    inputs = {}
    for name, text in asked.items():
        wanted = parameters[name].python_type
        if text is None and wanted is not bool and bool not in get_args(wanted):
            raise CommandError(
                f"--{name} has no value; write --{name} VALUE, of type {parameters[name].converter.name}"
            )
        inputs[name] = True if text is None else _value(text, wanted, session.shell.user_ns)
    from flyte_jupyter.kernel.launching import LaunchOptions, launch

    options = LaunchOptions(bundle=_provider(session, entity))
    execution = launch(entity, options=options, **inputs)
    session.latest = execution
    if wait:
        execution.wait()
    return execution


def register(session: Session, words: Sequence[str]) -> None:
    """``%flyte register [NAME ...]``: all workflows of the notebook by default."""
    names = list(words) or workflows(session.shell.user_ns)
    if not names:
        raise CommandError("this notebook has no workflow yet; define one with @workflow")
    from flyte_jupyter.kernel.launching import register as register_entity

    for name in names:
        entity = entity_named(session, name)
        done = register_entity(entity, bundle=_provider(session, entity))
        already = " (unchanged)" if done.already else ""
        _say(f"{name}: version {done.version}{already}")


def preview(session: Session, words: Sequence[str]) -> None:
    """``%flyte preview NAME``: the files that would travel."""
    if len(words) != 1:
        raise CommandError("name one task or workflow: %flyte preview NAME")
    _say(session.capture(entity_named(session, words[0])).preview())


def status(session: Session, words: Sequence[str]) -> None:
    """``%flyte status [EXECUTION]``: a line for each node."""
    _say(snapshot_of(execution_named(session, words)).as_text())


def logs(session: Session, words: Sequence[str]) -> None:
    """``%flyte logs NODE [EXECUTION]``: what a node printed."""
    if not words:
        raise CommandError("name a node: %flyte logs NODE [EXECUTION]; %flyte status lists them")
    execution = execution_named(session, words[1:])
    nodes = execution.nodes
    wanted = [n for n in nodes if words[0] in (n.id, n.task, str(n.task).rpartition(".")[2])]
    if not wanted:
        known = ", ".join(str(node.id) for node in nodes) or "none yet"
        raise CommandError(f"{execution.name} has no node {words[0]}; it has {known}")
    for node in wanted:
        if len(wanted) > 1:
            _say(f"--- {node.id} ---")
        _say(_end_of(str(node.logs()), f"execution({execution.name!r}).node({node.id!r}).logs()"))


def abort(session: Session, words: Sequence[str]) -> None:
    """``%flyte abort [EXECUTION]``."""
    execution = execution_named(session, words)
    execution.abort("aborted from the notebook")
    _say(f"{execution.name} is being aborted.")


def recent(session: Session, words: Sequence[str]) -> None:
    """``%flyte recent [COUNT]``: the newest executions."""
    del session
    count = " ".join(words) or str(_RECENT)
    if not (count.isascii() and count.isdecimal() and 0 < int(count[:10]) <= _MOST_LISTED):
        raise CommandError(f"{count!r} is no number from 1 to {_MOST_LISTED}: %flyte recent 10")
    from flyte_jupyter.kernel.launching import recent as newest

    found = list(newest(int(count)))
    for execution in found:
        _say(f"{execution.name}  {execution.phase}  {execution.message.closure.workflow_id.name}")
    if not found:
        _say("No executions yet.")


COMMANDS: Mapping[str, Callable[[Session, Sequence[str]], Any]] = {
    "run": run,
    "register": register,
    "preview": preview,
    "status": status,
    "logs": logs,
    "abort": abort,
    "recent": recent,
}


def entity_named(session: Session, name: str) -> Any:
    """The task or workflow that a variable holds.

    Raises:
        CommandError: there is no such variable, or it holds something else.
    """
    value = session.shell.user_ns.get(name)
    if not is_entity(value):
        known = ", ".join(entities(session.shell.user_ns)) or "none yet"
        raise CommandError(f"{name} is no task or workflow of this notebook; there are: {known}")
    return value


def execution_named(session: Session, words: Sequence[str]) -> Any:
    """The execution of that name, else the notebook's latest, else the newest of all.

    Raises:
        CommandError: there is none, or more than one is named.
    """
    from flyte_jupyter.kernel.launching import execution
    from flyte_jupyter.kernel.launching import recent as newest

    if len(words) > 1:
        raise CommandError(f"name one execution, not {len(words)}: {' '.join(words)}")
    if words:
        return execution(words[0])
    if session.latest is not None:
        return session.latest
    found = list(newest(1))
    if not found:
        raise CommandError("nothing has been launched yet: %flyte run WORKFLOW")
    return found[0]


def entities(names: Mapping[str, Any]) -> list[str]:
    """Names of the tasks and workflows among variables."""
    return sorted(name for name, value in names.items() if name[0] != "_" and is_entity(value))


def workflows(names: Mapping[str, Any]) -> list[str]:
    """Names of the workflows among variables."""
    from flyte_jupyter.kernel.authoring.workflows import Workflow

    return [name for name in entities(names) if isinstance(names[name], Workflow)]


def is_entity(value: object) -> bool:
    """Whether a variable holds a task or a workflow."""
    from flyte_jupyter.kernel.authoring.tasks import Task
    from flyte_jupyter.kernel.authoring.workflows import Workflow

    return isinstance(value, Task | Workflow)


def _provider(session: Session, entity: Any) -> Session | None:
    """The notebook, for what its cells define; what it imported comes from its module."""
    return session if entity.module == session.shell.user_ns.get("__name__") else None


def _options(words: Sequence[str]) -> dict[str, str | None]:
    """``--x 1 --flag --name=a`` as names and texts; None for an option without a value."""
    found: dict[str, str | None] = {}
    name = ""
    for word in words:
        if word.startswith("--") and len(word) > 2:  # noqa: PLR2004 - the two dashes
            name, equals, text = word[2:].partition("=")
            name = name.replace("-", "_")
            found[name] = text if equals else None
            name = "" if equals else name
        elif name:
            found[name] = word
            name = ""
        else:
            raise CommandError(f"{word!r} belongs to no input; write --NAME {word}")
    return found


def _value(text: str, wanted: Any, names: Mapping[str, Any]) -> Any:
    """A word of the line as a value: text where text is wanted, a variable, else a literal."""
    if wanted is str:
        return text
    if text in names:
        return names[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _end_of(text: str, all_of_it: str) -> str:
    if len(text) <= _SHOWN:
        return text
    end = text[-_SHOWN:]
    return f"[{len(text) - _SHOWN} characters before; flyte_jupyter.{all_of_it} has them]\n{end}"


def _say(words: str) -> None:
    print(words)  # noqa: T201 - the answer of a magic
