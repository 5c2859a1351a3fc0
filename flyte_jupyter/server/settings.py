"""Everything about the control plane process that can be set, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.answers import AnswerSettings
from flyte_jupyter.server.admin.qualities import QualitySettings


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """A TCP listener beside the Unix socket. Nothing listens on TCP unless one of these is given."""

    host: str
    """Address to bind; loopback unless the owner of the machine names another."""
    port: int
    """Port to bind; 0 takes a free one."""
    token: str
    """What a client sends as ``Authorization: Bearer <token>``; never empty."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:  # the system would take another one for it
            raise ValueError(f"port {self.port} is none from 0 to 65535")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Bounds that keep one request or one client from hurting the others. Sizes in bytes."""

    request_body: int = 20 * 1024 * 1024
    """Largest message of one RPC (as Flyte's clients assume for answers)."""
    upload: int = 16 * 1024 * 1024 * 1024
    """Largest single upload to a signed URL."""
    inline_data: int = 2 * 1024 * 1024
    """Inputs or outputs above this are named by URL instead of being sent inline."""
    log_read: int = 1024 * 1024
    """Most that one answer of the log endpoint holds."""
    log_unacked: int = 256 * 1024
    """Most of a followed log that is under way to a client which has not acknowledged it."""
    log_frame: int = 64 * 1024
    """Most of a log in one WebSocket frame."""
    subscriptions: int = 64
    """Most subscriptions of one WebSocket."""
    listing: int = 1000
    """Most items on one page of a listing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The control plane process. Folders are absolute paths."""

    data_dir: str
    """Holds ``db/ blobs/ logs/ run/`` and the secret that signs URLs."""
    run_dir: str
    """Holds the socket, the lock and the runtime file; the path of the socket must be short enough for the system."""
    linger: timedelta | None = timedelta(minutes=10)
    """How long after its last client an idle control plane ends itself; None: never, it stays until it is stopped."""
    notice: str = ""
    """What clients should know about the choice of the folders; empty as a rule."""
    log_file: str = ""
    """Where the process logs; empty means ``<data dir>/logs/control.log``."""
    tcp: TcpSettings | None = None
    """A TCP listener beside the socket."""
    frame_interval: timedelta = timedelta(milliseconds=250)
    """Least time between two delta frames of one subscription."""
    log_poll: timedelta = timedelta(milliseconds=200)
    """How often a followed log that has not grown is looked at again."""
    upload_expiry: timedelta = timedelta(hours=1)
    """How long a signed URL holds unless the client asks for less."""
    max_parallelism: int = 25
    """Nodes of one execution at work at once when neither it nor its launch plan says (Flyte's figure)."""
    max_nesting: int = 64
    """How deep executions may start executions, so that a launch plan which launches itself comes to an end; 0: without end."""
    execution_timeout: timedelta | None = None
    """How long an execution may take in all, its failure node apart; None: for ever."""
    quality: QualitySettings = field(default_factory=QualitySettings)
    """How long attempts may stay queued, by Flyte's tiers of quality."""
    limits: LimitSettings = field(default_factory=LimitSettings)
    """Bounds on requests and clients."""
    answers: AnswerSettings = field(default_factory=AnswerSettings)
    """What the engine allows outputs and the catalog, and which literals it keeps in files of their own."""
    engine: bool = True
    """Whether this process decides; else engines that run apart do, on the same machine and a cluster."""
    kubernetes: KubernetesSettings | None = None
    """The cluster that attempts run on, as pods; none: they are processes of this machine."""
    blobs: str = ""
    """Where inputs, outputs and code are kept: the URL of an object store that pods reach too; empty: the data folder."""
