"""Dynamic tasks: the graph that an attempt left becomes a program of the run (Flyte: ``nodes/dynamic/``)."""

from __future__ import annotations

import asyncio

from google.protobuf.message import DecodeError

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.places import Place
from flyte_jupyter.engine.answers.programs import LARGE, Programs
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.compiler import Compiled, CompileError
from flyte_jupyter.engine.compiler.compile import DEEPEST
from flyte_jupyter.engine.compiler.dynamic import (
    Parent,
    compile_dynamic,
    dynamic_requirements,
)
from flyte_jupyter.engine.compiler.library import Library
from flyte_jupyter.engine.core.state import Failure
from flyte_jupyter.engine.ports import BlobNotFound, Blobs, Children, Runs
from flyte_jupyter.engine.program import Program
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, EntityKind


class Expander:
    """Compiles what dynamic tasks leave, and finds again what was compiled before."""

    def __init__(self, blobs: Blobs, runs: Runs, children: Children, programs: Programs) -> None:
        self._blobs = blobs
        self._runs = runs
        self._children = children
        self._programs = programs

    async def expand(self, run: RunContext, place: Place, attempt: AttemptId) -> str | Failure:
        """The digest of the graph that the attempt left, now a part of the run; a failure when it is none that can run."""
        if len(place.path) > 2 * DEEPEST:
            message = f"more than {DEEPEST} graphs stand inside each other: it makes itself again"
            return Failure("DynamicWorkflowBuildFailed", f"node {place.name}: {message}")
        try:
            data = await self._blobs.get(layout.futures_uri(self._blobs.root, attempt))
            spec = core.DynamicJobSpec.FromString(data)
            parent = Parent(run.id.project, run.id.domain, place.name, place.task)
            compiled = await self._compiled(spec, parent, len(data))
        except (BlobNotFound, DecodeError, CompileError) as error:
            return Failure("DynamicWorkflowBuildFailed", f"node {place.name}: {error}")
        closure = compiled.closure.SerializeToString(deterministic=True)
        await self._blobs.put(layout.expansion_uri(self._blobs.root, attempt), closure)
        await self._adopt(run, compiled.digest, closure)
        return compiled.digest

    async def take_over(self, run: RunContext, digest: str) -> None:
        """Make a graph of an earlier execution a part of this one."""
        if not run.has(digest):
            await self._adopt(run, digest, await self._runs.closure(digest))

    async def restore(self, run: RunContext, digest: str) -> None:
        """Have a graph again that this run has kept."""
        if not run.has(digest):
            closure = await self._runs.closure(digest)
            run.grow(digest, await self._program(run, digest, closure))

    async def _adopt(self, run: RunContext, digest: str, closure: bytes) -> None:
        run.grow(digest, await self._program(run, digest, closure))
        run.unsaved[digest] = closure

    async def _program(self, run: RunContext, digest: str, closure: bytes) -> Program:
        return await self._programs.get(digest, closure, run.expansion_policies, expansion=True)

    async def _compiled(self, spec: core.DynamicJobSpec, parent: Parent, size: int) -> Compiled:
        plans = {}
        for wanted in dynamic_requirements(spec, parent):
            if wanted.kind is EntityKind.LAUNCH_PLAN:
                interface = await self._children.interface(wanted)
                if interface is not None:
                    plans[wanted] = interface
        library = Library(launch_plans=plans)
        if size > LARGE:
            return await asyncio.to_thread(compile_dynamic, spec, parent, library)
        return compile_dynamic(spec, parent, library)
