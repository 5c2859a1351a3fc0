"""Talks to a control plane: Flyte's admin API over REST, messages in binary protobuf."""

from flyte_jupyter.kernel.client.admin import Client, LogSlice
from flyte_jupyter.kernel.client.errors import (
    AlreadyExists,
    ControlPlaneError,
    InvalidRequest,
    NotFound,
    NotNow,
    NotSupported,
    PermissionRefused,
    ResourcesExhausted,
    Unauthenticated,
    Unavailable,
)
from flyte_jupyter.kernel.client.storage import UploadStorage

__all__ = [
    "AlreadyExists",
    "Client",
    "ControlPlaneError",
    "InvalidRequest",
    "LogSlice",
    "NotFound",
    "NotNow",
    "NotSupported",
    "PermissionRefused",
    "ResourcesExhausted",
    "Unauthenticated",
    "Unavailable",
    "UploadStorage",
]
