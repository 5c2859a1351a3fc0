"""``map_task``: one task for each element of a list, as one node."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from flyte_jupyter.idl.ratios import least_of
from flyte_jupyter.kernel.authoring.building import Building
from flyte_jupyter.kernel.authoring.errors import AuthoringError
from flyte_jupyter.kernel.authoring.interface import Interface, Output, Parameter
from flyte_jupyter.kernel.authoring.policies import TaskPolicy
from flyte_jupyter.kernel.authoring.tasks import Task
from flyte_jupyter.kernel.context import current_context
from flyte_jupyter.kernel.types import default_registry
from flyte_jupyter.kernel.types.collections import ListConverter
from flyte_jupyter.kernel.types.unions import UnionConverter


class MapTask:
    """A task over lists. Calling it runs the items here, one by one; inside a workflow it adds one node for all of them.

    On the control plane each item has attempts, retries, cache and state of its own.
    """

    def __init__(
        self,
        target: Task,
        bound: Mapping[str, Any],
        *,
        concurrency: int | None = None,
        min_success_ratio: float = 1.0,
    ) -> None:
        self.target = target
        self.bound = dict(bound)
        self.concurrency = concurrency
        self.min_success_ratio = min_success_ratio
        self.interface = _over_lists(target, self.bound, may_fail=min_success_ratio < 1)

    @property
    def name(self) -> str:
        """``map_task(square)``."""
        return f"map_task({self.target.name})"

    @property
    def policy(self) -> TaskPolicy:
        """Each item's."""
        return self.target.policy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run all items here, or add a node to the workflow that is being built.

        Raises:
            TypeMismatch: an input or output is not of its declared type.
            AuthoringError: an input is missing or unknown, or the lists differ in length.
        """
        __tracebackhide__ = True
        building = current_context().building
        if isinstance(building, Building):
            return building.call(self, args, kwargs)
        return self.interface.pack(self.run(self.interface.bind(args, kwargs)))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run all items here, in order; gives the outputs by name, each a list.

        Raises:
            TypeMismatch: an input or output is not of its declared type.
            AuthoringError: the lists differ in length.
        """
        __tracebackhide__ = True
        given = self.interface.check_inputs(inputs)
        size = self._size(given)
        collected: dict[str, list[Any]] = {name: [] for name in self.interface.outputs}
        failures: list[Exception] = []
        for index in range(size):
            item = {k: v if k in self.bound else v[index] for k, v in given.items()}
            try:
                outputs: Mapping[str, Any] = self.target.run(item)
            except Exception as error:
                error.add_note(f"In item {index} of {self.name}.")
                failures.append(error)
                if size - len(failures) < least_of(self.min_success_ratio, size):
                    raise
                outputs = dict.fromkeys(collected)
            for name, values in collected.items():
                values.append(outputs[name])
        return self.interface.check_outputs(collected)

    def _size(self, inputs: Mapping[str, Any]) -> int:
        """How many items there are. With every input bound there is one, as in Flyte."""
        sizes = {name: len(v) for name, v in inputs.items() if name not in self.bound}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise AuthoringError(f"{self.name}: its lists must be of one length, but {told}")
        return next(iter(sizes.values()), 1)

    def __repr__(self) -> str:
        return f"<{self.name}{self.interface.signature}>"


def map_task(
    target: Task | functools.partial[Any],
    *,
    concurrency: int | None = None,
    min_success_ratio: float = 1.0,
) -> MapTask:
    """Make a task run once for each element of a list: ``map_task(square)(x=[1, 2, 3])`` gives a list.

    Inputs that are the same for every item are bound before: ``map_task(functools.partial(scale, by=2))(x=values)``.

    Args:
        target: the task, or a `functools.partial` of it.
        concurrency: how many items may run at once; None leaves it to the execution's parallelism.
        min_success_ratio: which part of the items must succeed, above 0 and at most 1; below 1 the outputs of items that
            failed are None.

    Raises:
        AuthoringError: it is no task, or an option makes no sense.
    """
    bound: Mapping[str, Any] = {}
    inner: Any = target
    if isinstance(inner, functools.partial):
        if inner.args:
            raise AuthoringError("map_task: bind inputs by name, partial(task, by=2)")
        inner, bound = inner.func, inner.keywords
    if not isinstance(inner, Task):
        raise AuthoringError(
            f"map_task takes a task, not {inner!r}: put @task above its function and pass it without calling it"
        )
    if unknown := sorted(set(bound) - set(inner.interface.inputs)):
        known = ", ".join(inner.interface.inputs) or "none"
        raise AuthoringError(
            f"map_task: {inner.name} has no input {unknown[0]!r}; its inputs: {known}"
        )
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
        raise AuthoringError(f"map_task(concurrency={concurrency!r}): a whole number from 1 up")
    if not 0 < min_success_ratio <= 1:
        raise AuthoringError(
            f"map_task(min_success_ratio={min_success_ratio!r}): above 0 and at most 1"
        )
    return MapTask(inner, bound, concurrency=concurrency, min_success_ratio=min_success_ratio)


def _over_lists(target: Task, bound: Mapping[str, Any], *, may_fail: bool) -> Interface:
    """The task's interface with lists in place of what each item takes and gives."""
    nothing = default_registry().of(type(None))
    inputs = {}
    for name, slot in target.interface.inputs.items():
        if name in bound:
            inputs[name] = Parameter(name, slot.python_type, slot.converter, bound[name])
        else:
            inputs[name] = Parameter(name, list[slot.python_type], ListConverter(slot.converter))  # type: ignore[name-defined]  # a type made here
    outputs = {}
    for name, given in target.interface.outputs.items():
        item = given.converter
        if may_fail and not _takes_none(item):
            item = UnionConverter((*_variants(item), nothing))
        outputs[name] = Output(name, list[given.python_type], ListConverter(item))  # type: ignore[name-defined]  # a type made here
    first = [p for p in inputs.values() if p.required]
    last = [p for p in inputs.values() if not p.required]
    keyword = inspect.Parameter.KEYWORD_ONLY
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature(
        [
            *(inspect.Parameter(p.name, positional, annotation=p.python_type) for p in first),
            *(inspect.Parameter(p.name, keyword, default=p.default) for p in last),
        ]
    )
    return Interface(
        f"task map_task({target.name})",
        inputs,
        outputs,
        signature,
        _named(target),
        target.interface.is_tuple,
    )


def _named(target: Task) -> Callable[..., Any] | None:
    return target.interface.named_tuple


def _variants(converter: Any) -> tuple[Any, ...]:
    return converter.variants if isinstance(converter, UnionConverter) else (converter,)


def _takes_none(converter: Any) -> bool:
    return any(variant.name == "None" for variant in _variants(converter))
