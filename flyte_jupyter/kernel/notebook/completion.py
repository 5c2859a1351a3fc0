"""Completion of ``%flyte`` and ``%%flyte_task`` lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from flyte_jupyter.kernel.notebook import commands
from flyte_jupyter.kernel.notebook.session import Session

_FLYTE = re.compile(r"^\s*(?:\w+\s*=\s*)?%flyte\s+(.*)$", re.DOTALL)
_TASK = re.compile(r"^\s*%%flyte_task\s+(.*)$")
_TASK_OPTIONS = (
    "--inputs", "--outputs", "--retries", "--cache", "--cpu", "--mem", "--gpu", "--timeout",
    "--reuse", "--define-only",
)  # fmt: skip


def matcher_for(session: Session) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """A matcher for IPython's completer, over what ``session``'s notebook defined."""

    def flyte_matcher(context: CompletionContext) -> SimpleMatcherResult:
        line = context.full_text.splitlines()[context.cursor_line : context.cursor_line + 1]
        before = line[0][: context.cursor_position] if line else ""
        found = [word for word in candidates(session, before) if word.startswith(context.token)]
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text=word, type="flyte") for word in found],
            suppress=bool(found),
        )

    marked: Callable[[CompletionContext], SimpleMatcherResult] = context_matcher()(flyte_matcher)
    return marked


def candidates(session: Session, before: str) -> list[str]:
    """The words that may stand where the text ``before`` the cursor ends."""
    if match := _TASK.match(before):
        return [option for option in _TASK_OPTIONS if option not in match[1].split()]
    match = _FLYTE.match(before)
    if not match:
        return []
    words = match[1].split()
    if match[1] and not match[1][-1].isspace():
        words = words[:-1]
    if not words:
        return list(commands.COMMANDS)
    return _arguments(session, words[0], words[1:])


def _arguments(session: Session, command: str, words: list[str]) -> list[str]:
    names = session.shell.user_ns
    if command == "run":
        if not words:
            return commands.entities(names)
        entity: Any = names.get(words[0])
        inputs = list(entity.interface.inputs) if commands.is_entity(entity) else []
        return [o for o in [*(f"--{name}" for name in inputs), "--wait"] if o not in words]
    if command == "register":
        return [name for name in commands.entities(names) if name not in words]
    if command == "preview" and not words:
        return commands.entities(names)
    if command == "logs" and not words and session.latest is not None:
        return [str(node.id) for node in session.latest.nodes]
    if command in {"status", "abort", "logs"} and session.latest is not None:
        return [str(session.latest.name)]
    return []
