"""Handles of executions: shown, applied, deleted and edited by people, over a control plane in memory."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from datetime import timedelta

import pytest
from fake_cluster import FakeCluster, Fault, refuse, to
from kubernetes_bench import QUICK, Bench, HandClock, attempt_id, spec_of

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.handles import FINALIZER, NotYet, Standing, Wish
from flyte_jupyter.engine.adapters.kubernetes.workflows import Workflows
from flyte_jupyter.engine.ports import Accepted, NotNow
from flyte_jupyter.idl.ids import AttemptId, EntityKind, RunId

PATH = "/apis/flyte-jupyter.dev/v1alpha1/namespaces/p-d/flyteworkflows"
RUN = RunId("p", "d", "r1")


class Plane:
    """Enough of a control plane: executions that are launched and aborted, and how they stand."""

    def __init__(self):
        self.runs = {}
        self.wishes = []
        self.aborted = []
        self.refusal = ""
        self.absent = ""
        self.busy = 0
        self._changed = asyncio.Queue()

    def stand(self, run, phase, **how):
        final = phase in ("SUCCEEDED", "FAILED", "ABORTED")
        self.runs[run] = Standing(run, phase, final, **how)
        self._changed.put_nowait(run)

    async def launch(self, wish: Wish) -> str:
        if self.busy:
            self.busy -= 1
            raise RuntimeError("the database is busy")
        self.wishes.append(wish)
        if self.absent:
            raise NotYet(self.absent)
        if not self.refusal and wish.run not in self.runs:
            self.stand(wish.run, "QUEUED")
        return self.refusal

    async def abort(self, run, cause):
        self.aborted.append((run, cause))
        self.stand(run, "ABORTING")

    async def current(self, run):
        return self.runs.get(run)

    async def changes(self):
        for run, standing in list(self.runs.items()):
            if not standing.final:
                yield run
        while True:
            yield await self._changed.get()


class Place(Bench):
    plane: Plane

    def handle(self, name="r1"):
        return self.cluster.objects.get(("flyteworkflows", "p-d", name))

    def status(self, name="r1"):
        return (self.handle(name) or {}).get("status") or {}

    def calls(self, method, part):
        return [call for call in self.cluster.calls if to(method, part)(call)]

    async def shows(self, phase, name="r1"):
        await self.until(lambda: self.status(name).get("phase") == phase)

    async def apply(self, name="r1", **spec):
        spec = {"project": "p", "domain": "d", **spec}
        await self.api.create(PATH, {"metadata": {"name": name}, "spec": spec})

    async def correct(self, name="r1", **spec):
        await self.api.patch(f"{PATH}/{name}", {"spec": spec})

    async def delete(self, name="r1"):
        await self.api.delete(f"{PATH}/{name}")


@contextlib.asynccontextmanager
async def place(folder, *, cluster=None, plane=None, **changes):
    clock = HandClock()
    made = Place(cluster or FakeCluster(clock.now), clock)
    made.plane = plane or Plane()
    settings = dataclasses.replace(QUICK, **changes)
    made.api = Api(made.cluster, settings.pace, dice=random.Random(1))
    workflows = Workflows(made.api, clock, made.plane, made.plane, settings)
    workflows._queue._spacing = 0.0
    made.executor = KubernetesExecutor(
        made.api, clock, FolderBlobs(folder / "blobs"), folder / "logs",
        settings=settings, owners=workflows,
    )  # fmt: skip
    await made.executor.start(made.news)
    try:
        yield made
    finally:
        await made.executor.stop()


LAUNCH_PLAN = {"launchPlan": {"name": "flows.train", "version": "v7"}}


def test_an_execution_has_a_handle_that_owns_its_pods_and_shows_how_it_stands(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.stand(RUN, "RUNNING", done=0, total=2)
            await asyncio.gather(
                *(p.executor.launch(spec_of(attempt_id(f"n{i}"))) for i in range(5))
            )
            handle = p.handle()
            (owner,) = p.pod_of(attempt_id("n3"))["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["uid"]) == ("FlyteWorkflow", handle["metadata"]["uid"])
            made = [c for c in p.cluster.calls if c.method == "POST" and "flyteworkflows" in c.path]
            assert len(made) == 1
            await p.shows("RUNNING")
            assert p.status()["progress"] == "0/2"
            p.plane.stand(RUN, "FAILED", done=2, total=2, message="x" * 5000, ended=p.clock.now())
            await p.shows("FAILED")
            assert p.status()["progress"] == "2/2"
            assert len(str(p.handle())) < 3000

    asyncio.run(main())


def test_a_handle_that_the_server_does_not_understand_is_not_waited_for(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.stand(RUN, "RUNNING")
            wrong = refuse(422, "Invalid", "spec: no such field")
            p.cluster.faults.append(Fault(to("POST", "/flyteworkflows"), 1000, wrong))
            with pytest.raises(NotNow, match="no such field") as said:
                await p.executor.launch(spec_of(attempt_id()))
            assert not said.value.passes, "whoever asks gives up after a while"
            p.cluster.faults.clear()
            busy = refuse(503, "ServiceUnavailable", "later")
            p.cluster.faults.append(Fault(to("POST", "/flyteworkflows"), 1000, busy))
            with pytest.raises(NotNow, match="later") as said:
                await p.executor.launch(spec_of(attempt_id("n1")))
            assert said.value.passes

    asyncio.run(main())


def test_a_handle_that_somebody_applies_launches_an_execution_once(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.busy = 2
            await p.apply("mine", **LAUNCH_PLAN, inputs={"n": 3, "name": "x"})
            await p.shows("QUEUED", "mine")
            run = RunId("p", "d", "mine")
            assert p.plane.wishes == [
                Wish(run, EntityKind.LAUNCH_PLAN, "flows.train", "v7", {"n": 3, "name": "x"})
            ]
            assert p.handle("mine")["metadata"]["finalizers"] == [FINALIZER]
            await p.executor.launch(spec_of(attempt_id(run="mine")))
            (pod,) = p.cluster.pods()
            uid = p.handle("mine")["metadata"]["uid"]
            assert pod["metadata"]["ownerReferences"][0]["uid"] == uid

    asyncio.run(main())


def test_a_handle_of_any_name_is_its_executions_only_one(tmp_path):
    """Where namespaces do not tell projects apart, ours have longer names than people give."""

    async def main():
        cluster, plane = FakeCluster(), Plane()
        pods = dataclasses.replace(QUICK.pods, namespace="p-d")
        async with place(tmp_path, cluster=cluster, plane=plane, pods=pods) as p:
            await p.apply("mine", **LAUNCH_PLAN)
            await p.shows("QUEUED", "mine")
            plane.stand(RunId("p", "d", "mine"), "RUNNING")
            await p.shows("RUNNING", "mine")
            await p.executor.launch(spec_of(attempt_id(run="mine")))
        async with place(tmp_path, cluster=cluster, plane=plane, pods=pods) as p:
            await p.executor.launch(spec_of(attempt_id("n1", run="mine")))
            owners = [pod["metadata"]["ownerReferences"][0]["name"] for pod in cluster.pods()]
            assert owners == ["mine", "mine"]
            assert [key[2] for key in cluster.objects if key[0] == "flyteworkflows"] == ["mine"]
            cluster.remove("flyteworkflows", "p-d", "mine")
            await p.until(lambda: [k for k in cluster.objects if k[0] == "flyteworkflows"])
            ((_, _, name),) = [k for k in cluster.objects if k[0] == "flyteworkflows"]
            assert name.startswith("mine-")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "one of launchPlan, workflow and task"),
        ({"task": {"name": "a"}, "workflow": {"name": "b"}}, "one of launchPlan, workflow and task"),
        ({"task": {"version": "v1"}}, "spec.task.name"),
        ({"project": "", "task": {"name": "a"}}, "spec.project"),
        ({"task": {"name": "a"}, "inputs": [1]}, "spec.inputs"),
    ],
)  # fmt: skip
def test_a_handle_that_asks_for_nothing_that_can_be_launched_says_why(tmp_path, spec, said):
    async def main():
        async with place(tmp_path) as p:
            await p.apply("mine", **spec)
            await p.shows("REJECTED", "mine")
            assert said in p.status("mine")["message"]
            assert not p.plane.wishes
            await p.delete("mine")
            assert p.handle("mine") is None

    asyncio.run(main())


def test_what_the_control_plane_refuses_to_launch_is_told_and_can_be_deleted(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.refusal = "input day is missing"
            await p.apply("mine", **LAUNCH_PLAN)
            await p.shows("REJECTED", "mine")
            assert "day is missing" in p.status("mine")["message"]
            await p.until(lambda: not p.handle("mine")["metadata"]["finalizers"])
            await p.delete("mine")
            assert p.handle("mine") is None
            assert len(p.plane.wishes) == 1

    asyncio.run(main())


def test_a_rejected_handle_is_looked_at_again_when_it_is_corrected(tmp_path):
    """Whoever rejected it, and however large it is; what follows is as with any other."""

    async def main():
        async with place(tmp_path) as p:
            await p.apply("mine", launchPlan={"version": "v7"}, inputs={"text": "x" * 2000})
            await p.shows("REJECTED", "mine")
            p.plane.refusal = "input day is missing"
            await p.correct("mine", launchPlan={"name": "flows.train"})
            await p.until(lambda: "day is missing" in p.status("mine")["message"])
            await p.until(lambda: not p.handle("mine")["metadata"]["finalizers"])
            p.plane.refusal = ""
            await p.correct("mine", launchPlan={"name": "flows.train", "version": "v8"})
            await p.shows("QUEUED", "mine")
            assert list(dict.fromkeys(w.version for w in p.plane.wishes)) == ["v7", "v8"]
            assert "observedGeneration" not in p.status("mine")
            await p.delete("mine")
            await p.until(lambda: p.plane.aborted)

    asyncio.run(main())


def test_a_handle_waits_for_what_it_names_and_is_launched_when_that_is_there(tmp_path):
    """With the inputs it came with, however many times it was tried; the next engine waits on."""

    async def main():
        cluster, plane = FakeCluster(), Plane()
        plane.absent = "There is no launch plan flows.train"
        inputs = {"text": "x" * 2000}
        async with place(tmp_path, cluster=cluster, plane=plane) as p:
            await p.apply("mine", **LAUNCH_PLAN, inputs=inputs)
            await p.shows("WAITING", "mine")
            assert "no launch plan flows.train (tried again" in p.status("mine")["message"]

            def tried_thrice():
                p.clock.move(timedelta(seconds=1))
                return len(plane.wishes) > 2

            await p.until(tried_thrice)
        async with place(tmp_path, cluster=cluster, plane=plane) as p:
            await p.until(lambda: len(plane.wishes) > 3)
            plane.absent = ""

            def launched_later():
                p.clock.move(timedelta(seconds=1))
                return p.status("mine")["phase"] == "QUEUED"

            await p.until(launched_later)
            assert plane.wishes[-1].inputs == inputs
            await p.delete("mine")
            await p.until(lambda: plane.aborted)

    asyncio.run(main())


def test_a_handle_that_waits_is_not_tried_at_each_change_but_when_it_is_corrected(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.absent = "There is no launch plan flows.train"
            await p.apply("mine", **LAUNCH_PLAN)
            await p.shows("WAITING", "mine")
            for number in range(3):
                note = {"metadata": {"annotations": {"note": str(number)}}}
                await p.api.patch(f"{PATH}/mine", note)
            p.plane.stand(RUN, "RUNNING")
            await p.shows("RUNNING")
            assert len(p.plane.wishes) == 1, "no time has passed"
            await p.correct("mine", launchPlan={"name": "flows.train", "version": "v8"})
            await p.until(lambda: len(p.plane.wishes) == 2)
            assert p.plane.wishes[-1].version == "v8"
            await p.delete("mine")
            await p.until(lambda: p.handle("mine") is None)
            assert not p.plane.aborted

    asyncio.run(main())


def test_deleting_a_handle_aborts_its_execution_and_waits_for_its_pods(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.stand(RUN, "RUNNING")
            spec = await p.running()
            await p.delete()
            await p.until(lambda: p.plane.aborted)
            assert p.plane.aborted[0] == (RUN, "its FlyteWorkflow r1 was deleted")
            assert p.handle() is not None
            p.plane.stand(RUN, "ABORTED", ended=p.clock.now())
            await p.until(lambda: [c for c in p.cluster.calls if c.query.get("limit") == "1"])
            assert p.handle() is not None, "it still has a pod"
            await p.executor.kill(spec.id)
            await p.until(lambda: p.handle() is None)
            assert not p.cluster.pods()

    asyncio.run(main())


def test_a_status_edited_by_hand_is_written_over_and_never_read(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.stand(RUN, "RUNNING", done=1, total=4)
            await p.shows("RUNNING")
            edit = {"status": {"phase": "SUCCEEDED", "progress": "9/9", "mood": "good"}}
            await p.api.patch(f"{PATH}/r1/status", edit)
            await p.shows("RUNNING")
            assert p.status()["progress"] == "1/4"
            assert "mood" not in p.status()
            assert p.plane.runs[RUN].phase == "RUNNING"

    asyncio.run(main())


def test_a_handle_taken_away_by_force_comes_back_while_its_execution_goes_on(tmp_path):
    async def main():
        async with place(tmp_path) as p:
            p.plane.stand(RUN, "RUNNING")
            await p.shows("RUNNING")
            first = p.handle()["metadata"]["uid"]
            p.cluster.remove("flyteworkflows", "p-d", "r1")
            await p.shows("RUNNING")
            assert p.handle()["metadata"]["uid"] != first
            p.plane.stand(RUN, "SUCCEEDED", ended=p.clock.now())
            await p.shows("SUCCEEDED")
            p.cluster.remove("flyteworkflows", "p-d", "r1")
            other = RunId("p", "d", "r2")
            p.plane.stand(other, "RUNNING")
            await p.shows("RUNNING", "r2")
            assert p.handle() is None

    asyncio.run(main())


def test_the_handle_of_an_ended_execution_goes_after_a_while(tmp_path):
    async def main():
        async with place(tmp_path, workflow_ttl=60.0) as p:
            p.plane.stand(RUN, "RUNNING")
            await p.shows("RUNNING")
            p.plane.stand(RUN, "SUCCEEDED", ended=p.clock.now())
            await p.shows("SUCCEEDED")
            p.clock.move(timedelta(seconds=59))
            p.plane.stand(RUN, "FAILED", ended=p.clock.now() - timedelta(seconds=59))
            await p.shows("FAILED")
            assert p.handle() is not None
            p.clock.move(timedelta(seconds=2))
            await p.until(lambda: p.handle() is None)

    asyncio.run(main())


def test_another_engine_takes_over_handles_and_finds_what_was_asked_meanwhile(tmp_path):
    async def main():
        cluster, plane = FakeCluster(), Plane()
        async with place(tmp_path, cluster=cluster, plane=plane) as p:
            plane.stand(RUN, "RUNNING")
            await p.shows("RUNNING")
        await p.delete()
        await p.apply("mine", **LAUNCH_PLAN)
        async with place(tmp_path, cluster=cluster, plane=plane) as p:
            await p.until(lambda: plane.aborted)
            await p.shows("QUEUED", "mine")
            plane.stand(RUN, "ABORTED", ended=p.clock.now())
            await p.until(lambda: p.handle() is None)

    asyncio.run(main())


def test_a_cluster_without_the_resource_runs_pods_that_nobody_owns(tmp_path):
    async def main():
        cluster = FakeCluster()
        cluster.faults += [
            Fault(
                to(method, "flyteworkflows"), 10**6, refuse(404, "NotFound", "404 page not found")
            )
            for method in ("POST", "GET")
        ]
        async with place(tmp_path, cluster=cluster) as p:
            spec = await p.running()
            assert "ownerReferences" not in p.pod_of(spec.id)["metadata"]
            p.plane.stand(RUN, "RUNNING")
            await p.running("n1")
            asked = [c for c in cluster.calls if c.method == "POST" and "flyteworkflows" in c.path]
            assert len(asked) == 1, "not once a pod"

    asyncio.run(main())


def test_a_namespace_that_ends_keeps_no_handle_from_others_and_gets_its_own_later(tmp_path):
    dying = RunId("x", "d", "r1")

    async def main():
        async with place(tmp_path) as p:
            p.cluster.add_namespace("x-d", deletionTimestamp=p.cluster.stamp())
            p.plane.stand(dying, "RUNNING")
            await p.until(lambda: p.calls("POST", "/x-d/flyteworkflows"))
            p.plane.stand(RUN, "RUNNING")
            spec = await p.running()
            assert p.pod_of(spec.id)["metadata"]["ownerReferences"]
            p.cluster.remove("namespaces", "", "x-d")

            def made_later():
                p.clock.move(timedelta(minutes=1))
                return ("flyteworkflows", "x-d", "r1") in p.cluster.objects

            await p.until(made_later)

    asyncio.run(main())


def test_whoever_made_a_namespace_its_accounts_are_waited_for(tmp_path):
    """The handle of an execution comes before its pods, so that its namespace is made for the handle."""
    message = 'pods "x" is forbidden: error looking up service account q-d/default: serviceaccount "default" not found'

    async def main():
        async with place(tmp_path) as p:
            made = "namespaces", "", "q-d"
            too_soon = to("POST", "/q-d/pods")
            p.cluster.faults.append(
                Fault(
                    lambda call: too_soon(call) and made in p.cluster.objects,
                    answer=refuse(403, "Forbidden", message),
                )
            )
            spec = spec_of(AttemptId(RunId("q", "d", "r1"), ("n0",), 0))
            with pytest.raises(NotNow, match="looking up") as said:
                await p.executor.launch(spec)
            assert said.value.passes
            assert await p.executor.launch(spec) == Accepted()

    asyncio.run(main())


def test_an_object_of_another_installation_is_left_alone(tmp_path):
    async def main():
        cluster, theirs, ours = FakeCluster(), Plane(), Plane()
        pods = dataclasses.replace(QUICK.pods, installation="theirs")
        async with (
            place(tmp_path, cluster=cluster, plane=theirs, pods=pods) as other,
            place(tmp_path, cluster=cluster, plane=ours) as p,
        ):
            theirs.stand(RUN, "RUNNING")
            await other.shows("RUNNING")
            await p.running()
            assert "ownerReferences" not in p.pod_of(attempt_id())["metadata"]
            await p.delete()
            await other.until(lambda: theirs.aborted)
            assert not ours.aborted

    asyncio.run(main())


def test_what_another_installation_may_claim_is_left_to_it(tmp_path):
    """It is told after a while that none has claimed it, and even then one may."""

    async def main():
        theirs, ours = Plane(), Plane()
        pods = dataclasses.replace(QUICK.pods, installation="theirs", namespace="{{project}}")
        async with place(tmp_path / "theirs", plane=theirs, pods=pods) as other:
            await other.apply("mine", **LAUNCH_PLAN)
            await other.apply("bad", launchPlan={})
            await other.shows("REJECTED", "bad")
            assert not other.status("mine")

            def told_later():
                other.clock.move(timedelta(seconds=1))
                return other.status("mine")

            await other.until(told_later)
            assert other.status("mine")["phase"] == "UNCLAIMED"
            assert "belong into the namespace p" in other.status("mine")["message"]
            async with place(tmp_path / "ours", cluster=other.cluster, plane=ours) as p:
                await p.shows("QUEUED", "mine")
                assert ours.runs
            assert not theirs.wishes

    asyncio.run(main())


def test_the_definition_that_is_shipped_says_what_the_engine_writes():
    from pathlib import Path

    import yaml

    from flyte_jupyter.engine.adapters.kubernetes import handles

    crd = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "crd.yaml").read_text())
    spec = crd["spec"]
    (version,) = spec["versions"]
    assert (spec["group"], version["name"]) == (handles.GROUP, handles.VERSION)
    assert (spec["names"]["kind"], spec["names"]["plural"]) == (handles.KIND, handles.PLURAL)
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    standing = Standing(
        RUN, "FAILED", True, 1, 2, "why", "wf", HandClock().now(), HandClock().now()
    )
    shown = {
        *handles.status_of(standing),
        *handles.rejection({"metadata": {"generation": 1}}, "why"),
    }
    assert shown == set(schema["status"]["properties"])
    made = handles.handle_of(RUN, "wf", QUICK.pods)["spec"]
    assert set(made) <= set(schema["spec"]["properties"])
