"""flytekit tasks that ask for all that a pod can be asked for."""

from flytekit import ContainerTask, PodTemplate, Resources, Secret, kwtypes, task
from flytekit.extras.accelerators import A100, T4
from flytekit.types.file import FlyteFile
from kubernetes.client import (
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1PodSpec,
    V1ResourceRequirements,
    V1Toleration,
    V1Volume,
)


@task(
    requests=Resources(cpu="2", mem="1Gi", gpu="1"),
    limits=Resources(cpu="4", mem="2Gi"),
    accelerator=T4,
    shared_memory="1Gi",
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=Secret.MountType.ENV_VAR),
        Secret(group="db", key="user", mount_requirement=Secret.MountType.FILE),
    ],
    environment={"MODE": "fast"},
    labels={"team": "ml"},
    annotations={"why": "test"},
)
def everything(x: int) -> int:
    return x


@task(
    pod_template=PodTemplate(
        primary_container_name="main",
        labels={"team": "ml"},
        annotations={"why": "test"},
        pod_spec=V1PodSpec(
            containers=[
                V1Container(
                    name="main",
                    env=[V1EnvVar(name="A", value="b")],
                    ports=[V1ContainerPort(container_port=8080)],
                ),
                V1Container(
                    name="proxy",
                    image="example.org/proxy:1",
                    resources=V1ResourceRequirements(limits={"cpu": "250m"}),
                ),
            ],
            tolerations=[V1Toleration(key="gpu", operator="Exists")],
            volumes=[V1Volume(name="work", empty_dir={})],
        ),
    ),
    requests=Resources(cpu="500m"),
)
def templated(x: int) -> int:
    return x


@task(pod_template_name="base", accelerator=A100.partition_1g_5gb, requests=Resources(gpu="1"))
def partitioned(x: int) -> int:
    return x


raw = ContainerTask(
    name="raw",
    image="example.org/raw:1",
    command=["sum", "{{.inputs.x}}", "/var/inputs/data"],
    arguments=["--out", "/var/outputs"],
    inputs=kwtypes(x=int, data=FlyteFile),
    outputs=kwtypes(total=int),
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    metadata_format=ContainerTask.MetadataFormat.YAML,
    requests=Resources(mem="64Mi"),
)
raw_in_pod = ContainerTask(
    name="raw_in_pod",
    image="example.org/raw:1",
    command=["sum"],
    outputs=kwtypes(total=int),
    output_data_dir="/out",
    pod_template=PodTemplate(primary_container_name="main", labels={"team": "ml"}),
)
