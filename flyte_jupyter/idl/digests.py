"""Names made from content: equal messages have equal digests, whatever order their maps were filled in.

A digest is the lower-case hexadecimal SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Protocol

from google.protobuf.message import Message

from flyte_jupyter.idl import core


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def message_digest(message: Message) -> str:
    """The digest of a whole message, as far as this version of its schema knows its fields."""
    return serialised_digest(message.SerializeToString(deterministic=True))


def serialised_digest(data: bytes) -> str:
    """The same, of a message that is serialised already, with its maps in order."""
    return hashlib.sha256(data).hexdigest()


def literal_digest(literal: core.Literal) -> str:
    """The digest of a literal's content. A `hash` inside it stands for the value that carries it."""
    hashed = hashlib.sha256()
    _feed(literal, hashed)
    return hashed.hexdigest()


def literals_digest(literals: core.LiteralMap, ignored: Collection[str] = ()) -> str:
    """The digest of named literals without the `ignored` ones: what a cache key is made from."""
    hashed = hashlib.sha256()
    for name in sorted(literals.literals):
        if name not in ignored:
            _feed_part(b"n", name.encode(), hashed)
            _feed(literals.literals[name], hashed)
    return hashed.hexdigest()


def interface_digest(interface: core.TypedInterface) -> str:
    """The digest of an interface's names and types; descriptions do not count."""
    hashed = hashlib.sha256()
    for side, variables in (("in", interface.inputs), ("out", interface.outputs)):
        _feed_part(b"s", side.encode(), hashed)
        for name in sorted(variables.variables):
            kind = variables.variables[name].type
            _feed_part(b"n", name.encode(), hashed)
            _feed_part(b"t", kind.SerializeToString(deterministic=True), hashed)
    return hashed.hexdigest()


def _feed(literal: core.Literal, hashed: _Hash) -> None:
    if literal.hash:
        _feed_part(b"h", literal.hash.encode(), hashed)
        return
    match literal.WhichOneof("value"):
        case "collection":
            _feed_part(b"c", str(len(literal.collection.literals)).encode(), hashed)
            for item in literal.collection.literals:
                _feed(item, hashed)
        case "map":
            _feed_part(b"m", str(len(literal.map.literals)).encode(), hashed)
            for key in sorted(literal.map.literals):
                _feed_part(b"k", key.encode(), hashed)
                _feed(literal.map.literals[key], hashed)
        case "scalar" if literal.scalar.HasField("union"):
            union = literal.scalar.union
            if not _says_its_type(union):
                _feed_part(b"u", union.type.SerializeToString(deterministic=True), hashed)
            _feed(union.value, hashed)
        case "scalar":
            _feed_part(b"v", literal.scalar.SerializeToString(deterministic=True), hashed)
        case "offloaded_metadata":
            uri = literal.offloaded_metadata.uri
            _feed_part(b"o", uri.encode(), hashed)
        case _:
            _feed_part(b"e", b"", hashed)


def _says_its_type(union: core.Union) -> bool:
    """Whether the value alone tells which variant of the union it is; the same bytes may be of two data classes, or enum and text."""
    value = union.value.scalar
    if union.value.WhichOneof("value") != "scalar" or value.WhichOneof("value") in (
        "binary",
        "generic",
    ):
        return False
    return not (value.primitive.HasField("string_value") and union.type.HasField("enum_type"))


def _feed_part(kind: bytes, data: bytes, hashed: _Hash) -> None:
    # The length keeps neighbours apart: "ab", "c" is not "a", "bc".
    hashed.update(kind + str(len(data)).encode() + b":" + data)
