"""The whole street on a real cluster: `flyte-jupyter serve`, clients over HTTP, an object store, pods held to the "restricted" standard."""

from __future__ import annotations

import pod_flows
import pytest
from cluster_planes import programs
from flytekit_specs import DOMAIN, PROJECT
from google.protobuf.json_format import ParseDict
from processes import eventually
from serving import NAMESPACE, Served, define
from task_image import TASK_IMAGE

import flyte_jupyter
from flyte_jupyter import LaunchOptions
from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.kernel.client import Client

INTEGER = {"type": {"simple": "INTEGER"}}


@pytest.fixture(scope="module")
def served(node_cluster, s3_server, tmp_path_factory):
    define(node_cluster)
    s3_server.put("flyte", "code/programs.tar.gz", programs())
    made = Served(tmp_path_factory.mktemp("served"), node_cluster, s3_server).start()
    yield made
    assert made.stop() == 0
    node_cluster.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--wait=false")


def options(served, **more):
    return LaunchOptions(client=Client(served.endpoint), **more)


def nobody_left(served, run):
    eventually(lambda: not served.pods(run), what=f"no pod of {run} left")


# -- our own SDK -----------------------------------------------------------------------------------


def test_a_workflow_of_ours_runs_as_pods_and_a_kernel_sees_all_of_it(served):
    execution = flyte_jupyter.launch(
        pod_flows.greeting, options=options(served), names=["a", "bc", "def"]
    )
    execution.wait(timeout=200)
    assert execution.outputs == {"o0": "hello Ada", "o1": 6}
    nobody_left(served, execution.name)
    (greet,) = [n for n in execution.nodes if "greet" in (n.task or "")]
    assert "hello Ada\n" in greet.logs()
    assert "and on the other stream\n" in greet.logs()
    assert "<p>hello Ada</p>" in execution.deck(greet.id)
    name, phase, progress, age = served.handle(execution.name)
    assert (name, phase, progress) == (execution.name, "SUCCEEDED", "3/3")
    assert age


def test_the_status_tells_of_the_cluster(served):
    cluster = served.status()["cluster"]
    assert cluster["server"] == served.cluster.url
    assert cluster["version"].startswith("v1.")
    assert cluster["blobs"] == "s3://flyte/served"
    assert served.status()["notices"] == []


def test_the_namespace_that_is_made_is_held_to_the_restricted_standard(served):
    flyte_jupyter.launch(pod_flows.greet, options=options(served), name="Bob").wait(timeout=200)
    labels = served.cluster.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_killed_control_plane_is_followed_by_one_that_goes_on_with_its_pods(served):
    waiting = flyte_jupyter.launch(pod_flows.waiting, options=options(served), gate="flyte/go-on")

    def runs():
        found = [p for p in served.pods(waiting.name) if p["status"]["phase"] == "Running"]
        return [p["metadata"]["uid"] for p in found]

    (uid,) = eventually(runs, what="the pod that waits")
    served.kill()
    served.start()
    served.s3.put("flyte", "go-on", b"")
    again = flyte_jupyter.execution(waiting.name, client=Client(served.endpoint))
    again.wait(timeout=200)
    assert list(again.outputs.values()) == [len("went on")]
    events = served.cluster.get("events", "-n", NAMESPACE, "--field-selector=reason=Scheduled")
    made = {e["involvedObject"]["uid"] for e in events["items"] if e["involvedObject"]["name"].startswith(waiting.name)}  # fmt: skip
    assert uid in made
    assert len(made) == 2, "a pod for each node, none twice"
    nobody_left(served, waiting.name)


def test_an_abort_leaves_no_pod_whichever_way_it_comes(served):
    names = []
    for gate in ("flyte/never", "flyte/never-ever"):
        started = flyte_jupyter.launch(pod_flows.waiting, options=options(served), gate=gate)
        names.append(started)
    for started in names:
        eventually(lambda name=started.name: any(p["status"]["phase"] == "Running" for p in served.pods(name)), what="a pod that waits")  # fmt: skip
    by_client, by_kubectl = names
    assert "waiting" in eventually(by_client.nodes[0].logs, what="the log while it runs")
    by_client.abort("enough")
    served.cluster.kubectl("delete", "fjw", by_kubectl.name, "-n", NAMESPACE, "--timeout=60s")
    for started in names:
        started.wait(timeout=60)
        assert str(started.phase) == "ABORTED"
        nobody_left(served, started.name)


def test_tasks_that_may_share_run_in_one_warm_pod_a_process_each(served):
    execution = flyte_jupyter.launch(pod_flows.places, options=options(served))
    execution.wait(timeout=200)
    told = [text.split() for text in execution.outputs["o0"]]
    (host,) = {host for host, _ in told}
    assert host.startswith("worker-")
    assert len({process for _, process in told}) == 3
    workers = served.cluster.get("pods", "-n", NAMESPACE, "-l", "flyte-jupyter.dev/worker-of=served")  # fmt: skip
    assert [p["metadata"]["name"] for p in workers["items"]] == [host]
    assert execution.nodes[0].logs() == f"in {host}\n"
    nobody_left(served, execution.name)


# -- flytekit, unmodified --------------------------------------------------------------------------

PROGRAMS = [
    ("chains", "chain", {"a": 1}, {"o0": 5}),
    ("branches", "simple", {"x": 1.5}, {"o0": "large 1.5"}),
    ("maps", "retried", {"n": 1}, {"o0": [0]}),
    ("dynamics", "fan_out", {"n": 2}, {"o0": 1}),
    ("launch_plans", "parent", {"x": 2}, {"o0": 4, "o1": 8, "o2": 100}),
    ("policies", "exhausted", {}, "never"),
]


@pytest.mark.timeout(600)
def test_programs_of_flytekits_run_unchanged_in_pods(served):
    made = {module: served.register(module) for module, *_ in PROGRAMS}
    started = [(served.platform.launch(made[m], short, **given), expected) for m, short, given, expected in PROGRAMS]  # fmt: skip
    for run, expected in started:
        found = served.ended(run)
        if isinstance(expected, str):
            assert found.closure.phase == core.WorkflowExecution.FAILED
            assert expected in found.closure.error.message
        else:
            assert found.closure.phase == core.WorkflowExecution.SUCCEEDED, found.closure.error
            assert served.platform.outputs(run) == expected
    for run, _ in started:
        nobody_left(served, run)


# -- containers of any kind ------------------------------------------------------------------------


def registered(served, name: str, **template) -> core.Identifier:
    """A task as any client of Flyte's may write it."""
    facts = {"id": {"resource_type": "TASK", "project": PROJECT, "domain": DOMAIN, "name": name, "version": "v1"}}  # fmt: skip
    facts |= {"type": "raw-container", "interface": {"inputs": {}, "outputs": {}}, **template}
    made = ParseDict(facts, core.TaskTemplate())
    request = admin.TaskCreateRequest(id=made.id, spec=admin.TaskSpec(template=made))
    served.post("/api/v1/tasks", request)
    return made.id


def launched(served, task: core.Identifier, **inputs: int):
    spec = admin.ExecutionSpec(launch_plan=task)
    given = core.LiteralMap(literals={n: literals.literal(v) for n, v in inputs.items()})
    request = admin.ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, name="", spec=spec, inputs=given
    )
    return served.platform.call("POST", "/api/v1/executions", request.SerializeToString())


def test_containers_that_cannot_start_or_outgrow_their_memory_fail_by_name(served):
    absent = registered(served, "raw.absent", container={"image": "localhost/none:1", "args": ["true"]})  # fmt: skip
    memory = {"limits": [{"name": "MEMORY", "value": "64Mi"}]}
    greedy = ["python3", "-c", "x = bytearray(10**9); x[::4096] = b'x' * len(x[::4096])"]
    hungry = registered(served, "raw.hungry", container={"image": TASK_IMAGE, "args": greedy, "resources": memory})  # fmt: skip
    data = {"enabled": True, "input_path": "/var/inputs", "output_path": "/var/outputs"}
    script = ["sh", "-c", "echo $(($(cat /var/inputs/x) * 2)) > /var/outputs/x"]
    raw = registered(
        served,
        "raw.doubles",
        interface={"inputs": {"variables": {"x": INTEGER}}, "outputs": {"variables": {"x": INTEGER}}},
        container={"image": TASK_IMAGE, "command": script, "data_config": data},
    )  # fmt: skip
    runs = {}
    for task, given in ((absent, {}), (hungry, {}), (raw, {"x": 21})):
        answer = launched(served, task, **given)
        assert answer.status == 200, answer.body
        runs[task.name] = admin.ExecutionCreateResponse.FromString(answer.body).id.name
    assert served.ended(runs["raw.doubles"]).closure.phase == core.WorkflowExecution.SUCCEEDED  # fmt: skip
    assert served.platform.outputs(runs["raw.doubles"]) == {"x": 42}
    for name, code in (("raw.absent", "ImagePull"), ("raw.hungry", "OOMKilled")):
        error = served.ended(runs[name]).closure.error
        assert code in f"{error.code} {error.message}", error
        nobody_left(served, runs[name])


def test_what_no_pod_may_do_is_refused_when_it_is_launched(served):
    spec = {"hostNetwork": True, "containers": [{"name": "main", "image": TASK_IMAGE}]}
    bold = registered(
        served,
        "raw.bold",
        type="sidecar",
        k8s_pod={"pod_spec": spec},
        config={"primary_container_name": "main"},
    )
    answer = launched(served, bold)
    assert answer.status == 400
    assert "hostNetwork" in answer.body.decode(errors="replace")


def test_a_task_takes_a_pod_template_of_the_cluster_with_the_rights_that_are_given(served):
    """With what `deploy/rbac.yaml` allows, and nothing more."""
    shell = {"image": TASK_IMAGE, "command": ["sh", "-c"]}

    def task(name, script, template):
        container = {**shell, "args": [script]}
        metadata = {"pod_template_name": template}
        return registered(served, name, container=container, metadata=metadata)

    def error(asked):
        answer = launched(served, asked)
        assert answer.status == 200, answer.body
        run = admin.ExecutionCreateResponse.FromString(answer.body).id.name
        return served.ended(run).closure.error

    missing = error(task("raw.missing", "true", "nothing"))
    assert "BadTaskSpecification" in missing.code
    assert "there is no pod template 'nothing'" in missing.message
    # Whoever comes first has the namespace made.
    assert not error(registered(served, "raw.plain", container={**shell, "args": ["true"]})).code
    base = {"name": "default", "image": "noop", "env": [{"name": "FROM", "value": "template"}]}
    served.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "told", "namespace": NAMESPACE},
            "template": {"spec": {"containers": [base]}},
        }
    )
    assert not error(task("raw.told", 'test "$FROM" = template', "told")).code
