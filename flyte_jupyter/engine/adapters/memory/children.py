"""Child executions as further runs of the same memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyte_jupyter.engine.adapters.memory.runs import MemoryRuns, NewRun
from flyte_jupyter.engine.compiler import Compiled
from flyte_jupyter.engine.compiler.library import LaunchPlanInterface
from flyte_jupyter.engine.core.observations import AbortRequested, Started
from flyte_jupyter.engine.core.state import Failure, RunPhase
from flyte_jupyter.engine.core.step import initial
from flyte_jupyter.engine.ports import (
    Accepted,
    Blobs,
    ChildResult,
    ChildSpec,
    NotNow,
    Rejected,
)
from flyte_jupyter.engine.program import plan_of
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import EntityId, RunId


@dataclass(frozen=True, slots=True)
class MemoryLaunchPlan:
    """A registered launch plan: its compiled workflow, and its interface."""

    workflow: Compiled
    interface: LaunchPlanInterface


class MemoryChildren:
    """Starts executions of the launch plans that it is given, by name."""

    def __init__(
        self, runs: MemoryRuns, plans: Mapping[str, MemoryLaunchPlan], blobs: Blobs
    ) -> None:
        self._runs = runs
        self._plans = plans
        self._blobs = blobs
        self.created: list[ChildSpec] = []

    async def launch(self, spec: ChildSpec) -> Accepted | Rejected:
        """Create it if it is absent."""
        if spec.name in self._runs:
            return Accepted()
        plan = self._plans.get(spec.launch_plan.name)
        if plan is None:
            why = f"there is no launch plan {spec.launch_plan.name}"
            return Rejected(Failure("LaunchPlanRefused", why))
        parent = await self._runs.load(spec.parent.run)
        closure = plan.workflow.closure
        wanted = (spec.recover, *spec.or_else)
        earlier = next((each for each in wanted if each is not None and each in self._runs), None)
        if earlier is not None:
            before = (await self._runs.load(earlier)).state.summary
            if not before.phase.final:
                raise NotNow(f"the child execution {earlier} has not ended yet")
        new = NewRun(
            id=spec.name,
            closure=closure.SerializeToString(deterministic=True),
            plan=plan.workflow.digest,
            summary=initial(plan_of(closure)).summary,
            inputs=await self._inputs(spec, plan.interface),
            env=parent.env,
            spec=parent.spec,
            recovers=earlier,
            parent=spec.parent,
        )
        self._runs.check(spec.epoch)
        self._runs.create(new, Started())
        self.created.append(spec)
        return Accepted()

    async def _inputs(self, spec: ChildSpec, plan: LaunchPlanInterface) -> str:
        """What the node gives, with what the launch plan fixes and has defaults for."""
        given = core.LiteralMap.FromString(await self._blobs.get(spec.inputs))
        for name, parameter in plan.inputs.parameters.items():
            if name not in given.literals and parameter.HasField("default"):
                given.literals[name].CopyFrom(parameter.default)
        for name, literal in plan.fixed.literals.items():
            given.literals[name].CopyFrom(literal)
        uri = f"{self._blobs.root}/metadata/children/{spec.name.name}/inputs.pb"
        await self._blobs.put(uri, given.SerializeToString(deterministic=True))
        return uri

    async def terminate(self, child: RunId, cause: str) -> None:
        """Ask for its end; nothing if it is unknown or over."""
        if child not in self._runs:
            return
        if not (await self._runs.load(child)).state.summary.phase.final:
            self._runs.post(child, AbortRequested(cause))

    async def result(self, child: RunId) -> ChildResult:
        """How it stands."""
        summary = (await self._runs.load(child)).state.summary
        if summary.phase is RunPhase.SUCCEEDED:
            return ChildResult(outputs=summary.outputs)
        if summary.phase is RunPhase.ABORTED:
            message = f"child execution {child.name} was aborted: {summary.abort}"
            return ChildResult(why=Failure("RemoteChildWorkflowExecutionFailed", message))
        if summary.phase is RunPhase.FAILED:
            assert summary.failure is not None
            message = f"child execution {child.name} failed: {summary.failure.message}"
            return ChildResult(why=Failure(summary.failure.code, message, summary.failure.blame))
        return ChildResult()

    async def interface(self, launch_plan: EntityId) -> LaunchPlanInterface | None:
        """What a launch plan takes and gives."""
        plan = self._plans.get(launch_plan.name)
        return plan.interface if plan is not None else None
