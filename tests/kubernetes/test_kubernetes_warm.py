"""Worker pods that serve one attempt after the other: real workers and zygotes, in pods that a fake cluster plays on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from fake_cluster import FakeCluster, Fault, refuse, to
from kubernetes_bench import QUICK, Bench, HandClock, attempt_id
from local_attempts import alive, bundle, number, seen
from processes import kill_all_in

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.routing import ClusterExecutor
from flyte_jupyter.engine.adapters.kubernetes.settings import WarmSettings
from flyte_jupyter.engine.adapters.kubernetes.warm.executor import WarmExecutor
from flyte_jupyter.engine.core.state import Blame, Stage
from flyte_jupyter.engine.ports import Accepted, AttemptNews, AttemptSpec, NotNow
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

SOURCE = """
import os, pathlib, sys, time

def do_pid(inputs):
    print("run by", os.getppid(), flush=True)

def do_wait(inputs):
    print("begun", os.getpid(), flush=True)
    gate = pathlib.Path(os.environ["GATE"])
    while not gate.exists():
        time.sleep(0.01)

def do_fail(inputs):
    sys.exit(7)

def do_secret(inputs):
    print("optimised", sys.flags.optimize)
    print("secret", os.environ["SECRET"], os.environ["FLYTE_ATTEMPT_NUMBER"], flush=True)
"""


class Kubelet:
    """Runs the programs of worker pods as processes of this machine."""

    def __init__(self, cluster: FakeCluster, home: Path) -> None:
        self.cluster = cluster
        self.home = home
        self.short_lived = 0
        """How many of the next workers have ended before anybody hears that they run."""
        cluster.kubelet = self.start
        cluster.start_program = self.attend

    def environ(self, name: str) -> dict[str, str]:
        return {
            **os.environ,
            "FLYTE_JUPYTER_WORKER_HOME": str(self.home / name[-8:]),
            "SECRET": "s3cret",
        }

    def start(self, pod: dict) -> None:
        name = pod["metadata"]["name"]
        if not name.startswith("worker-"):
            self.cluster.run(pod)
            return
        args = pod["spec"]["containers"][0]["args"]
        command, environ = [sys.executable, *args[1:]], self.environ(name)
        if self.short_lived:
            self.short_lived -= 1
            subprocess.run([*command[:-1], "0"], env=environ, check=True, capture_output=True)
        else:
            process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
            process.returncode = 0  # its children are looked for by their folder
        self.cluster.run(pod)

    async def attend(self, name: str, command):
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable, *command[1:], env=self.environ(name), stdin=pipe, stdout=pipe
        )

    def kill(self, pod: dict) -> None:
        """The node is gone, and the pod with it."""
        kill_all_in(self.home / pod["metadata"]["name"][-8:])
        self.cluster.remove_pod(pod)


class WarmBench(Bench):
    kubelet: Kubelet

    def ran(self, attempt: AttemptId) -> list[AttemptNews]:
        """What was said of it, but for what it waited for."""
        return [n for n in self.said_of(attempt) if n.waits is None]

    def spec(self, task: str, node: str = "n0", **env: str) -> AttemptSpec:
        attempt = attempt_id(node)
        where = self.folder / "blobs" / node
        where.mkdir(parents=True, exist_ok=True)
        inputs = where / "inputs.pb"
        inputs.write_bytes(core.LiteralMap(literals={"x": number(3)}).SerializeToString())
        uri = bundle(self.folder / "bundle", SOURCE)
        args = [
            "flyte-jupyter-execute",
            "--inputs",
            "{{.input}}",
            "--output-prefix",
            "{{.outputPrefix}}",
        ]
        args += [
            "--raw-output-data-prefix",
            "{{.rawOutputDataPrefix}}",
            "--checkpoint-path",
            "{{.checkpointOutputPrefix}}",
        ]
        args += [
            "--prev-checkpoint",
            "{{.prevCheckpointPrefix}}",
            "--bundle",
            uri,
            "--entity",
            f"steps:{task}",
        ]
        template = core.TaskTemplate(
            id=core.Identifier(project="p", domain="d", name="steps.task", version="v1"),
            type="python-task",
            container=core.Container(image="localhost/task:test", args=args),
            config={"flyte_jupyter.warm": "true"},
        )
        prefix = f"file://{where}/0"
        return AttemptSpec(attempt, template, f"file://{inputs}", prefix, f"{prefix}/raw", env)

    def workers(self) -> list[dict]:
        return [p for p in self.cluster.pods() if p["metadata"]["name"].startswith("worker-")]

    async def log(self, spec: AttemptSpec) -> str:
        return (await self.executor.read_log(spec.id, 0, 1 << 20)).data.decode()


@pytest.fixture
def home():
    made = Path(tempfile.mkdtemp(prefix="fjw-"))
    yield made
    kill_all_in(made)
    shutil.rmtree(made, ignore_errors=True)


@contextlib.asynccontextmanager
async def bench(folder, home, cluster=None, *, patience=20.0, namespaces=(), **warm):
    warmth = WarmSettings(**{"most": 1, **warm})
    settings = dataclasses.replace(QUICK, warm=warmth, patience=patience, namespaces=namespaces)
    made = WarmBench(cluster or FakeCluster(), HandClock())
    made.folder = folder
    made.clock._now = made.cluster.now()
    made.kubelet = Kubelet(made.cluster, home)
    made.api = Api(made.cluster, settings.pace)
    logs, blobs = folder / "logs", FolderBlobs(folder / "blobs")
    pods = KubernetesExecutor(made.api, made.clock, blobs, logs, settings=settings)
    made.executor = ClusterExecutor(pods, WarmExecutor(made.api, made.clock, logs, settings))
    await made.executor.start(made.news, made.rivalry.ready)
    try:
        yield made
    finally:
        await made.executor.stop()


def test_one_worker_serves_attempts_one_after_the_other_by_forks(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            specs = [b.spec("pid", f"n{i}") for i in range(4)]
            for spec in specs:
                assert await b.executor.launch(spec) == Accepted()
                assert await b.executor.launch(spec) == Accepted()
            for spec in specs:
                assert (await b.ended(spec.id)).code == 0
                assert [n.how is None for n in b.ran(spec.id)] == [True, False]
            assert len(b.workers()) == 1
            assert set((await b.executor.listing()).ended) == {s.id for s in specs}
            for spec in specs:
                await b.executor.reap(spec.id)
            assert not (await b.executor.listing()).all
            logs = {await b.log(spec) for spec in specs}
            assert len(logs) == 1, "one zygote is the parent of them all"
            assert logs.pop().startswith("run by ")
            (worker,) = home.iterdir()
            await b.until(lambda: not list((worker / "attempts").iterdir()))

    asyncio.run(main())


def test_a_worker_is_told_a_command_as_kubernetes_would_read_it_in_a_pod_of_the_attempts_own(
    tmp_path, home
):
    async def main():
        async with bench(tmp_path, home) as b:
            spec = b.spec("$(WHAT)", "n$$", WHAT="pid")  # a folder is called like the node
            assert await b.executor.launch(spec) == Accepted()
            assert (await b.ended(spec.id)).code == 0
            await b.executor.reap(spec.id)
            assert (await b.log(spec)).startswith("run by ")

    asyncio.run(main())


def test_the_accounts_of_a_namespace_made_for_a_worker_are_waited_for(tmp_path, home):
    message = 'pods "x" is forbidden: error looking up service account p-d/default: serviceaccount "default" not found'

    async def main():
        async with bench(tmp_path, home) as b:
            b.cluster.remove("namespaces", "", "p-d")
            made, too_soon = ("namespaces", "", "p-d"), to("POST", "/p-d/pods")
            b.cluster.faults.append(
                Fault(
                    lambda call: too_soon(call) and made in b.cluster.objects,
                    answer=refuse(403, "Forbidden", message),
                )
            )
            spec = b.spec("pid")
            await b.executor.launch(spec)
            assert (await b.ended(spec.id)).code == 0
            assert any(n.waits and "looking up" in n.waits.reason for n in b.said_of(spec.id))

    asyncio.run(main())


def test_attempts_get_the_secrets_of_the_pod_and_variables_of_their_own(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            spec = b.spec("secret")
            await b.executor.launch(spec)
            assert (await b.ended(spec.id)).code == 0
            await b.executor.reap(spec.id)
            assert await b.log(spec) == "optimised 0\nsecret s3cret 0\n"
            (pod,) = b.workers()
            assert "FLYTE_ATTEMPT_NUMBER" not in str(pod)
            assert "s3cret" not in str(pod)
            # One that the pod's zygote was not started with.
            spec = b.spec("secret", "n1", PYTHONOPTIMIZE="2")
            await b.executor.launch(spec)
            assert (await b.ended(spec.id)).code == 0
            await b.executor.reap(spec.id)
            assert await b.log(spec) == "optimised 2\nsecret s3cret 0\n"
            assert len(b.workers()) == 1

    asyncio.run(main())


def test_a_worker_has_the_labels_and_annotations_of_its_attempts_but_for_who_they_are(
    tmp_path, home
):
    async def main():
        async with bench(tmp_path, home, most=2) as b:
            plain, mesh = b.spec("pid"), b.spec("pid", "n1")
            mesh.template.metadata.metadata.annotations["sidecar.istio.io/inject"] = "false"
            mesh.template.metadata.metadata.labels["team"] = "ml"
            for spec in (plain, mesh):
                await b.executor.launch(spec)
                assert (await b.ended(spec.id)).code == 0
                await b.executor.reap(spec.id)
            found = {w["metadata"]["labels"].get("team"): w["metadata"] for w in b.workers()}
            said = {team: one["annotations"] for team, one in found.items()}
            assert "sidecar.istio.io/inject" not in said[None]
            assert said["ml"]["sidecar.istio.io/inject"] == "false"
            # An autoscaler may take it as little as a pod of one attempt.
            assert said[None]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
            assert not [word for word in said["ml"] if word.endswith("/attempt")]

    asyncio.run(main())


def test_more_attempts_than_workers_wait_and_others_need_a_worker_of_their_own(tmp_path, home):
    async def main():
        async with bench(tmp_path, home, most=2) as b:
            gate = tmp_path / "gate"
            specs = [b.spec("wait", f"n{i}", GATE=str(gate)) for i in range(3)]
            for spec in specs:
                await b.executor.launch(spec)
            await b.until(lambda: len([n for n in b.said if n.waits is None]) == 2)
            listing = await b.executor.listing()
            assert (len(listing.running), len(listing.queued)) == (2, 1)
            other = b.spec("pid", "n9")
            other.template.container.image = "localhost/other:1"
            await b.executor.launch(other)
            assert (await b.ended(other.id)).code == 0
            gate.touch()
            for spec in specs:
                assert (await b.ended(spec.id)).code == 0
            assert len(b.workers()) == 3

    asyncio.run(main())


def test_a_killed_attempt_leaves_nothing_and_its_worker_goes_on(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            spec = b.spec("wait", GATE=str(tmp_path / "never"))
            waiting = b.spec("pid", "n1")
            await b.executor.launch(spec)
            await b.executor.launch(waiting)
            await b.executor.kill(waiting.id)
            await b.started(spec.id)
            pid = int((await seen(lambda: b.log(spec))).split()[1])
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            assert not alive(pid)
            again = b.spec("pid")
            assert await b.executor.launch(again) == Accepted()
            assert (await b.ended(again.id)).code == 0
            assert len(b.workers()) == 1
            assert not b.ran(waiting.id)

    asyncio.run(main())


def test_one_that_waits_for_a_worker_says_so(tmp_path, home):
    """An engine that is started anew launches it again, and counts no failure: nothing of it has run."""

    async def main():
        async with bench(tmp_path, home) as b:
            spec, waiting = b.spec("pid"), b.spec("pid", "n1")
            await b.executor.launch(spec)
            await b.executor.launch(waiting)
            told = [n.waits for n in b.said_of(waiting.id)]
            assert [(each.stage, each.reason) for each in told] == [
                (Stage.RESOURCES, "waits for a worker pod that is free")
            ]
            await b.ended(waiting.id)
            # Whoever may have run is never launched again under the same number.
            told = [n.waits and n.waits.stage for n in b.said_of(waiting.id)]
            assert told == [Stage.RESOURCES, Stage.QUEUED, None, None]
            free = b.spec("pid", "n2")
            await b.executor.launch(free)
            await b.ended(free.id)
            assert not [n for n in b.said_of(free.id) if n.waits]

    asyncio.run(main())


def test_an_exit_status_is_told_and_costs_no_worker(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            bad, good = b.spec("fail"), b.spec("pid", "n1")
            await b.executor.launch(bad)
            await b.executor.launch(good)
            assert (await b.ended(bad.id)).code is not None
            assert (await b.ended(good.id)).code == 0
            assert len(b.workers()) == 1

    asyncio.run(main())


def test_a_lost_worker_costs_its_attempt_only_and_is_the_systems_fault(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            spec, next_one = b.spec("wait", GATE=str(tmp_path / "never")), b.spec("pid", "n1")
            await b.executor.launch(spec)
            await b.executor.launch(next_one)
            await b.started(spec.id)
            b.kubelet.kill(b.workers()[0])
            how = await b.ended(spec.id)
            assert (how.why.code, how.why.blame) == ("WorkerLost", Blame.SYSTEM)
            assert (await b.ended(next_one.id)).code == 0

    asyncio.run(main())


def test_a_connection_that_breaks_is_made_anew_and_the_attempt_goes_on(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            spec = b.spec("wait", GATE=str(tmp_path / "gate"))
            await b.executor.launch(spec)
            await b.started(spec.id)
            b.cluster.faults.append(Fault(to("GET", "/exec"), 2))
            b.cluster.programs[0].process.send_signal(signal.SIGKILL)
            await b.until(lambda: len(b.cluster.programs) == 2)
            (tmp_path / "gate").touch()
            assert (await b.ended(spec.id)).code == 0
            assert [n.how is None for n in b.ran(spec.id)] == [True, False]

    asyncio.run(main())


def test_an_attempt_that_was_not_sent_when_the_connection_broke_is_sent_by_the_next_one(
    tmp_path, home
):
    async def main():
        async with bench(tmp_path, home) as b:
            first, second = b.spec("pid"), b.spec("pid", "n1")
            await b.executor.launch(first)
            assert (await b.ended(first.id)).code == 0
            asked, answer = [], asyncio.Event()

            async def ready():
                asked.append(None)
                if len(asked) == 1:
                    await answer.wait()

            b.api.heed(ready)
            await b.executor.launch(second)
            await b.until(lambda: asked)
            b.cluster.programs[0].process.send_signal(signal.SIGKILL)
            assert (await b.ended(second.id)).code == 0
            answer.set()
            assert [n.how is None for n in b.ran(second.id)] == [True, False]

    asyncio.run(main())


def test_a_namespace_that_the_server_does_not_tell_of_holds_up_no_other(tmp_path, home):
    async def main():
        cluster = FakeCluster()
        denied = refuse(403, "Forbidden", "pods is forbidden")
        cluster.faults.append(Fault(to("GET", "/namespaces/other/pods"), 10**6, denied))
        async with bench(tmp_path, home, cluster, namespaces=("p-d", "other")) as b:
            spec = b.spec("pid")
            assert await b.executor.launch(spec) == Accepted()
            assert (await b.ended(spec.id)).code == 0

    asyncio.run(main())


def test_the_next_engine_finds_what_workers_do_and_did(tmp_path, home):
    async def main():
        cluster = FakeCluster()
        async with bench(tmp_path, home, cluster, most=2) as b:
            ending, going = b.spec("pid", "n0"), b.spec("wait", "n1", GATE=str(tmp_path / "gate"))
            await b.executor.launch(ending)
            await b.executor.launch(going)
            await b.ended(ending.id)
            await b.started(going.id)
        async with bench(tmp_path, home, cluster, most=2) as b:
            listing = await b.executor.listing()
            assert listing.running == {going.id}
            assert listing.ended[ending.id].code == 0
            assert await b.executor.launch(going) == Accepted()
            (tmp_path / "gate").touch()
            assert (await b.ended(going.id)).code == 0
            await b.executor.reap(going.id)
            assert (await b.log(going)).startswith("begun ")
            assert len(b.workers()) == 2

    asyncio.run(main())


def test_what_a_worker_has_that_is_not_joined_yet_is_not_begun_again_by_another(tmp_path, home):
    async def main():
        cluster = FakeCluster()
        async with bench(tmp_path, home, cluster, most=2) as b:
            spec, other = b.spec("wait", GATE=str(tmp_path / "gate")), b.spec("pid", "n1")
            await b.executor.launch(spec)
            await b.started(spec.id)
            busy = b.workers()[0]["metadata"]["name"]
            await b.executor.launch(other)
            await b.ended(other.id)
            await b.executor.reap(other.id)
        # Its successor cannot join the worker that is busy, and the idle one at once.
        cut_off = Fault(to("GET", f"/{busy}/exec"), 10**6)
        cluster.faults.append(cut_off)
        async with bench(tmp_path, home, cluster, most=2, patience=0.05) as b:
            with pytest.raises(NotNow):
                await b.executor.launch(spec)
            cut_off.times = 0
            await b.started(spec.id)
            assert await b.executor.launch(spec) == Accepted()
            (tmp_path / "gate").touch()
            assert (await b.ended(spec.id)).code == 0
            begun = [log for log in home.glob("*/attempts/*/log") if "begun" in log.read_text()]
            assert len(begun) == 1, "one worker has run it, and once"
            assert len(b.workers()) == 2

    asyncio.run(main())


def test_a_worker_that_nobody_needs_goes(tmp_path, home):
    async def main():
        async with bench(tmp_path, home, idle_seconds=1.0) as b:
            spec = b.spec("pid")
            await b.executor.launch(spec)
            assert (await b.ended(spec.id)).code == 0
            await b.executor.reap(spec.id)
            await b.until(lambda: not b.workers())

    asyncio.run(main())


def test_a_kind_of_worker_that_nobody_wants_is_forgotten_until_somebody_does(tmp_path, home):
    async def main():
        async with bench(tmp_path, home, idle_seconds=0.05) as b:
            crew = b.executor._warm._crew
            for node in ("n0", "n1"):
                spec = b.spec("pid", node)
                await b.executor.launch(spec)
                assert len(crew._pools) == 1
                assert (await b.ended(spec.id)).code == 0
                await b.executor.reap(spec.id)
                await b.until(lambda: not crew._pools)
            await b.until(lambda: not b.workers())

    asyncio.run(main())


def test_a_worker_that_nobody_needs_stays_when_its_engine_may_act_no_longer(tmp_path, home):
    async def main():
        async with bench(tmp_path, home, idle_seconds=0.05) as b:
            spec = b.spec("wait", GATE=str(tmp_path / "gate"))
            await b.executor.launch(spec)
            await b.started(spec.id)
            b.rivalry.lost = True
            (tmp_path / "gate").touch()
            assert (await b.ended(spec.id)).code == 0
            await b.until(lambda: b.rivalry.asked > 2 or not b.workers())
            assert b.workers(), "another engine may have an attempt there"

    asyncio.run(main())


def test_a_worker_that_nobody_joins_ends_by_itself(tmp_path, home):
    environ = {**os.environ, "FLYTE_JUPYTER_WORKER_HOME": str(home / "alone")}
    command = [
        sys.executable,
        "-m",
        "flyte_jupyter.kernel.runtime.pod_worker",
        "serve",
        "--linger",
        "0",
    ]
    assert subprocess.run(command, env=environ, check=False, timeout=60).returncode == 0


def test_a_worker_that_ended_before_it_was_joined_keeps_no_attempt_waiting(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            b.kubelet.short_lived = 2
            spec = b.spec("pid")
            await b.executor.launch(spec)
            assert (await b.ended(spec.id)).code == 0
            assert [n.how is None for n in b.ran(spec.id)] == [True, False]
            assert len(list(home.iterdir())) == 3, "two had ended, and the third one served it"
            assert len(b.workers()) == 1

    asyncio.run(main())


def test_a_worker_that_goes_while_it_is_joined_leaves_nothing_that_seems_to_run(tmp_path, home):
    async def main():
        cluster = FakeCluster()
        async with bench(tmp_path, home, cluster) as b:
            spec = b.spec("wait", GATE=str(tmp_path / "never"))
            await b.executor.launch(spec)
            await b.started(spec.id)
        attended = []

        async def late(self, name, command):
            program = await attend(self, name, command)
            # The door is open; before anything is said through it, the pod is gone, and everybody has heard.
            for pod in self.cluster.pods():
                self.cluster.remove_pod(pod)
            for _ in range(1000):
                await asyncio.sleep(0)
            attended.append(name)
            return program

        attend, Kubelet.attend = Kubelet.attend, late
        try:
            async with bench(tmp_path, home, cluster) as b:
                await b.until(lambda: attended)
                await b.until(lambda: cluster.programs[-1].process.returncode is not None)
                listing = await b.executor.listing()
                assert not listing.running
                assert spec.id not in listing.queued
        finally:
            Kubelet.attend = attend

    asyncio.run(main())


def test_what_becomes_of_a_worker_that_was_sent_home_is_nobodys_failure(tmp_path, home):
    async def main():
        async with bench(tmp_path, home, idle_seconds=0.05) as b:
            first, second = b.spec("pid"), b.spec("pid", "n1")
            await b.executor.launch(first)
            assert (await b.ended(first.id)).code == 0
            await b.executor.reap(first.id)
            b.cluster.ghosts = True
            await b.until(lambda: b.workers()[0]["metadata"].get("deletionTimestamp"))
            ghost = b.workers()[0]["metadata"]["name"]
            b.cluster.faults.append(Fault(to("POST", "/pods"), 3))
            await b.executor.launch(second)
            for _ in range(3):
                b.cluster.run(b.cluster.pod(ghost))
            assert (await b.ended(second.id)).code == 0
            assert [n.how is None for n in b.ran(second.id)] == [True, False]

    asyncio.run(main())


def test_an_attempt_that_is_killed_before_its_worker_heard_of_it_never_runs(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            first, last = b.spec("pid"), b.spec("pid", "n2")
            never = b.spec("wait", "n1", GATE=str(tmp_path / "never"))
            await b.executor.launch(first)
            assert (await b.ended(first.id)).code == 0
            await b.executor.launch(never)
            await b.executor.kill(never.id)
            assert not (await b.executor.listing()).queued
            await b.executor.launch(last)
            assert (await b.ended(last.id)).code == 0
            assert not b.said_of(never.id)
            assert len(b.workers()) == 1

    asyncio.run(main())


def test_a_worker_whose_deletion_fails_is_deleted_when_it_is_asked_again(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            spec = b.spec("wait", GATE=str(tmp_path / "never"))
            await b.executor.launch(spec)
            await b.started(spec.id)
            # Its connection cannot be made again, so that only the end of the pod ends the attempt.
            b.cluster.faults.append(Fault(to("GET", "/exec"), 1000))
            b.cluster.faults.append(Fault(to("DELETE"), 1))
            b.cluster.programs[0].process.send_signal(signal.SIGKILL)
            await b.until(lambda: b.cluster.programs[0].process.returncode is not None)
            with pytest.raises(NotNow):
                await b.executor.kill(spec.id)
            assert len(b.workers()) == 1
            await b.executor.kill(spec.id)
            assert not b.workers()
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_a_worker_that_can_never_be_made_fails_its_attempts_by_name(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            denied = refuse(400, "BadRequest", 'admission webhook "no" denied the request: never')
            b.cluster.faults.append(Fault(to("POST", "/pods"), 100, denied))
            spec = b.spec("pid")
            assert await b.executor.launch(spec) == Accepted()
            assert (await b.ended(spec.id)).why.code == "AdmissionDenied"

    asyncio.run(main())


def test_a_worker_that_cannot_start_fails_its_attempt_after_its_grace(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            reason = "CreateContainerError"
            b.cluster.kubelet = lambda pod: b.cluster.wait_for(pod, reason, "no such device")
            spec = b.spec("pid")
            await b.executor.launch(spec)
            await b.until(lambda: len(b.said_of(spec.id)) > 1)
            assert reason in b.said_of(spec.id)[1].waits.reason
            b.clock.move(timedelta(minutes=4))
            assert (await b.ended(spec.id)).why.code == reason
            await b.until(lambda: not b.workers())

    asyncio.run(main())


def test_a_task_that_is_not_ours_gets_a_pod_of_its_own(tmp_path, home):
    async def main():
        async with bench(tmp_path, home) as b:
            spec = b.spec("pid")
            spec.template.container.args[:] = ["echo", "hello"]
            await b.executor.launch(spec)
            await b.started(spec.id)
            assert not b.workers()
            assert len(b.cluster.pods()) == 1

    asyncio.run(main())
