"""``@task``: a function that can be a node of a workflow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, overload

from flyte_jupyter.idl import core
from flyte_jupyter.idl.variables import is_possible
from flyte_jupyter.kernel.authoring.building import Building
from flyte_jupyter.kernel.authoring.errors import AuthoringError
from flyte_jupyter.kernel.authoring.interface import Interface, check_function, interface_of
from flyte_jupyter.kernel.authoring.policies import (
    Cache,
    Resources,
    TaskPolicy,
    names_of,
    policy_of,
)
from flyte_jupyter.kernel.context import Context, current_context
from flyte_jupyter.kernel.types import (
    PrefixStorage,
    Storage,
    TypeMismatch,
    TypeRegistry,
    Unfit,
    default_registry,
)

F = TypeVar("F", bound=Callable[..., Any])


class Task:
    """A typed function. Calling it runs it here, with its inputs and outputs checked; inside a workflow it adds a node.

    In the kernel it runs once: retries, timeouts and caching are the control plane's.
    """

    def __init__(self, function: Callable[..., Any], interface: Interface, **options: Any) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.interface = interface
        self.policy: TaskPolicy = options["policy"]
        if self.policy.cache is not None:
            self.policy.cache.check_fits(interface.entity, interface.inputs)
        self.environment: Mapping[str, str] = options["environment"]
        self.reuse: bool = options["reuse"]
        self.preload: tuple[str, ...] = options["preload"]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def module(self) -> str:
        """The module that defines it; ``__main__`` in a notebook."""
        return self.function.__module__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here, or add a node to the workflow that is being built.

        Raises:
            TypeMismatch: an input or output is not of its declared type.
            AuthoringError: an input is missing or unknown.
        """
        __tracebackhide__ = True
        building = current_context().building
        if isinstance(building, Building):
            return building.call(self, args, kwargs)
        outputs = self.run(self.interface.bind(args, kwargs))
        return self.interface.pack(outputs)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the function here on inputs by name; gives the outputs by name.

        Raises:
            TypeMismatch: an input or output is not of its declared type.
        """
        __tracebackhide__ = True
        interface = self.interface
        result = self.function(**interface.check_inputs(inputs))
        return interface.check_outputs(interface.split(result))

    def dispatch(self, inputs: core.LiteralMap, context: Context) -> core.LiteralMap:
        """Run the function on literals, as an attempt does; large outputs go below the context's raw output prefix.

        Raises:
            TypeMismatch: an input or output is not of its declared type.
            AuthoringError: an input is missing.
        """
        storage = PrefixStorage(context.raw_output_prefix, context.working_directory)
        result = self.function(**self._decoded(inputs, storage))
        literals = core.LiteralMap()
        for name, value in self.interface.split(result).items():
            try:
                literal = self.interface.outputs[name].converter.encode(value, storage)
            except Unfit as unfit:
                raise TypeMismatch(self.interface.entity, f"output {name}", unfit) from None
            literals.literals[name].CopyFrom(literal)
        return literals

    def _decoded(self, inputs: core.LiteralMap, storage: Storage) -> dict[str, Any]:
        values = {}
        for name, parameter in self.interface.inputs.items():
            if name not in inputs.literals:
                if parameter.required:
                    raise AuthoringError(f"{self.interface.entity}: input {name} is missing")
                values[name] = parameter.default
                continue
            try:
                values[name] = parameter.converter.decode(inputs.literals[name], storage)
            except Unfit as unfit:
                raise TypeMismatch(self.interface.entity, f"parameter {name}", unfit) from None
        return values

    def __repr__(self) -> str:
        return f"<task {self.name}{self.interface.signature}>"


@overload
def task(function: Callable[..., Any], /) -> Task: ...


@overload
def task(
    *,
    retries: int = 0,
    cache: bool | str | Cache = False,
    timeout: timedelta | float | str | None = None,
    requests: Resources | None = None,
    limits: Resources | None = None,
    environment: Mapping[str, str] | None = None,
    reuse: bool = False,
    preload: Sequence[str] = (),
    output_names: Sequence[str] = (),
    registry: TypeRegistry | None = None,
) -> Callable[[Callable[..., Any]], Task]: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    retries: int = 0,
    cache: bool | str | Cache = False,
    timeout: timedelta | float | str | None = None,
    requests: Resources | None = None,
    limits: Resources | None = None,
    environment: Mapping[str, str] | None = None,
    reuse: bool = False,
    preload: Sequence[str] = (),
    output_names: Sequence[str] = (),
    registry: TypeRegistry | None = None,
) -> Task | Callable[[Callable[..., Any]], Task]:
    """Make a function a task: ``@task`` or ``@task(retries=2, cache="1.0", timeout="5m")``.

    Each parameter and the result must be annotated with types that can travel. Several results are a tuple,
    called ``o0``, ``o1`` and so on, or a NamedTuple with names of your own.

    Args:
        function: the function, when the decorator stands bare.
        retries: how many more attempts a `RecoverableError` is worth.
        cache: a version such as ``"1.0"``, a `Cache`, or True to start anew with each change of the source.
        timeout: how long one attempt may take: a timedelta, seconds, or ``"5m"``.
        requests: what an attempt needs of the machine.
        limits: what an attempt may not exceed; of these a local process is held to its memory alone.
        environment: environment variables of the attempt.
        reuse: whether one worker process (in a cluster: one pod, with a process each) may serve several attempts, which is
            quicker and less isolated.
        preload: modules to import before attempts are forked.
        output_names: names of the outputs, in place of a NamedTuple.
        registry: other types than the default ones.

    Raises:
        AuthoringError: the signature or an option makes no sense.
        UnsupportedType: a type cannot travel.
    """
    policy = policy_of(
        retries=retries, cache=cache, timeout=timeout, requests=requests, limits=limits
    )
    variables = _variables(environment or {})
    modules = names_of("preload", preload)
    names = names_of("output_names", output_names)

    def decorate(wrapped: Callable[..., Any]) -> Task:
        check_function(wrapped, "@task")
        interface = interface_of(wrapped, "task", registry or default_registry(), names)
        return Task(
            wrapped,
            interface,
            policy=policy,
            environment=variables,
            reuse=reuse,
            preload=modules,
        )

    return decorate if function is None else decorate(function)


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    variables: Mapping[Any, Any] = environment
    checked: dict[str, str] = {}
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise AuthoringError(f"environment={{{name!r}: {value!r}}}: names and values are text")
        if not is_possible(name, value):
            raise AuthoringError(
                f"environment={{{name!r}: {value!r}}}: no process can have this variable: give it a name without '=', "
                "and neither name nor value a NUL"
            )
        checked[name] = value
    return checked
