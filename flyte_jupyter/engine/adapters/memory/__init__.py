"""Every port in memory: for trying the engine without a world, and for tests that replay one by hand.

They keep each port's promises (`tests/ports` says so) and are as deterministic as the code that uses them: no
threads, no clock of their own, no randomness.
"""

from flyte_jupyter.engine.adapters.memory.blobs import MemoryBlobs
from flyte_jupyter.engine.adapters.memory.catalog import MemoryCatalog
from flyte_jupyter.engine.adapters.memory.children import MemoryChildren, MemoryLaunchPlan
from flyte_jupyter.engine.adapters.memory.clock import EPOCH, ManualClock
from flyte_jupyter.engine.adapters.memory.executor import MemoryExecutor, Work
from flyte_jupyter.engine.adapters.memory.runs import MemoryRuns, NewRun
from flyte_jupyter.engine.adapters.memory.signals import MemorySignals

__all__ = [
    "EPOCH",
    "ManualClock",
    "MemoryBlobs",
    "MemoryCatalog",
    "MemoryChildren",
    "MemoryExecutor",
    "MemoryLaunchPlan",
    "MemoryRuns",
    "MemorySignals",
    "NewRun",
    "Work",
]
