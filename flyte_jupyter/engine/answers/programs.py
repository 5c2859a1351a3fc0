"""Compiled closures made ready to run, each once for all runs that have the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from flyte_jupyter.engine.program import Policies, Program, program_of
from flyte_jupyter.idl import core

LARGE = 1 << 18
"""A closure of more bytes is made ready in a thread, so that nobody waits for it."""

_Key = tuple[str, str, Policies]


class Programs:
    """The programs that were used last, by the digest of their closure."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._made: OrderedDict[_Key, Program] = OrderedDict()

    async def get(
        self, digest: str, closure: bytes, policies: Policies, *, expansion: bool = False
    ) -> Program:
        """The program of a serialised closure. An `expansion` is what a dynamic task made: its workflows' keys say so."""
        prefix = f"{digest}:" if expansion else ""
        key = (digest, prefix, policies)
        made = self._made.get(key)
        if made is None:
            if len(closure) > LARGE:
                made = await asyncio.to_thread(_make, closure, prefix, policies, digest)
            else:
                made = _make(closure, prefix, policies, digest)
        self._made[key] = made
        self._made.move_to_end(key)
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        return made


def _make(closure: bytes, prefix: str, policies: Policies, digest: str) -> Program:
    message = core.CompiledWorkflowClosure.FromString(closure)
    return program_of(message, prefix, policies, digest)
