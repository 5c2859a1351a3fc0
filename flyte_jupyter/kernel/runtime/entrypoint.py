"""``flyte-jupyter-execute``: the command that a container, or a local process, runs for one attempt."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from flyte_jupyter.kernel.runtime import isolation, secrets, storage
from flyte_jupyter.kernel.runtime.execute import Arguments, Handed, execute

_OPTIONS = {
    "--inputs": "inputs",
    "--output-prefix": "output_prefix",
    "--raw-output-data-prefix": "raw_output_prefix",
    "--checkpoint-path": "checkpoint",
    "--prev-checkpoint": "previous_checkpoint",
    "--bundle": "bundle",
    "--entity": "entity",
}
_REQUIRED = frozenset(("inputs", "output_prefix", "bundle", "entity"))
_USAGE_STATUS = 2


class UsageError(Exception):
    """The command line is wrong."""


def parse(words: Sequence[str]) -> Arguments:
    """The command line without the program's name. By hand, since argparse costs as much as a whole attempt may.

    Raises `UsageError`.
    """
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, value = _OPTIONS.get(word), ""
        if name is None:
            option, _, value = word.partition("=")
            name = _OPTIONS.get(option)
            if name is None:
                raise UsageError(f"unknown argument {word!r}; known are {', '.join(_OPTIONS)}")
        else:
            try:
                value = next(rest)
            except StopIteration:
                raise UsageError(f"{word} needs a value") from None
        # Flyte fills a template that has no value with two quotes.
        given[name] = "" if value == '""' else value
    if not given.keys() >= _REQUIRED:
        missing = [o for o, name in _OPTIONS.items() if name in _REQUIRED - given.keys()]
        raise UsageError(f"missing {', '.join(missing)}")
    return Arguments(**given)


def lay_down(words: Sequence[str], inputs: bytes) -> None:
    """Write inputs where a command line says that they stand, for a process that cannot be handed them. Raises `OSError`."""
    storage.write(parse(words).inputs, inputs)


def run(
    words: Sequence[str], environ: Mapping[str, str] = os.environ, handed: Handed | None = None
) -> int:
    """Run one attempt; `words` is the command line without the program's name. Gives the exit status.

    `environ` is what `os.environ` says, for whoever has it at hand: to ask that takes longer.
    """
    try:
        arguments = parse(words)
    except UsageError as e:
        print(f"flyte-jupyter-execute: {e}", file=sys.stderr)  # noqa: T201  # a command speaks there
        return _USAGE_STATUS
    return execute(arguments, environ, handed)


def main() -> None:
    """The console script. Leaves the process with the exit status of `run`."""
    isolation.gather_orphans()
    secrets.settle()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
