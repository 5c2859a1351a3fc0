"""Answers to gates in dictionaries."""

from __future__ import annotations

from flyte_jupyter.engine.adapters.memory.runs import MemoryRuns
from flyte_jupyter.engine.core.observations import SignalSet
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import RunId


class MemorySignals:
    """Signals of runs: opened by the engine, answered by people."""

    def __init__(self, runs: MemoryRuns) -> None:
        self._runs = runs
        self.opened: dict[tuple[RunId, str], core.LiteralType] = {}
        self.answers: dict[tuple[RunId, str], core.Literal] = {}

    async def open(self, run: RunId, signal: str, kind: core.LiteralType, node: str) -> bool:
        """Let the signal be answered. Returns whether it is answered already."""
        assert node, "a signal belongs to a node"
        self.opened.setdefault((run, signal), kind)
        return (run, signal) in self.answers

    async def value(self, run: RunId, signal: str) -> core.Literal | None:
        """The answer; None while there is none."""
        return self.answers.get((run, signal))

    def answer(self, run: RunId, signal: str, value: core.Literal) -> None:
        """What a person does. Raises `KeyError` for a signal that is not open."""
        if (run, signal) not in self.opened:
            raise KeyError(f"{run} waits for no signal {signal}")
        self.answers[run, signal] = value
        self._runs.post(run, SignalSet(signal))
