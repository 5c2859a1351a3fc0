"""Clusters for tests: one control plane, one with a node; each is started by the first test that asks, and ended with the last."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from cluster_places import running_folder
from fake_nodes import FakeNodes
from kubernetes_cluster import Cluster
from object_storage import S3Server


@pytest.fixture(scope="session")
def control_plane_cluster() -> Iterator[Cluster]:
    """A Kubernetes without a node: pods are accepted and stay pending, unless somebody plays a kubelet."""
    with running_folder() as folder:
        cluster = Cluster.start(folder)
        yield cluster
        cluster.stop()


@pytest.fixture(scope="session")
def node_cluster() -> Iterator[Cluster]:
    """A Kubernetes whose one node runs pods of the task image."""
    with running_folder() as folder:
        cluster = Cluster.start(folder, node=True)
        yield cluster
        cluster.stop()


@pytest.fixture(scope="session")
def s3_server(node_cluster: Cluster) -> Iterator[S3Server]:
    """An S3 server that this machine and the pods reach by the same URL, with a bucket named flyte."""
    assert node_cluster.node is not None
    server = S3Server.start(node_cluster.folder, host=node_cluster.node.network.host)
    yield server
    server.stop()


@pytest.fixture
def spare_node(node_cluster: Cluster) -> Iterator[FakeNodes]:
    """A second node that takes no pods: Kubernetes gives up no pod at all when every node of a cluster is lost."""
    made = FakeNodes.start(node_cluster, number=1, closed=True)
    yield made
    made.stop()


@pytest.fixture
def namespace(node_cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own on the cluster with the node, held to the "restricted" standard."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    node_cluster.make_namespace(name)
    yield name
    node_cluster.kubectl("delete", "namespace", name, "--wait=false")
