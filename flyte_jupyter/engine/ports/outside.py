"""What an execution asks of others: child executions, and answers of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flyte_jupyter.engine.compiler.library import LaunchPlanInterface
from flyte_jupyter.engine.core.state import Failure
from flyte_jupyter.engine.ports.executor import Accepted, Rejected
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, EntityId, RunId


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child execution to create: what it runs, what for, and with which inputs. The rest it inherits from its parent."""

    parent: AttemptId
    name: RunId
    launch_plan: core.Identifier
    inputs: str
    """URI of its inputs, a serialised ``LiteralMap``."""
    node: str
    """The parent node's id as clients see it."""
    epoch: int
    """The lease's, of the engine that wants it."""
    recover: RunId | None = None
    """The child of the execution that the parent recovers, to be recovered in its turn; nothing if it was never created."""
    or_else: tuple[RunId, ...] = ()
    """Those of the executions that were recovered before, the last first, for when it was never created."""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a child execution stands: not ended while both are unset."""

    outputs: str | None = None
    """URI of its outputs (``""``: it has none), once it has succeeded."""
    why: Failure | None = None


class Children(Protocol):
    """Executions that other executions start. The end of one reaches its parent's inbox with the commit that ends it."""

    async def launch(self, spec: ChildSpec) -> Accepted | Rejected:
        """Create it if it is absent. Raises `NotNow` for what may pass: the one it recovers has not ended, say.

        Raises `Fenced` once another engine has the lease: the parent may have ended meanwhile.
        """

    async def terminate(self, child: RunId, cause: str) -> None:
        """Ask for its end; nothing if it is unknown or over."""

    async def result(self, child: RunId) -> ChildResult:
        """How it stands."""

    async def interface(self, launch_plan: EntityId) -> LaunchPlanInterface | None:
        """What a registered launch plan takes and gives; None when there is none of that name."""


class Signals(Protocol):
    """What people answer to gates, by run and name."""

    async def open(self, run: RunId, signal: str, kind: core.LiteralType, node: str) -> bool:
        """Let the signal be answered, with a value of this type. Returns whether it is answered already."""

    async def value(self, run: RunId, signal: str) -> core.Literal | None:
        """The answer; None while there is none."""
