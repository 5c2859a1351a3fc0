"""Find the user's control plane, or start one. Standard library only.

Used alike by a kernel, by the Jupyter server extension and by the command line, so that all of them meet at the same process.
"""

from flyte_jupyter.supervisor.endpoint import Endpoint, Response, request
from flyte_jupyter.supervisor.errors import (
    ControlPlaneUnreachable,
    IncompatibleControlPlane,
    StartFailed,
    SupervisorError,
    UnsupportedPlatform,
    UnusualPlace,
    WrongEndpoint,
)
from flyte_jupyter.supervisor.finding import find, find_or_start, status, stop
from flyte_jupyter.supervisor.places import Places, places

__all__ = [
    "ControlPlaneUnreachable",
    "Endpoint",
    "IncompatibleControlPlane",
    "Places",
    "Response",
    "StartFailed",
    "SupervisorError",
    "UnsupportedPlatform",
    "UnusualPlace",
    "WrongEndpoint",
    "find",
    "find_or_start",
    "places",
    "request",
    "status",
    "stop",
]
