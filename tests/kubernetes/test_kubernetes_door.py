"""What the control plane makes of handles: over its real database and use cases."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fake_cluster import FakeCluster
from kubernetes_bench import QUICK

from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.handles import NotYet, Wish
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityKind, RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.table import use_cases
from flyte_jupyter.server.assembly import open_database
from flyte_jupyter.server.cluster import ClusterDoor, plane_on

ME = Caller("ann")


@contextlib.asynccontextmanager
async def door_of(folder):
    """The door, and what registers with the control plane behind it."""
    database = open_database(folder)
    plane = plane_on(Api(FakeCluster(), QUICK.pace), database, folder, str(folder / "blobs"), QUICK)
    door = ClusterDoor(database)
    door.open(plane.platform)
    try:
        yield door, use_cases(plane.platform)
    finally:
        await database.close()


def task(project="p"):
    name = core.Identifier(
        resource_type=core.ResourceType.TASK, project=project, domain="development", name="t", version="v1"
    )  # fmt: skip
    whole = core.Variable(type=core.LiteralType(simple=core.SimpleType.INTEGER))
    template = core.TaskTemplate(
        id=name,
        type="python-task",
        interface=core.TypedInterface(inputs=core.VariableMap(variables={"x": whole})),
        container=core.Container(image="localhost/task:test", args=["work"]),
    )
    return admin.TaskCreateRequest(id=name, spec=admin.TaskSpec(template=template))


def wish(domain="development", **inputs):
    return Wish(RunId("p", domain, "r1"), EntityKind.TASK, "t", "v1", inputs)


def test_what_is_not_registered_is_waited_for_and_what_is_wrong_is_not(tmp_path):
    async def main():
        async with door_of(tmp_path) as (door, use):
            with pytest.raises(NotYet, match="no project 'p'"):
                await door.launch(wish(x=1))
            project = admin.Project(id="p", name="p")
            await use["RegisterProject"](admin.ProjectRegisterRequest(project=project), ME)
            with pytest.raises(NotYet, match="no task"):
                await door.launch(wish(x=1))
            await use["CreateTask"](task(), ME)
            assert "no domain 'dev'" in await door.launch(wish("dev", x=1))
            assert "x" in await door.launch(wish())
            archived = admin.Project(id="p", name="p", state=admin.Project.ARCHIVED)
            await use["UpdateProject"](archived, ME)
            with pytest.raises(NotYet, match="archived"):
                await door.launch(wish(x=1))
            await use["UpdateProject"](project, ME)
            assert await door.launch(wish(x=1)) == ""
            standing = await door.current(RunId("p", "development", "r1"))
            assert standing is not None
            assert standing.phase == "QUEUED"

    asyncio.run(main())
