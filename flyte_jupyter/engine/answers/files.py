"""Literals in blobs: read once, written as they are, and those that are too large for their place kept beside it."""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from flyte_jupyter.engine.answers.alike import Bound
from flyte_jupyter.engine.ports import BlobNotFound, BlobOutside, Blobs
from flyte_jupyter.idl import core, digests, literals

MOST_REMEMBERED = 2048
MOST_BYTES = 1 << 26
"""How many parsed literal maps are kept, and how many bytes they may have had in all; the last one always is."""
_MIB = 1 << 20
_NOTHING: Mapping[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Offload:
    """Literals from `least` MiB on are kept in files of their own; ones of more than `most` MiB are refused (Flyte's figures)."""

    least: float = 10.0
    most: float = 1000.0


class LiteralFiles:
    """Reads and writes literal maps. What stands at a URI never changes, so it is read once."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self._parsed: OrderedDict[str, tuple[core.LiteralMap, int]] = OrderedDict()
        self._bytes = 0
        self._written: OrderedDict[str, None] = OrderedDict()

    async def read(
        self, uri: str, unsaved: Mapping[str, bytes] = _NOTHING, *, keep: bool = True
    ) -> core.LiteralMap:
        """A literal map; `keep` it when somebody else may want it too. Raises `BindingError` when there is none.

        `unsaved` has by their URIs those that are nowhere yet, because their run has not been committed with them.
        """
        known = self.known(uri)
        if known is not None:
            return known
        try:
            data = unsaved[uri] if uri in unsaved else await self.blobs.get(uri)
            parsed = core.LiteralMap.FromString(data)
        except BlobNotFound as error:
            raise literals.BindingError(str(error)) from error
        except DecodeError as error:
            raise literals.BindingError(f"{uri} holds no literals: {error}") from error
        if keep:
            self.keep(uri, parsed, len(data))
        return parsed

    def known(self, uri: str) -> core.LiteralMap | None:
        """A literal map that was read or kept before, always the same one; None when it would have to be read."""
        known = self._parsed.get(uri)
        if known is None:
            return None
        self._parsed.move_to_end(uri)
        return known[0]

    async def read_many(
        self, uris: Iterable[str], unsaved: Mapping[str, bytes]
    ) -> dict[str, core.LiteralMap]:
        """Many literal maps, as far as they can be read; who asks for one of the others by itself is told why it cannot."""
        found, missing = {}, []
        for uri in uris:
            known = self._parsed.get(uri)
            if known is not None:
                found[uri] = known[0]
            elif uri not in unsaved:
                missing.append(uri)
        for uri, data in (await self.blobs.several(missing)).items():
            with suppress(DecodeError):
                found[uri] = core.LiteralMap.FromString(data)
        return found

    async def write(self, uri: str, content: core.LiteralMap) -> None:
        """Write a literal map."""
        data = content.SerializeToString(deterministic=True)
        await self.blobs.put(uri, data)
        self.keep(uri, content, len(data))
        self._note_written(uri)

    async def write_bound(self, uri: str, bound: Bound) -> None:
        """Write a node's inputs."""
        await self.blobs.put(uri, bound.data)
        self.keep(uri, bound.inputs, len(bound.data))
        self._note_written(uri)

    async def lay_down(self, uri: str) -> None:
        """See that there is a file, for somebody who reads it without us; who finds none says so."""
        if uri not in self._written:
            with suppress(BlobNotFound):
                await self.blobs.copy(uri, uri)
                self._note_written(uri)

    def _note_written(self, uri: str) -> None:
        self._written[uri] = None
        if len(self._written) > MOST_REMEMBERED:
            self._written.popitem(last=False)

    def keep(self, uri: str, parsed: core.LiteralMap, size: int) -> None:
        """Remember what stands at a URI. Whoever gives it must not change it any more."""
        before = self._parsed.pop(uri, None)
        self._bytes += size - (before[1] if before is not None else 0)
        self._parsed[uri] = parsed, size
        while len(self._parsed) > MOST_REMEMBERED or (
            self._bytes > MOST_BYTES and len(self._parsed) > 1
        ):
            _, (_, gone) = self._parsed.popitem(last=False)
            self._bytes -= gone

    async def opened(self, literal: core.Literal) -> core.Literal:
        """A literal itself, be it offloaded or not. Raises `BindingError`."""
        if not literal.HasField("offloaded_metadata"):
            return literal
        uri = literal.offloaded_metadata.uri
        try:
            return core.Literal.FromString(await self.blobs.get(uri))
        except BlobNotFound as error:
            raise literals.BindingError(f"the offloaded value is gone: {error}") from error
        except BlobOutside as error:
            raise literals.BindingError(f"the offloaded value cannot be read: {error}") from error
        except DecodeError as error:
            raise literals.BindingError(f"{uri} holds no literal: {error}") from error

    async def part(self, literal: core.Literal, path: literals.AttributePath) -> core.Literal:
        """The part of a literal at an attribute path; offloaded ones on the way are read."""
        for place, step in enumerate(path):
            literal = await self.opened(literal)
            if literal.scalar.HasField("union"):
                literal = await self.opened(literal.scalar.union.value)
            if literal.WhichOneof("value") not in ("collection", "map"):
                return literals.attribute(literal, path[place:])
            literal = literals.attribute(literal, (step,))
        return literal

    async def offload(
        self, prefix: str, content: core.LiteralMap, kinds: core.VariableMap, limits: Offload
    ) -> None:
        """Replace every literal that is large enough by where it is kept below `prefix`. Raises `BindingError`."""
        for name in sorted(content.literals):
            literal = content.literals[name]
            size = literal.ByteSize()
            if literal.HasField("offloaded_metadata") or size < limits.least * _MIB:
                continue
            if size > limits.most * _MIB:
                raise literals.BindingError(
                    f"{name} has {size} bytes, at most {limits.most:g} MiB are allowed"
                )
            uri = f"{prefix}/{name}_offloaded_metadata.pb"
            await self.blobs.put(uri, literal.SerializeToString(deterministic=True))
            instead = core.Literal(
                hash=literal.hash or _short_hash(literal),
                offloaded_metadata=core.LiteralOffloadedMetadata(
                    uri=uri, size_bytes=size, inferred_type=kinds.variables[name].type
                ),
            )
            content.literals[name].CopyFrom(instead)


def _short_hash(literal: core.Literal) -> str:
    digest = bytes.fromhex(digests.literal_digest(literal))
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
