"""Python types and Flyte's literals: what may travel between tasks, and how."""

from flyte_jupyter.kernel.types.errors import TypeMismatch, Unfit, UnsupportedType
from flyte_jupyter.kernel.types.files import FlyteFile
from flyte_jupyter.kernel.types.registry import (
    Converter,
    Family,
    TypeRegistry,
    default_registry,
    plain,
    type_name,
)
from flyte_jupyter.kernel.types.storage import PrefixStorage, Storage, StorageError

__all__ = [
    "Converter",
    "Family",
    "FlyteFile",
    "PrefixStorage",
    "Storage",
    "StorageError",
    "TypeMismatch",
    "TypeRegistry",
    "Unfit",
    "UnsupportedType",
    "default_registry",
    "plain",
    "type_name",
]
