"""``flyte-jupyter-execute``: the command that a container, or a local process, runs for one attempt."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flyte_jupyter.kernel.runtime import isolation, storage
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
_REQUIRED = ("inputs", "output_prefix", "bundle", "entity")
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
        option, assigned, value = word.partition("=")
        if option not in _OPTIONS:
            raise UsageError(f"unknown argument {word!r}; known are {', '.join(_OPTIONS)}")
        if not assigned:
            try:
                value = next(rest)
            except StopIteration:
                raise UsageError(f"{option} needs a value") from None
        # Flyte fills a template that has no value with two quotes.
        given[_OPTIONS[option]] = "" if value == '""' else value
    missing = [o for o, name in _OPTIONS.items() if name in _REQUIRED and name not in given]
    if missing:
        raise UsageError(f"missing {', '.join(missing)}")
    return Arguments(**given)


def lay_down(words: Sequence[str], inputs: bytes) -> None:
    """Write inputs where a command line says that they stand, for a process that cannot be handed them. Raises `OSError`."""
    storage.write(parse(words).inputs, inputs)


def run(words: Sequence[str], handed: Handed | None = None) -> int:
    """Run one attempt; `words` is the command line without the program's name. Gives the exit status."""
    try:
        arguments = parse(words)
    except UsageError as e:
        print(f"flyte-jupyter-execute: {e}", file=sys.stderr)  # noqa: T201  # a command speaks there
        return _USAGE_STATUS
    return execute(arguments, handed=handed)


def main() -> None:
    """The console script. Leaves the process with the exit status of `run`."""
    isolation.gather_orphans()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
