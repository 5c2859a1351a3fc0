"""``@workflow``: a function whose body becomes a graph of tasks."""

from __future__ import annotations

import contextlib
import functools
import linecache
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, overload

from flyte_jupyter.kernel.authoring.building import Building
from flyte_jupyter.kernel.authoring.errors import AuthoringError, WorkflowBodyError
from flyte_jupyter.kernel.authoring.graph import (
    START,
    Binding,
    Constant,
    DictOf,
    FromNode,
    Graph,
    ListOf,
)
from flyte_jupyter.kernel.authoring.interface import Interface, check_function, interface_of
from flyte_jupyter.kernel.authoring.policies import FailurePolicy, failure_policy_of
from flyte_jupyter.kernel.context import Mode, current_context, entered
from flyte_jupyter.kernel.errors import FlyteJupyterError
from flyte_jupyter.kernel.types import TypeRegistry, default_registry

_OWN_FOLDER = __file__.rpartition("/")[0]


class Workflow:
    """A graph of tasks. Calling it runs the graph here, node by node, with every input and output checked."""

    def __init__(
        self, function: Callable[..., Any], interface: Interface, failure_policy: FailurePolicy
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.interface = interface
        self.failure_policy = failure_policy
        self._graph: Graph | None = None

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def module(self) -> str:
        """The module that defines it; ``__main__`` in a notebook."""
        return self.function.__module__

    @property
    def graph(self) -> Graph:
        """The graph, built from the body when it is first asked for.

        Raises:
            TypeMismatch: a value or an output of one task does not fit where it goes.
            WorkflowBodyError: the body raised.
            AuthoringError: the body asks for something that a graph cannot do.
        """
        if self._graph is None:
            self._graph = self._build()
        return self._graph

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the whole workflow here.

        Raises:
            TypeMismatch: a value is not of the type it should be.
            AuthoringError: an input is missing or unknown, or a workflow is called inside another.
        """
        __tracebackhide__ = True
        if isinstance(current_context().building, Building):
            raise AuthoringError(
                f"workflow {self.name} is called inside another workflow, which is not possible yet: "
                "call its tasks there instead"
            )
        given = self.interface.check_inputs(self.interface.bind(args, kwargs))
        known: dict[str, Mapping[str, Any]] = {START: given}
        for node in self.graph.nodes:
            inputs = {name: _value(binding, known) for name, binding in node.bindings.items()}
            try:
                known[node.id] = node.task.run(inputs)
            except Exception as error:
                error.add_note(
                    f"In node {node.id} (task {node.task.name}) of workflow {self.name}."
                )
                raise
        outputs = {name: _value(binding, known) for name, binding in self.graph.outputs.items()}
        return self.interface.pack(self.interface.check_outputs(outputs))

    def _build(self) -> Graph:
        building = Building(self.interface)
        context = replace(current_context(), mode=Mode.COMPILE, building=building)
        try:
            with entered(context):
                result = self.function(**building.inputs())
            return building.finish(result)
        except FlyteJupyterError as error:
            place = _place(error)
            if place:
                error.add_note(f"In workflow {self.name}, {place}")
            raise
        except NameError:
            raise
        except Exception as error:
            raise WorkflowBodyError(
                f"workflow {self.name} could not be built: {type(error).__name__}: {error}; {_place(error)}"
            ) from error

    def __repr__(self) -> str:
        return f"<workflow {self.name}{self.interface.signature}>"


@overload
def workflow(function: Callable[..., Any], /) -> Workflow: ...


@overload
def workflow(
    *,
    failure_policy: FailurePolicy = FailurePolicy.FAIL_IMMEDIATELY,
    registry: TypeRegistry | None = None,
) -> Callable[[Callable[..., Any]], Workflow]: ...


def workflow(
    function: Callable[..., Any] | None = None,
    /,
    *,
    failure_policy: FailurePolicy = FailurePolicy.FAIL_IMMEDIATELY,
    registry: TypeRegistry | None = None,
) -> Workflow | Callable[[Callable[..., Any]], Workflow]:
    """Make a function a workflow: its body calls tasks and passes their outputs on.

    The graph is built, and its types are checked, as soon as the decorator runs; when the body names something that
    is defined only later, as soon as the workflow is first used.

    Args:
        function: the function, when the decorator stands bare.
        failure_policy: what the first failed node does to the rest.
        registry: other types than the default ones.

    Raises:
        TypeMismatch: a value or an output of one task does not fit where it goes.
        WorkflowBodyError: the body raised.
        AuthoringError: the signature or the body makes no sense.
    """
    policy = failure_policy_of(failure_policy)

    def decorate(wrapped: Callable[..., Any]) -> Workflow:
        check_function(wrapped, "@workflow")
        interface = interface_of(wrapped, "workflow", registry or default_registry())
        made = Workflow(wrapped, interface, policy)
        # An attempt runs one task: it has no use for the graphs of the workflows beside it.
        if current_context().mode is not Mode.TASK:
            with contextlib.suppress(NameError):
                made.graph  # noqa: B018 - built here so that mistakes show where they are made
        return made

    return decorate if function is None else decorate(function)


def _value(binding: Binding, known: Mapping[str, Mapping[str, Any]]) -> Any:
    match binding:
        case FromNode(node, output):
            return known[node][output]
        case Constant(value):
            return value
        case ListOf(items):
            return [_value(item, known) for item in items]
        case DictOf(keyed):
            return {key: _value(item, known) for key, item in keyed.items()}


def _place(error: BaseException) -> str:
    """``at In[3], line 2: model = train(x)``: the last line of the author's own code that an error passed."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_OWN_FOLDER)
    ]
    if not frames or frames[-1].lineno is None:
        return ""
    last = frames[-1]
    source = linecache.getline(last.filename, frames[-1].lineno or 0).strip()
    return f"at {_cell_or_file(last.filename)}, line {last.lineno}: {source}"


def _cell_or_file(filename: str) -> str:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        described = shell.compile.format_code_name(filename)
        if described:
            return " ".join(str(part) for part in described)
    return filename
