"""`flyte-jupyter serve --no-engine` with engines apart on a real cluster: one decides, whoever dies or stands still."""

from __future__ import annotations

import signal

import pod_flows
import pytest
from engines_apart import Engines
from processes import eventually
from serving import NAMESPACE, Served, define

import flyte_jupyter
from flyte_jupyter import LaunchOptions
from flyte_jupyter.kernel.client import Client


@pytest.fixture(scope="module")
def served(node_cluster, s3_server, tmp_path_factory):
    define(node_cluster)
    folder = tmp_path_factory.mktemp("apart")
    made = Served(folder, node_cluster, s3_server, "engine = false").start()
    yield made
    assert made.stop() == 0
    node_cluster.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def engines(served):
    made = Engines(served)
    yield made
    for engine in made.all:
        if engine.process.poll() is None:
            assert engine.stop() == 0, engine.log.read_text()


def launch(served, entity, **inputs):
    options = LaunchOptions(client=Client(served.endpoint))
    return flyte_jupyter.launch(entity, options=options, **inputs)


def running(served, run):
    """The pods of a run that run, by uid."""

    def look():
        found = [p for p in served.pods(run.name) if p["status"]["phase"] == "Running"]
        return [p["metadata"]["uid"] for p in found]

    return eventually(look, what=f"a running pod of {run.name}")


def scheduled(served, run):
    """Every pod of a run that ever was, by uid."""
    events = served.cluster.get("events", "-n", NAMESPACE, "--field-selector=reason=Scheduled")
    pods = [e["involvedObject"] for e in events["items"]]
    return {p["uid"] for p in pods if p["name"].startswith(run.name)}


def nobody_left(served, run):
    eventually(lambda: not served.pods(run.name), what=f"no pod of {run.name} left")


def test_what_was_launched_without_an_engine_waits_for_one_and_says_so(served, engines):
    execution = launch(served, pod_flows.greeting, names=["a", "bc", "def"])
    said = served.status()
    assert said["engine"] == "absent"
    assert any("flyte-jupyter engine" in notice for notice in said["notices"])
    assert said["active_runs"] == 1
    engine = engines.start()
    engine.until("active")
    execution.wait(timeout=200)
    assert execution.outputs == {"o0": "hello Ada", "o1": 6}
    nobody_left(served, execution)
    (greet,) = [n for n in execution.nodes if "greet" in (n.task or "")]
    assert "hello Ada\n" in greet.logs()
    assert "<p>hello Ada</p>" in execution.deck(greet.id)
    said = served.status()
    assert (said["engine"], said["notices"]) == ("active", [])
    assert served.handle(execution.name)[:3] == [execution.name, "SUCCEEDED", "3/3"]


def test_tasks_that_may_share_run_in_warm_pods_of_an_engine_apart(served, engines):
    engines.two()
    execution = launch(served, pod_flows.places)
    execution.wait(timeout=200)
    (host,) = {text.split()[0] for text in execution.outputs["o0"]}
    assert host.startswith("worker-")
    # The engine has the only line to the worker: a log is shown once it is kept.
    eventually(lambda: execution.nodes[0].logs() == f"in {host}\n", what="the kept log")


def test_an_abort_through_the_api_reaches_the_engine(served, engines):
    engines.two()
    waiting = launch(served, pod_flows.waiting, gate="flyte/never")
    running(served, waiting)
    assert "waiting" in eventually(waiting.nodes[0].logs, what="the log while it runs")
    eventually(lambda: served.status()["cluster"]["pods"]["running"], what="a pod is counted")
    waiting.abort("enough")
    waiting.wait(timeout=60)
    assert str(waiting.phase) == "ABORTED"
    nobody_left(served, waiting)
    assert "waiting" in waiting.nodes[0].logs()


def test_deleting_a_handle_aborts_whichever_engine_has_the_door(served, engines):
    engines.two()
    waiting = launch(served, pod_flows.waiting, gate="flyte/never")
    running(served, waiting)
    served.cluster.kubectl("delete", "fjw", waiting.name, "-n", NAMESPACE, "--timeout=60s")
    waiting.wait(timeout=60)
    assert str(waiting.phase) == "ABORTED"
    nobody_left(served, waiting)


def test_a_killed_engine_is_followed_by_the_one_that_stood_by(served, engines):
    first, second = engines.two()
    waiting = launch(served, pod_flows.waiting, gate="flyte/after-the-kill")
    (uid,) = running(served, waiting)
    first.kill()
    second.until("active")
    served.s3.put("flyte", "after-the-kill", b"")
    waiting.wait(timeout=200)
    assert list(waiting.outputs.values()) == [len("went on")]
    made = scheduled(served, waiting)
    assert uid in made
    assert len(made) == 2, "a pod for each node, none twice"
    nobody_left(served, waiting)


def test_a_killed_control_plane_that_serves_changes_nothing_for_the_engine(served, engines):
    engines.two()
    waiting = launch(served, pod_flows.waiting, gate="flyte/nobody-serves")
    (uid,) = running(served, waiting)
    served.kill()
    served.s3.put("flyte", "nobody-serves", b"")
    eventually(lambda: not served.pods(waiting.name), within=200, what="the run's end")
    served.start()
    again = flyte_jupyter.execution(waiting.name, client=Client(served.endpoint))
    again.wait(timeout=60)
    assert list(again.outputs.values()) == [len("went on")]
    assert uid in scheduled(served, waiting)


def test_a_paused_engine_changes_nothing_when_it_goes_on(served, engines):
    """R4: the holder of the lease stands still until another has taken over, and goes on in the middle of the other's work."""
    paused, other = engines.two()
    before = launch(served, pod_flows.waiting, gate="flyte/after-the-pause")
    (old,) = running(served, before)
    paused.send(signal.SIGSTOP)
    other.until("active")
    meanwhile = launch(served, pod_flows.waiting, gate="flyte/after-the-pause")
    (new,) = running(served, meanwhile)
    paused.send(signal.SIGCONT)
    paused.until("standby")
    assert other.word == "active"
    assert (running(served, before), running(served, meanwhile)) == ([old], [new])
    served.s3.put("flyte", "after-the-pause", b"")
    for run, uid in ((before, old), (meanwhile, new)):
        run.wait(timeout=200)
        assert list(run.outputs.values()) == [len("went on")]
        made = scheduled(served, run)
        assert uid in made
        assert len(made) == 2, "a pod for each node, none twice"
        nobody_left(served, run)
    assert paused.word == "standby"
