"""How an installation works with its cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flyte_jupyter.engine.pods.settings import Graces, PodSettings

_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Which cluster. With neither a file nor a context: ``KUBECONFIG``, ``~/.kube/config``, else the cluster that we run in."""

    kubeconfig: Path | None = None
    context: str = ""
    request_seconds: float = 30.0
    """How long one request may take, watches and followed logs apart."""
    plugin_seconds: float = 60.0
    """How long a credential plugin may take: a program that the kubeconfig names under ``exec``."""


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """How hard the API server is pressed. Times in seconds."""

    qps: float = 200.0
    """Writes a second, in the long run."""
    burst: int = 400
    """Writes that may come at once after a quiet time."""
    first_wait: float = 0.2
    longest_wait: float = 30.0
    """The first and the longest pause after a request that was turned away without a word about when to come again."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How changes are followed. Times in seconds."""

    page: int = 500
    """Objects in one answer of a list."""
    silence: float = 90.0
    """A watch in which not even a bookmark came for so long is taken for dead: everything is listed again. The server sends one
    a minute, or a little later."""
    lifetime: float = 300.0
    """When the server is asked to end a watch, so that the next one may go to another of its replicas."""
    resync: float = 600.0
    """How often everything is listed again although nothing seems wrong."""


@dataclass(frozen=True, slots=True)
class WarmSettings:
    """Worker pods for tasks whose configuration says ``flyte_jupyter.warm = true``."""

    most: int = 4
    """Worker pods for tasks that can share them: same image, code, resources and so on. 0: no worker pods at all."""
    idle_seconds: float = 120.0
    """How long a worker stays without an attempt; also without an engine."""


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Everything about running on Kubernetes."""

    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    pods: PodSettings = field(default_factory=PodSettings)
    graces: Graces = field(default_factory=Graces)
    pace: PaceSettings = field(default_factory=PaceSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    warm: WarmSettings = field(default_factory=WarmSettings)
    namespaces: Sequence[str] = ()
    """The namespaces to watch; none: all of them, which needs the right to list pods of the whole cluster."""
    create_namespaces: bool = True
    namespace_labels: Mapping[str, str] = field(default_factory=lambda: dict(_RESTRICTED))
    """Labels of the namespaces that are made here."""
    template_namespace: str = ""
    """Where ``PodTemplate`` objects are looked for that the namespace of a task does not have."""
    template_seconds: float = 10.0
    """How long a ``PodTemplate`` that was looked up is not looked up again."""
    kill_seconds: int = 5
    """Between telling a pod to end and killing it, when it is ended on request."""
    patience: float = 5.0
    """Seconds that a start waits for the first list, and a launch for a pod of the same name to leave."""
    tell_after: float = 1.0
    """Seconds that an attempt may wait to start before it is said what for."""
    ask_after: float = 10.0
    """Seconds after that until the last warning of a pod is read whose status does not say why it does not start; twice as long again."""
    log_bytes: int = 10 * 1024 * 1024
    """Most that is kept of the beginning of an attempt's log; of a longer one the last lines are kept too."""
    log_after: float = 0.1
    """Seconds that the log of an ended attempt waits to be copied, unless its pod is to go sooner: what the run does next goes first."""
    log_seconds: float = 10.0
    """How long the log of an ended attempt may take to be copied before its pod is deleted without. 0: it is not copied."""
    log_idle_seconds: float = 60.0
    """How long the log of a running attempt is followed after somebody has last read it."""
    workflows: bool = True
    """Whether executions are shown as, and can be launched by, custom resources."""
    workflow_ttl: float = 23 * 3600.0
    """Seconds that the custom resource of an ended execution stays (Flyte: 23 hours)."""
