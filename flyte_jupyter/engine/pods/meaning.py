"""What a pod's status says about its attempt: one pure function.

Codes and blames are those of Flyte's ``pod_helper.go``, with two differences: what the cluster took away (evicted, preempted,
its node lost) is the system's failure unless the task had failed before, and a grace counts from when the container could start,
not from the last change of any condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.pods.settings import Graces
from flyte_jupyter.engine.pods.sidecars import DOWNLOADER
from flyte_jupyter.engine.pods.starting import Pending, still_starting
from flyte_jupyter.engine.pods.status import ContainerState, PodStatus, moment

_KILLED, _ASKED_TO_END = 137, 143
_CLOCKS = timedelta(seconds=1)
"""What happened on a node and what a controller did are told in whole seconds, by two clocks: closer together neither came first."""
_MOST_MESSAGE = 4000
# What a kubelet or a controller writes as the reason of a pod that the cluster, not the task, has ended.
_SYSTEM_REASONS = frozenset(
    {
        "Evicted", "Preempting", "Preempted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity", "NodePorts",
        "UnexpectedAdmissionError", "TopologyAffinityError", "PodOSSelectorNodeLabelDoesNotMatch", "InvalidNodeInfo",
    }
)  # fmt: skip
_NO_ROOM = "OutOf"
"""The kubelet's reasons begin with it when the node was full after all: ``OutOfcpu``, ``OutOfpods``."""


@dataclass(frozen=True, slots=True)
class Running:
    """The task's container runs, or has ended while what carries its outputs away still works.

    At `until` it is to be asked again, if nothing changes before.
    """

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over. `delete`: something of the pod goes on, or would, so it must be deleted now (with its grace)."""

    how: Exit
    delete: bool = False


Meaning = Pending | Running | Ended


def meaning(pod: Mapping[str, Any], now: datetime, graces: Graces) -> Meaning:
    """What the status of a pod of ours, that we have not deleted, means at `now`."""
    status = PodStatus(pod)
    primary = status.primary
    if primary and primary.terminated is not None:
        return _after(status, primary, now, graces)
    if taken := _taken_away(status):
        return Ended(Exit(why=taken), delete=not status.over)
    if status.over:
        return Ended(_never_ran(status))
    if status.containers and primary is None:
        return Ended(Exit(why=_no_primary(status)), delete=True)
    if primary and primary.running is not None:
        return Running(primary.since or now)
    if status.phase == "Unknown":
        # Its node is silent. It may come back, with the task still running.
        return Running(status.scheduled_since or now)
    found = still_starting(status, now, graces)
    return found if isinstance(found, Pending) else Ended(Exit(why=found), delete=True)


def vanished() -> Exit:
    """How an attempt ended whose pod we have not deleted, and which is gone."""
    message = "its pod is gone: somebody, or a controller of the cluster, deleted it"
    return Exit(why=_system("ResourceDeletedExternally", message))


# -- the task's container has ended ----------------------------------------------------------------


def _after(status: PodStatus, primary: ContainerState, now: datetime, graces: Graces) -> Meaning:
    how = _exit(status, primary)
    others = any(c.terminated is None for c in status.containers.values())
    uploads = bool(status.uploader_name)
    if how.code != 0 or not uploads:
        uploading = uploads and (status.uploader is None or status.uploader.terminated is None)
        return Ended(how, delete=(others or uploading) and not status.over)
    return _uploaded(status, primary, how, now, graces)


def _uploaded(
    status: PodStatus, primary: ContainerState, how: Exit, now: datetime, graces: Graces
) -> Meaning:
    """The task has ended well: the attempt ends when its outputs are where they belong."""
    uploader = status.uploader
    if uploader is not None and uploader.terminated is not None:
        why = _upload_failure(uploader) if uploader.failed else None
        return Ended(Exit(why=why, ran=how.ran) if why else how, delete=not status.over)
    if status.over or status.deleted:
        text = f"the side-car {status.uploader_name} was gone before it had stored the outputs"
        return Ended(Exit(why=_system("UploadFailed", text), ran=how.ran), not status.over)
    until = (primary.until or now) + graces.upload
    if now < until:
        return Running(primary.since or now, until)
    text = f"the outputs were not stored within {_span(graces.upload)} of the task's end"
    return Ended(Exit(why=_system("UploadTimedOut", text), ran=how.ran), delete=True)


def _upload_failure(uploader: ContainerState) -> Failure:
    text = f"the outputs could not be stored: {_words(uploader)}"
    return _system("UploadFailed", text)


def _exit(status: PodStatus, primary: ContainerState) -> Exit:
    """How the task's container ended. A plain exit status is left to whoever reads what the task wrote."""
    ran = primary.ran
    if primary.out_of_memory:
        return Exit(why=_out_of_memory(status, primary), ran=ran)
    if primary.code == 0 and not _cut_short(status, primary):
        return Exit(code=0, ran=ran)
    if taken := _taken_away(status, primary):
        return Exit(why=taken, ran=ran)
    if status.reason == "DeadlineExceeded":
        return Exit(why=_deadline(status), ran=ran)
    if primary.reason == "ContainerStatusUnknown":
        text = f"its node lost track of the container {primary.name}: {primary.message}"
        return Exit(why=_system("ContainerStatusUnknown", text), ran=ran)
    if primary.reason in ("StartError", "ContainerCannotRun"):
        text = f"the container {primary.name} could not be started: {_cut(primary.message)}"
        return Exit(why=Failure(primary.reason, text, retryable=True), ran=ran)
    if primary.code == _KILLED:
        text = (
            f"the container {primary.name} was ended by SIGKILL (status 137), and not for its memory: "
            "as a rule its node was going down, or somebody killed it"
        )
        return Exit(why=_system("Interrupted", text), ran=ran)
    if status.uploader_name:
        # The uploader finds outputs missing and may say so: that would hide why they are missing.
        text = f"{_words(primary)}"
        return Exit(why=Failure("NonZeroExit", text, retryable=True), ran=ran)
    return Exit(code=primary.code, ran=ran)


# -- it never ran, or nobody lets it ---------------------------------------------------------------


def _taken_away(status: PodStatus, ended: ContainerState | None = None) -> Failure | None:
    """Why the cluster, or somebody, ends the pod; None when nobody does, or did after the task's container had `ended`."""
    found = status.condition("DisruptionTarget")
    disruption = found if found and found.get("status") == "True" else None
    if not (disruption and ended and _ended_before(disruption, ended)):
        if status.reason == "Evicted" and _own_fault(status.message):
            return Failure("Evicted", f"its pod was evicted: {status.message}", retryable=True)
        if status.reason in _SYSTEM_REASONS or status.reason.startswith(_NO_ROOM):
            text = f"the cluster ended its pod ({status.reason}): {status.message}"
            return _system(status.reason, text)
        if disruption:
            said = str(disruption.get("reason") or "DisruptionTarget")
            message = disruption.get("message", "")
            return _system(said, f"the cluster ended its pod ({said}): {message}")
    asked, until = status.deletion_asked, ended.until if ended else None
    if asked is not None and (until or asked) >= asked:
        text = "its pod was deleted by somebody else while it ran, or waited to run"
        return _system("ResourceDeletedExternally", text)
    return None


def _cut_short(status: PodStatus, ended: ContainerState) -> bool:
    """Whether a container that ended well did so since it was told to end: many programs give 0 then, and have not done their work.

    Kubernetes says by the pod's phase that it had not come to its end by itself; as long as a side-car is on, that may be true of it alone.
    """
    if status.phase != "Failed":
        return False
    if status.reason == "DeadlineExceeded":
        began = status.deadline
    else:
        began = moment((status.condition("DisruptionTarget") or {}).get("lastTransitionTime"))
    return began is not None and ended.until is not None and ended.until + _CLOCKS >= began


def _ended_before(disruption: Mapping[str, Any], ended: ContainerState) -> bool:
    """Whether a container had surely ended, and not by being told to, when the cluster began to take its pod away."""
    began, until = moment(disruption.get("lastTransitionTime")), ended.until
    by_itself = ended.code not in (_KILLED, _ASKED_TO_END)
    return by_itself and began is not None and until is not None and until + _CLOCKS < began


def _own_fault(message: str) -> bool:
    """Whether a pod was evicted for exceeding its own limits, not because its node ran short."""
    return "exceed" in message and not message.startswith("The node was low")


def _never_ran(status: PodStatus) -> Exit:
    """The pod is over and the kubelet has nothing to say of the task's container, or says that it waits for ever."""
    if status.reason == "DeadlineExceeded":
        return Exit(why=_deadline(status))
    failed = [c for c in status.inits.values() if c.failed]
    if failed:
        # The uploader comes first and ends last: where it fails too, as a rule something else has failed before.
        first = min(failed, key=lambda c: c.name == status.uploader_name)
        return Exit(why=_init_failure(status, first))
    if status.containers and status.primary is None:
        return Exit(why=_no_primary(status))
    if status.phase == "Succeeded":
        return Exit(code=0)
    text = status.message or "its pod failed and Kubernetes does not say why"
    return Exit(why=_system(status.reason or "PodFailed", text))


def _init_failure(status: PodStatus, failed: ContainerState) -> Failure:
    if failed.out_of_memory and failed.name == DOWNLOADER:
        return _system("InputsUnreadable", f"{_outgrown(status, failed)}; raise copilot.memory")
    if failed.out_of_memory:
        return _out_of_memory(status, failed)
    if failed.code == _KILLED:
        return _system("Interrupted", f"the init container {failed.name} was ended by SIGKILL")
    if failed.name == DOWNLOADER:
        return _system("InputsUnreadable", f"the inputs could not be brought: {_words(failed)}")
    text = f"the init container {failed.name} failed: {_words(failed)}"
    return Failure("InitContainerFailed", text, retryable=True)


def _no_primary(status: PodStatus) -> Failure:
    names = ", ".join(sorted(status.containers)) or "none"
    text = f"its pod has no container {status.primary_name!r}; it has {names}"
    return Failure("PrimaryContainerNotFound", text)


def _out_of_memory(status: PodStatus, container: ContainerState) -> Failure:
    text = f"{_outgrown(status, container)}; ask for more memory (status {container.code})"
    return Failure("OOMKilled", text, retryable=True)


def _outgrown(status: PodStatus, container: ContainerState) -> str:
    limit = status.memory_limit(container.name)
    bound = f" of {limit}" if limit else ""
    return f"the container {container.name} outgrew its memory limit{bound} and was killed"


def _deadline(status: PodStatus) -> Failure:
    text = status.message or "its pod was active for longer than activeDeadlineSeconds"
    return Failure("DeadlineExceeded", text, retryable=True)


def _words(container: ContainerState) -> str:
    text = f"the container {container.name} exited with status {container.code}"
    return f"{text}: {_cut(container.message)}" if container.message else text


def _system(code: str, message: str) -> Failure:
    return Failure(code, message.strip().removesuffix(":"), Blame.SYSTEM, retryable=True)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_MESSAGE else f"…{text[-_MOST_MESSAGE:]}"


def _span(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
