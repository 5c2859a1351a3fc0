"""Secrets of an attempt, which its own process reads from the files that it is told of: nobody before it has their values.

``python -m flyte_jupyter.kernel.runtime.secrets COMMAND...`` becomes a command that has them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_TOLD = "_FLYTE_JUPYTER_SECRETS"


def are_told(env: Mapping[str, str]) -> bool:
    """Whether there is anything to read for an attempt with these variables."""
    return _TOLD in env


def with_secrets(env: Mapping[str, str]) -> Mapping[str, str]:
    """The variables with those that are read from files; other files are linked where the task looks for them.

    Raises `OSError`, which names the file, or `ValueError`.
    """
    if _TOLD not in env:
        return env
    order = json.loads(env[_TOLD])
    for link, path in order["links"].items():
        _link(Path(link), path)
    found = {name: value for name, value in env.items() if name != _TOLD}
    return found | {name: _value(path) for name, path in order["variables"].items()}


def settle() -> None:
    """Have them in this process, which was started anew for one attempt. Raises as `with_secrets`."""
    found = with_secrets(os.environ)
    if found is not os.environ:
        os.environ.update(found)
        del os.environ[_TOLD]


def _link(link: Path, path: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    # Left by a process that was to be this attempt and never ran.
    with suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(path)


def _value(path: str) -> str:
    """What a file says, without the end of its line, as a shell would take it."""
    return os.fsdecode(Path(path).read_bytes()).removesuffix("\n")


def main() -> None:
    """Become the command that follows."""
    settle()
    # Python ignores this one, and what it ignores stays ignored after exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # running the task's command is the job


if __name__ == "__main__":
    main()
