"""The magics: ``%%flyte_task`` makes a cell a task, ``%flyte`` runs and looks after workflows."""

from __future__ import annotations

import argparse
import ast
import shlex
from argparse import Namespace
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from flyte_jupyter.kernel.errors import FlyteJupyterError
from flyte_jupyter.kernel.notebook import commands
from flyte_jupyter.kernel.notebook.cells import line_map, python_source
from flyte_jupyter.kernel.notebook.flyte_task import (
    FlyteTaskError,
    Header,
    TaskCell,
    arguments_from,
    task_cell,
)
from flyte_jupyter.kernel.notebook.session import Session

SUBCOMMANDS = tuple(commands.COMMANDS)
"""What may follow ``%flyte``."""


@magics_class
class FlyteMagics(Magics):
    """``%%flyte_task`` and ``%flyte``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @line_cell_magic
    def flyte_task(self, line: str, cell: str | None = None) -> None:
        """Make the cell's body a task, and run it here on the variables that its inputs name.

        %%flyte_task NAME [options]

        The body sees its inputs and the notebook's imports, functions and constants. Its declared
        outputs are assigned to variables; nothing else that it assigns leaves the cell. It is
        Python: %time in it runs its statement untimed (put %%time above %%flyte_task), other magics
        and lines for the shell are refused when the task is registered. When a
        required input has no variable of its name, the task is only defined. NAME becomes the
        task, to be called in workflows.

          --inputs "df: pd.DataFrame, depth: int = 3"    typed inputs
          --outputs "score: float"    typed outputs, which the cell assigns
          --retries N        more attempts that a recoverable failure is worth
          --cache VERSION    reuse outputs for equal inputs and this version
          --cpu 2            cores, or thousandths of them: 500m
          --mem 500Mi        memory
          --gpu 1            whole devices
          --timeout 5m       how long an attempt may take: 90s, 5m, 1h
          --reuse            let one worker process serve several attempts
          --define-only      define the task without running it here
        """
        if cell is None:
            raise UsageError("%%flyte_task stands in the first line of a cell, with two %")
        __tracebackhide__ = True  # an error of the body is shown from the body on
        options = _task_options().parse_args(_split(line))
        made = self._made(options, cell)
        task, filename = self._defined(made, line, cell)
        cell_id, label = self.session.recorder.place()
        written = made.as_cell(cell_id, label)
        self.session.recorder.define(written, frozenset())
        if options.define_only:
            print(f"Task {options.name} is defined.")  # noqa: T201 - a magic's answer
            return
        given, missing = arguments_from(made, self.session.shell.user_ns)
        if missing:
            print(  # noqa: T201 - a magic's answer
                f"Task {options.name} is defined, not run: there is no variable {', '.join(missing)}."
            )
            return
        values = _called(task, given, filename)
        self.session.shell.push(values)
        self.session.recorder.define(written, frozenset(values))

    @line_magic
    def flyte(self, line: str) -> Any:
        """Run workflows on the control plane and look after their executions.

        %flyte run WORKFLOW [--INPUT VALUE ...] [--wait]
            Launch a workflow (or a task) of this notebook. A value is a Python literal or the name
            of a variable. With --wait the cell waits for the end.
        %flyte register [NAME ...]
            Register workflows and tasks, all of this notebook's workflows by default.
        %flyte preview NAME
            Say which source files would travel with NAME, and their sizes.
        %flyte status [EXECUTION]
            An execution with a line for each node; the latest one by default.
        %flyte logs NODE [EXECUTION]
            What a node printed. NODE is its id or the name of its task.
        %flyte abort [EXECUTION]
            Stop an execution.
        %flyte recent [COUNT]
            The newest executions.
        """
        words = _split(line)
        command = words[0] if words else "status"
        if command not in commands.COMMANDS:
            known = ", ".join(commands.COMMANDS)
            raise UsageError(f"%flyte {command}: there is no such command; try {known}, or %flyte?")
        try:
            return commands.COMMANDS[command](self.session, words[1:])
        except commands.CommandError as error:
            raise UsageError(f"%flyte {command}: {error}") from None

    def _made(self, options: Namespace, cell: str) -> TaskCell:
        raw = self.session.recorder.raw()
        skipped = len(raw.split(cell, 1)[0].splitlines()) if cell and cell in raw else 1
        lines: tuple[int, ...] = ()
        try:
            body = self._python(cell)
            lines = line_map(body, cell)
            body, lines = python_source(body, cell, self._python)
            return task_cell(_header(options), body, [line + skipped for line in lines])
        except FlyteTaskError as error:
            raise UsageError(str(error)) from None
        except SyntaxError as error:
            row = error.lineno or 0
            line = lines[row - 1] + skipped if 0 < row <= len(lines) else 1
            raise _unreadable(options.name, error, line) from None

    def _python(self, cell: str) -> str:
        return str(self.session.shell.transform_cell(cell))

    def _defined(self, made: TaskCell, line: str, cell: str) -> tuple[Any, str]:
        """The task in the notebook's namespace, and the name its code has in tracebacks."""
        from flyte_jupyter.kernel.authoring import task as decorator

        shown = self.session.recorder.raw() or f"%%flyte_task {line}\n{cell}"
        compiler = self.session.shell.compile
        filename = compiler.cache(shown, self.session.shell.execution_count - 1, raw_code=shown)
        try:
            code = compile(made.tree(), filename, "exec", compiler.flags, dont_inherit=True)
        except SyntaxError as error:
            raise _unreadable(made.header.name, error, error.lineno or 1) from None
        scratch: dict[str, Any] = {}
        try:
            exec(code, self.session.shell.user_ns, scratch)  # noqa: S102 - the user's own cell
        except NameError as error:
            raise UsageError(
                f"%%flyte_task {made.header.name}: a type or default names {error.name!r}, which the "
                "notebook does not define: import it, or assign it, in a cell before this one"
            ) from None
        try:
            keywords = {key: _evaluated(text) for key, text in made.header.options.items()}
            if made.outputs:
                keywords["output_names"] = made.outputs
            task = decorator(**keywords)(scratch[made.header.name])
        except FlyteJupyterError as error:
            raise UsageError(f"%%flyte_task {made.header.name}: {error}") from None
        self.session.shell.push({made.header.name: task})
        return task, filename


class _Options(argparse.ArgumentParser):
    """Reads a magic's line; what is wrong with it is one line, not an exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%%flyte_task: {message}; %%flyte_task? lists the options")


def _task_options() -> _Options:
    options = _Options(add_help=False, allow_abbrev=False)
    options.add_argument("name")
    options.add_argument("--inputs", default="")
    options.add_argument("--outputs", default="")
    options.add_argument("--retries", type=int)
    for name in ("--cache", "--cpu", "--mem", "--gpu", "--timeout"):
        options.add_argument(name)
    options.add_argument("--reuse", action="store_true")
    options.add_argument("--define-only", action="store_true")
    return options


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error} in: {line}") from None


def _unreadable(name: str, error: SyntaxError, line: int) -> UsageError:
    """That the body isn't Python, with its line in the cell."""
    text = f": {error.text.strip()}" if error.text else ""
    return UsageError(f"%%flyte_task {name}: line {line} of the cell: {error.msg}{text}")


def _header(options: Namespace) -> Header:
    """The task's options as the source of ``@task``'s keyword arguments."""
    asked = {"cpu": options.cpu, "mem": options.mem, "gpu": options.gpu}
    requests = ", ".join(f"{key}={value!r}" for key, value in asked.items() if value is not None)
    keywords = {
        "retries": repr(options.retries) if options.retries is not None else "",
        "cache": repr(options.cache) if options.cache is not None else "",
        "timeout": repr(options.timeout) if options.timeout is not None else "",
        "requests": f"flyte_jupyter.Resources({requests})" if requests else "",
        "reuse": "True" if options.reuse else "",
    }
    given = {key: text for key, text in keywords.items() if text}
    return Header(options.name, options.inputs, options.outputs, given)


def _evaluated(text: str) -> Any:
    """An option that `_header` wrote: a literal, or ``flyte_jupyter.Resources`` of literals."""
    node = ast.parse(text, mode="eval").body
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    from flyte_jupyter.kernel.authoring import Resources

    values = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
    return Resources(**values)


def _called(task: Any, given: Mapping[str, Any], filename: str) -> dict[str, Any]:
    """Run the task here; an exception's traceback begins in the cell, not in this library."""
    __tracebackhide__ = True
    try:
        outputs: dict[str, Any] = task.run(task.interface.bind((), given))
    except FlyteJupyterError:
        raise
    except Exception as error:
        trace = _from(error.__traceback__, filename)
        if trace is None:
            raise
        raise error.with_traceback(trace) from error.__cause__
    return outputs


def _from(trace: TracebackType | None, filename: str) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename != filename:
        trace = trace.tb_next
    return trace
