"""What a task's call gives inside a workflow's body: names of values that do not exist yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from flyte_jupyter.kernel.authoring.errors import AuthoringError, PromiseError
from flyte_jupyter.kernel.authoring.graph import check_node_id
from flyte_jupyter.kernel.authoring.interface import Output, Parameter
from flyte_jupyter.kernel.authoring.policies import TaskPolicy

_OVERRIDABLE = ("retries", "timeout", "cache", "requests", "limits")


class Draft:
    """A node while its workflow's body still runs: it may yet be renamed, overridden and ordered."""

    def __init__(self, node_id: str, task: Any, policy: TaskPolicy) -> None:
        self.id = node_id
        self.name = str(task.interface.entity.partition(" ")[2])
        self.task = task
        self.policy = policy
        self.overridden: frozenset[str] = frozenset()
        self.inputs: Mapping[str, Any] = {}
        self.after: list[Draft] = []

    def override(self, node_name: str | None, given: dict[str, Any]) -> None:
        """Take over what `with_overrides` was given."""
        unknown = sorted(set(given) - set(_OVERRIDABLE))
        if unknown:
            raise AuthoringError(
                f"with_overrides({unknown[0]}=...): a node can override node_name, {', '.join(_OVERRIDABLE)}"
            )
        if node_name is not None:
            self.id = check_node_id(node_name)
        self.policy = self.policy.overridden(given)
        if self.policy.cache is not None:
            self.policy.cache.check_fits(self.task.interface.entity, self.task.interface.inputs)
        self.overridden |= frozenset(given)


class _Later:
    """What promises and tuples of promises have in common: a node that can be ordered and overridden."""

    _draft: Draft

    def with_overrides(self, *, node_name: str | None = None, **policy: Any) -> Self:
        """Change how this one node runs: ``node_name``, ``retries``, ``timeout``, ``cache``, ``requests``, ``limits``.

        Raises:
            AuthoringError: there is no such thing to override, or its value makes no sense.
        """
        self._draft.override(node_name, policy)
        return self

    def __rshift__(self, other: Any) -> Any:
        if not isinstance(other, _Later):
            raise AuthoringError(
                f"a >> b orders the calls of two tasks; {type(other).__name__} is none"
            )
        other._draft.after.append(self._draft)
        return other


def _refusal(what: str) -> Callable[..., NoReturn]:
    def refuse(self: Promise, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise PromiseError(
            f"{self!r} has no value while the workflow is built, so {what}. "
            "Do this inside a task and call that task here"
        )

    return refuse


class Promise(_Later):
    """One output of a node, or one input of the workflow, before anything runs.

    It can be passed to tasks, alone or inside lists and dictionaries, returned from the workflow, and ordered with
    ``>>``. Whatever would need its value raises `PromiseError`.
    """

    def __init__(self, draft: Draft | None, slot: Output | Parameter) -> None:
        if draft is not None:
            self._draft = draft
        self._slot = slot
        self._is_input = draft is None

    @property
    def slot(self) -> Output | Parameter:
        """The output or workflow input that it stands for."""
        return self._slot

    @property
    def draft(self) -> Draft | None:
        """The node that gives it; None for an input of the workflow."""
        return None if self._is_input else self._draft

    def with_overrides(self, *, node_name: str | None = None, **policy: Any) -> Self:
        """Change how the node that gives this output runs."""
        self._require_node("with_overrides changes how a node runs")
        return super().with_overrides(node_name=node_name, **policy)

    def __rshift__(self, other: Any) -> Any:
        self._require_node(">> orders nodes")
        return super().__rshift__(other)

    def __repr__(self) -> str:
        if self._is_input:
            return f"the workflow's input {self._slot.name}"
        return f"the output {self._slot.name} of {self._draft.name} ({self._draft.id})"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith(
            "_"
        ):  # protocols of Python and IPython look for these; absence is an answer
            raise AttributeError(name)
        raise PromiseError(
            f"{self!r} has no value while the workflow is built, so .{name} cannot be read. "
            "Read it inside a task and call that task here"
        )

    def _require_node(self, why: str) -> None:
        if self._is_input:
            raise AuthoringError(f"{self!r} is no node; {why}")

    __hash__ = object.__hash__
    __bool__ = _refusal("it cannot decide an if, while, and, or, not or assert")
    __iter__ = _refusal("it cannot be looped over or unpacked")
    __len__ = _refusal("it has no length")
    __contains__ = _refusal("nothing can be looked for in it")
    __getitem__ = _refusal("it cannot be indexed")
    __call__ = _refusal("it cannot be called")
    __int__ = __float__ = __index__ = __complex__ = _refusal("it cannot become a number")
    __str__ = __repr__
    __format__ = _refusal("it cannot be put into text")
    __eq__ = _refusal("it cannot be compared")
    __ne__ = _refusal("it cannot be compared")
    __lt__ = __le__ = __gt__ = __ge__ = _refusal("it cannot be compared")
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refusal(
        "it cannot be computed with"
    )
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _refusal(
        "it cannot be computed with"
    )
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = _refusal(
        "it cannot be computed with"
    )
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __invert__ = _refusal(
        "it cannot be computed with"
    )


class Outputs(tuple[Promise, ...], _Later):  # noqa: SLOT001 - it has a node and names besides
    """All outputs of a node that has none or several: a tuple that can be unpacked, and read by name."""

    def __new__(cls, draft: Draft, promises: Mapping[str, Promise]) -> Self:
        """The outputs of one node, by name."""
        made = super().__new__(cls, tuple(promises.values()))
        made.__dict__["_draft"] = draft
        made.__dict__["_names"] = dict(promises)
        return made

    def __getattr__(self, name: str) -> Promise:
        names: dict[str, Promise] = self.__dict__.get("_names", {})
        if name in names:
            return names[name]
        if name.startswith("_"):
            raise AttributeError(name)
        having = ", ".join(names) or "none"
        raise AttributeError(f"{self._draft.name} has no output {name!r}; its outputs: {having}")

    def __repr__(self) -> str:
        return (
            f"outputs of {self._draft.name} ({self._draft.id}): {', '.join(self._names) or 'none'}"
        )
