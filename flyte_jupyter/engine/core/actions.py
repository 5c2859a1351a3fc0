"""Everything that may go out of the machine. Each is safe to do twice.

Questions (`ResolveInputs`, `Probe`, `Collect`) change nothing that anybody else sees, so the shell may answer them before
it commits. Effects (`Launch`, `Kill`, `Reap`, `Remember`) are done only after the commit that asked for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.idl.ids import Path


@dataclass(frozen=True, slots=True)
class ResolveInputs:
    """Bind the node's inputs and write them. Answer: `InputsReady` or `InputsUnresolvable`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the catalog for outputs of the same inputs. Answer: `CacheHit` or `CacheMiss`."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Collect:
    """Read what the attempt left. Answer: `AttemptSucceeded` or `AttemptFailed`."""

    path: Path
    attempt: int
    how: Exit


@dataclass(frozen=True, slots=True)
class Launch:
    """Create the attempt if it is absent. Answer: `AttemptAccepted` or `AttemptRejected`."""

    path: Path
    attempt: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Delete the attempt if it is present. No answer."""

    path: Path
    attempt: int


@dataclass(frozen=True, slots=True)
class Reap:
    """The attempt's end is recorded: the executor may forget it. No answer."""

    path: Path
    attempt: int


@dataclass(frozen=True, slots=True)
class Remember:
    """Put the node's outputs into the catalog. No answer: a failing catalog never fails a run."""

    path: Path
    attempt: int
    digest: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send a `Tick` then."""

    when: datetime


Question = ResolveInputs | Probe | Collect
Effect = Launch | Kill | Reap | Remember
Action = Question | Effect | WakeAt
