"""What can go wrong between a client and its control plane.

SupervisorError
├── UnsupportedPlatform       this machine cannot run one
├── WrongEndpoint             FLYTE_JUPYTER_ENDPOINT names no address
├── StartFailed               it was started and ended before it answered
├── ControlPlaneUnreachable   it is there (or was named) and does not answer
└── IncompatibleControlPlane  it answers, in another version's language
"""


class UnusualPlace(UserWarning):
    """The control plane's data is not where one would look for it; the message says where and why."""


class SupervisorError(Exception):
    """The control plane cannot be had; the message says why and what to do."""


class UnsupportedPlatform(SupervisorError):
    """This platform cannot run a control plane."""


class WrongEndpoint(SupervisorError):
    """What was given as the control plane's address is none."""


class StartFailed(SupervisorError):
    """The control plane ended before it was ready."""


class ControlPlaneUnreachable(SupervisorError):
    """Nobody answers at the endpoint."""


class IncompatibleControlPlane(SupervisorError):
    """The control plane and this client do not speak the same version."""
