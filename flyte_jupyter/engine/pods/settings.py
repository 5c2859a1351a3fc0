"""How an installation wants its pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.shapes import misshapen_template
from flyte_jupyter.engine.quantities import BadQuantity, amount

_CPU, _MEMORY = "cpu", "memory"
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


@dataclass(frozen=True, slots=True)
class SecretVariable:
    """An environment variable of every task, with its value in a Kubernetes secret of the pod's namespace."""

    variable: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a pod template may ask for beyond the "restricted" standard. Nothing unless said here."""

    privileged: bool = False
    """Privileged containers, privilege escalation, root, other seccomp or proc settings."""
    host_namespaces: bool = False
    """``hostNetwork``, ``hostPID``, ``hostIPC``, host ports."""
    host_paths: frozenset[str] = frozenset()
    """Folders of the node that may be mounted, themselves and what is below them."""
    capabilities: frozenset[str] = frozenset()
    """Capabilities that containers may add."""
    tokens: bool = False
    """The service account's token in the pod."""
    service_accounts: frozenset[str] = frozenset()
    """Service accounts that tasks and executions may name, apart from `PodSettings.service_account`; ``*``: any."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Quantities by Kubernetes' resource names (``cpu``, ``memory``, ``ephemeral-storage``, ``nvidia.com/gpu``)."""

    requests: Mapping[str, str] = field(default_factory=lambda: {_CPU: "1", _MEMORY: "500Mi"})
    """What a task gets that asks for nothing."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """The limit of a task that names none; else its request is its limit."""
    most: Mapping[str, str] = field(default_factory=dict)
    """What no task may exceed: more is cut down to it."""

    def __post_init__(self) -> None:
        """Raises `BadQuantity`."""
        for kind in ("requests", "limits", "most"):
            for name, quantity in getattr(self, kind).items():
                _check(f"{kind}.{name}", quantity)


@dataclass(frozen=True, slots=True)
class Accelerators:
    """How nodes with accelerators are told apart."""

    resource: str = "nvidia.com/gpu"
    """What a GPU is called among a container's resources."""
    device_label: str = "k8s.amazonaws.com/accelerator"
    """The node label, and taint, that names the device."""
    partition_label: str = "k8s.amazonaws.com/gpu-partition-size"
    """The node label, and taint, that names the size of a GPU's partitions."""
    unpartitioned_requirement: Manifest = field(default_factory=dict)
    """What a node with whole GPUs has; else: no `partition_label`."""
    unpartitioned_toleration: Manifest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copilot:
    """The side-cars that carry inputs to, and outputs from, a container that knows nothing of this platform."""

    image: str = ""
    """An image with Python and ``flyte-jupyter`` in it; without one raw containers with data are refused."""
    command: Sequence[str] = ("python3", "-m", "flyte_jupyter.kernel.runtime.copilot")
    cpu: str = "100m"
    """What each of them reserves; it may use `most_cpu` while it starts and copies."""
    most_cpu: str = "1"
    memory: str = "256Mi"
    upload_seconds: int = 3600
    """How long outputs may take on their way after the task has ended."""

    def __post_init__(self) -> None:
        """Raises `BadQuantity`."""
        for name in ("cpu", "most_cpu", "memory"):
            _check(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class PodSettings:
    """Everything about pods that is the same for all tasks of an installation."""

    installation: str = "flyte-jupyter"
    """Told apart by this label, several installations can share a cluster."""
    namespace: str = "{{project}}-{{domain}}"
    service_account: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(
        default_factory=lambda: {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    )
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables of every task, such as the object store's endpoint; a task's own go before them."""
    secret_env: Sequence[SecretVariable] = ()
    """Such as the object store's keys."""
    image: str = ""
    """What a task's container runs in when the task names no image, as those of notebooks do; none: such a task is refused."""
    image_pull_policy: str = ""
    image_pull_secrets: Sequence[str] = ()
    run_as_user: int | None = 65532
    """None: as the image says, which must not be root."""
    run_as_group: int | None = 65532
    termination_seconds: int = 10
    """Between being asked to end and being killed."""
    resources: Resources = field(default_factory=Resources)
    accelerators: Accelerators = field(default_factory=Accelerators)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Manifest] = ()
    resource_tolerations: Mapping[str, Sequence[Manifest]] = field(default_factory=dict)
    """More of them, by a resource (``nvidia.com/gpu``) that a container of the task asks for."""
    affinity: Manifest = field(default_factory=dict)
    scheduler: str = ""
    priority_class: str = ""
    interruptible_tolerations: Sequence[Manifest] = ()
    interruptible_selector: Mapping[str, str] = field(default_factory=dict)
    interruptible_requirement: Manifest = field(default_factory=dict)
    """A node selector requirement (``key``, ``operator``, ``values``) for attempts that may be interrupted."""
    non_interruptible_requirement: Manifest = field(default_factory=dict)
    templates: Mapping[str, Manifest] = field(default_factory=dict)
    """Pod templates (``metadata``, ``spec``) by name, as the ``PodTemplate`` objects of a cluster have them."""
    default_template: str = ""
    secret_prefix: str = ""
    """Before a secret group's name it makes the name of the Kubernetes secret that holds the group's keys."""
    allowed: Allowed = field(default_factory=Allowed)
    copilot: Copilot = field(default_factory=Copilot)
    most_bytes: int = 1_000_000
    """Larger manifests are refused: etcd takes 1.5 MB, with all that the cluster adds."""

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if self.image_pull_policy not in ("", *_PULL_POLICIES):
            known = ", ".join(_PULL_POLICIES)
            raise ValueError(f"image_pull_policy: {self.image_pull_policy!r} is none of {known}")
        for name, template in self.templates.items():
            if what := misshapen_template(f"templates.{name}", template):
                raise ValueError(what)


@dataclass(frozen=True, slots=True)
class Graces:
    """How long a pod that cannot start may stay so before its attempt fails. None: for ever."""

    image_pull: timedelta | None = timedelta(minutes=3)
    create_container: timedelta | None = timedelta(minutes=3)
    container_config: timedelta | None = timedelta(0)
    unschedulable: timedelta | None = None
    pending: timedelta | None = None
    """Whatever the reason, counted from the pod's creation."""
    upload: timedelta = timedelta(hours=1)
    """For the outputs of a raw container to be stored, counted from its end. Never for ever."""


def _check(name: str, quantity: str) -> None:
    """A quantity that is none would be told at each launch, to somebody who cannot mend it. Raises `BadQuantity`."""
    try:
        amount(quantity)
    except BadQuantity as error:
        raise BadQuantity(f"{name}: {error}") from error
