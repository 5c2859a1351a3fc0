"""What executors and admin need to run one attempt: the task as this node asks for it, its files, its environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import quote

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.files import Offload
from flyte_jupyter.engine.answers.mapping import has_own_inputs
from flyte_jupyter.engine.answers.places import Nodes, Place
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.command import ATTEMPT, NODE
from flyte_jupyter.engine.ports import AttemptSpec, ChildSpec
from flyte_jupyter.idl.ids import AttemptId, RunId, child_run, path_text

_LINK = "link_type"
_NONE: Mapping[str, str] = {}
ARRAY_INDEX = "FLYTE_K8S_ARRAY_INDEX"


class Specs:
    """Makes what they need, with what the installation tells every attempt."""

    def __init__(self, root: str, offload: Offload | None, console: str) -> None:
        self._root = root
        self._limits = limits_of(offload)
        self._console = console

    def attempt(
        self,
        run: RunContext,
        place: Place,
        attempt: AttemptId,
        nodes: Nodes,
        given: bytes | None = None,
    ) -> AttemptSpec:
        """The attempt of a task, as far as this run alone knows it; `given` are its inputs, for who carries them."""
        root, said = self._root, run.said
        shared = place.index is not None and not has_own_inputs(place)
        before = ""
        if attempt.attempt:
            last = AttemptId(run.id, attempt.path, attempt.attempt - 1)
            before = layout.checkpoint_uri(layout.raw_output_prefix(root, last, said.raw_output))
        return AttemptSpec(
            id=attempt,
            template=place.called.asked,
            inputs=layout.inputs_uri(root, run.id, place.owner if shared else place.path),
            output_prefix=layout.output_prefix(root, attempt),
            raw_output_prefix=layout.raw_output_prefix(root, attempt, said.raw_output),
            env=self._environment(run, place, attempt),
            given=given,
            prev_checkpoint=before,
            interruptible=_interruptible(place, nodes),
            labels=said.labels,
            annotations=said.annotations,
            service_account=said.service_account,
            workflow=run.workflow.name,
            node=path_text(attempt.path),
            index=place.index,
        )

    def _environment(self, run: RunContext, place: Place, attempt: AttemptId) -> dict[str, str]:
        called = place.called
        if called.env is None:
            called.env = {**run.env, **_identity(run, place), **self._limits}
        env = called.env.copy()
        env[ATTEMPT], env[NODE] = str(attempt.attempt), path_text(attempt.path)
        if place.index is not None:
            env[ARRAY_INDEX] = str(place.index)
        env.update(console_page(self._console, run.id, place))
        return env

    def child(self, run: RunContext, place: Place, attempt: AttemptId, epoch: int) -> ChildSpec:
        """The child execution of an attempt of a launch plan node."""
        plan = place.template.launch_plan(place.name)
        assert plan is not None, f"{place.name} launches no launch plan"
        return ChildSpec(
            parent=attempt,
            name=child_run(attempt),
            launch_plan=plan.id,
            inputs=layout.inputs_uri(self._root, run.id, attempt.path),
            node=path_text(attempt.path),
            epoch=epoch,
        )


def _interruptible(place: Place, nodes: Nodes) -> bool:
    """The system's last attempt goes where nothing is taken away (Flyte: ``interruptible-failure-threshold`` -1)."""
    if not place.plan.interruptible:
        return False
    tries = getattr(nodes.get(place.path), "tries", None)
    return tries is None or tries.system_failures < place.plan.system_retries


def _identity(run: RunContext, place: Place) -> dict[str, str]:
    """Who an attempt is, in the environment variables that Flyte's tasks look at. What is its own is still to be filled in."""
    of, task, workflow = run.id, place.task.id, run.workflow
    found = {
        "FLYTE_INTERNAL_EXECUTION_ID": of.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": of.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": of.domain,
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": f"{workflow.project}:{workflow.domain}:{workflow.name}",
        "FLYTE_INTERNAL_TASK_PROJECT": task.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.version,
        ATTEMPT: "",
        NODE: "",
    }
    if place.index is not None:
        found["BATCH_JOB_ARRAY_INDEX_VAR_NAME"] = ARRAY_INDEX
        found[ARRAY_INDEX] = ""
    return found


def console_page(console: str, run: RunId, place: Place) -> Mapping[str, str]:
    """Where a person sees the node, for a task that asks for it by a link (flytekit's decorators of that kind set ``link_type``)."""
    if not console or _LINK not in place.task.config:
        return _NONE
    # Pages know no items: their page is the array node's.
    node = path_text(place.path if place.index is None else place.owner)
    parts = (run.project, run.domain, run.name, node)
    project, domain, name, node = (quote(part, safe="") for part in parts)
    page = f"projects/{project}/domains/{domain}/executions/{name}/nodeId/{node}/nodes"
    return {"FLYTE_EXECUTION_URL": f"{console.rstrip('/')}/{page}"}


def limits_of(offload: Offload | None) -> Mapping[str, str]:
    """From which size on a task keeps large literals in files of their own, in whole MiB; nothing: it does not."""
    if offload is None:
        return _NONE
    return {
        "_F_L_MIN_SIZE_MB": str(math.ceil(offload.least)),
        "_F_L_MAX_SIZE_MB": str(math.ceil(offload.most)),
    }
