"""An execution: launched, watched, read."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.client import AlreadyExists, Client, NotFound, UploadStorage
from flyte_jupyter.kernel.launching.around import check_not_imported, tell_notebook
from flyte_jupyter.kernel.launching.errors import (
    ExecutionFailed,
    NotFinished,
    WaitInterrupted,
    WaitTimeout,
)
from flyte_jupyter.kernel.launching.nodes import (
    NodeView,
    PlannedNode,
    error_text,
    nodes_of,
    planned_nodes,
)
from flyte_jupyter.kernel.launching.values import Values
from flyte_jupyter.kernel.types import Converter

_ENDED = ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT")
_FAILED = ("FAILED", "TIMED_OUT")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2
_SHARE = 1 / 20
"""How much longer than the execution itself a wait may take."""
_NAME_BYTES = 9


class Execution:
    """One run of a workflow or task on the control plane.

    It is a name and a connection: what it says is asked for anew each time, until the execution has ended.
    """

    def __init__(
        self,
        client: Client,
        run: core.WorkflowExecutionIdentifier,
        outputs: Mapping[str, Converter] | None = None,
    ) -> None:
        self._client = client
        self._run = run
        self._outputs = outputs or {}
        self._storage = UploadStorage(client, run.project, run.domain)
        self._ended: admin.Execution | None = None

    @property
    def name(self) -> str:
        """Its name, unique within project and domain."""
        return self._run.name

    @property
    def project(self) -> str:
        """The project it belongs to."""
        return self._run.project

    @property
    def domain(self) -> str:
        """The domain it belongs to."""
        return self._run.domain

    @property
    def client(self) -> Client:
        """The control plane that runs it."""
        return self._client

    @property
    def message(self) -> admin.Execution:
        """The execution as admin tells it."""
        if self._ended is not None:
            return self._ended
        message = self._client.get_execution(self._run)
        if _phase(message) in _ENDED:
            self._ended = message
        return message

    @property
    def phase(self) -> str:
        """Flyte's name of its phase: ``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``ABORTED``, ..."""
        return _phase(self.message)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.phase in _ENDED

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended: as `done`, but without asking."""
        return self._ended is not None

    @property
    def workflow(self) -> core.Identifier:
        """The registered workflow that it runs, for `Client.get_workflow`. For a task launched by itself, admin's own."""
        return self.message.closure.workflow_id

    @property
    def version(self) -> str:
        """The version of what it runs."""
        return self.message.spec.launch_plan.version

    @property
    def run(self) -> core.WorkflowExecutionIdentifier:
        """Project, domain and name as Flyte's message."""
        return self._run

    @property
    def error(self) -> str:
        """Why it failed, or who aborted it and why; empty otherwise."""
        closure = self.message.closure
        if closure.HasField("abort_metadata"):
            return f"aborted: {closure.abort_metadata.cause}"
        return error_text(closure.error)

    def wait(
        self,
        timeout: float | None = None,
        *,
        poll: float = _LONGEST_PAUSE,
        on_change: Callable[[Execution], None] | None = None,
    ) -> Execution:
        """Wait until it has ended, however it ends.

        Args:
            timeout: seconds to wait at most.
            poll: longest pause between two looks, in seconds; short executions are looked at more often.
            on_change: called whenever the execution has changed.

        Raises:
            WaitTimeout: it did not end in time; it goes on.
            WaitInterrupted: the kernel was interrupted; it goes on.
        """
        began = time.monotonic()
        seen = -1
        try:
            while True:
                message = self.message
                changed = message.closure.updated_at.ToNanoseconds()
                if on_change is not None and changed != seen:
                    on_change(self)
                seen = changed
                if _phase(message) in _ENDED:
                    return self
                waited = time.monotonic() - began
                pause = min(max(_FIRST_PAUSE, waited * _SHARE), poll)
                left = pause if timeout is None else timeout - waited
                if left <= 0:
                    raise WaitTimeout(
                        f"{self.name} is {_phase(message)} after {timeout} s and goes on. {self._find()}"
                    )
                time.sleep(min(pause, left))
        except KeyboardInterrupt:
            raise WaitInterrupted(f"{self.name} goes on. {self._find()}") from None

    @cached_property
    def inputs(self) -> Values:
        """What it was launched with."""
        data = self._client.execution_data(self._run)
        return Values(self._client.literals(data.full_inputs, data.inputs), self._storage)

    @property
    def outputs(self) -> Values:
        """What it gave, by name, decoded when first read.

        Raises:
            NotFinished: it has not ended.
            ExecutionFailed: it ended otherwise than by success; says the node, the cell and the traceback.
        """
        phase = self.phase
        if phase not in _ENDED:
            raise NotFinished(f"{self.name} is {phase}: call .wait() first")
        if phase != "SUCCEEDED":
            # Nodes that were aborted because another failed have errors too: those are not the reason.
            failed = next((node for node in self.nodes if node.phase in _FAILED), None)
            if failed is None or not failed.error:
                raise ExecutionFailed(self.name, phase, "", self.error)
            raise ExecutionFailed(self.name, phase, failed.id, failed.error, failed.task)
        return self._given

    @cached_property
    def _given(self) -> Values:
        data = self._client.execution_data(self._run)
        literals = self._client.literals(data.full_outputs, data.outputs)
        return Values(literals, self._storage, self._outputs)

    @property
    def nodes(self) -> list[NodeView]:
        """Its nodes as they stand, in the order in which they were made; those whose turn has not come are the last."""
        launched = self.message.spec.launch_plan
        if launched.resource_type != core.ResourceType.TASK:
            return nodes_of(self._client, self._run, self._storage, self._planned)
        # Nobody registered a workflow that could name the node: it is the task.
        called = launched.name.rpartition(".")[2]
        found = nodes_of(self._client, self._run, self._storage, ())
        return [replace(node, name=called, task=launched.name) for node in found]

    @cached_property
    def compiled(self) -> core.CompiledWorkflowClosure:
        """The compiled workflow that it runs: its nodes, edges and tasks."""
        return self._client.get_workflow(self.workflow).closure.compiled_workflow

    @cached_property
    def _planned(self) -> tuple[PlannedNode, ...]:
        try:
            return planned_nodes(self.compiled)
        except NotFound:
            return ()

    def node(self, node_id: str) -> NodeView:
        """One node as it stands.

        Raises:
            KeyError: there is none of that id.
        """
        nodes = {node.id: node for node in self.nodes}
        if node_id not in nodes:
            raise KeyError(
                f"{self.name} has no node {node_id!r}; it has: {', '.join(nodes) or 'none'}"
            )
        return nodes[node_id]

    def abort(self, cause: str = "aborted by its author") -> None:
        """Stop it; running nodes are ended."""
        self._client.terminate(self._run, cause)

    def relaunch(self) -> Execution:
        """Run the same version again with the same inputs."""
        check_not_imported(f"{self.name} again")
        run = core.WorkflowExecutionIdentifier(
            project=self.project, domain=self.domain, name=new_name()
        )
        # A name of our making exists: an earlier try did arrive before its connection broke.
        with contextlib.suppress(AlreadyExists):
            self._client.relaunch(self._run, run.name)
        made = Execution(self._client, run, self._outputs)
        tell_notebook(made)
        return made

    def deck(self, node_id: str) -> str:
        """A node's deck, a page of HTML."""
        return self.node(node_id).deck()

    def _find(self) -> str:
        return f"Find it again with flyte_jupyter.execution({self.name!r})"

    def __repr__(self) -> str:
        return f"<execution {self.project}/{self.domain}/{self.name}>"


def new_name() -> str:
    """A fresh execution name: made here, so that a request sent twice launches once."""
    return f"a{secrets.token_hex(_NAME_BYTES)}"


def _phase(message: admin.Execution) -> str:
    return core.WorkflowExecution.Phase.Name(message.closure.phase)
