"""The catalog for people: what is remembered, what would hit, and how to forget."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from flyte_jupyter.engine.answers import AnswerSettings, RunContext
from flyte_jupyter.engine.ports import CacheKey, Ports
from flyte_jupyter.engine.preview import Foreseen, preview
from flyte_jupyter.engine.program import program_of
from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.launch_inputs import complete_inputs
from flyte_jupyter.server.admin.launch_policies import apply_policies
from flyte_jupyter.server.admin.launching import LaunchCases, inputs_of
from flyte_jupyter.server.admin.names import required
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store.artifacts import Artifact
from flyte_jupyter.store.query import Page, Query

_KEY = ("project", "domain", "task", "version", "interface", "inputs")


class CatalogCases:
    """Look into the catalog and take things out of it. Outputs themselves are never deleted."""

    def __init__(self, platform: Platform, ports: Ports, settings: AnswerSettings) -> None:
        self._platform = platform
        self._launches = LaunchCases(platform)
        self._ports = ports
        self._settings = settings

    async def list(self, project: str, domain: str, query: Query) -> Page[Artifact]:
        """What is remembered in a project and domain, newest first."""
        return await self._platform.artifacts.list(project, domain, query)

    async def evict(self, request: Mapping[str, Any]) -> int:
        """Forget by ``keys``, by ``task`` or by ``execution``; returns how many were remembered.

        Raises:
            InvalidArgument: it names none of them, more than one, or half of one.
        """
        artifacts = self._platform.artifacts
        match dict(request):
            case {"keys": [*keys], **rest} if not rest:
                return await artifacts.evict([_key(each) for each in keys])
            case {"task": dict(task), **rest} if not rest:
                project, domain, name = (_part(task, p) for p in ("project", "domain", "task"))
                version = _version(task)
                return await artifacts.evict_task(project, domain, name, version)
            case {"execution": dict(run), **rest} if not rest:
                of = RunId(*(_part(run, part) for part in ("project", "domain", "name")))
                await self._platform.executions.get(of)
                return await artifacts.evict_execution(of)
        raise InvalidArgument('Say what to forget: one of "keys", "task" and "execution"')

    async def preview(self, request: admin.ExecutionCreateRequest) -> Sequence[Foreseen]:
        """What would come from the catalog if this were launched now.

        Raises:
            InvalidArgument: it could not be launched.
        """
        spec = admin.ExecutionSpec()
        spec.CopyFrom(request.spec)
        target = await self._launches.target(spec)
        inputs = complete_inputs(target, inputs_of(request))
        apply_policies(spec, target.plan, self._platform.max_parallelism)
        program = await asyncio.to_thread(program_of, target.closure)
        run = RunId(request.project, request.domain, request.name or "preview")
        context = RunContext(run, program, "", {}, spec)
        return await preview(self._ports, self._settings, context, inputs)


def to_json(artifact: Artifact) -> Mapping[str, object]:
    """An artifact as its listing shows it."""
    key, value = artifact.key, artifact.value
    return {
        "key": {name: getattr(key, name) for name in _KEY},
        "outputs": value.outputs,
        "source": value.source,
        "created_at": value.created_at.isoformat(),
        "size": value.size,
    }


def _key(given: Any) -> CacheKey:
    if not isinstance(given, dict):
        raise InvalidArgument(f"a key is an object with {', '.join(_KEY)}")
    return CacheKey(
        *(_version(given) if name == "version" else _part(given, name) for name in _KEY)
    )


def _part(given: Mapping[str, Any], name: str) -> str:
    return required(_text(given, name), name)


def _version(given: Mapping[str, Any]) -> str:
    """A cache's version is whatever its task says, at any length: what is remembered under it can be forgotten."""
    version = _text(given, "version")
    try:
        version.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"version is not text: {error}") from error
    return version


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is text")
    return value
