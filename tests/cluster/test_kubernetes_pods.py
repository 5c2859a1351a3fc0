"""Attempts as pods of a real cluster."""

from __future__ import annotations

import asyncio

from cluster_attempts import live_bench, settings_for
from kubernetes_bench import attempt_id
from local_attempts import seen

from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.pods.naming import pod_name
from flyte_jupyter.engine.ports import Accepted, Rejected
from flyte_jupyter.idl import core


def names(cluster, namespace):
    return [p["metadata"]["name"] for p in cluster.get("pods", "-n", namespace)["items"]]


def test_a_pod_runs_its_end_is_told_and_its_log_outlives_it(node_cluster, namespace, tmp_path):
    async def main():
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings_for(namespace)) as b:
            good, bad = b.shell("echo well done"), b.shell("echo oh; exit 3", attempt_id("n1"))
            await b.executor.launch(good)
            await b.executor.launch(bad)
            assert (await b.ended(good.id)).code == 0
            assert (await b.ended(bad.id)).code == 3
            assert set((await b.executor.listing()).ended) == {good.id, bad.id}
            for spec in (good, bad):
                await b.executor.reap(spec.id)
            await b.until(lambda: not names(node_cluster, namespace))
            assert await b.log(good) == "well done\n"
            assert await b.log(bad) == "oh\n"
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_launching_twice_makes_one_pod_and_a_new_engine_adopts_it(
    node_cluster, namespace, tmp_path
):
    async def main():
        settings = settings_for(namespace)
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings) as b:
            spec = b.shell("echo begun; until [ -e /tmp/go ]; do sleep 0.1; done")
            assert await b.executor.launch(spec) == Accepted()
            assert await b.executor.launch(spec) == Accepted()
            await b.started(spec.id)
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings) as b:
            assert (await b.executor.listing()).running == {spec.id}
            assert await b.executor.launch(spec) == Accepted()
            assert names(node_cluster, namespace) == [pod_name(spec.id)]
            await b.until(lambda: b.said_of(spec.id))

            assert "begun" in await seen(lambda: b.log(spec))
            node_cluster.kubectl(
                "exec", "-n", namespace, pod_name(spec.id), "--", "touch", "/tmp/go"
            )
            assert (await b.ended(spec.id)).code == 0
            assert (await b.executor.read_log(spec.id, 3, 2)).data == b"un"

    asyncio.run(main())


def test_a_killed_pod_goes_and_the_same_attempt_can_be_made_anew(node_cluster, namespace, tmp_path):
    async def main():
        settings = settings_for(namespace, kill_seconds=1, patience=30.0)
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings) as b:
            spec = b.shell("sleep 1000")
            await b.executor.launch(spec)
            await b.started(spec.id)
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            again = b.shell("echo anew")
            assert await b.executor.launch(again) == Accepted()
            assert (await b.ended(again.id)).code == 0
            # A short run may be over before anybody has seen it running.
            ends = [n.how is not None for n in b.said if n.waits is None]
            assert ends in ([False, False, True], [False, True]), "the killed one's end is no news"

    asyncio.run(main())


def test_a_secret_that_is_not_there_is_named_while_the_pod_waits_for_it(
    node_cluster, namespace, tmp_path
):
    async def main():
        settings = settings_for(namespace, ask_after=0.5, kill_seconds=1)
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings) as b:
            spec = b.shell("true")
            kind = core.Secret.MountType.FILE
            spec.template.security_context.secrets.add(
                group="tokens", key="x", mount_requirement=kind
            )
            assert await b.executor.launch(spec) == Accepted()

            def told():
                return [n.waits.reason for n in b.said_of(spec.id) if n.waits]

            await b.until(lambda: any("FailedMount" in reason for reason in told()))
            assert 'secret "tokens" not found' in told()[-1]
            await b.executor.kill(spec.id)

    asyncio.run(main())


def test_a_pod_deleted_by_hand_is_a_failure_of_the_system(node_cluster, namespace, tmp_path):
    async def main():
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings_for(namespace)) as b:
            spec = b.shell("sleep 1000")
            await b.executor.launch(spec)
            await b.started(spec.id)
            node_cluster.kubectl(
                "delete", "pod", pod_name(spec.id), "-n", namespace, "--grace-period=1"
            )
            how = await b.ended(spec.id)
            assert (how.why.code, how.why.blame) == ("ResourceDeletedExternally", Blame.SYSTEM)

    asyncio.run(main())


def test_memory_images_and_room_that_are_not_there_are_named(node_cluster, namespace, tmp_path):
    async def main():
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings_for(namespace)) as b:
            absent = b.shell("true", attempt_id("absent"), image="localhost/none:1")
            greedy = b.shell("true", attempt_id("greedy"))
            name, wish = greedy.template.container.resources.CPU, "1000"
            greedy.template.container.resources.requests.add(name=name, value=wish)
            hungry = b.shell("python -c 'x = bytearray(300 * 2**20)' ", attempt_id("hungry"))
            memory = hungry.template.container.resources
            memory.limits.add(name=memory.MEMORY, value="100Mi")
            for spec in (absent, greedy, hungry):
                assert await b.executor.launch(spec) == Accepted()
            how = await b.ended(hungry.id)
            assert how.why.code == "OOMKilled"
            await b.until(
                lambda: any(
                    "ImagePull" in (n.waits.reason if n.waits else "") for n in b.said_of(absent.id)
                )
            )
            await b.until(lambda: b.said_of(greedy.id))
            assert "nsufficient cpu" in b.said_of(greedy.id)[0].waits.reason
            for spec in (absent, greedy, hungry):
                await b.executor.kill(spec.id)

    asyncio.run(main())


def test_a_quota_is_waited_for_and_a_forbidden_template_is_refused(
    node_cluster, namespace, tmp_path
):
    async def main():
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "most", "namespace": namespace},
        }
        node_cluster.apply({**quota, "spec": {"hard": {"pods": "1"}}})
        async with live_bench(
            node_cluster.kubeconfig, tmp_path, settings_for(namespace, kill_seconds=1)
        ) as b:
            first, second = b.shell("sleep 1000"), b.shell("echo mine", attempt_id("n1"))

            await b.until(
                lambda: (
                    "used"
                    in node_cluster.get("resourcequota", "most", "-n", namespace).get("status", {})
                )
            )
            await b.executor.launch(first)
            await b.started(first.id)
            assert await b.executor.launch(second) == Accepted()
            assert second.id in (await b.executor.listing()).queued
            assert "exceeded quota" in b.said_of(second.id)[0].waits.reason
            await b.executor.kill(first.id)
            assert (await b.ended(second.id)).code == 0
        node_cluster.kubectl("delete", "resourcequota", "most", "-n", namespace)

    asyncio.run(main())


def test_the_restricted_standard_is_met_and_its_violation_is_told(
    node_cluster, namespace, tmp_path
):
    async def main():
        import dataclasses

        from flyte_jupyter.engine.pods.settings import Allowed

        settings = settings_for(namespace)
        pods = dataclasses.replace(settings.pods, allowed=Allowed(host_namespaces=True))
        settings = dataclasses.replace(settings, pods=pods)
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings) as b:
            assert (await b.run(b.shell("test $(id -u) -ne 0"))).code == 0
            loose = b.shell("true", attempt_id("n1"))
            loose.template.k8s_pod.pod_spec.update(
                {
                    "hostNetwork": True,
                    "containers": [
                        {"name": "main", "image": loose.template.container.image, "args": ["true"]}
                    ],
                }
            )
            loose.template.config["primary_container_name"] = "main"
            loose.template.type = "sidecar"
            answer = await b.executor.launch(loose)
            assert isinstance(answer, Rejected)
            assert answer.why.code == "PodSecurityViolation"

    asyncio.run(main())
