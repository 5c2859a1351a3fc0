"""A node's overrides put into its task."""

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from pod_attempts import container_task, main_of, pod_of, pod_task

from flyte_jupyter.engine.overriding import with_overrides
from flyte_jupyter.engine.pods.settings import Accelerators, PodSettings
from flyte_jupyter.idl import core


def overrides(**fields):
    return ParseDict(fields, core.TaskNodeOverrides())


CPU = {"requests": [{"name": "CPU", "value": "3"}]}


def test_a_task_without_overrides_is_itself():
    task = container_task()
    assert with_overrides(task, core.TaskNodeOverrides()) is task


def test_resources_and_image_take_the_place_of_the_containers_own():
    task = container_task(resources={"requests": [{"name": "MEMORY", "value": "1Gi"}]})
    changed = with_overrides(task, overrides(resources=CPU, container_image="other:2"))
    main = main_of(changed)
    assert main["image"] == "other:2"
    assert main["resources"]["requests"] == {"cpu": "3", "memory": "500Mi"}
    assert main_of(task)["image"] == "example.org/task:1"


def test_in_a_pod_they_go_to_the_tasks_own_container():
    memory = {"requests": {"memory": "1Gi"}}
    pod = {
        "containers": [
            {"name": "side", "image": "s"},
            {"name": "main", "image": "i", "resources": memory},
        ]
    }
    task = pod_task(pod)
    changed = with_overrides(task, overrides(resources=CPU, container_image="other:2"))
    side, main = pod_of(changed)["spec"]["containers"]
    assert (side["image"], main["image"]) == ("s", "other:2")
    assert main["resources"]["requests"] == {"cpu": "3", "memory": "1Gi"}
    assert "resources" not in side


@pytest.mark.parametrize(
    ("own", "amounts"),
    [({}, {}), ({"amd.com/gpu": 2}, {}), ({"gpu": 2}, {}), ({"other.com/x": 1}, {"other.com/x": "1"})],
    ids=["none", "by the cluster's name", "by Flyte's name", "another resource"],
)  # fmt: skip
def test_gpus_go_to_a_pod_by_the_name_that_the_cluster_has_for_them(own, amounts):
    settings = PodSettings(accelerators=Accelerators(resource="amd.com/gpu"))
    main = {"name": "main", "image": "i", "resources": {"limits": own, "requests": own}}
    wanted = overrides(
        resources={"limits": [{"name": "GPU", "value": "1"}]},
        extended_resources={"gpu_accelerator": {"device": "mi300"}},
    )
    changed = with_overrides(pod_task({"containers": [main]}), wanted)
    spec = pod_of(changed, settings)["spec"]
    limits = spec["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "1", "memory": "500Mi", "amd.com/gpu": "1", **amounts}
    assert [one["value"] for one in spec["tolerations"]] == ["mi300"]


def test_accelerator_and_shared_memory_are_taken_each_for_itself():
    task = container_task()
    task.extended_resources.shared_memory.size_limit = "1Gi"
    task.extended_resources.gpu_accelerator.device = "nvidia-tesla-t4"
    task.extended_resources.gpu_accelerator.partition_size = "1g"
    changed = with_overrides(
        task, overrides(extended_resources={"gpu_accelerator": {"device": "nvidia-a100"}})
    )
    assert MessageToDict(changed.extended_resources) == {
        "gpuAccelerator": {"device": "nvidia-a100"},
        "sharedMemory": {"sizeLimit": "1Gi"},
    }


def test_a_pod_template_with_containers_takes_the_place_of_the_container():
    template = {
        "primary_container_name": "mine",
        "metadata": {"labels": {"a": "b"}},
        "pod_spec": {"containers": [{"name": "mine", "image": "template:1"}]},
    }
    changed = with_overrides(container_task(), overrides(pod_template=template, resources=CPU))
    pod = pod_of(changed)
    (main,) = pod["spec"]["containers"]
    assert (main["name"], main["image"]) == ("mine", "template:1")
    assert main["resources"]["requests"]["cpu"] == "3"
    assert pod["metadata"]["labels"]["a"] == "b"
    assert pod["metadata"]["annotations"]["flyte-jupyter.dev/primary-container"] == "mine"


@pytest.mark.parametrize(
    "task", [container_task(), pod_task({"containers": [{"name": "task", "image": "i"}]}, "task")]
)
def test_a_pod_template_without_containers_gives_labels_only_above_the_tasks_own(task):
    template = {"primary_container_name": "x", "metadata": {"labels": {"a": "b"}}, "pod_spec": {}}
    task.metadata.metadata.labels.update({"a": "task", "c": "d"})
    pod = pod_of(with_overrides(task, overrides(pod_template=template)))
    labels = pod["metadata"]["labels"]
    assert (labels["a"], labels["c"]) == ("b", "d")
    assert pod["spec"]["containers"][0]["name"] == "task"
