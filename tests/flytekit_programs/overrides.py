"""Nodes that say more than their tasks: names, resources, images, policies."""

from datetime import timedelta

from flytekit import Resources, dynamic, task, workflow
from flytekit.extras.accelerators import T4


@task(requests=Resources(cpu="100m", mem="100Mi"))
def work(x: int) -> int:
    return x + 1


@dynamic
def inside(x: int) -> int:
    return work(x=x).with_overrides(requests=Resources(mem="300Mi"))


@workflow
def resources(x: int = 1) -> int:
    return work(x=x).with_overrides(
        requests=Resources(cpu="200m", mem="200Mi"), limits=Resources(cpu="1", mem="400Mi")
    )


@workflow
def accelerated(x: int = 1) -> int:
    return work(x=x).with_overrides(accelerator=T4, shared_memory="64Mi")


@workflow
def policies(x: int = 1) -> int:
    return work(x=x).with_overrides(
        node_name="by-hand",
        retries=4,
        timeout=timedelta(seconds=30),
        interruptible=True,
        container_image="example.org/other:1",
    )


@workflow
def in_graph(x: int = 1) -> int:
    return inside(x=x)
