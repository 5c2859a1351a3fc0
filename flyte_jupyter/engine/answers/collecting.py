"""What an attempt left: outputs, an error, or a graph to run (contract of ``docs/protocol.md``, section 3)."""

from __future__ import annotations

import binascii
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import DecodeError

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.files import LiteralFiles
from flyte_jupyter.engine.answers.places import Place
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.ports import BlobNotFound
from flyte_jupyter.idl import core, types
from flyte_jupyter.idl.ids import AttemptId
from flyte_jupyter.idl.texts import both_ends

MOST_OUTPUT_BYTES = 10 * 1024 * 1024
"""Larger outputs are refused (Flyte: ``max-output-size-bytes``)."""
MOST_GRAPH_BYTES = 256 * 1024 * 1024
"""What a dynamic task leaves as its graph is not read when it is larger: 50,000 nodes take a tenth of that."""
MOST_MESSAGE = 100 * 1024
"""Characters of an error's message that are kept, as Flyte keeps them: a message stands in the rows of its attempt, node and run."""
FUTURES, OUTPUTS, ERROR, DECK = "futures.pb", "outputs.pb", "error.pb", "deck.html"

_STOPPED_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(slots=True)
class Remains:
    """What was found of an attempt: `why` it is no success; or else `futures` to run, or outputs."""

    why: Failure | None = None
    futures: bool = False
    deck: str = ""
    outputs: core.LiteralMap | None = None
    size: int = 0
    """Of the outputs, in bytes."""
    handed: bytes | None = None
    """The outputs, of an attempt that left no file of them."""


class Collector:
    """Reads an attempt's folder: one listing, then what stands there."""

    def __init__(self, files: LiteralFiles, most_bytes: int = MOST_OUTPUT_BYTES) -> None:
        self._files = files
        self._blobs = files.blobs
        self._most_bytes = most_bytes

    async def remains(self, place: Place, attempt: AttemptId, how: Exit) -> Remains:
        """What the attempt left, judged in Flyte's order: a graph, an error, outputs."""
        prefix = layout.output_prefix(self._blobs.root, attempt)
        if how.outputs is not None and how.why is None and how.code == 0:
            return self._handed(place, f"{prefix}/{OUTPUTS}", how.outputs)
        names = await self._blobs.names(prefix)
        deck = f"{prefix}/{DECK}" if DECK in names else ""
        if how.why is not None:
            return Remains(how.why, deck=deck)
        killed = how.signal is not None
        if FUTURES in names and not killed and not how.code:
            if names[FUTURES] > MOST_GRAPH_BYTES:
                return Remains(_huge_graph(place, names[FUTURES]), deck=deck)
            return Remains(futures=True, deck=deck)
        why = await self._declared_error(prefix, names)
        if why is not None:
            return Remains(why, deck=deck)
        if killed:
            return Remains(_killed(how.signal), deck=deck)
        if how.code:
            message = f"the process exited with status {how.code} and wrote no error"
            return Remains(Failure("NonZeroExit", message, retryable=True), deck=deck)
        return await self._outputs(place, f"{prefix}/{OUTPUTS}", names, how, deck)

    def _handed(self, place: Place, uri: str, text: str) -> Remains:
        """Outputs that came with the news of the attempt's end, which are then all that it left."""
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
            given = core.LiteralMap.FromString(data)
        except (ValueError, DecodeError) as error:
            return Remains(_unreadable(error))
        if len(data) > self._most_bytes:
            return Remains(self._too_large(len(data)))
        why = _invalid(given, place)
        if why is None:
            self._files.keep(uri, given, len(data))
        return Remains(why, outputs=given, size=len(data), handed=data)

    def _too_large(self, size: int) -> Failure:
        message = (
            f"the outputs have {size} bytes, more than the {self._most_bytes} that are allowed: "
            "give large data as files or tables"
        )
        return Failure("OutputSizeExceeded", message)

    async def _declared_error(self, prefix: str, names: Mapping[str, int]) -> Failure | None:
        """What the error documents say; of those of a distributed task's workers the earliest counts (Flyte: ``_F_DES``)."""
        documents = [
            name
            for name in sorted(names)
            if name == ERROR or (name.startswith("error-") and name.endswith(".pb"))
        ]
        if huge := [name for name in documents if names[name] > self._most_bytes]:
            message = f"its error {huge[0]} has {names[huge[0]]} bytes, too many to be read"
            return Failure("ErrorSizeExceeded", message)
        errors = [await self._error(f"{prefix}/{name}") for name in documents]
        valid = [error for error in errors if error is not None]
        return min(valid, key=_when)[1] if valid else None

    async def _error(self, uri: str) -> tuple[datetime | None, Failure] | None:
        try:
            error = core.ErrorDocument.FromString(await self._blobs.get(uri)).error
        except (BlobNotFound, DecodeError):
            return None
        if not error.code and not error.message:
            return None
        system = error.origin == core.ExecutionError.SYSTEM
        worker = f"[{error.worker}] " if error.worker else ""
        failure = Failure(
            code=error.code or "Unknown",
            message=both_ends(f"{worker}{error.message}", MOST_MESSAGE),
            blame=Blame.SYSTEM if system else Blame.USER,
            retryable=error.kind == core.ContainerError.RECOVERABLE,
        )
        stamped = error.HasField("timestamp")
        return (error.timestamp.ToDatetime(tzinfo=UTC) if stamped else None), failure

    async def _outputs(
        self, place: Place, uri: str, names: Mapping[str, int], how: Exit, deck: str
    ) -> Remains:
        gives = place.called.gives
        size, handed = names.get(OUTPUTS), None
        if size is not None and size > self._most_bytes:
            return Remains(self._too_large(size), deck=deck)
        try:
            # Also when it is not listed: some stores list late.
            data = await self._blobs.get(uri)
            given = core.LiteralMap.FromString(data)
        except BlobNotFound:
            if how.code is None or gives:
                return Remains(_nothing_left(how, place), deck=deck)
            # A container that declares no outputs need not know how none are written (Flyte's ValidateOutput).
            given, data, handed = core.LiteralMap(), b"", b""
        except DecodeError as error:
            return Remains(_unreadable(error), deck=deck)
        why = _invalid(given, place)
        if why is None:
            self._files.keep(uri, given, len(data))
        return Remains(why, deck=deck, outputs=given, size=len(data), handed=handed)


def _unreadable(error: Exception) -> Failure:
    message = f"what it wrote as its outputs is not readable: {error}"
    return Failure("OutputsInvalid", message, retryable=True)


def _huge_graph(place: Place, size: int) -> Failure:
    message = f"node {place.name}: its graph has {size} bytes, the most is {MOST_GRAPH_BYTES}"
    return Failure("DynamicWorkflowBuildFailed", message)


def _when(error: tuple[datetime | None, Failure]) -> datetime:
    return error[0] or datetime.max.replace(tzinfo=UTC)


def _invalid(given: core.LiteralMap, place: Place) -> Failure | None:
    found = given.literals
    for name, kind in place.called.gives:
        if name not in found:
            return Failure("OutputsInvalid", f"output {name!r} was not written")
        if why := types.mismatch(found[name], kind):
            return Failure("OutputsInvalid", f"output {name!r}: {why}")
    return None


def _nothing_left(how: Exit, place: Place) -> Failure:
    if how.code is None:
        message = "the process is gone, nobody saw how it ended, and it left no outputs"
        return Failure("Lost", message, Blame.SYSTEM, retryable=True)
    names = ", ".join(name for name, _ in place.called.gives) or "none declared"
    message = (
        f"the process exited with status 0 and wrote no outputs (expected: {names}); "
        "it ended before the task returned, as with os._exit"
    )
    return Failure("OutputsNotFound", message, retryable=True)


def _killed(number: int | None) -> Failure:
    try:
        name = signal.Signals(number or 0).name
    except ValueError:
        name = f"signal {number}"
    outside = number in _STOPPED_FROM_OUTSIDE
    message = f"the process was ended by {name}"
    return Failure("Killed", message, Blame.SYSTEM if outside else Blame.USER, retryable=True)
