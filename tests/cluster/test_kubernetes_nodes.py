"""A node that is lost and comes back: its attempt has ended by then, and what it still does is nobody's."""

from __future__ import annotations

import asyncio

import pytest
from cluster_attempts import live_bench, settings_for
from kubernetes_bench import attempt_id

from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.pods.naming import pod_name


@pytest.mark.usefixtures("spare_node")
def test_a_lost_node_costs_an_attempt_and_its_ghost_is_refused(node_cluster, namespace, tmp_path):
    async def main():
        settings = settings_for(namespace, kill_seconds=1)
        async with live_bench(node_cluster.kubeconfig, tmp_path, settings) as b:
            b.within = 120.0
            spec = b.shell("until [ -e /tmp/go ]; do sleep 0.1; done")
            await b.executor.launch(spec)
            await b.started(spec.id)
            node_cluster.kubelet.pause()
            try:
                how = await b.ended(spec.id)
                assert how.why.blame is Blame.SYSTEM
                assert how.why.retryable
                await b.executor.reap(spec.id)
                listing = await b.executor.listing()
                assert not listing.all, "its place is free although the pod cannot leave"
                assert pods(node_cluster, namespace) == [pod_name(spec.id)]
                said = len(b.said)
            finally:
                node_cluster.kubelet.resume()
            await b.until(lambda: not pods(node_cluster, namespace))
            other = b.shell("true", attempt_id("n1"))
            assert (await b.run(other)).code == 0
            assert {n.id for n in b.said[said:]} == {other.id}

    asyncio.run(main())


def pods(cluster, namespace):
    return [p["metadata"]["name"] for p in cluster.get("pods", "-n", namespace)["items"]]
