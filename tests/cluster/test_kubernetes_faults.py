"""Faults between the executor and a real API server. The test plays the kubelet, by the front door."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator

import api_faults
import pytest
from api_faults import Answer, Cut, Fault
from cluster_attempts import live_bench, settings_for
from faulty_api import FaultyApi
from kubernetes_bench import attempt_id

from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.settings import (
    ConnectionSettings,
    PaceSettings,
    WatchSettings,
)
from flyte_jupyter.engine.pods.naming import pod_name
from flyte_jupyter.engine.ports import Accepted, NotNow, Rejected

PACE = PaceSettings(first_wait=0.05, longest_wait=1.0)
WATCH = WatchSettings(silence=3.0)


class Kubelet:
    """Says how pods stand, as an administrator may."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def _path(self, spec) -> str:
        return objects.pod((self._namespace, pod_name(spec.id)))

    async def says(self, spec, phase: str, state: dict) -> None:
        pod = await self._api.read(self._path(spec))
        container = {
            "name": pod["spec"]["containers"][0]["name"],
            "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state,
        }  # fmt: skip
        status = {"phase": phase, "containerStatuses": [container]}
        await self._api.patch(f"{self._path(spec)}/status", {"status": status})

    async def run(self, spec) -> None:
        await self.says(spec, "Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})

    async def finish(self, spec, code: int = 0) -> None:
        ended = {
            "exitCode": code,
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z",
        }
        await self.says(spec, "Failed" if code else "Succeeded", {"terminated": ended})

    async def remove(self, spec) -> None:
        await self._api.delete(self._path(spec), grace=0)

    async def pods(self) -> list[str]:
        found = await self._api.read(objects.pods(self._namespace))
        return [p["metadata"]["name"] for p in found["items"]]


@dataclasses.dataclass
class Scene:
    """An executor behind a faulty door, and a kubelet in front of it."""

    b: object
    door: FaultyApi
    kubelet: Kubelet

    async def launch(self, spec, within: float = 30) -> object:
        """As the outbox does it: again until it is taken or refused for good."""
        async with asyncio.timeout(within):
            while True:
                try:
                    return await self.b.executor.launch(spec)
                except (Refused, Unreachable):
                    await asyncio.sleep(0.05)

    async def through(self, spec, code: int = 0) -> None:
        """An attempt from its launch to its end."""
        assert await self.launch(spec) == Accepted()
        await self.kubelet.run(spec)
        await self.b.started(spec.id)
        await self.kubelet.finish(spec, code)
        assert (await self.b.ended(spec.id)).code == code


@pytest.fixture
def scene(control_plane_cluster, tmp_path):
    cluster = control_plane_cluster
    namespace = f"faults-{uuid.uuid4().hex[:6]}"
    cluster.make_namespace(namespace)
    settings = settings_for(namespace, pace=PACE, watch=WATCH, log_seconds=0.2)

    @contextlib.asynccontextmanager
    async def made(who=None, **changes) -> AsyncIterator[Scene]:
        with FaultyApi.start(cluster, tmp_path, who=who) as door:
            api = Api(await connect(ConnectionSettings(cluster.kubeconfig), SystemClock()))
            chosen = dataclasses.replace(settings, **changes)
            try:
                async with live_bench(door.kubeconfig, tmp_path, chosen) as b:
                    yield Scene(b, door, Kubelet(api, namespace))
            finally:
                await api.close()

    made.namespace, made.cluster = namespace, cluster
    yield made
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_lost_answer_to_a_create_makes_exactly_one_pod(scene):
    async def main():
        async with scene() as s:
            spec = s.b.shell("true")
            with s.door.fault(Fault(Cut(committed=True), "POST", "/pods", times=3)) as fault:
                await s.through(spec)
                assert fault.met >= 1
            assert await s.kubelet.pods() == [pod_name(spec.id)]
            with s.door.fault(Fault(Cut(committed=True), "DELETE", "/pods/")) as fault:
                # The client itself may ask again, on a new connection.
                with contextlib.suppress(Unreachable):
                    await s.b.executor.reap(spec.id)
                assert fault.met == 1
                await s.b.executor.reap(spec.id)
            assert not await s.kubelet.pods()
            assert not (await s.b.executor.listing()).all

    asyncio.run(main())


@pytest.mark.parametrize(
    "fault",
    [
        api_faults.ends(1),
        api_faults.expired(1),
        api_faults.twice(),
        api_faults.stale(),
        api_faults.without_bookmarks(),
        api_faults.muted(),
        Cut(),
        Answer(410),
        Answer(500),
    ],
    ids=["ends", "expired", "twice", "stale", "no bookmarks", "muted", "cut", "410", "500"],
)
def test_a_watch_that_misbehaves_changes_nothing(scene, fault):
    async def main():
        async with scene() as s:
            first, second, gone = (s.b.shell("true", attempt_id(f"n{i}")) for i in range(3))
            await s.launch(gone)
            await s.kubelet.run(gone)
            await s.b.started(gone.id)
            with s.door.fault(Fault(fault, "GET", "watch=", times=4)):
                s.door.cut_all()
                await s.through(first)
                await s.kubelet.remove(gone)
                await s.b.until(lambda: any(n.how for n in s.b.said_of(gone.id)))
                await s.through(second, 3)
            assert (await s.b.ended(gone.id)).why.code == "ResourceDeletedExternally"
            for spec in (first, second, gone):
                told = [n for n in s.b.said_of(spec.id) if n.waits is None]
                assert [n.how is not None for n in told] == [False, True], "each is told once"

    asyncio.run(main())


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(scene):
    async def main():
        async with scene(pace=dataclasses.replace(PACE, qps=50, burst=5)) as s:
            specs = [s.b.shell("true", attempt_id(f"n{i}")) for i in range(20)]
            busy = Fault(Answer(429, retry_after=1), "POST", "/pods", times=3)
            with s.door.fault(busy):
                await asyncio.gather(*(s.launch(spec) for spec in specs))
            assert len(await s.kubelet.pods()) == 20
            posts = [one for one in s.door.seen if one.method == "POST"]
            refused = [one for one in posts if one.status == 429]
            served = sorted(one.at for one in posts if one.status == 201)
            assert len(refused) == 3
            asked_until = max(one.at for one in refused) + 0.95
            late = [at for at in served if at >= asked_until]
            assert len(late) >= 15, "all but those that were under way together"
            assert late[-1] - late[0] >= (len(late) - 2) / 50, "evenly, not all at once"

    asyncio.run(main())


def test_a_storm_of_errors_and_a_server_that_is_restarted_hold_up_but_lose_nothing(
    scene, control_plane_cluster
):
    async def main():
        async with scene() as s:
            before, during = s.b.shell("true"), s.b.shell("true", attempt_id("n1"))
            await s.launch(before)
            with (
                s.door.fault(Fault(Answer(500), times=8)),
                s.door.fault(Fault(Answer(503), times=8)),
            ):
                launched = asyncio.create_task(s.launch(during))
                s.door.cut_all()
                await s.kubelet.run(before)
                await s.b.started(before.id)
                await launched
            control_plane_cluster.api_server.kill()
            with pytest.raises(Unreachable):
                await s.b.executor.kill(during.id)
            listing = await s.b.executor.listing()
            assert listing.all == {before.id, during.id}, "an absent server is no news of pods"
            await asyncio.to_thread(control_plane_cluster.api_server.start)
            await s.kubelet.finish(before)
            assert (await s.b.ended(before.id)).code == 0
            await s.b.executor.kill(during.id)
            await s.b.executor.reap(before.id)
            assert not await s.kubelet.pods()

    asyncio.run(main())


def test_a_server_that_stands_still_holds_up_one_request_and_then_is_asked_again(
    scene, control_plane_cluster
):
    async def main():
        async with scene() as s:
            s.b.api._seconds = 1.0
            spec = s.b.shell("true")
            control_plane_cluster.api_server.pause()
            try:
                with pytest.raises(Unreachable):
                    await s.b.executor.launch(spec)
            finally:
                control_plane_cluster.api_server.resume()
            await s.through(spec)
            assert await s.kubelet.pods() == [pod_name(spec.id)]

    asyncio.run(main())


def test_rights_that_are_missing_fail_the_attempt_with_the_servers_words(
    scene, control_plane_cluster
):
    """Reading is allowed, creating is not: no endless loop, and what is missing is named."""
    cluster = control_plane_cluster
    reader = cluster.authority.issue("reader", "/CN=reader")
    cluster.kubectl("create", "clusterrolebinding", f"view-{scene.namespace}", "--clusterrole=view", "--user=reader")  # fmt: skip

    async def main():
        async with scene(who=reader) as s:
            answer = await s.launch(s.b.shell("true"))
            assert isinstance(answer, Rejected)
            assert 'User "reader" cannot create resource "pods"' in answer.why.message
            assert s.door.count("POST", "/pods") == 1

    asyncio.run(main())
    cluster.kubectl("delete", "clusterrolebinding", f"view-{scene.namespace}")


def test_a_finalizer_keeps_a_pod_and_the_executor_waits_without_losing_it(scene):
    async def main():
        async with scene(patience=0.2) as s:
            spec = s.b.shell("true")
            await s.launch(spec)
            path = s.kubelet._path(spec)
            await s.kubelet._api.patch(path, {"metadata": {"finalizers": ["example.com/keep"]}})
            await s.b.executor.kill(spec.id)
            assert not (await s.b.executor.listing()).all
            with pytest.raises(Exception, match="still being deleted"):
                await s.b.executor.launch(spec)
            assert len(await s.kubelet.pods()) == 1
            await s.kubelet._api.patch(path, {"metadata": {"finalizers": None}})
            await s.b.until(lambda: not s.b.executor._leaving._uids)
            assert not await s.kubelet.pods()
            await s.through(spec)

    asyncio.run(main())


def test_a_namespace_that_is_being_deleted_is_waited_for_and_made_anew(scene):
    """Something in it keeps it Terminating: each create is refused, and nothing fails for it."""

    async def main():
        cluster, namespace = scene.cluster, scene.namespace
        async with scene(create_namespaces=True) as s:
            keeper = {"name": "keeper", "namespace": namespace, "finalizers": ["example.com/keep"]}
            cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": keeper})
            before = cluster.get("namespace", namespace)["metadata"]["uid"]
            cluster.kubectl("delete", "namespace", namespace, "--wait=false")
            spec = s.b.shell("true")
            with pytest.raises(NotNow, match="because it is being terminated"):
                await s.b.executor.launch(spec)
            asked = s.door.count("POST", "/pods")
            waiting = asyncio.create_task(s.launch(spec, within=120))
            while s.door.count("POST", "/pods") < asked + 5:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.05)
            assert not waiting.done()
            patch = '{"metadata": {"finalizers": null}}'
            cluster.kubectl("patch", "configmap", "keeper", "-n", namespace, "--type=merge", "-p", patch)  # fmt: skip
            assert await waiting == Accepted()
            assert cluster.get("namespace", namespace)["metadata"]["uid"] != before
            await s.kubelet.run(spec)
            await s.b.started(spec.id)
            await s.kubelet.finish(spec)
            assert (await s.b.ended(spec.id)).code == 0

    asyncio.run(main())


def test_pod_templates_of_the_cluster_lie_below_tasks_and_are_held_to_the_rules(scene):
    """As the API server gives them back, with all the defaults that it fills in."""
    shared = f"{scene.namespace}-shared"
    scene.cluster.make_namespace(shared)

    def template(name, where, **spec):
        base = {"name": "default", "image": "noop", "env": [{"name": "FROM", "value": name}]}
        return {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": name, "namespace": where},
            "template": {
                "metadata": {"labels": {"team": "blue"}},
                "spec": {"containers": [base], **spec},
            },
        }

    def named(s, node, name):
        spec = s.b.shell("true", attempt_id(node))
        spec.template.metadata.pod_template_name = name
        return spec

    async def main():
        tolerations = [{"key": "spot", "operator": "Exists"}]
        scene.cluster.apply(template("base", scene.namespace, tolerations=tolerations))
        scene.cluster.apply(template("shared", shared))
        scene.cluster.apply(template("loose", scene.namespace, hostNetwork=True))
        async with scene(template_namespace=shared) as s:
            for node, name in (("n0", "base"), ("n1", "shared")):
                spec = named(s, node, name)
                await s.through(spec)
                pod = scene.cluster.get("pod", pod_name(spec.id), "-n", scene.namespace)
                assert pod["metadata"]["labels"]["team"] == "blue"
                assert {"name": "FROM", "value": name} in pod["spec"]["containers"][0]["env"]
                assert pod["spec"]["restartPolicy"] == "Never"
                keys = [each["key"] for each in pod["spec"]["tolerations"]]
                assert ("spot" in keys) == (name == "base")
            refused = await s.launch(named(s, "n2", "loose"))
            assert isinstance(refused, Rejected)
            assert refused.why.code == "PodTemplateRefused"
            missing = await s.launch(named(s, "n3", "nothing"))
            assert missing.why.code == "BadTaskSpecification"

    asyncio.run(main())
    scene.cluster.kubectl("delete", "namespace", shared, "--wait=false")
