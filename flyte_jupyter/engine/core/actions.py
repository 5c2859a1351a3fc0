"""Everything that may go out of the machine. Each is safe to do twice.

Questions (`ResolveInputs`, `Probe`, `Collect`, `Gather`, `ReadSignal`) change nothing that this run or its attempts depend on, and
asking twice is the same as once, so the shell may answer them before it commits. Effects (`Launch`, `Kill`, `Reap`, `Release`,
`OpenGate`) are done only after the commit that asked for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.idl.ids import Path


@dataclass(frozen=True, slots=True)
class ResolveInputs:
    """Bind the node's inputs and write them.

    Answer: `InputsReady`, `ItemsReady` of an array node, `BranchChosen` of a branch, or `InputsUnresolvable`; in a recovery
    also `Recovered` or `Expanded`.
    """

    path: Path


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the catalog for outputs of the same inputs. Answer: `CacheHit`, `CacheMiss` or `CacheReserved`.

    Of a serialised cache a miss comes with the reservation: this node is the one that computes.
    """

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Collect:
    """Read what the attempt left, and have the catalog remember it. Answer: `AttemptSucceeded`, `AttemptFailed` or `Expanded`."""

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
class Release:
    """The node no longer computes what its reservation in the catalog is for. No answer."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Let people answer the gate's signal; if it is answered already, `SignalSet` comes back."""

    path: Path


@dataclass(frozen=True, slots=True)
class ReadSignal:
    """Look at the gate's signal. Answer: `GateOpened`, `GateRefused`, or `SignalUnset` when there is no answer yet."""

    path: Path


@dataclass(frozen=True, slots=True)
class Gather:
    """Put the outputs of an array node's items together. Answer: `Gathered` or `InputsUnresolvable`."""

    path: Path


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send a `Tick` then."""

    when: datetime


Question = ResolveInputs | Probe | Collect | Gather | ReadSignal
Effect = Launch | Kill | Reap | Release | OpenGate
Action = Question | Effect | WakeAt
