"""What a pod means: a case for each way in which a pod stands."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Blame, Stage
from flyte_jupyter.engine.pods.meaning import Ended, Running, meaning, vanished
from flyte_jupyter.engine.pods.settings import Graces
from flyte_jupyter.engine.pods.starting import Pending

CREATED = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
GRACES = Graces()


def at(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


def text(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(
    kind: str, seconds: float = 0, *, status: str = "True", **more: str
) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": text(seconds), **more}


SCHEDULED = condition("PodScheduled", 1)


def container(name: str = "task", **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


def ran(code: int, reason: str = "Error", message: str = "", until: float = 12) -> dict[str, Any]:
    times = {"startedAt": text(2), "finishedAt": text(until)}
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, **times}}


def running() -> dict[str, Any]:
    return {"running": {"startedAt": text(2)}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def pod(
    phase: str = "Running",
    *containers: dict[str, Any],
    inits: tuple[dict[str, Any], ...] = (),
    conditions: tuple[dict[str, str], ...] = (SCHEDULED,),
    metadata: dict[str, Any] | None = None,
    uploader: str = "",
    **status: Any,
) -> dict[str, Any]:
    annotations = {"flyte-jupyter.dev/primary-container": "task"}
    if uploader:
        annotations["flyte-jupyter.dev/uploader"] = uploader
    return {
        "metadata": {
            "name": "p",
            "creationTimestamp": text(0),
            "annotations": annotations,
            **(metadata or {}),
        },
        "spec": {"containers": [{"name": "task", "resources": {"limits": {"memory": "1Gi"}}}]},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": list(containers),
            "initContainerStatuses": list(inits),
            **status,
        },
    }


def failed(found: object) -> tuple[str, Blame, bool, bool]:
    """Code, blame, retryable, and whether the pod is to be deleted."""
    assert isinstance(found, Ended), found
    assert found.how.why is not None, found
    return (found.how.why.code, found.how.why.blame, found.how.why.retryable, found.delete)


USER, SYSTEM = Blame.USER, Blame.SYSTEM
DELETED = {"deletionTimestamp": text(40), "deletionGracePeriodSeconds": 30}
PREEMPTED = condition(
    "DisruptionTarget", 9, reason="PreemptionByScheduler", message="higher priority"
)
TAINTED = condition("DisruptionTarget", 9, reason="DeletionByTaintManager", message="node is gone")


# -- it goes on ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (pod("Pending", conditions=()), Pending(Stage.QUEUED)),
        (pod("Pending"), Pending(Stage.INITIALIZING, "ContainerCreating")),
        (
            pod("Pending", container(**waiting("ContainerCreating"))),
            Pending(Stage.INITIALIZING, "ContainerCreating"),
        ),
        (
            pod("Pending", container(**waiting("PodInitializing")), inits=(container("fetch", **running()),)),
            Pending(Stage.INITIALIZING, "PodInitializing: fetch"),
        ),
        (
            pod(
                "Pending",
                conditions=(condition("PodScheduled", 3, status="False", reason="Unschedulable", message="0/3 nodes"),),
            ),
            Pending(Stage.RESOURCES, "Unschedulable: 0/3 nodes"),
        ),
        (
            pod("Pending", conditions=(condition("PodScheduled", 3, status="False", reason="SchedulingGated"),)),
            Pending(Stage.RESOURCES, "SchedulingGated"),
        ),
        (
            pod("Pending", container(**waiting("ImagePullBackOff", "Back-off pulling"))),
            Pending(Stage.INITIALIZING, "ImagePullBackOff: container task: Back-off pulling", at(181)),
        ),
        (pod("Running", container(**running())), Running(at(2))),
        (
            pod("Running", container(**running()), container("other", **waiting("ContainerCreating"))),
            Running(at(2)),
        ),
        (pod("Unknown", container(**running())), Running(at(2))),
        (pod("Unknown"), Running(at(1))),
    ],
    ids=[
        "new", "bound", "creating", "init container runs", "unschedulable", "gated", "image in its grace",
        "running", "running beside a slow one", "node silent while running", "node silent before",
    ],
)  # fmt: skip
def test_what_goes_on_is_not_ended(seen, expected):
    assert meaning(seen, at(20), GRACES) == expected


def test_a_running_pod_stays_running_however_long_its_node_says_nothing():
    unready = condition("Ready", 15, status="False", reason="NodeNotReady")
    seen = pod("Running", container(**running()), conditions=(SCHEDULED, unready))
    assert meaning(seen, at(100_000), GRACES) == Running(at(2))


# -- it cannot start -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "until", "code"),
    [
        ("ErrImagePull", 181, ("ErrImagePull", USER, True, True)),
        ("ImagePullBackOff", 181, ("ImagePullBackOff", USER, True, True)),
        ("ErrImageNeverPull", 181, ("ErrImageNeverPull", USER, True, True)),
        ("CreateContainerError", 181, ("CreateContainerError", USER, False, True)),
        ("RunContainerError", 181, ("RunContainerError", USER, False, True)),
        ("SomethingNew", 181, ("SomethingNew", SYSTEM, True, True)),
        ("InvalidImageName", 1, ("InvalidImageName", USER, False, True)),
        ("CreateContainerConfigError", 1, ("CreateContainerConfigError", USER, False, True)),
    ],
)
def test_a_container_that_cannot_start_fails_after_its_grace_and_its_pod_is_deleted(
    reason, until, code
):
    seen = pod("Pending", container(**waiting(reason, "it says why")))
    before = meaning(seen, at(until) - timedelta(microseconds=1), GRACES)
    assert isinstance(before, Pending)
    assert before.until == at(until)
    found = meaning(seen, at(until), GRACES)
    assert failed(found) == code
    assert "it says why" in found.how.why.message


def test_a_grace_counts_from_when_the_init_containers_were_done():
    initialized = condition("Initialized", 600)
    seen = pod(
        "Pending",
        container(**waiting("ImagePullBackOff")),
        conditions=(SCHEDULED, initialized),
        inits=(container("fetch", **ran(0, "Completed", until=600)),),
    )
    assert meaning(seen, at(700), GRACES).until == at(780)


def test_a_grace_of_an_init_container_counts_from_when_a_node_was_found():
    seen = pod(
        "Pending",
        container(**waiting("PodInitializing")),
        inits=(container("fetch", **waiting("ImagePullBackOff")),),
    )
    assert meaning(seen, at(20), GRACES).until == at(181)
    assert failed(meaning(seen, at(181), GRACES))[0] == "ImagePullBackOff"


def test_a_grace_of_an_init_container_counts_from_when_those_before_it_were_done():
    seen = pod(
        "Pending",
        container(**waiting("PodInitializing")),
        inits=(
            container("listen", **running()),
            container("fetch", **ran(0, "Completed", until=600)),
            container("unpack", **waiting("ErrImagePull")),
        ),
    )
    assert meaning(seen, at(601), GRACES).until == at(780)
    assert failed(meaning(seen, at(780), GRACES))[0] == "ErrImagePull"


def test_without_a_grace_a_pod_waits_for_ever():
    seen = pod("Pending", container(**waiting("ImagePullBackOff")))
    assert meaning(seen, at(10**6), Graces(image_pull=None)).until is None


def test_an_unschedulable_pod_fails_only_where_a_grace_is_set():
    lacking = condition(
        "PodScheduled", 5, status="False", reason="Unschedulable", message="0/3 nodes"
    )
    seen = pod("Pending", conditions=(lacking,))
    graces = Graces(unschedulable=timedelta(minutes=5))
    assert isinstance(meaning(seen, at(10**6), GRACES), Pending)
    assert meaning(seen, at(304), graces).until == at(305)
    found = meaning(seen, at(305), graces)
    assert failed(found) == ("Unschedulable", USER, True, True)
    assert "0/3 nodes" in found.how.why.message


def test_a_pod_that_does_not_start_at_all_fails_after_the_time_for_anything():
    seen = pod("Pending", container(**waiting("ContainerCreating")))
    graces = Graces(pending=timedelta(minutes=10))
    assert meaning(seen, at(599), graces).until == at(600)
    found = meaning(seen, at(600), graces)
    assert failed(found) == ("PodPendingTimeout", USER, True, True)
    assert "ContainerCreating" in found.how.why.message


def test_of_two_ends_of_patience_the_earlier_counts():
    seen = pod("Pending", container(**waiting("ImagePullBackOff")))
    assert meaning(seen, at(20), Graces(pending=timedelta(minutes=1))).until == at(60)
    assert meaning(seen, at(20), Graces(pending=timedelta(hours=1))).until == at(181)


# -- it has ended ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 139, 143])
def test_a_plain_exit_status_is_passed_on(code):
    seen = pod("Succeeded" if code == 0 else "Failed", container(**ran(code)))
    found = meaning(seen, at(20), GRACES)
    assert found == Ended(Exit(code=code))
    assert found.how.ran == 10.0


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (pod("Failed", container(**ran(137, "OOMKilled"))), ("OOMKilled", USER, True, False)),
        (pod("Failed", container(**ran(1, "OOMKilled"))), ("OOMKilled", USER, True, False)),
        (pod("Succeeded", container(**ran(0, "OOMKilled"))), ("OOMKilled", USER, True, False)),
        (pod("Failed", container(**ran(137))), ("Interrupted", SYSTEM, True, False)),
        (
            pod("Failed", container(**ran(137, "ContainerStatusUnknown"))),
            ("ContainerStatusUnknown", SYSTEM, True, False),
        ),
        (pod("Failed", container(**ran(128, "StartError", "no such file"))), ("StartError", USER, True, False)),
        (
            pod("Failed", container(**ran(137)), reason="DeadlineExceeded"),
            ("DeadlineExceeded", USER, True, False),
        ),
        (pod("Failed", reason="DeadlineExceeded"), ("DeadlineExceeded", USER, True, False)),
        (
            pod("Failed", container(**ran(137)), reason="Evicted", message="The node was low on resource: memory."),
            ("Evicted", SYSTEM, True, False),
        ),
        (
            pod("Failed", reason="Evicted", message="The node was low on resource: memory. x exceeds its request"),
            ("Evicted", SYSTEM, True, False),
        ),
        (
            pod("Failed", reason="Evicted", message='Usage of EmptyDir volume "w" exceeds the limit "1Mi".'),
            ("Evicted", USER, True, False),
        ),
        (pod("Failed", reason="OutOfcpu", message="no room"), ("OutOfcpu", SYSTEM, True, False)),
        (pod("Failed", reason="NodeShutdown"), ("NodeShutdown", SYSTEM, True, False)),
        (pod("Failed", reason="Terminated"), ("Terminated", SYSTEM, True, False)),
        (
            pod("Failed", container(**ran(143)), conditions=(SCHEDULED, PREEMPTED)),
            ("PreemptionByScheduler", SYSTEM, True, False),
        ),
        (
            pod("Running", container(**running()), conditions=(SCHEDULED, PREEMPTED), metadata=DELETED),
            ("PreemptionByScheduler", SYSTEM, True, True),
        ),
        (
            pod("Running", container(**running()), metadata=DELETED),
            ("ResourceDeletedExternally", SYSTEM, True, True),
        ),
        (pod("Pending", conditions=(), metadata=DELETED), ("ResourceDeletedExternally", SYSTEM, True, True)),
        (
            pod("Failed", container(**ran(143)), metadata=DELETED),
            ("ResourceDeletedExternally", SYSTEM, True, False),
        ),
        (
            pod("Running", container(**running()), metadata=DELETED, reason="NodeLost"),
            ("NodeLost", SYSTEM, True, True),
        ),
        (
            pod("Running", container(**running()), metadata=DELETED, conditions=(SCHEDULED, TAINTED)),
            ("DeletionByTaintManager", SYSTEM, True, True),
        ),
        (
            pod("Failed", container(**waiting("PodInitializing")), inits=(container("get", **ran(3, message="no net")),)),
            ("InitContainerFailed", USER, True, False),
        ),
        (
            pod(
                "Failed",
                container(**waiting("PodInitializing")),
                inits=(container("flyte-copilot-downloader", **ran(1, message="no such key")),),
            ),
            ("InputsUnreadable", SYSTEM, True, False),
        ),
        (
            pod("Failed", container(**waiting("PodInitializing")), inits=(container("get", **ran(137, "OOMKilled")),)),
            ("OOMKilled", USER, True, False),
        ),
        (
            pod("Running", container("another", **running())),
            ("PrimaryContainerNotFound", USER, False, True),
        ),
        (pod("Failed", container("another", **ran(1))), ("PrimaryContainerNotFound", USER, False, False)),
        (pod("Failed"), ("PodFailed", SYSTEM, True, False)),
    ],
    ids=[
        "out of memory", "out of memory, another status", "out of memory, and yet 0", "killed", "container lost", "no program",
        "deadline", "deadline before start", "evicted", "evicted before start", "evicted for its own", "no room after all",
        "node going down", "node going down on GKE", "preempted", "being preempted", "being deleted", "deleted before start",
        "deleted and over", "node lost", "node gone", "init failed", "download failed", "init out of memory", "no own container",
        "no own container at the end", "no reason",
    ],
)  # fmt: skip
def test_ends_have_a_code_a_blame_and_a_pod_to_delete_or_not(seen, expected):
    assert failed(meaning(seen, at(20), GRACES)) == expected


def test_out_of_memory_says_the_limit():
    found = meaning(pod("Failed", container(**ran(137, "OOMKilled"))), at(20), GRACES)
    assert "1Gi" in found.how.why.message


def test_a_sidecar_out_of_memory_does_not_spoil_the_task():
    seen = pod(
        "Failed", container(**ran(0, "Completed")), container("proxy", **ran(137, "OOMKilled"))
    )
    assert meaning(seen, at(20), GRACES) == Ended(Exit(code=0))


def test_sidecars_that_go_on_after_the_task_are_deleted():
    seen = pod("Running", container(**ran(0, "Completed")), container("proxy", **running()))
    assert meaning(seen, at(20), GRACES) == Ended(Exit(code=0), delete=True)
    seen = pod("Running", container(**ran(4)), container("proxy", **running()))
    assert meaning(seen, at(20), GRACES) == Ended(Exit(code=4), delete=True)


def test_what_ended_before_somebody_deleted_it_ended_by_itself():
    seen = pod("Failed", container(**ran(1, until=9)), metadata=DELETED)  # asked for at second 10
    assert meaning(seen, at(20), GRACES) == Ended(Exit(code=1))
    done = pod("Succeeded", container(**ran(0, until=12)), metadata=DELETED)
    assert meaning(done, at(20), GRACES) == Ended(Exit(code=0))


@pytest.mark.parametrize("code", [1, 2, 139])
def test_what_failed_before_the_cluster_wanted_its_pod_away_failed_by_itself(code):
    seen = pod("Running", container(**ran(code, until=7)), conditions=(SCHEDULED, PREEMPTED))
    assert meaning(seen, at(20), GRACES) == Ended(Exit(code=code))


EVICTED = {"reason": "Evicted", "message": "The node was low on resource: memory."}
BY_KUBELET = condition("DisruptionTarget", 9, reason="TerminationByKubelet", message="low on memory")  # fmt: skip


@pytest.mark.parametrize(
    ("ended", "conditions", "expected"),
    [
        (ran(1, until=7), (SCHEDULED, BY_KUBELET), None),
        (ran(1, until=9), (SCHEDULED, BY_KUBELET), ("Evicted", SYSTEM, True, False)),
        (ran(143, until=7), (SCHEDULED, BY_KUBELET), ("Evicted", SYSTEM, True, False)),
        (ran(1, until=7), (SCHEDULED,), ("Evicted", SYSTEM, True, False)),
    ],
    ids=["failed before", "failed as it was evicted", "asked to end", "nobody knows since when"],
)
def test_an_eviction_takes_no_blame_for_a_task_that_had_failed_before(ended, conditions, expected):
    """Its side-cars may go on, and have their pod evicted, before it is deleted."""
    seen = pod("Failed", container(**ended), container("proxy", **ran(137, until=12)), conditions=conditions, **EVICTED)  # fmt: skip
    found = meaning(seen, at(20), GRACES)
    assert (found == Ended(Exit(code=1))) if expected is None else (failed(found) == expected)


@pytest.mark.parametrize(
    "ended",
    [ran(1, until=8), ran(1, until=9), ran(1, until=12), ran(137, until=2), ran(143, until=2), {"terminated": {"exitCode": 1}}],
    ids=["within a second", "at once", "after it", "killed", "asked to end", "nobody knows when"],
)  # fmt: skip
def test_what_may_have_ended_because_the_cluster_wanted_its_pod_away_is_not_the_tasks_fault(ended):
    """Times are whole seconds, and of two clocks."""
    seen = pod("Failed", container(**ended), conditions=(SCHEDULED, PREEMPTED))
    assert failed(meaning(seen, at(20), GRACES)) == ("PreemptionByScheduler", SYSTEM, True, False)


def test_a_pod_that_the_cluster_wants_away_since_nobody_knows_when_is_the_clusters():
    timeless = {key: value for key, value in PREEMPTED.items() if key != "lastTransitionTime"}
    seen = pod("Failed", container(**ran(1, until=2)), conditions=(SCHEDULED, timeless))
    assert failed(meaning(seen, at(20), GRACES)) == ("PreemptionByScheduler", SYSTEM, True, False)


@pytest.mark.parametrize(
    ("until", "more", "expected"),
    [
        (12, {"conditions": (SCHEDULED, BY_KUBELET), **EVICTED}, ("Evicted", SYSTEM, True, False)),
        (7, {"conditions": (SCHEDULED, BY_KUBELET), **EVICTED}, None),
        (12, EVICTED, None),
        (12, {"reason": "DeadlineExceeded", "startTime": text(1)}, ("DeadlineExceeded", USER, True, False)),
        (9, {"reason": "DeadlineExceeded", "startTime": text(1)}, None),
        (12, {"reason": "DeadlineExceeded"}, None),
    ],
    ids=["evicted", "done before it was evicted", "evicted nobody knows when", "deadline", "done before its deadline", "deadline nobody knows when"],
)  # fmt: skip
def test_a_task_that_ends_well_since_it_is_told_to_end_has_not_succeeded(until, more, expected):
    """Many programs heed SIGTERM and give 0."""
    seen = pod("Failed", container(**ran(0, "Completed", until=until)), **more)
    seen["spec"]["activeDeadlineSeconds"] = 11
    found = meaning(seen, at(20), GRACES)
    assert (found == Ended(Exit(code=0))) if expected is None else (failed(found) == expected)


def test_a_pod_whose_containers_nobody_reports_ends_by_its_phase():
    assert meaning(pod("Succeeded"), at(20), GRACES) == Ended(Exit(code=0))


def test_a_pod_that_is_gone_was_deleted_by_somebody():
    assert (vanished().why.code, vanished().why.blame) == ("ResourceDeletedExternally", SYSTEM)


def test_a_lost_annotation_is_no_loss_while_there_is_one_container():
    seen = pod("Succeeded", container(**ran(0)), metadata={"annotations": {}})
    assert meaning(seen, at(20), GRACES) == Ended(Exit(code=0))


# -- raw containers: the outputs are still to be stored --------------------------------------------

UP = "flyte-copilot-uploader"


def raw(phase: str, task: dict[str, Any], uploader: dict[str, Any], **more: Any) -> dict[str, Any]:
    return pod(phase, container(**task), inits=(container(UP, **uploader),), uploader=UP, **more)


def test_a_raw_container_runs_until_its_outputs_are_stored():
    seen = raw("Running", ran(0), running())
    assert meaning(seen, at(20), GRACES) == Running(at(2), at(12 + 3600))
    assert meaning(raw("Running", ran(0), ran(0)), at(20), GRACES) == Ended(
        Exit(code=0), delete=True
    )
    assert meaning(raw("Succeeded", ran(0), ran(0)), at(20), GRACES) == Ended(Exit(code=0))


@pytest.mark.parametrize(
    ("seen", "when", "expected"),
    [
        (
            raw("Succeeded", ran(0), ran(1, message="no such bucket")),
            20,
            ("UploadFailed", SYSTEM, True, False),
        ),
        (
            raw("Succeeded", ran(0), waiting("CrashLoopBackOff")),
            20,
            ("UploadFailed", SYSTEM, True, False),
        ),
        (raw("Running", ran(0), running()), 3612, ("UploadTimedOut", SYSTEM, True, True)),
        (
            raw("Running", ran(0), running(), metadata=DELETED),
            20,
            ("UploadFailed", SYSTEM, True, True),
        ),
        (raw("Running", ran(3, message="boom"), running()), 20, ("NonZeroExit", USER, True, True)),
        (raw("Failed", ran(3, message="boom"), ran(0)), 20, ("NonZeroExit", USER, True, False)),
        (raw("Running", ran(137, "OOMKilled"), running()), 20, ("OOMKilled", USER, True, True)),
    ],
    ids=[
        "upload failed",
        "uploader crashed",
        "too slow",
        "deleted meanwhile",
        "task failed",
        "task failed, all over",
        "memory",
    ],
)
def test_a_raw_container_without_stored_outputs_is_no_success(seen, when, expected):
    assert failed(meaning(seen, at(when), GRACES)) == expected


def test_a_raw_container_that_fails_says_what_it_wrote_last():
    found = meaning(raw("Failed", ran(3, message="boom"), ran(0)), at(20), GRACES)
    assert "boom" in found.how.why.message
    assert "status 3" in found.how.why.message


@pytest.mark.parametrize(
    ("uploaded", "brought", "said"),
    [
        (ran(1, message="no error could be written"), ran(1, message="no such bucket"), "no such bucket"),
        (ran(0), ran(137, "OOMKilled"), "raise copilot.memory"),
    ],
    ids=["storage is away", "too little memory"],
)  # fmt: skip
def test_inputs_that_could_not_be_brought_are_the_systems_failure(uploaded, brought, said):
    """Whatever becomes of the uploader, which had nothing to do: it starts first and ends last."""
    seen = pod(
        "Failed",
        container(**waiting("PodInitializing")),
        inits=(container(UP, **uploaded), container("flyte-copilot-downloader", **brought)),
        uploader=UP,
    )
    found = meaning(seen, at(20), GRACES)
    assert failed(found) == ("InputsUnreadable", SYSTEM, True, False)
    assert said in found.how.why.message


def test_an_uploader_that_cannot_start_is_the_systems_failure():
    seen = pod(
        "Pending",
        container(**waiting("PodInitializing")),
        inits=(container(UP, **waiting("CrashLoopBackOff")),),
        uploader=UP,
    )
    assert failed(meaning(seen, at(181), GRACES)) == ("CrashLoopBackOff", SYSTEM, True, True)
