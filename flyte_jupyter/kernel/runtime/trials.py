"""A zygote's forks on trial: each becomes a warm parent, or says why it cannot be one."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.kernel.runtime import warming
from flyte_jupyter.kernel.runtime.births import Fork
from flyte_jupyter.kernel.runtime.isolation import Preloads
from flyte_jupyter.kernel.runtime.warming import Order, Warming


@dataclass(slots=True)
class Trials:
    """All that are under way. `serve` is the life of one that is fit, `tell` hears of every conclusion.

    What was preloaded here is in every fork, imported without an order's variables: no fork is fit for those then.
    """

    selector: selectors.BaseSelector
    fork: Fork
    serve: Callable[[Order], int]
    tell: Callable[[Mapping[str, Any]], None]
    preloads: Preloads
    _begun: dict[int, Warming] = field(default_factory=dict)

    def begin(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Put one on trial, as a ``warm`` message asks. Gives the answer if it could not even begin."""
        try:
            order = Order.read(message)
            if order.variables and self.preloads:
                return self._failed(order.key, "what was preloaded here has not seen its variables")
            begun = warming.begin(order, self.fork, self.serve)
        except (KeyError, TypeError, ValueError, OSError) as e:
            return self._failed(message["key"], f"{type(e).__name__}: {e}")
        self._begun[begun.reader] = begun
        self.selector.register(begun.reader, selectors.EVENT_READ, lambda _: self._follow(begun))
        return None

    def _failed(self, key: str, why: str) -> Mapping[str, Any]:
        return {"op": "warmed", "key": key, "outcome": "cold", "what": "", "why": why}

    def stop(self, key: str) -> None:
        """End the one of this name."""
        for begun in self._begun.values():
            if begun.key == key:
                begun.stop()

    def ended(self, pid: int) -> None:
        """A process is over, perhaps one on trial."""
        for begun in [each for each in self._begun.values() if each.pid == pid]:
            self._follow(begun, ended=True)

    def _follow(self, begun: Warming, *, ended: bool = False) -> None:
        if begun.listen() and not begun.over and not ended:
            return
        del self._begun[begun.reader]
        self.selector.unregister(begun.reader)
        os.close(begun.reader)
        self.tell(begun.answer())
