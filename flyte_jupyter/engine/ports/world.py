"""Everything together."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_jupyter.engine.ports.blobs import Blobs
from flyte_jupyter.engine.ports.catalog import Catalog
from flyte_jupyter.engine.ports.clock import Clock
from flyte_jupyter.engine.ports.executor import Executor
from flyte_jupyter.engine.ports.outside import Children, Signals
from flyte_jupyter.engine.ports.runs import Runs


@dataclass(frozen=True, slots=True)
class Ports:
    """The world that an engine works in."""

    runs: Runs
    executor: Executor
    blobs: Blobs
    catalog: Catalog
    clock: Clock
    children: Children
    signals: Signals
