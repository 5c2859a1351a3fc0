"""Whole manifests, as the API server gets them."""

from dataclasses import replace

import pytest
from pod_attempts import (
    SETTINGS,
    TASK,
    attempt,
    body_of,
    container_task,
    env_of,
    main_of,
    pod_of,
    pod_task,
    refusal_of,
)

from flyte_jupyter.engine.command import expanded
from flyte_jupyter.engine.pods.manifest import draft_for, pod_for
from flyte_jupyter.engine.pods.manifests import PodRefused
from flyte_jupyter.engine.pods.settings import (
    Accelerators,
    Copilot,
    PodSettings,
    Resources,
    SecretVariable,
)
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.ids import AttemptId, RunId

IDENTITY = [
    {"name": "FLYTE_INTERNAL_EXECUTION_ID", "value": "abc123"},
    {"name": "FLYTE_INTERNAL_EXECUTION_PROJECT", "value": "flytesnacks"},
    {"name": "FLYTE_INTERNAL_EXECUTION_DOMAIN", "value": "development"},
    {"name": "FLYTE_ATTEMPT_NUMBER", "value": "0"},
    {"name": "FLYTE_INTERNAL_TASK_PROJECT", "value": "flytesnacks"},
    {"name": "FLYTE_INTERNAL_TASK_DOMAIN", "value": "development"},
    {"name": "FLYTE_INTERNAL_TASK_NAME", "value": "my.module.train"},
    {"name": "FLYTE_INTERNAL_TASK_VERSION", "value": "v1"},
    {"name": "FLYTE_INTERNAL_NODE_ID", "value": "n0"},
]
LABELS = {
    "app.kubernetes.io/managed-by": "flyte-jupyter",
    "domain": "development",
    "execution-id": "abc123",
    "flyte-jupyter.dev/execution": "lfs5agqxal3mr3at3psgkeqfeoac2lqh",
    "flyte-jupyter.dev/installation": "flyte-jupyter",
    "interruptible": "false",
    "node-id": "n0",
    "project": "flytesnacks",
    "shard-key": "9",
    "task-name": "my.module.train",
    "workflow-name": "my.module.wf",
}
ATTEMPT = '{"project":"flytesnacks","domain":"development","execution":"abc123","path":["n0"],"attempt":0}'
ANNOTATIONS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "flyte-jupyter.dev/attempt": ATTEMPT,
    "flyte-jupyter.dev/primary-container": "task",
    "kubectl.kubernetes.io/default-container": "task",
}
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONFINED = {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}
DEFAULT_RESOURCES = {
    "requests": {"cpu": "1", "memory": "500Mi"},
    "limits": {"cpu": "1", "memory": "500Mi"},
}
NAME = "abc123-n0-0-vc2pqvqb32"


def test_the_pod_of_an_ordinary_task():
    task = container_task(
        args=[
            "pyflyte-execute",
            "--inputs",
            "{{.input}}",
            "--output-prefix",
            "{{.outputPrefix}}",
            "--raw-output-data-prefix",
            "{{$RawOutputDataPrefix}}",
            "--checkpoint-path",
            "{{.checkpointOutputPrefix}}",
            "--prev-checkpoint",
            "{{ .prevCheckpointPrefix }}",
            "--dest",
            "{{ .dest_dir }}",
            "{{.perRetryUniqueKey}} in {{.namespace}}",
        ],
        env=[{"key": "MODE", "value": "fast"}],
        resources={"requests": [{"name": "CPU", "value": "2"}, {"name": "MEMORY", "value": "1Gi"}]},
    )
    owner = {
        "apiVersion": "flyte-jupyter.dev/v1",
        "kind": "FlyteWorkflow",
        "name": "abc123",
        "uid": "u-1",
    }
    assert pod_for(attempt(task), SETTINGS, owner=owner) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": "flytesnacks-development",
            "labels": LABELS,
            "annotations": ANNOTATIONS,
            "ownerReferences": [owner],
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "default",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 10,
            "securityContext": RESTRICTED,
            "containers": [
                {
                    "name": "task",
                    "image": "example.org/task:1",
                    "args": [
                        "pyflyte-execute",
                        "--inputs",
                        "s3://bucket/meta/n0/inputs.pb",
                        "--output-prefix",
                        "s3://bucket/meta/n0/0",
                        "--raw-output-data-prefix",
                        "s3://bucket/raw/n0-0",
                        "--checkpoint-path",
                        "s3://bucket/raw/n0-0/_flytecheckpoints",
                        "--prev-checkpoint",
                        '""',
                        "--dest",
                        "{{ .dest_dir }}",
                        f"{NAME.replace('-', '_')} in flytesnacks-development",
                    ],
                    "env": [*IDENTITY, {"name": "MODE", "value": "fast"}],
                    "resources": {
                        "requests": {"cpu": "2", "memory": "1Gi"},
                        "limits": {"cpu": "2", "memory": "1Gi"},
                    },
                    "securityContext": CONFINED,
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }


def test_equal_attempts_give_equal_pods_and_nothing_that_was_given_changes():
    task = pod_task({"containers": [{"name": "main", "image": "i", "args": ["{{.input}}"]}]})
    before = task.SerializeToString(deterministic=True)
    assert pod_of(task) == pod_of(task)
    assert task.SerializeToString(deterministic=True) == before


# -- environment -----------------------------------------------------------------------------------


def test_of_a_variable_that_several_set_the_executions_word_is_the_last():
    settings = PodSettings(
        env={"A": "settings", "B": "settings", "C": "settings", "FLYTE_ATTEMPT_NUMBER": "9"},
        secret_env=[SecretVariable("AWS_SECRET_ACCESS_KEY", "object-store", "secret")],
    )
    task = container_task(env=[{"key": "B", "value": "task"}, {"key": "C", "value": "task"}])
    env = env_of(main_of(task, settings, env={"C": "execution", "D": "execution"}))
    assert {name: env[name] for name in "ABCD"} == {
        "A": "settings",
        "B": "task",
        "C": "execution",
        "D": "execution",
    }
    assert env["FLYTE_ATTEMPT_NUMBER"] == "0"
    reference = {"name": "object-store", "key": "secret"}
    assert env["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": reference}


def test_a_variable_may_be_made_of_those_before_it_whoever_else_has_set_it():
    settings = PodSettings(env={"PYTHONPATH": "/settings"})
    pairs = [{"key": "BASE", "value": "/x"}, {"key": "PYTHONPATH", "value": "$(BASE)/lib"}]
    env = main_of(container_task(env=pairs), settings)["env"]
    assert env[-2:] == [{"name": one["key"], "value": one["value"]} for one in pairs]


def test_an_array_items_index_reaches_its_container():
    env = {"FLYTE_K8S_ARRAY_INDEX": "17", "BATCH_JOB_ARRAY_INDEX_VAR_NAME": "FLYTE_K8S_ARRAY_INDEX"}
    assert env_of(main_of(env=env))["FLYTE_K8S_ARRAY_INDEX"] == "17"


# -- command ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["$(SECRET)", "$$(SECRET)", "a$$b", "$", "$x"])
def test_inputs_on_the_command_line_are_filled_and_are_no_kubernetes_variables(given):
    task = container_task(command=["echo", "{{.inputs.word}}(SECRET) $(MODE)"])
    inputs = core.LiteralMap(literals={"word": literals.literal(given)})
    assert draft_for(attempt(task), SETTINGS).wants_inputs
    pod = pod_for(attempt(task), SETTINGS, inputs=inputs)
    read = expanded(pod["spec"]["containers"][0]["command"], {"SECRET": "s", "MODE": "m"})
    assert read == ["echo", f"{given}(SECRET) m"]


@pytest.mark.parametrize(
    ("written", "value", "filled"),
    [
        ("{{.inputs.a}}", "", ""),
        ("{{.inputs.a}}", None, ""),
        ("{{ $Inputs.a }}", 1.5, "1.5"),
        ("{{.inputs.a}}", {"x": True}, '{"x":true}'),
        ("{{.inputs.a}}", literals.binary({"x": [1]}), '{"x":[1]}'),
        ("{{.inputs.a}}", literals.generic({"x": "é"}), '{"x":"é"}'),
        ("{{.inputs.a}}", literals.binary("word"), "word"),
        ("{{.inputs.A}}", 1, "the other"),
        ("{{.inputs.a-b/c}}", 1, "odd"),
        ("{{ inputs.a }} {{ input }} {{namespace}}", 1, "{{ inputs.a }} {{ input }} {{namespace}}"),
    ],
)
def test_an_input_on_the_command_line_is_its_value_and_what_has_no_dot_is_somebody_elses(
    written, value, filled
):
    given = {"a": value, "A": "the other", "a-b/c": "odd"}
    inputs = core.LiteralMap()
    for name, one in given.items():
        literal = one if isinstance(one, core.Literal) else literals.literal(one)
        inputs.literals[name].CopyFrom(literal)
    pod = pod_for(attempt(container_task(args=[written])), SETTINGS, inputs=inputs)
    assert pod["spec"]["containers"][0]["args"] == [filled]


def test_a_command_that_names_an_input_which_is_not_there_is_refused_by_its_name():
    task = container_task(args=["{{.inputs.wrod}}"])
    inputs = core.LiteralMap(literals={"word": literals.literal("a"), "N": literals.literal(1)})
    with pytest.raises(PodRefused) as caught:
        pod_for(attempt(task), SETTINGS, inputs=inputs)
    why = caught.value.why
    assert (why.code, why.blame, why.retryable) == ("BadTaskSpecification", "user", False)
    assert "no input 'wrod': its inputs are N, word." in why.message
    main = main_of(task)  # without inputs it is somebody else's template
    assert main["args"] == ["{{.inputs.wrod}}"]


def test_an_input_that_may_be_none_and_is_not_given_is_nothing_on_the_command_line():
    task = container_task(args=["-{{.inputs.word}}-"])
    task.interface.inputs.variables["word"].SetInParent()
    pod = pod_for(attempt(task), SETTINGS, inputs=core.LiteralMap())
    assert pod["spec"]["containers"][0]["args"] == ["--"]


def test_a_key_for_each_attempt_is_a_name_in_any_language():
    run = RunId("flytesnacks", "development", "0-abc")
    main = main_of(container_task(args=["{{.perRetryUniqueKey}}"]), id=AttemptId(run, ("n0-a",), 2))
    assert main["args"][0].isidentifier()
    assert main["args"][0].startswith("a_0_abc_n0_a_2_")


def test_only_a_command_that_names_inputs_wants_them():
    assert not draft_for(attempt(container_task(args=["{{.input}}"])), SETTINGS).wants_inputs
    pod = {
        "containers": [{"name": "main", "image": "i"}],
        "initContainers": [{"name": "a", "image": "i", "args": ["{{.inputs.x}}"]}],
    }
    assert draft_for(attempt(pod_task(pod)), SETTINGS).wants_inputs


# -- resources -------------------------------------------------------------------------------------


def asked(requests=(), limits=()):
    entries = lambda pairs: [{"name": name, "value": value} for name, value in pairs]  # noqa: E731
    return container_task(resources={"requests": entries(requests), "limits": entries(limits)})


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (asked(), DEFAULT_RESOURCES),
        (
            asked(limits=[("CPU", "4"), ("MEMORY", "2Gi")]),
            {"requests": {"cpu": "4", "memory": "2Gi"}, "limits": {"cpu": "4", "memory": "2Gi"}},
        ),
        (
            asked([("CPU", "500m"), ("MEMORY", "1Gi")], [("CPU", "2"), ("MEMORY", "3Gi")]),
            {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "3Gi"}},
        ),
        (
            asked([("CPU", "8"), ("MEMORY", "500Mi")], [("CPU", "2")]),
            {
                "requests": {"cpu": "2", "memory": "500Mi"},
                "limits": {"cpu": "2", "memory": "500Mi"},
            },
        ),
        (asked([("CPU", "0"), ("GPU", "0")], [("MEMORY", "0")]), DEFAULT_RESOURCES),
        (
            asked([("GPU", "1"), ("EPHEMERAL_STORAGE", "5Gi")]),
            {
                "requests": {
                    "cpu": "1",
                    "ephemeral-storage": "5Gi",
                    "memory": "500Mi",
                    "nvidia.com/gpu": "1",
                },
                "limits": {
                    "cpu": "1",
                    "ephemeral-storage": "5Gi",
                    "memory": "500Mi",
                    "nvidia.com/gpu": "1",
                },
            },
        ),
        (
            asked([("GPU", "1")], [("GPU", "2")]),
            {
                "requests": {"cpu": "1", "memory": "500Mi", "nvidia.com/gpu": "2"},
                "limits": {"cpu": "1", "memory": "500Mi", "nvidia.com/gpu": "2"},
            },
        ),
    ],
    ids=[
        "nothing",
        "limits only",
        "both",
        "request over limit",
        "zero",
        "devices and disk",
        "devices",
    ],
)
def test_requests_and_limits_fill_each_other(task, expected):
    assert main_of(task)["resources"] == expected


def test_no_task_exceeds_the_platforms_limits():
    settings = PodSettings(
        resources=Resources(most={"cpu": "4", "memory": "2048Mi", "nvidia.com/gpu": "1"})
    )
    task = asked([("CPU", "6"), ("MEMORY", "2Gi")], [("CPU", "8"), ("GPU", "3")])
    expected = {"cpu": "4", "memory": "2Gi", "nvidia.com/gpu": "1"}
    assert main_of(task, settings)["resources"] == {"requests": expected, "limits": expected}


def test_a_limit_of_zero_is_no_way_past_the_platforms_limits():
    """Kubernetes takes it for no limit at all."""
    most = {"cpu": "4", "memory": "1Gi"}
    settings = PodSettings(resources=Resources(limits=most, most=most))
    task = asked([("CPU", "1"), ("MEMORY", "1Gi")], [("CPU", "0"), ("MEMORY", "0Gi")])
    assert main_of(task, settings)["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "4", "memory": "1Gi"},
    }


def test_a_gpu_in_a_pod_may_be_called_so_whatever_the_cluster_calls_it():
    settings = PodSettings(accelerators=Accelerators(resource="amd.com/gpu"))
    neighbour = {
        "name": "beside",
        "image": "example.org/b:1",
        "resources": {"requests": {"cpu": 0}},
    }
    own = {"name": "main", "image": "example.org/a:1", "resources": {"limits": {"gpu": 2}}}
    main, beside = body_of(pod_task({"containers": [own, neighbour]}), settings)["containers"]
    assert main["resources"]["requests"]["amd.com/gpu"] == "2"
    assert main["resources"]["limits"] == {"cpu": "1", "memory": "500Mi", "amd.com/gpu": "2"}
    assert beside["resources"] == {"requests": {"cpu": "0"}, "limits": {"cpu": "0"}}


def test_a_default_limit_serves_who_names_none():
    settings = PodSettings(
        resources=Resources(requests={"cpu": "1"}, limits={"cpu": "2", "memory": "1Gi"})
    )
    assert main_of(None, settings)["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }


def test_a_quantity_that_is_none_is_refused():
    code, message = refusal_of(asked([("MEMORY", "lots")]))
    assert code == "BadResources"
    assert "memory" in message
    assert "lots" in message


# -- who and where ---------------------------------------------------------------------------------


def test_labels_and_annotations_of_everybody_with_ours_above_all():
    settings = PodSettings(labels={"team": "a", "project": "x"}, annotations={"note": "settings"})
    task = pod_task(
        {"containers": [{"name": "main", "image": "i"}]},
        labels={"team": "b", "kind": "task"},
        annotations={"note": "task", "flyte-jupyter.dev/attempt": "{}"},
    )
    labels = {"kind": "execution", "flyte-jupyter.dev/execution": "mine"}
    metadata = pod_of(task, settings, labels=labels, annotations={"why": "test"})["metadata"]
    assert metadata["labels"] == {**LABELS, "team": "b", "kind": "execution"}
    assert metadata["annotations"] == {
        "note": "task",
        "why": "test",
        "flyte-jupyter.dev/attempt": ATTEMPT,
        "flyte-jupyter.dev/primary-container": "main",
        "kubectl.kubernetes.io/default-container": "main",
    }


@pytest.mark.parametrize(
    "task", [container_task(), pod_task({"containers": [{"name": "main", "image": "i"}]}, labels={"team": "pod", "c": "pod"})]
)  # fmt: skip
def test_a_tasks_own_labels_are_above_its_pods_and_below_the_executions(task):
    task.metadata.metadata.labels.update({"team": "task", "kind": "task"})
    task.metadata.metadata.annotations.update({"queue": "slow", "who": "task"})
    settings = PodSettings(labels={"kind": "settings"}, annotations={"queue": "settings"})
    made = pod_of(task, settings, labels={"kind": "execution"}, annotations={"who": "me"})
    metadata = made["metadata"]
    assert (metadata["labels"]["team"], metadata["labels"]["kind"]) == ("task", "execution")
    assert (metadata["annotations"]["queue"], metadata["annotations"]["who"]) == ("slow", "me")


def test_nobody_else_gives_a_pod_words_of_ours():
    """Such as those by which workers are found, which would get others' attempts."""
    worker = {"flyte-jupyter.dev/worker-of": "flyte-jupyter", "flyte-jupyter.dev/worker-kind": "k"}
    carries = {"flyte-jupyter.dev/uploader": "main"}
    task = pod_task(
        {"containers": [{"name": "main", "image": "i"}]}, labels=worker, annotations=carries
    )
    template = {"metadata": {"labels": worker, "annotations": carries}}
    settings = PodSettings(templates={"t": template}, default_template="t")
    metadata = pod_of(task, settings, labels=worker, annotations=carries)["metadata"]
    assert not set(worker) & set(metadata["labels"])
    assert not set(carries) & set(metadata["annotations"])


def test_label_values_are_made_to_fit():
    long = "x" * 80 + ".task"
    task = container_task()
    task.id.name = long
    labels = pod_of(task, node="nœud/0", labels={"who": " Ada Lovelace? "})["metadata"]["labels"]
    assert labels["task-name"] == "x" * 58 + ".task"
    assert labels["node-id"] == "n-ud-0"
    assert labels["who"] == "Ada-Lovelace"


def test_the_namespace_follows_its_template():
    assert pod_of(None, PodSettings(namespace="flyte"))["metadata"]["namespace"] == "flyte"
    pod = pod_of(None, PodSettings(namespace="{{ domain }}-{{project}}-x"))
    assert pod["metadata"]["namespace"] == "development-flytesnacks-x"


def test_the_service_account_of_the_execution_is_taken_when_it_is_allowed():
    assert refusal_of(service_account="robot")[0] == "ServiceAccountRefused"
    settings = PodSettings(allowed=replace(SETTINGS.allowed, service_accounts=frozenset({"robot"})))
    assert body_of(None, settings, service_account="robot")["serviceAccountName"] == "robot"
    anybody = PodSettings(allowed=replace(SETTINGS.allowed, service_accounts=frozenset({"*"})))
    assert body_of(None, anybody, service_account="who")["serviceAccountName"] == "who"


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
@pytest.mark.parametrize("templated", [True, False])
def test_the_service_account_of_the_execution_goes_before_that_of_a_pod(field, templated):
    own = {"containers": [{"name": "main", "image": "example.org/i:1"}]}
    below = {field: "builder"}
    settings = PodSettings(
        allowed=replace(SETTINGS.allowed, service_accounts=frozenset({"*"})),
        templates={"t": {"spec": below if templated else {}}},
        default_template="t",
    )
    task = pod_task(own if templated else own | below)
    body = body_of(task, settings, service_account="robot")
    assert body["serviceAccountName"] == "robot"
    assert body.get("serviceAccount", "robot") == "robot"
    assert body_of(task, settings)["serviceAccountName"] == "builder"


def test_images_may_bring_their_own_user():
    context = body_of(None, PodSettings(run_as_user=None, run_as_group=None))["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_pull_policy_pull_secrets_scheduler_and_priority():
    settings = PodSettings(
        image_pull_policy="IfNotPresent",
        image_pull_secrets=["registry"],
        scheduler="volcano",
        priority_class="batch",
    )
    body = body_of(None, settings)
    assert body["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert body["imagePullSecrets"] == [{"name": "registry"}]
    assert (body["schedulerName"], body["priorityClassName"]) == ("volcano", "batch")


# -- what cannot be a pod --------------------------------------------------------------------------


def test_a_task_without_an_image_is_refused_with_what_to_do():
    code, message = refusal_of(container_task(image=""))
    assert code == "ImageMissing"
    assert "my.module.train" in message
    assert "set an image" in message


def test_a_task_that_describes_no_pod_is_refused():
    assert refusal_of(core.TaskTemplate(id=TASK))[0] == "BadTaskSpecification"
    sql = core.TaskTemplate(id=TASK, sql=core.Sql(statement="select 1"))
    assert "a sql" in refusal_of(sql)[1]


def test_a_pod_that_does_not_name_its_own_container_is_refused():
    pod = {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}
    assert "primary_container_name" in refusal_of(pod_task(pod, ""))[1]
    code, message = refusal_of(pod_task(pod, "c"))
    assert code == "BadTaskSpecification"
    assert "'c'" in message
    assert "a, b" in message


def test_a_manifest_that_is_too_large_is_refused_and_says_what_is_large():
    code, message = refusal_of(env={"TABLE": "x" * 1_000_000, "B": "y"})
    assert code == "PodTooLarge"
    assert "spec.containers[task].env 1000" in message
    assert refusal_of(container_task(args=["é" * 600_000]))[0] == "PodTooLarge"
    assert pod_of(env={"TABLE": "x" * 900_000})


# -- copilot ---------------------------------------------------------------------------------------

VARIABLES = {
    "x": core.Variable(type=core.LiteralType(simple=core.SimpleType.INTEGER), description="prose")
}
INTERFACE = core.TypedInterface(
    inputs=core.VariableMap(variables=VARIABLES), outputs=core.VariableMap(variables=VARIABLES)
)
WORD = "CgsKCQoBeBIECgIIARILCgkKAXgSBAoCCAE="
MEANS = Copilot(image="example.org/flyte-jupyter:1")


def raw_task(**config):
    task = container_task(
        command=["cp", "/in/x", "/out/x"], data_config={"enabled": True, **config}
    )
    task.interface.CopyFrom(INTERFACE)
    return task


def sidecar(name, args, mount, **more):
    return {
        "name": name,
        "image": "example.org/flyte-jupyter:1",
        "command": ["python3", "-m", "flyte_jupyter.kernel.runtime.copilot"],
        "args": args,
        "env": [{"name": "AWS_ENDPOINT_URL", "value": "http://s3"}, *IDENTITY],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount, {"name": "flyte-copilot", "mountPath": "/var/flyte/copilot"}],
        "securityContext": CONFINED,
        **more,
    }


def test_the_pod_of_a_raw_container():
    settings = PodSettings(copilot=MEANS, env={"AWS_ENDPOINT_URL": "http://s3"})
    task = raw_task(input_path="/in", output_path="/out/", format="YAML")
    inputs = {"name": "flyte-inputs", "mountPath": "/in"}
    outputs = {"name": "flyte-outputs", "mountPath": "/out"}
    uploads = [
        "upload", "--folder", "/out", "--interface", WORD, "--output-prefix", "s3://bucket/meta/n0/0",
        "--raw-output-prefix", "s3://bucket/raw/n0-0", "--ready", "/var/flyte/copilot/ready",
    ]  # fmt: skip
    downloads = [
        "download", "--inputs", "s3://bucket/meta/n0/inputs.pb", "--folder", "/in", "--format", "YAML",
        "--after", "/var/flyte/copilot/ready",
    ]  # fmt: skip
    pod = pod_of(task, settings)
    assert pod["metadata"]["annotations"]["flyte-jupyter.dev/uploader"] == "flyte-copilot-uploader"
    assert pod["spec"] == {
        "restartPolicy": "Never",
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 3600,
        "securityContext": RESTRICTED,
        "initContainers": [
            sidecar("flyte-copilot-uploader", uploads, outputs, restartPolicy="Always"),
            sidecar("flyte-copilot-downloader", downloads, inputs),
        ],
        "containers": [
            {
                "name": "task",
                "image": "example.org/task:1",
                "command": ["cp", "/in/x", "/out/x"],
                "env": [{"name": "AWS_ENDPOINT_URL", "value": "http://s3"}, *IDENTITY],
                "resources": DEFAULT_RESOURCES,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [inputs, outputs],
                "securityContext": CONFINED,
            }
        ],
        "volumes": [
            {"name": "flyte-inputs", "emptyDir": {}},
            {"name": "flyte-outputs", "emptyDir": {}},
            {"name": "flyte-copilot", "emptyDir": {}},
        ],
    }


def test_data_lies_where_flyte_puts_it_unless_the_task_says_where():
    mounts = main_of(raw_task(), PodSettings(copilot=MEANS))["volumeMounts"]
    assert [m["mountPath"] for m in mounts] == ["/var/flyte/inputs", "/var/flyte/outputs"]


def test_a_raw_container_needs_an_image_for_its_sidecars():
    code, message = refusal_of(raw_task())
    assert code == "CopilotMissing"
    assert "copilot.image" in message


def test_inputs_and_outputs_may_not_lie_in_each_other():
    settings = PodSettings(copilot=MEANS)
    assert (
        refusal_of(raw_task(input_path="/a", output_path="/a/b"), settings)[0]
        == "BadTaskSpecification"
    )
    assert body_of(raw_task(input_path="/a", output_path="/ab"), settings)


def test_files_may_stay_where_they_are():
    task = raw_task(io_strategy={"download_mode": "DO_NOT_DOWNLOAD"})
    downloader = body_of(task, PodSettings(copilot=MEANS))["initContainers"][1]
    assert downloader["args"][-2:] == ["--keep-uris", "true"]


def test_a_sidecar_gets_none_of_the_executions_variables():
    body = body_of(raw_task(), PodSettings(copilot=MEANS), env={"PYTHONPATH": "/tmp/evil"})
    assert all("PYTHONPATH" not in env_of(c) for c in body["initContainers"])


# -- names -----------------------------------------------------------------------------------------


ABC = RunId("p", "d", "abc")


def named(path=("n0",), run=ABC, number=0):
    return pod_of(id=AttemptId(run, path, number))["metadata"]["name"]


def test_every_attempt_has_a_name_of_its_own():
    runs = [RunId(p, d, n) for p in "pq" for d in "de" for n in ("abc", "abd")]
    paths = [
        ("n0",),
        ("n0", 0),
        ("n0", 1),
        ("n0", 0, "n1"),
        ("n-0",),
        ("N0",),
        ("é" * 50,),
        ("è" * 50,),
    ]
    names = {named(p, r, n) for p in paths for r in runs for n in (0, 1)}
    assert len(names) == len(paths) * len(runs) * 2


@pytest.mark.parametrize("path", [("n0",), ("n0", 12345), ("x" * 200,), ("é/../\0",), ("-",)])
@pytest.mark.parametrize("run", ["abc", "a" * 63, "0zero"])
def test_names_are_dns_labels(path, run):
    import re

    name = named(path, RunId("p", "d", run))
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name)
