"""A person's traceback: without the frames of this runtime, and in notebook cells where the code came from one."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from textwrap import indent

import flyte_jupyter
from flyte_jupyter.kernel.runtime.bundle import Unpacked

_OURS = str(Path(flyte_jupyter.__file__).parent)
_MOST_CHAIN = 10
_MOST_FRAMES = 60


def readable(error: BaseException, bundle: Unpacked | None = None) -> str:
    """The error in one line, then its traceback and those of its causes, the first cause first, as Python orders them."""
    blocks = []
    for at, (link, why) in enumerate(_chain(error)):
        blocks.append(_block(link, bundle))
        if why and at < _MOST_CHAIN:
            blocks.append(why)
    return "\n\n".join([summary(error), *reversed(blocks)])


def summary(error: BaseException) -> str:
    """``ValueError: message``, the way Python ends a traceback, on one line or more as the message has them."""
    lines = traceback.format_exception_only(type(error), error)
    # A syntax error is shown with its source line first; the line that says what it is comes last.
    if isinstance(error, SyntaxError):
        return lines[-1].rstrip("\n")
    text = "".join(lines).rstrip("\n")
    name = type(error).__qualname__
    module = type(error).__module__
    return text.replace(f"{module}.{name}", name, 1) if text.startswith(f"{module}.") else text


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Each error with what links it to the one that follows (which happened before it)."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen and len(seen) <= _MOST_CHAIN:
        seen.add(id(now))
        if now.__cause__ is not None:
            before = now.__cause__
            why = "The above was the direct cause of the following:"
        elif now.__context__ is not None and not now.__suppress_context__:
            before = now.__context__
            why = "While handling the above, another error occurred:"
        else:
            before, why = None, ""
        yield now, why
        now = before


def _block(error: BaseException, bundle: Unpacked | None) -> str:
    frames = _frames(error)
    lines = ["Traceback (most recent call last):"] if frames else []
    for at, frame in enumerate(frames):
        if len(frames) > _MOST_FRAMES and at == _MOST_FRAMES // 2:
            lines.append(f"  [{len(frames) - _MOST_FRAMES} more frames]")
        if _MOST_FRAMES // 2 <= at < len(frames) - _MOST_FRAMES // 2 and len(frames) > _MOST_FRAMES:
            continue
        lines.append(f"  {_place(frame, bundle)}, in {frame.name}")
        if frame.line:
            lines.append(f"    {frame.line}")
    if isinstance(error, SyntaxError):
        lines += _syntax_place(error, bundle)
    lines.append(summary(error))
    if isinstance(error, BaseExceptionGroup):
        for each in islice(_leaves(error), _MOST_CHAIN):
            lines += ["", indent(f"One of them:\n{_block(each, bundle)}", "  ")]
    return "\n".join(lines)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors in a group, in groups inside it too."""
    waiting: list[BaseException] = [group]
    while waiting:
        now = waiting.pop()
        if isinstance(now, BaseExceptionGroup):
            waiting += reversed(now.exceptions)
        else:
            yield now


def _frames(error: BaseException) -> Sequence[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith((_OURS, "<frozen importlib"))]
    if theirs or not frames:
        # Importing the bundle goes through importlib's own file too.
        return [f for f in theirs if not f.filename.endswith("importlib/__init__.py")]
    return frames


def _place(frame: traceback.FrameSummary, bundle: Unpacked | None) -> str:
    return place(frame.filename, frame.lineno or 0, bundle)


def place(filename: str, line: int, bundle: Unpacked | None) -> str:
    """``Cell "label", line 7`` or ``File "path", line 7``; paths inside the bundle are relative to it."""
    cell = bundle.cell_at(filename, line) if bundle else None
    if cell is not None:
        return f'Cell "{cell.label}", line {line - cell.first + cell.cell_line}'
    if bundle and Path(filename).is_relative_to(bundle.folder):
        filename = str(Path(filename).relative_to(bundle.folder))
    return f'File "{filename}", line {line}'


def _syntax_place(error: SyntaxError, bundle: Unpacked | None) -> list[str]:
    where = f"  {place(error.filename or '<unknown>', error.lineno or 0, bundle)}"
    return [where, f"    {(error.text or '').strip()}"]
