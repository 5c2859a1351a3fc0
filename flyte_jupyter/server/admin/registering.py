"""A version never changes: what a second registration of it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte_jupyter.idl.ids import EntityId
from flyte_jupyter.server.admin.errors import AlreadyExists, InvalidArgument
from flyte_jupyter.store.errors import AlreadyExistsDifferent, AlreadyExistsIdentical


@contextmanager
def registering(name: EntityId) -> Iterator[None]:
    """Answer for the store: the same content is `AlreadyExists`, which clients take for success; other is refused."""
    try:
        yield
    except AlreadyExistsIdentical as error:
        raise AlreadyExists(f"{name} is registered with this very content") from error
    except AlreadyExistsDifferent as error:
        raise InvalidArgument(
            f"{name} is registered with other content, and a version never changes: "
            "register a new version"
        ) from error
