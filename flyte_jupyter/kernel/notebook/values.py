"""Which live values may travel as the source that made them.

Source travels, values don't: a definition (function, class, type, compiled pattern) is made again
from its source, a small plain value (numbers, strings, containers of them) is what its literal
says. Everything else is data and belongs in an input.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import datetime as dt
import decimal
import enum
import fractions
import functools
import pathlib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from flyte_jupyter.kernel.notebook.statements import Statement

_PLAIN = (
    int, float, complex, str, bytes, bool, type(None), range, slice, enum.Enum,
    dt.date, dt.time, dt.timedelta, dt.tzinfo,
    decimal.Decimal, fractions.Fraction, pathlib.PurePath,
)  # fmt: skip
_CODE = (
    type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
    types.GenericAlias, types.UnionType, functools.partial, re.Pattern,
    typing.TypeVar, typing.NewType, property, staticmethod, classmethod,
)  # fmt: skip
_CONTAINERS = (list, tuple, set, frozenset, dict)
_MOST_ITEMS = 10_000
_MOST_BYTES = 100_000
_SAFE_CALLS = frozenset({
    "abs", "bool", "bytes", "complex", "dict", "divmod", "enumerate", "float", "frozenset",
    "int", "len", "list", "max", "min", "pow", "range", "reversed", "round", "set", "sorted",
    "str", "sum", "tuple", "zip",
})  # fmt: skip
_SAFE_METHODS = frozenset({
    "append", "extend", "insert", "update", "setdefault", "add", "remove", "discard", "pop",
    "clear", "sort", "reverse", "copy", "keys", "values", "items", "split", "join", "strip",
    "lower", "upper", "format", "title", "replace",
})  # fmt: skip
_SAFE_NODES = (
    ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Delete, ast.For, ast.If, ast.Constant, ast.Name,
    ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred, ast.BinOp, ast.UnaryOp, ast.BoolOp,
    ast.Compare, ast.IfExp, ast.Subscript, ast.Slice, ast.JoinedStr, ast.FormattedValue,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.Call, ast.Attribute,
    ast.keyword, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension,
)  # fmt: skip


def is_code(value: object) -> bool:
    """Whether ``value`` is a definition, made again by running its source."""
    if isinstance(value, _CODE) or hasattr(value, "__wrapped__"):
        return True
    module = type(value).__module__.partition(".")[0]
    if module == "typing" or type(value).__name__ == "Logger":
        return True
    return type(value).__module__.startswith("flyte_jupyter.kernel.authoring")


def is_plain(value: object, budget: int = _MOST_ITEMS) -> bool:
    """Whether ``value`` is small plain data: scalars, and containers or dataclasses of them."""
    if isinstance(value, str | bytes):
        return len(value) <= _MOST_BYTES
    if isinstance(value, _PLAIN) or is_code(value):
        return True
    if type(value) in _CONTAINERS or isinstance(value, tuple):
        items = _items(value)
        return len(items) <= budget and all(is_plain(item, budget // 4) for item in items)
    if is_dataclass(value):
        return all(is_plain(getattr(value, f.name, None), budget // 4) for f in fields(value))
    return False


def kind_of(value: object) -> str:
    """The type of a value, for a message: ``pandas.DataFrame``, ``list of 50000``."""
    cls = type(value)
    module = cls.__module__.partition(".")[0]
    name = cls.__name__ if module in {"builtins", "__main__"} else f"{module}.{cls.__name__}"
    return f"{name} of {len(_items(value))} items" if type(value) in _CONTAINERS else name


def is_constructor_call(node: ast.stmt, names: Mapping[str, object]) -> bool:
    """Whether the statement's value only calls classes and plain built-ins, such as ``Config(3)``."""
    return all(_callee(call.func, names) for call in ast.walk(node) if isinstance(call, ast.Call))


def replayed(ordered: Iterable[Statement]) -> dict[str, object]:
    """The values that literal statements give their names, found by running just those.

    Names that anything else touched are left out, so that what is in the answer is certain.
    """
    names: dict[str, Any] = {
        "__builtins__": {name: getattr(builtins, name) for name in _SAFE_CALLS}
    }
    for statement in ordered:
        touched = statement.binds | statement.changes | statement.calls | statement.deletes
        if _is_literal(statement) and statement.now <= names.keys() | _SAFE_CALLS:
            with contextlib.suppress(Exception):  # what cannot be replayed is not compared
                exec(compile(statement.text, "<capture>", "exec"), names)  # noqa: S102 - literals and container methods only, as just checked
                continue
        for name in touched:
            names.pop(name, None)
    del names["__builtins__"]
    return names


def same(live: object, replay: object) -> bool:
    """Whether two plain values are equal, type for type; NaN equals NaN."""
    if type(live) is not type(replay):
        return False
    if isinstance(live, float) and live != live:  # noqa: PLR0124 - how NaN is told
        return isinstance(replay, float) and replay != replay  # noqa: PLR0124 - the same
    if isinstance(live, dict) and isinstance(replay, dict):
        return list(live) == list(replay) and all(same(live[k], replay[k]) for k in live)
    if isinstance(live, list | tuple) and isinstance(replay, list | tuple):
        return len(live) == len(replay) and all(map(same, live, replay))
    return bool(live == replay)


def _items(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, list | tuple | set | frozenset) else []


def _is_literal(statement: Statement) -> bool:
    for node in ast.walk(statement.node):
        if not isinstance(node, _SAFE_NODES):
            return False
        if isinstance(node, ast.Call):
            func = node.func
            by_name = isinstance(func, ast.Name) and func.id in _SAFE_CALLS
            by_method = isinstance(func, ast.Attribute) and func.attr in _SAFE_METHODS
            if not (by_name or by_method):
                return False
        elif isinstance(node, ast.Attribute) and node.attr not in _SAFE_METHODS:
            return False
    return True


def _callee(func: ast.expr, names: Mapping[str, object]) -> bool:
    """Whether ``func`` names a class, a safe built-in or a method of a literal."""
    path: list[str] = []
    while isinstance(func, ast.Attribute):
        path.insert(0, func.attr)
        func = func.value
    if isinstance(func, ast.Constant):
        return True
    if not isinstance(func, ast.Name):
        return False
    if not path and func.id in _SAFE_CALLS:
        return True
    value = names.get(func.id)
    if path and type(value) in {str, bytes, list, dict, set, tuple}:
        return path[-1] in _SAFE_METHODS
    for part in path:
        value = getattr(value, part, None)
    return isinstance(value, type)
