"""Attempts as pods, over an API server in memory: once through real HTTP, else by plain calls."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from fake_cluster import FakeCluster, Fault, refuse, to
from kubernetes_bench import QUICK, attempt_id, bench, spec_of
from virtual_time import virtually

from flyte_jupyter.engine.adapters.kubernetes.making import Nobody
from flyte_jupyter.engine.core.state import Blame, Stage
from flyte_jupyter.engine.ports import Accepted, NotNow, Rejected, Waits

over = pytest.mark.parametrize("http", [False, True], ids=["calls", "http"])


@over
def test_a_pod_runs_an_attempt_from_its_creation_to_its_deletion(tmp_path, http):
    async def main():
        async with bench(tmp_path, http=http) as b:
            spec = await b.running()
            assert spec.id in (await b.executor.listing()).running
            b.cluster.logs["p-d", b.pod_of(spec.id)["metadata"]["name"]] = b"hello\n"
            b.cluster.finish(b.pod_of(spec.id))
            how = await b.ended(spec.id)
            assert (how.code, how.why) == (0, None)
            assert (await b.executor.listing()).ended[spec.id] == how
            await b.executor.reap(spec.id)
            assert not b.cluster.pods()
            assert not (await b.executor.listing()).all
            part = await b.executor.read_log(spec.id, 2, 3)
            assert (part.data, part.complete) == (b"llo", False)
            assert (await b.executor.read_log(spec.id, 5, 10)).complete

    asyncio.run(main())


def test_no_log_is_asked_for_where_none_is_to_be_kept(tmp_path):
    async def main():
        async with bench(tmp_path, log_seconds=0.0) as b:
            spec = await b.running()
            b.cluster.finish(b.pod_of(spec.id))
            await b.ended(spec.id)
            await b.executor.reap(spec.id)
            assert not b.cluster.pods()
            assert [c.method for c in b.cluster.calls if c.path.endswith("/log")] == []
            part = await b.executor.read_log(spec.id, 0, 10)
            assert (part.data, part.complete) == (b"", True)

    asyncio.run(main())


def test_a_create_whose_answer_was_lost_is_adopted(tmp_path):
    """The server made the pod, and the connection broke: asked again, there is exactly one."""

    async def main():
        async with bench(tmp_path) as b:
            b.cluster.faults.append(Fault(to("POST", "/pods"), after=True))
            spec = spec_of(attempt_id())
            with pytest.raises(Exception, match="broke"):
                await b.executor.launch(spec)
            assert await b.executor.launch(spec) == Accepted()
            assert len(b.cluster.pods()) == 1
            b.cluster.run(b.pod_of(spec.id))
            await b.started(spec.id)

    asyncio.run(main())


def test_a_pod_of_that_name_which_is_another_attempts_is_a_conflict(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            pod = b.pod_of(spec.id)
            await b.executor.kill(spec.id)
            await b.until(lambda: not b.cluster.pods())
            stranger = {"metadata": {"name": pod["metadata"]["name"], "namespace": "p-d"}}
            b.cluster._put("pods", {**stranger, "spec": {}, "status": {}}, "ADDED")
            answer = await b.executor.launch(spec)
            assert isinstance(answer, Rejected)
            assert answer.why.code == "PodConflict"
            assert len(b.cluster.pods()) == 1

    asyncio.run(main())


def test_what_an_earlier_engine_made_is_adopted_and_its_end_is_told(tmp_path):
    async def main():
        cluster = FakeCluster()
        async with bench(tmp_path, cluster=cluster) as b:
            running, ending = await b.running("n0"), await b.running("n1")
        cluster.finish(b.pod_of(ending.id), 3)
        async with bench(tmp_path, cluster=cluster) as b:
            assert (await b.executor.listing()).running == {running.id}
            assert (await b.ended(ending.id)).code == 3
            assert await b.executor.launch(running) == Accepted()
            assert len(cluster.pods()) == 2
            cluster.finish(b.pod_of(running.id))
            assert (await b.ended(running.id)).code == 0

    asyncio.run(main())


def test_a_pod_deleted_by_hand_is_a_failure_of_the_system(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            b.cluster.remove_pod(b.pod_of(spec.id))
            how = await b.ended(spec.id)
            assert (how.why.code, how.why.blame) == ("ResourceDeletedExternally", Blame.SYSTEM)
            assert how.why.retryable
            await b.executor.reap(spec.id)
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_a_busy_server_is_not_asked_again_and_again_whether_pods_are_gone(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            b.within = 300.0
            specs = [await b.running(f"n{number}") for number in range(20)]
            asks = to("GET", "/p-d/pods/")
            busy = refuse(429, "TooManyRequests", "too many requests", retry_after="60")
            b.cluster.faults.append(Fault(asks, 10**6, busy))
            for spec in specs:
                b.cluster.remove_pod(b.pod_of(spec.id))
            await asyncio.sleep(50)
            assert len([call for call in b.cluster.calls if asks(call)]) == len(specs)
            b.cluster.faults.clear()
            for spec in specs:
                assert (await b.ended(spec.id)).why.code == "ResourceDeletedExternally"

    virtually(main)


def test_labels_edited_by_hand_are_put_back_and_nothing_has_happened(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            path = f"/api/v1/namespaces/p-d/pods/{b.pod_of(spec.id)['metadata']['name']}"
            was = b.pod_of(spec.id)["metadata"]["labels"]
            gone = {name: None for name in was if name.startswith("flyte-jupyter.dev/")}
            await b.api.patch(path, {"metadata": {"labels": gone, "annotations": None}})
            await b.until(lambda: b.pod_of(spec.id)["metadata"]["labels"] == was)
            b.cluster.finish(b.pod_of(spec.id))
            assert (await b.ended(spec.id)).code == 0
            assert len(b.said_of(spec.id)) == 2

    asyncio.run(main())


def test_the_end_of_a_pod_whose_labels_cannot_be_put_back_is_told(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            pod = b.pod_of(spec.id)
            path = f"/api/v1/namespaces/p-d/pods/{pod['metadata']['name']}"
            gone = dict.fromkeys(pod["metadata"]["labels"])
            await b.api.patch(path, {"metadata": {"labels": gone}})
            patches = to("PATCH", "/pods/")
            b.cluster.faults.append(Fault(patches, 10**6, refuse(403, "Forbidden", "never")))
            await b.until(lambda: len([c for c in b.cluster.calls if patches(c)]) > 2)
            assert len(b.said_of(spec.id)) == 1
            b.cluster.finish(b.pod_of(spec.id))
            assert (await b.ended(spec.id)).code == 0

    asyncio.run(main())


def test_the_late_success_of_a_lost_pod_is_nobodys(tmp_path):
    """Its node was silent, the attempt ended; when the node comes back with a success, nothing is told."""

    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            pod = b.pod_of(spec.id)
            b.cluster.ghosts = True
            taint = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByTaintManager",
            }
            b.cluster.set_status(pod, conditions=[taint])
            how = await b.ended(spec.id)
            assert how.why.blame is Blame.SYSTEM
            await b.executor.reap(spec.id)
            assert not (await b.executor.listing()).all
            said = len(b.said)
            b.cluster.finish(b.pod_of(spec.id))
            b.cluster.let_go()
            other = await b.running("n1")
            assert [n.id for n in b.said[said:]] == [other.id]

    asyncio.run(main())


LACKS = 'MountVolume.SetUp failed for volume "flyte-secret-1" : secret "tokens" not found'


def test_what_keeps_a_pod_from_starting_and_its_status_does_not_say_is_told_by_its_last_warning(
    tmp_path,
):
    async def main():
        async with bench(tmp_path, ask_after=0.0) as b:
            spec, other = spec_of(attempt_id()), spec_of(attempt_id("n1"))
            for each in (other, spec):
                await b.executor.launch(each)
            pod = b.pod_of(spec.id)
            b.cluster.warn(pod, "FailedMount", LACKS, "2026-01-01T00:00:02Z")
            b.cluster.warn(pod, "FailedMount", "an older one", "2026-01-01T00:00:01Z")
            b.cluster.warn(pod, "FailedScheduling", "no node", "2026-01-01T00:00:03Z")
            b.cluster.warn(pod, "Pulling", "all is well", "2026-01-01T00:00:04Z", type="Normal")
            for each in (other, spec):
                b.cluster.wait_for(b.pod_of(each.id), "ContainerCreating")
            await b.until(lambda: len(b.said_of(spec.id)) == 2)
            bare, told = [n.waits for n in b.said_of(spec.id)]
            assert bare == Waits(Stage.INITIALIZING, "ContainerCreating")
            assert told == Waits(Stage.INITIALIZING, f"ContainerCreating: FailedMount: {LACKS}")
            b.cluster.run(b.pod_of(spec.id))
            await b.started(spec.id)
            assert [n.waits for n in b.said_of(other.id)] == [bare]

    asyncio.run(main())


def test_a_pod_whose_status_changes_and_says_nothing_new_is_asked_in_its_time(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = spec_of(attempt_id())
            await b.executor.launch(spec)
            pod = b.pod_of(spec.id)
            b.cluster.warn(pod, "FailedMount", LACKS, "2026-01-01T00:00:02Z")
            events = to("GET", "/events")
            for _ in range(5):
                assert not [c for c in b.cluster.calls if events(c)]
                b.cluster.wait_for(pod, "ContainerCreating")
                await asyncio.sleep(QUICK.ask_after / 5.5)
            await b.until(lambda: len(b.said_of(spec.id)) == 2)
            b.cluster.wait_for(pod, "ContainerCreating")
            await asyncio.sleep(QUICK.ask_after * 2)
            assert len(b.said_of(spec.id)) == 2

    virtually(main)


def test_a_pod_is_asked_once_what_keeps_it_and_needs_no_right_to_tell(tmp_path):
    async def main():
        async with bench(tmp_path, ask_after=0.0) as b:
            events = to("GET", "/events")
            b.cluster.faults.append(Fault(events, 10**6, refuse(403, "Forbidden", "never")))
            spec = spec_of(attempt_id())
            await b.executor.launch(spec)
            b.cluster.wait_for(b.pod_of(spec.id), "ContainerCreating")
            await b.until(lambda: [c for c in b.cluster.calls if events(c)])
            b.cluster.wait_for(b.pod_of(spec.id), "ContainerCreating")
            b.cluster.wait_for(b.pod_of(spec.id), "ImagePullBackOff", "no such image")
            await b.until(lambda: len(b.said_of(spec.id)) == 2)
            assert b.said_of(spec.id)[0].waits.reason == "ContainerCreating"
            b.cluster.run(b.pod_of(spec.id))
            await b.started(spec.id)
            assert len([c for c in b.cluster.calls if events(c)]) == 1

    asyncio.run(main())


def test_a_killed_pod_is_deleted_and_its_end_is_no_news(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            await b.executor.kill(spec.id)
            await b.executor.kill(spec.id)
            await b.until(lambda: not b.cluster.pods())
            assert not (await b.executor.listing()).all
            assert await b.executor.launch(spec) == Accepted()
            b.cluster.run(b.pod_of(spec.id))
            await b.until(lambda: len(b.said_of(spec.id)) == 2)
            assert all(n.how is None for n in b.said)

    asyncio.run(main())


def test_an_attempt_whose_pod_nobody_heard_of_is_killed_all_the_same(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            b.cluster.watch_faults.silent = True
            b.cluster.faults.append(Fault(to("POST", "/pods"), after=True))
            spec = spec_of(attempt_id())
            with pytest.raises(Exception, match="broke"):
                await b.executor.launch(spec)
            await b.executor.kill(spec.id)
            assert not b.cluster.pods()

    asyncio.run(main())


def test_a_pod_that_cannot_leave_is_waited_for(tmp_path):
    """A finalizer, or a node that does not answer, keeps the name: the same attempt again has to wait."""

    async def main():
        async with bench(tmp_path, patience=0.05) as b:
            spec = await b.running()
            b.cluster.ghosts = True
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            with pytest.raises(Exception, match="still being deleted"):
                await b.executor.launch(spec)
            b.cluster.let_go()
            await b.until(lambda: not b.cluster.pods())
            assert await b.executor.launch(spec) == Accepted()

    asyncio.run(main())


@pytest.mark.parametrize("restarted", [False, True], ids=["deaf", "restarted"])
def test_a_pod_whose_end_nobody_heard_keeps_its_name_from_nobody(tmp_path, restarted):
    async def main():
        async with bench(tmp_path, patience=0.05) as b:
            spec = await b.running()
            b.cluster.ghosts = True
            await b.executor.kill(spec.id)
            with pytest.raises(Exception, match="still being deleted"):
                await b.executor.launch(spec)
            if restarted:
                await b.executor.stop()
            else:
                deaf = lambda call: call.method == "GET" and call.path.endswith("/pods")  # noqa: E731
                b.cluster.faults.append(Fault(deaf, 10**6))
                b.cluster.watch_faults.close_after = 0
                b.cluster.end_watches()
            b.cluster.let_go()
            if restarted:
                await b.executor.start(b.news)
            assert await b.executor.launch(spec) == Accepted()
            assert len(b.cluster.pods()) == 1

    asyncio.run(main())


def test_where_a_quota_is_used_up_an_attempt_waits_and_starts_when_there_is_room(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            b.cluster.quota["p-d"] = 1
            first = await b.running("n0")
            second, third = spec_of(attempt_id("n1")), spec_of(attempt_id("n2"))
            assert await b.executor.launch(second) == Accepted()
            assert await b.executor.launch(third) == Accepted()
            told = b.said_of(second.id)
            assert told[0].waits.stage is Stage.RESOURCES
            assert "exceeded quota" in told[0].waits.reason
            listing = await b.executor.listing()
            assert listing.queued == {second.id, third.id}
            await b.executor.kill(third.id)
            b.cluster.finish(b.pod_of(first.id))
            await b.until(lambda: len(b.cluster.pods()) == 2)
            b.cluster.run(b.pod_of(second.id))
            await b.started(second.id)
            waits = [n.waits.stage for n in b.said_of(second.id) if n.waits]
            assert waits[-1] is Stage.QUEUED, "it is made, and may have run from here on"
            assert third.id not in (await b.executor.listing()).all

    asyncio.run(main())


def test_what_fits_into_a_quota_goes_past_what_does_not(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            large = [spec_of(attempt_id(f"large{i}")) for i in range(6)]
            small = spec_of(attempt_id("small"))
            said = 'pods "x" is forbidden: exceeded quota: most, requested: cpu=6, used: cpu=5, limited: cpu=10'
            full = refuse(403, "Forbidden", said)

            def asks_for(word):
                return lambda c: c.method == "POST" and word in str(c.body["metadata"]["name"])

            b.cluster.faults += [
                Fault(asks_for("large"), 10**6, full),
                Fault(asks_for("small"), 1, full),
            ]
            for spec in [*large, small]:
                assert await b.executor.launch(spec) == Accepted()
            assert small.id in (await b.executor.listing()).queued
            await b.until(b.cluster.pods)
            assert b.pod_of(small.id) in b.cluster.pods()
            assert len((await b.executor.listing()).queued) == 7

    asyncio.run(main())


def test_what_waits_for_room_and_meets_a_fault_of_our_own_is_the_systems_failure(tmp_path):
    class Owners(Nobody):
        broken = False

        async def owner(self, _):
            if self.broken:
                raise RuntimeError("a defect")

    async def main():
        owners = Owners()
        async with bench(tmp_path, owners=owners) as b:
            b.cluster.quota["p-d"] = 0
            spec = spec_of(attempt_id())
            assert await b.executor.launch(spec) == Accepted()
            owners.broken = True
            why = (await b.ended(spec.id)).why
            assert (why.code, why.blame, why.retryable) == ("SystemError", Blame.SYSTEM, True)
            assert "a defect" in why.message
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_a_namespace_that_is_missing_is_made_with_its_security_standard(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            b.cluster.remove("namespaces", "", "p-d")
            assert await b.executor.launch(spec_of(attempt_id())) == Accepted()
            labels = b.cluster.objects["namespaces", "", "p-d"]["metadata"]["labels"]
            assert labels == {"pod-security.kubernetes.io/enforce": "restricted"}
            assert b.cluster.pods()[0]["metadata"]["namespace"] == "p-d"

    asyncio.run(main())


def test_the_accounts_of_a_new_namespace_are_waited_for(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            b.cluster.remove("namespaces", "", "p-d")
            b.cluster.faults.append(
                Fault(
                    to("POST", "/p-d/pods"),
                    answer=refuse(404, "NotFound", 'namespaces "p-d" not found'),
                )
            )
            message = 'pods "x" is forbidden: error looking up service account p-d/default: serviceaccount "default" not found'
            b.cluster.faults.append(
                Fault(to("POST", "/p-d/pods"), answer=refuse(403, "Forbidden", message))
            )
            spec = spec_of(attempt_id())
            with pytest.raises(Exception, match="looking up"):
                await b.executor.launch(spec)
            assert await b.executor.launch(spec) == Accepted()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "reason", "message", "code"),
    [
        (403, "Forbidden", "pods is forbidden: User cannot create resource", "RuntimeFailure"),
        (400, "BadRequest", 'admission webhook "no.example" denied the request: not today', "AdmissionDenied"),
        (403, "Forbidden", 'violates PodSecurity "restricted:latest": hostNetwork', "PodSecurityViolation"),
        (422, "Invalid", "Pod is invalid: spec.containers[0].image: Required value", "BadTaskFormat"),
    ],
)  # fmt: skip
def test_what_the_server_will_never_take_fails_with_its_message(
    tmp_path, status, reason, message, code
):
    async def main():
        async with bench(tmp_path) as b:
            b.cluster.faults.append(
                Fault(to("POST", "/pods"), 100, refuse(status, reason, message))
            )
            answer = await b.executor.launch(spec_of(attempt_id()))
            assert isinstance(answer, Rejected)
            assert answer.why.code == code
            assert message in answer.why.message
            assert len([c for c in b.cluster.calls if c.method == "POST"]) == 1

    asyncio.run(main())


def test_a_busy_server_is_asked_again_after_as_long_as_it_wants(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            loop = asyncio.get_running_loop()
            busy = refuse(429, "TooManyRequests", "too many requests", retry_after="0.2")
            b.cluster.faults.append(Fault(to("POST", "/pods"), answer=busy))
            specs = [spec_of(attempt_id(f"n{i}")) for i in range(5)]
            began = loop.time()
            with pytest.raises(Exception, match="429"):
                await b.executor.launch(specs[0])
            await asyncio.gather(*(b.executor.launch(s) for s in specs))
            assert loop.time() - began >= 0.2
            assert len(b.cluster.pods()) == 5

    asyncio.run(main())


def test_an_engine_that_the_server_does_not_know_for_a_moment_costs_no_attempt(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            unknown = refuse(401, "Unauthorized", "Unauthorized")
            b.cluster.faults.append(Fault(to("POST", "/pods"), answer=unknown))
            spec = spec_of(attempt_id())
            with pytest.raises(NotNow, match="401"):
                await b.executor.launch(spec)
            assert await b.executor.launch(spec) == Accepted()

    asyncio.run(main())


def test_an_image_that_cannot_be_pulled_fails_after_its_grace_and_the_pod_is_deleted(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = spec_of(attempt_id())
            await b.executor.launch(spec)
            b.cluster.wait_for(b.pod_of(spec.id), "ImagePullBackOff", "no such image")
            await b.until(lambda: b.said_of(spec.id))
            assert "no such image" in b.said_of(spec.id)[0].waits.reason
            b.clock.move(timedelta(minutes=4))
            how = await b.ended(spec.id)
            assert "ImagePullBackOff" in how.why.code + how.why.message
            await b.until(lambda: not b.cluster.pods())
            await b.executor.reap(spec.id)
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_a_grace_that_is_over_ends_no_pod_that_has_started_unheard_meanwhile(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = spec_of(attempt_id())
            await b.executor.launch(spec)
            b.cluster.wait_for(b.pod_of(spec.id), "ErrImagePull", "the registry is slow")
            await b.until(lambda: b.said_of(spec.id))
            deaf = lambda call: call.method == "GET" and call.path.endswith("/pods")  # noqa: E731
            b.cluster.faults.append(Fault(deaf, 10**6))
            b.cluster.watch_faults.close_after = 0
            b.cluster.end_watches()
            away = Fault(to("GET", "/pods/"))
            b.cluster.faults.append(away)
            b.cluster.run(b.pod_of(spec.id))
            b.clock.move(timedelta(minutes=4))
            await b.until(lambda: not away.times or "DELETE" in str(b.changes()))
            # How it stands could not be seen, so it is looked at again.
            b.clock.move(timedelta(minutes=1))
            await b.until(lambda: b.said_of(spec.id)[-1].waits is None)
            assert [n.how for n in b.said_of(spec.id)] == [None, None]
            assert spec.id in (await b.executor.listing()).running
            assert len(b.changes()) == 1

    asyncio.run(main())


def test_timers_of_an_engine_that_may_act_no_longer_change_nothing(tmp_path):
    """It stood still: what it had waiting for a quota, or for the end of a grace, is another's by now."""

    async def main():
        async with bench(tmp_path) as b:
            stuck, waits = spec_of(attempt_id("n0")), spec_of(attempt_id("n1"))
            await b.executor.launch(stuck)
            b.cluster.wait_for(b.pod_of(stuck.id), "ImagePullBackOff", "no such image")
            await b.until(lambda: b.said_of(stuck.id))
            b.cluster.quota["p-d"] = 1
            await b.executor.launch(waits)
            b.rivalry.lost = True
            b.cluster.quota.clear()
            before = b.changes()
            b.clock.move(timedelta(minutes=4))
            await b.ended(stuck.id)
            await b.until(lambda: b.rivalry.asked > 5 or b.changes() != before)
            assert b.changes() == before
            assert len(b.cluster.pods()) == 1

    asyncio.run(main())


def test_a_cluster_that_is_away_at_the_start_holds_up_nothing(tmp_path):
    async def main():
        cluster = FakeCluster()
        away = Fault(to("GET"), 10**6)
        cluster.faults.append(away)
        async with bench(tmp_path, cluster=cluster, patience=0.1) as b:
            listing = await b.executor.listing()
            assert not listing.all
            assert listing.as_of.year == 1, "nobody may be missed in it"
            away.times = 0
            spec = await b.running()
            await b.until(lambda: b.executor._reflectors.synced)
            assert (await b.executor.listing()).running == {spec.id}

    asyncio.run(main())


def test_installations_leave_each_others_pods_alone(tmp_path):
    async def main():
        cluster = FakeCluster()
        theirs = __import__("dataclasses").replace(QUICK.pods, installation="theirs")
        async with bench(tmp_path, cluster=cluster) as b:
            await b.running()
            async with bench(tmp_path, cluster=cluster, pods=theirs) as other:
                assert not (await other.executor.listing()).all
                answer = await other.executor.launch(spec_of(attempt_id()))
                assert isinstance(answer, Rejected)
                await other.executor.kill(attempt_id())
                assert len(cluster.pods()) == 1

    asyncio.run(main())
