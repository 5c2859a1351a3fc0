"""Where pods may run, what templates put below them, and their secrets."""

from dataclasses import replace

import pytest
from pod_attempts import (
    SETTINGS,
    attempt,
    body_of,
    container_task,
    env_of,
    main_of,
    pod_of,
    pod_task,
    refusal_of,
)

from flyte_jupyter.engine.pods.manifest import pod_for, refusal
from flyte_jupyter.engine.pods.naming import attempt_of, pod_name, run_digest, selector
from flyte_jupyter.engine.pods.settings import Accelerators, Copilot, PodSettings, Resources
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

SPOT = {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
BATCH = {"key": "batch", "operator": "Exists"}
IS_SPOT = {"key": "spot", "operator": "In", "values": ["true"]}
NO_SPOT = {"key": "spot", "operator": "DoesNotExist"}
PREFERRED = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}
PLACES = PodSettings(
    tolerations=[BATCH],
    node_selector={"pool": "tasks", "disk": "ssd"},
    affinity=PREFERRED,
    interruptible_tolerations=[SPOT],
    interruptible_selector={"life": "short"},
    interruptible_requirement=IS_SPOT,
    non_interruptible_requirement=NO_SPOT,
)


def required(*terms):
    asked = {"nodeSelectorTerms": [{"matchExpressions": list(term)} for term in terms]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": asked}


def test_an_attempt_that_may_not_be_interrupted_stays_off_spot_nodes():
    body = body_of(None, PLACES)
    assert body["tolerations"] == [BATCH]
    assert body["nodeSelector"] == {"pool": "tasks", "disk": "ssd"}
    assert body["affinity"] == {
        "nodeAffinity": {**PREFERRED["nodeAffinity"], **required([NO_SPOT])}
    }


def test_an_interruptible_attempt_goes_to_spot_nodes():
    pod = pod_of(None, PLACES, interruptible=True)
    assert pod["metadata"]["labels"]["interruptible"] == "true"
    assert pod["spec"]["tolerations"] == [BATCH, SPOT]
    assert pod["spec"]["nodeSelector"] == {"pool": "tasks", "disk": "ssd", "life": "short"}
    assert pod["spec"]["affinity"]["nodeAffinity"] == {
        **PREFERRED["nodeAffinity"],
        **required([IS_SPOT]),
    }


def test_a_tasks_own_placement_is_kept_and_every_alternative_asks_for_more():
    own = {"key": "zone", "operator": "In", "values": ["a"]}
    other = {"key": "zone", "operator": "In", "values": ["b"]}
    pod = {
        "containers": [{"name": "main", "image": "i"}],
        "tolerations": [BATCH, {"key": "mine", "operator": "Exists"}],
        "nodeSelector": {"disk": "hdd"},
        "affinity": {"nodeAffinity": required([own], [other])},
    }
    body = body_of(pod_task(pod), PLACES)
    assert body["tolerations"] == [BATCH, {"key": "mine", "operator": "Exists"}]
    assert body["nodeSelector"] == {"pool": "tasks", "disk": "hdd"}
    assert body["affinity"] == {"nodeAffinity": required([own, NO_SPOT], [other, NO_SPOT])}


def test_an_alternative_that_a_pod_template_brings_is_no_way_to_spot_nodes():
    own = {"key": "zone", "operator": "In", "values": ["a"]}
    template = {"spec": {"affinity": {"nodeAffinity": required([own])}}}
    places = replace(PLACES, templates={"zoned": template}, default_template="zoned")
    asked = body_of(None, places)["affinity"]["nodeAffinity"]
    assert asked == {**PREFERRED["nodeAffinity"], **required([own, NO_SPOT])}
    body = body_of(None, places, interruptible=True)
    assert body["affinity"]["nodeAffinity"] == {
        **PREFERRED["nodeAffinity"],
        **required([own, IS_SPOT]),
    }
    assert PLACES.affinity == {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}
    }


GPU = {"requests": [{"name": "GPU", "value": "1"}]}
HAS_GPU, HAS_FPGA, HAS_DISK = ({"key": name, "operator": "Exists"} for name in ("gpu", "fpga", "disk"))  # fmt: skip
BY_RESOURCE = replace(
    PLACES,
    resource_tolerations={
        "nvidia.com/gpu": [HAS_GPU, BATCH],
        "xilinx.com/fpga": [HAS_FPGA],
        "ephemeral-storage": [HAS_DISK],
    },
)


@pytest.mark.parametrize(
    ("resources", "tolerations"),
    [
        ({}, [BATCH]),
        (GPU, [BATCH, HAS_GPU]),
        ({"limits": [{"name": "GPU", "value": "1"}]}, [BATCH, HAS_GPU]),
        ({"requests": [{"name": "GPU", "value": "0"}]}, [BATCH]),
        ({"requests": [{"name": "EPHEMERAL_STORAGE", "value": "1Gi"}]}, [BATCH, HAS_DISK]),
    ],
    ids=["nothing", "a request", "a limit", "none", "a disk"],
)
def test_a_task_tolerates_what_keeps_others_off_the_resources_it_asks_for(resources, tolerations):
    assert body_of(container_task(resources=resources), BY_RESOURCE)["tolerations"] == tolerations


def test_what_a_sidecar_asks_for_is_tolerated_too():
    pod = {
        "containers": [
            {"name": "main", "image": "i"},
            {"name": "b", "image": "i", "resources": {"limits": {"xilinx.com/fpga": "1"}}},
        ],
        "tolerations": [HAS_DISK],
    }
    body = body_of(pod_task(pod), BY_RESOURCE, interruptible=True)
    assert body["tolerations"] == [BATCH, HAS_FPGA, SPOT, HAS_DISK]


# -- accelerators and shared memory ----------------------------------------------------------------

DEVICE, PARTITION = "k8s.amazonaws.com/accelerator", "k8s.amazonaws.com/gpu-partition-size"


def on(accelerator: core.GPUAccelerator, resources=GPU):
    task = container_task(resources=resources)
    task.extended_resources.gpu_accelerator.CopyFrom(accelerator)
    return task


def taint(key, value):
    return {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}


def among(key, value):
    return {"key": key, "operator": "In", "values": [value]}


@pytest.mark.parametrize(
    ("accelerator", "requirements", "tolerations"),
    [
        (
            core.GPUAccelerator(device="nvidia-tesla-t4"),
            [among(DEVICE, "nvidia-tesla-t4")],
            [taint(DEVICE, "nvidia-tesla-t4")],
        ),
        (
            core.GPUAccelerator(device="nvidia-a100", partition_size="1g.5gb"),
            [among(DEVICE, "nvidia-a100"), among(PARTITION, "1g.5gb")],
            [taint(DEVICE, "nvidia-a100"), taint(PARTITION, "1g.5gb")],
        ),
        (
            core.GPUAccelerator(device="nvidia-a100", unpartitioned=True),
            [{"key": PARTITION, "operator": "DoesNotExist"}, among(DEVICE, "nvidia-a100")],
            [taint(DEVICE, "nvidia-a100")],
        ),
        (
            core.GPUAccelerator(device="nvidia-a100", unpartitioned=False),
            [among(DEVICE, "nvidia-a100")],
            [taint(DEVICE, "nvidia-a100")],
        ),
    ],
    ids=["device", "partition", "whole", "not said to be whole"],
)
def test_an_accelerator_asks_for_its_nodes(accelerator, requirements, tolerations):
    body = body_of(on(accelerator))
    assert body["affinity"] == {"nodeAffinity": required(requirements)}
    assert body["tolerations"] == tolerations


def test_clusters_name_accelerators_in_their_own_ways():
    whole = {"key": "whole", "operator": "Exists"}
    toleration = {"key": "whole", "operator": "Exists", "effect": "NoSchedule"}
    rules = Accelerators("amd.com/gpu", "example.org/device", "example.org/part", whole, toleration)
    body = body_of(
        on(core.GPUAccelerator(device="mi300", unpartitioned=True)), PodSettings(accelerators=rules)
    )
    assert body["affinity"] == {
        "nodeAffinity": required([whole, among("example.org/device", "mi300")])
    }
    assert body["tolerations"] == [toleration, taint("example.org/device", "mi300")]
    assert body["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "1"


def test_a_device_that_no_container_asks_for_places_nothing():
    body = body_of(on(core.GPUAccelerator(device="nvidia-tesla-t4"), {}))
    assert "affinity" not in body
    assert "tolerations" not in body


def test_shared_memory_is_a_volume_at_dev_shm():
    task = container_task()
    task.extended_resources.shared_memory.CopyFrom(core.SharedMemory(size_limit="2Gi"))
    body = body_of(task)
    volume = {"name": "flyte-shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    assert body["volumes"] == [volume]
    assert body["containers"][0]["volumeMounts"] == [
        {"name": "flyte-shared-memory", "mountPath": "/dev/shm"}
    ]


def test_shared_memory_may_be_named_and_put_elsewhere():
    task = container_task()
    memory = core.SharedMemory(mount_path="/shm", mount_name="shm")
    task.extended_resources.shared_memory.CopyFrom(memory)
    body = body_of(task)
    assert body["volumes"] == [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    assert body["containers"][0]["volumeMounts"] == [{"name": "shm", "mountPath": "/shm"}]


# -- pod templates ---------------------------------------------------------------------------------

TEMPLATE = {
    "metadata": {"labels": {"team": "ml"}, "annotations": {"note": "template"}},
    "spec": {
        "containers": [
            {
                "name": "default",
                "env": [{"name": "A", "value": "default"}, {"name": "Z", "value": "z"}],
            },
            {
                "name": "primary",
                "image": "fallback:1",
                "env": [{"name": "A", "value": "primary"}],
                "workingDir": "/w",
            },
            {"name": "noise", "image": "not taken over"},
        ],
        "initContainers": [
            {"name": "default-init", "image": "init:1"},
            {"name": "primary-init", "workingDir": "/p"},
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "tolerations": [BATCH],
        "dnsPolicy": "Default",
        "hostNetwork": True,
        "securityContext": {"runAsUser": 1000},
    },
}
TEMPLATES = PodSettings(templates={"ml": TEMPLATE}, image_pull_policy="Always")


def test_a_named_template_lies_below_the_task():
    task = pod_task(
        {
            "containers": [
                {"name": "main", "env": [{"name": "B", "value": "task"}]},
                {"name": "proxy", "image": "proxy:1", "workingDir": "/proxy"},
            ],
            "initContainers": [{"name": "prepare", "args": ["{{.outputPrefix}}"]}],
            "tolerations": [SPOT],
            "dnsPolicy": "None",
        }
    )
    task.metadata.pod_template_name = "ml"
    pod = pod_of(task, TEMPLATES)
    body = pod["spec"]
    main, proxy = body["containers"]
    assert (main["name"], main["image"], main["workingDir"]) == ("main", "fallback:1", "/w")
    assert (proxy["image"], proxy["workingDir"]) == ("proxy:1", "/proxy")
    assert {k: env_of(main)[k] for k in "ABZ"} == {"A": "primary", "B": "task", "Z": "z"}
    assert {k: env_of(proxy)[k] for k in "AZ"} == {"A": "default", "Z": "z"}
    (prepare,) = body["initContainers"]
    assert (prepare["name"], prepare["image"]) == ("prepare", "init:1")
    assert prepare["args"] == ["s3://bucket/meta/n0/0"]
    assert body["tolerations"] == [BATCH, SPOT]
    assert body["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    assert body["dnsPolicy"] == "None"
    # What the platform's own template asks for is the platform's business.
    assert body["hostNetwork"] is True
    assert body["securityContext"]["runAsUser"] == 1000
    assert body["securityContext"]["runAsNonRoot"] is True
    assert pod["metadata"]["labels"]["team"] == "ml"
    assert pod["metadata"]["annotations"]["note"] == "template"


def sized(name, kind="requests", **resources):
    return {"name": name, "resources": {kind: resources}}


SIZES = {
    "spec": {
        "containers": [
            sized("default", cpu="100m", memory="64Mi"),
            {
                "name": "primary",
                "resources": {
                    "requests": {"cpu": "2", "nvidia.com/gpu": "1"},
                    "limits": {"cpu": "8", "nvidia.com/gpu": "1"},
                },
            },
        ],
        "initContainers": [sized("default-init", "limits", cpu="50m")],
    }
}


def test_resources_that_a_task_does_not_name_are_its_templates_before_they_are_the_platforms():
    settings = PodSettings(
        templates={"sizes": SIZES},
        resources=Resources(most={"cpu": "6"}),
        resource_tolerations={"nvidia.com/gpu": [SPOT]},
    )
    own = {
        "containers": [sized("main", memory="1Gi"), sized("proxy", cpu="1"), {"name": "log"}],
        "initContainers": [{"name": "prepare"}],
    }
    for container in (*own["containers"], *own["initContainers"]):
        container["image"] = "example.org/i:1"
    task = pod_task(own)
    task.metadata.pod_template_name = "sizes"
    body = body_of(task, settings)
    main, proxy, log = (c["resources"] for c in body["containers"])
    assert main["requests"] == {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"}
    assert main["limits"] == {"cpu": "6", "memory": "1Gi", "nvidia.com/gpu": "1"}
    assert proxy["requests"] == {"cpu": "1", "memory": "64Mi"}
    assert log["requests"] == {"cpu": "100m", "memory": "64Mi"}
    assert body["initContainers"][0]["resources"]["limits"] == {"cpu": "50m"}
    assert body["tolerations"] == [SPOT]


def test_what_a_task_says_of_a_resource_is_all_that_is_said_of_it():
    settings = PodSettings(templates={"sizes": SIZES}, default_template="sizes")
    task = container_task(resources={"requests": [{"name": "CPU", "value": "1"}]})
    resources = main_of(task, settings)["resources"]
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("1", "1")
    assert resources["requests"]["memory"] == "64Mi"


@pytest.mark.parametrize(
    ("own", "templates", "expected"),
    [("task:1", "template:1", "task:1"), ("", "template:1", "template:1"), ("", "", "platform:1")],
)
def test_the_image_of_a_template_goes_before_the_one_for_all_that_name_none(
    own, templates, expected
):
    template = {"spec": {"containers": [{"name": "primary", "image": templates}]}}
    settings = PodSettings(image="platform:1", templates={"t": template})
    for task in (container_task(image=own), pod_task({"containers": [{"name": "main", "image": own}]})):  # fmt: skip
        task.metadata.pod_template_name = "t"
        assert main_of(task, settings)["image"] == expected


def test_a_task_whose_image_may_stand_in_a_template_of_the_cluster_is_not_refused_before():
    task = container_task(image="")
    assert "has no image" in refusal(task, PodSettings())
    task.metadata.pod_template_name = "of-the-cluster"
    assert refusal(task, PodSettings()) is None


def test_the_settings_default_template_serves_tasks_that_name_none():
    settings = PodSettings(templates={"ml": TEMPLATE}, default_template="ml")
    assert main_of(None, settings)["workingDir"] == "/w"
    assert main_of(None, settings)["image"] == "example.org/task:1"


def test_the_downloader_takes_the_template_for_the_first_init_container():
    task = container_task(data_config={"enabled": True})
    settings = PodSettings(
        templates={"ml": TEMPLATE}, default_template="ml", copilot=Copilot(image="c:1")
    )
    uploader, downloader = body_of(task, settings)["initContainers"]
    assert downloader["workingDir"] == "/p"
    assert "workingDir" not in uploader
    assert downloader["image"] == "c:1"


def test_a_template_that_is_not_there_is_named():
    task = container_task()
    task.metadata.pod_template_name = "nope"
    code, message = refusal_of(task, TEMPLATES)
    assert code == "BadTaskSpecification"
    assert "'nope'" in message
    assert "ml" in message


def test_a_pod_of_the_tasks_own_keeps_whole_numbers_and_its_neighbours_resources():
    pod = {
        "containers": [
            {
                "name": "main",
                "image": "i",
                "ports": [{"containerPort": 8080}],
                "resources": {"limits": {"cpu": 2}},
            },
            {"name": "proxy", "image": "p", "resources": {"requests": {"memory": "64Mi"}}},
            {"name": "bare", "image": "b"},
        ]
    }
    main, proxy, bare = body_of(pod_task(pod))["containers"]
    assert main["ports"] == [{"containerPort": 8080}]
    assert main["resources"] == {
        "requests": {"cpu": "2", "memory": "500Mi"},
        "limits": {"cpu": "2", "memory": "500Mi"},
    }
    assert proxy["resources"] == {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}
    assert "resources" not in bare
    assert all(
        c["securityContext"]["capabilities"] == {"drop": ["ALL"]} for c in (main, proxy, bare)
    )


def test_a_pod_never_restarts_whatever_its_template_says():
    pod = {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "OnFailure"}
    assert body_of(pod_task(pod))["restartPolicy"] == "Never"


# -- secrets ---------------------------------------------------------------------------------------

FROM = core.Secret
FOUND = {
    "FLYTE_SECRETS_ENV_PREFIX": "_FSEC_",
    "FLYTE_SECRETS_DEFAULT_DIR": "/etc/flyte/secrets",
    "FLYTE_SECRETS_FILE_PREFIX": "",
}


def with_secrets(*secrets: core.Secret):
    task = container_task()
    task.security_context.secrets.extend(secrets)
    return task


def test_a_secret_in_a_variable():
    task = with_secrets(
        FROM(group="user-info", key="Token", mount_requirement=FROM.ENV_VAR),
        FROM(
            group="db",
            key="password",
            group_version="v2",
            mount_requirement=FROM.ENV_VAR,
            env_var="PGPASSWORD",
        ),
    )
    body = body_of(task)
    env = env_of(body["containers"][0])
    assert {k: v for k, v in env.items() if k in FOUND} == FOUND
    assert env["_FSEC_USER-INFO_TOKEN"] == {"secretKeyRef": {"name": "user-info", "key": "Token"}}
    assert env["PGPASSWORD"] == {"secretKeyRef": {"name": "db", "key": "password"}}
    assert env["_FSEC_DB_V2_PASSWORD"] == env["PGPASSWORD"]  # where flytekit looks for it
    assert "volumes" not in body


def test_secrets_in_files_are_one_volume_a_group():
    task = with_secrets(
        FROM(group="user-info", key="Token", mount_requirement=FROM.FILE, env_var="TOKEN_FILE"),
        FROM(group="user-info", key="name"),
        FROM(group="db", key="password", group_version="V2"),
    )
    body = body_of(task, PodSettings(secret_prefix="flyte-"))
    assert body["volumes"] == [
        {
            "name": "flyte-secret-0",
            "secret": {
                "secretName": "flyte-db",
                "items": [{"key": "password", "path": "password"}],
                "defaultMode": 0o444,
            },
        },
        {
            "name": "flyte-secret-1",
            "secret": {
                "secretName": "flyte-user-info",
                "items": [{"key": "name", "path": "name"}, {"key": "Token", "path": "token"}],
                "defaultMode": 0o444,
            },
        },
    ]
    assert body["containers"][0]["volumeMounts"] == [
        {"name": "flyte-secret-0", "mountPath": "/etc/flyte/secrets/db/v2", "readOnly": True},
        {"name": "flyte-secret-1", "mountPath": "/etc/flyte/secrets/user-info", "readOnly": True},
    ]
    assert env_of(body["containers"][0])["TOKEN_FILE"] == "/etc/flyte/secrets/user-info/token"


def test_flytekit_finds_a_secret_where_the_pod_has_it(tmp_path, monkeypatch):
    from flytekit.core.context_manager import SecretsManager

    task = with_secrets(
        FROM(group="Db", key="Password", mount_requirement=FROM.ENV_VAR),
        FROM(group="files", key="Key"),
    )
    task.security_context.secrets[0].group = "db"
    body = body_of(task)
    for name, value in env_of(body["containers"][0]).items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "in a variable")
    (mount,) = body["containers"][0]["volumeMounts"]
    monkeypatch.setenv("FLYTE_SECRETS_DEFAULT_DIR", str(tmp_path))
    folder = tmp_path / mount["mountPath"].removeprefix("/etc/flyte/secrets/")
    folder.mkdir()
    (folder / body["volumes"][0]["secret"]["items"][0]["path"]).write_text("in a file")
    secrets = SecretsManager()
    assert secrets.get("db", "Password") == "in a variable"
    assert secrets.get("files", "Key") == "in a file"


def test_only_the_tasks_own_containers_get_its_secrets():
    task = with_secrets(FROM(group="db", key="password"))
    task.container.data_config.enabled = True
    body = body_of(task, PodSettings(copilot=Copilot(image="c:1")))
    assert "flyte-secret-0" in [m["name"] for m in body["containers"][0]["volumeMounts"]]
    for sidecar in body["initContainers"]:
        assert "flyte-secret-0" not in [m["name"] for m in sidecar["volumeMounts"]]


@pytest.mark.parametrize(
    ("secret", "named"),
    [
        (FROM(group="", key="k"), "group ''"),
        (FROM(group="Not A Name", key="k"), "Not A Name"),
        (FROM(group="../x", key="k"), "../x"),
        (FROM(group="g", key=""), "key ''"),
        (FROM(group="g", key=".."), "key '..'"),
        (FROM(group="g", key="a/b"), "a/b"),
        (FROM(group="g", key="k", group_version="../.."), "../.."),
        (FROM(group="g", key="k", group_version=".."), "version '..'"),
        (FROM(group="g", key="k", env_var="1 x"), "1 x"),
    ],
)
def test_a_secret_that_cannot_be_is_refused_by_name(secret, named):
    code, message = refusal_of(with_secrets(secret))
    assert code == "BadTaskSpecification"
    assert named in message


# -- whose pod is it -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [("n0",), ("n1", 17), ("n0", 0, "n1", 2, "é")])
def test_a_pod_leads_back_to_its_attempt(path):
    attempt_id = AttemptId(RunId("p", "d", "run"), path, 3)
    pod = pod_for(attempt(id=attempt_id), SETTINGS)
    assert attempt_of(pod) == attempt_id
    assert pod["metadata"]["name"] == pod_name(attempt_id)


def test_a_pod_that_was_edited_by_hand_leads_nowhere():
    pod = pod_of()
    for edited in (
        "{}",
        "null",
        "no json",
        pod["metadata"]["annotations"]["flyte-jupyter.dev/attempt"].replace("abc123", "abd"),
    ):
        pod["metadata"]["annotations"]["flyte-jupyter.dev/attempt"] = edited
        assert attempt_of(pod) is None
    assert attempt_of({}) is None
    assert attempt_of({"metadata": {"name": "x"}}) is None


def test_selectors_find_the_pods_of_an_installation_and_of_a_run():
    run = RunId("flytesnacks", "development", "abc123")
    labels = pod_of()["metadata"]["labels"]
    for wanted in (selector(SETTINGS), selector(SETTINGS, run)):
        assert all(
            labels[key] == value for key, value in (pair.split("=") for pair in wanted.split(","))
        )
    assert run_digest(RunId("a", "b", "c")) != run_digest(RunId("a", "b", "d"))
    assert selector(PodSettings(installation="other")) != selector(SETTINGS)
