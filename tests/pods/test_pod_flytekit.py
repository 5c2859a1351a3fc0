"""Tasks as flytekit itself serialises them become the pods that they ask for."""

from collections import OrderedDict

import flytekit_pods
import pytest
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable
from pod_attempts import attempt, env_of

from flyte_jupyter.engine.pods.manifest import draft_for, pod_for
from flyte_jupyter.engine.pods.settings import Copilot, PodSettings
from flyte_jupyter.idl import core, literals

IMAGE = "example.org/task:2"
SETTINGS = PodSettings(copilot=Copilot(image="example.org/copilot:1"), templates={"base": {}})


@pytest.fixture(scope="module")
def template_of():
    images = ImageConfig(default_image=Image("default", "example.org/task", "2"))
    settings = SerializationSettings(images, project="p", domain="d", version="v")

    def made(task):
        spec = get_serializable(OrderedDict(), settings, task)
        return core.TaskTemplate.FromString(spec.template.to_flyte_idl().SerializeToString())

    return made


def test_resources_accelerators_shared_memory_and_secrets(template_of):
    body = pod_for(attempt(template_of(flytekit_pods.everything)), SETTINGS)["spec"]
    (main,) = body["containers"]
    assert main["image"] == IMAGE
    assert main["args"][:3] == ["pyflyte-execute", "--inputs", "s3://bucket/meta/n0/inputs.pb"]
    assert not [word for word in main["args"] if "{{" in word]
    assert main["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "4", "memory": "2Gi", "nvidia.com/gpu": "1"},
    }
    env = env_of(main)
    assert env["MODE"] == "fast"
    assert env["_FSEC_DB_PASSWORD"] == {"secretKeyRef": {"name": "db", "key": "password"}}
    assert {m["mountPath"] for m in main["volumeMounts"]} == {"/dev/shm", "/etc/flyte/secrets/db"}
    (term,) = body["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert [e["values"] for e in term["matchExpressions"]] == [["nvidia-tesla-t4"]]


def test_the_labels_and_annotations_of_a_task(template_of):
    metadata = pod_for(attempt(template_of(flytekit_pods.everything)), SETTINGS)["metadata"]
    assert metadata["labels"]["team"] == "ml"
    assert metadata["annotations"]["why"] == "test"


def test_a_pod_template_with_the_task_in_it(template_of):
    pod = pod_for(attempt(template_of(flytekit_pods.templated)), SETTINGS)
    main, proxy = pod["spec"]["containers"]
    assert (main["name"], main["image"]) == ("main", IMAGE)
    assert main["args"][:3] == ["pyflyte-execute", "--inputs", "s3://bucket/meta/n0/inputs.pb"]
    assert main["ports"] == [{"containerPort": 8080}]
    assert main["resources"]["requests"] == {"cpu": "500m", "memory": "500Mi"}
    assert env_of(main)["A"] == "b"
    assert (proxy["image"], proxy["resources"]["requests"]) == (
        "example.org/proxy:1",
        {"cpu": "250m"},
    )
    assert pod["metadata"]["labels"]["team"] == "ml"
    assert pod["metadata"]["annotations"]["why"] == "test"
    assert pod["metadata"]["annotations"]["flyte-jupyter.dev/primary-container"] == "main"
    assert pod["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod["spec"]["volumes"] == [{"name": "work", "emptyDir": {}}]


def test_a_named_template_and_a_part_of_a_gpu(template_of):
    body = pod_for(attempt(template_of(flytekit_pods.partitioned)), SETTINGS)["spec"]
    assert [t["value"] for t in body["tolerations"]] == ["nvidia-tesla-a100", "1g.5gb"]


def test_a_container_task(template_of):
    template = template_of(flytekit_pods.raw)
    assert draft_for(attempt(template), SETTINGS).wants_inputs
    inputs = core.LiteralMap(literals={"x": literals.literal(7)})
    body = pod_for(attempt(template), SETTINGS, inputs=inputs)["spec"]
    (main,) = body["containers"]
    assert main["command"] == ["sum", "7", "/var/inputs/data"]
    assert main["args"] == ["--out", "/var/outputs"]
    assert [m["mountPath"] for m in main["volumeMounts"]] == ["/var/inputs", "/var/outputs"]
    downloader = body["initContainers"][1]
    assert downloader["args"][downloader["args"].index("--format") + 1] == "YAML"


def test_a_container_task_with_a_pod_template(template_of):
    pod = pod_for(attempt(template_of(flytekit_pods.raw_in_pod)), SETTINGS)
    (main,) = pod["spec"]["containers"]
    assert (main["name"], main["image"], main["command"]) == ("main", "example.org/raw:1", ["sum"])
    assert pod["metadata"]["labels"]["team"] == "ml"
    names = [c["name"] for c in pod["spec"].get("initContainers", [])]
    assert names == ["flyte-copilot-uploader", "flyte-copilot-downloader"]
