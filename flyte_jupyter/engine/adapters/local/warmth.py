"""Which parent an attempt is forked from: one that has imported its libraries, as long as nothing speaks against it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flyte_jupyter.engine.adapters.local import command
from flyte_jupyter.engine.adapters.local.entries import Entry, LocalSettings
from flyte_jupyter.engine.adapters.local.templates import once_a_template
from flyte_jupyter.engine.adapters.local.zygotes import Kind, Zygote, Zygotes
from flyte_jupyter.idl import core

_PRELOAD = "flyte_jupyter.preload"
_FLYTEKIT = "flytekit"
# What its tasks import beside it: to find out whether they are in a notebook, for data classes, and for dynamic tasks' graphs.
_FLYTEKITS_MODULES = (
    "flytekit.bin.entrypoint",
    "IPython",
    "mashumaro.jsonschema",
    "flytekit.tools.translator",
)
# Beyond the time that a warm parent gives itself.
_GRACE = 15.0
# How long an attempt waits for the trial of other code's libraries, which are mostly its own as well, or are there already.
_FOR_OTHERS = 1.0
_TRIES = 4
_MOST_LINES = 64
# Who brings more variables, in characters, than libraries look at has them alone.
_MOST_VARIABLES = 1024 * 1024


class _Code(NamedTuple):
    """Attempts of the same code want the same libraries: `bundle` is a URI, or flytekit itself, `module` where it begins in there."""

    bundle: str
    module: str = ""


@dataclass(slots=True)
class _Line:
    """What is known of one interpreter in one state with the same variables: code by its parent, packages none can take in.

    `trial` is under way for the libraries of `tried`.
    """

    trial: asyncio.Task[Zygote] | None = None
    tried: _Code | None = None
    warm: set[_Code] = field(default_factory=set)
    plain: set[_Code] = field(default_factory=set)
    avoid: set[str] = field(default_factory=set)


class Warmth:
    """Chooses among the zygotes of an interpreter. `bundles` is where code is unpacked."""

    def __init__(self, zygotes: Zygotes, bundles: Path, settings: LocalSettings) -> None:
        self._zygotes = zygotes
        self._bundles = bundles
        self._settings = settings
        self._lines: dict[tuple[str, str, str], _Line] = {}
        self._trials: set[asyncio.Task[Zygote]] = set()

    async def stop(self) -> None:
        """Give up what is being tried."""
        for trial in self._trials:
            trial.cancel()
        await asyncio.gather(*self._trials, return_exceptions=True)

    def ready(self, entry: Entry, plain: Zygote) -> Zygote | None:
        """The parent for the attempt if nothing has to be made for it."""
        code = _code_of(entry.spec.template)
        if not code.bundle or not _may_share(entry):
            return plain
        kind = _with(plain.kind, entry.variables)
        return self._ready(self._line(kind), kind, plain, code)

    async def parent_of(self, entry: Entry, plain: Zygote) -> Zygote:
        """A warm parent for the attempt, which is made when there is none; `plain` when there can be none."""
        parent = self.ready(entry, plain)
        if parent is not None:
            return parent
        code = _code_of(entry.spec.template)
        kind = _with(plain.kind, entry.variables)
        line = self._line(kind)
        # One after the other: each begins with what the one before it has imported.
        loop = asyncio.get_running_loop()
        until = loop.time() + _FOR_OTHERS
        while line.trial is not None:
            own = line.tried == code
            await asyncio.wait([line.trial], timeout=None if own else max(0.0, until - loop.time()))
            parent = self._ready(line, kind, plain, code)
            if parent is not None:
                return parent
            if loop.time() >= until and not own:
                return plain  # and is begun by whoever of this code comes next
        # Beside the attempt, which may be killed meanwhile: others wait for the same libraries.
        trial = loop.create_task(self._warm(line, entry, plain, code))
        line.trial, line.tried = trial, code
        self._trials.add(trial)
        trial.add_done_callback(self._trials.discard)
        trial.add_done_callback(lambda _: setattr(line, "trial", None))
        return await asyncio.shield(trial)

    def _line(self, kind: Kind) -> _Line:
        known = self._lines.get(kind.line)
        if known is not None:
            return known
        if len(self._lines) >= _MOST_LINES:
            # Each execution may bring variables of its own. A line that is in use after all is begun anew.
            del self._lines[next(iter(self._lines))]
        return self._lines.setdefault(kind.line, _Line())

    def _ready(self, line: _Line, kind: Kind, plain: Zygote, code: _Code) -> Zygote | None:
        if code in line.plain:
            return plain
        parent = self._zygotes.warmest(kind)
        if parent is None:
            line.warm.clear()
            return None
        return self._zygotes.touch(parent) if code in line.warm else None

    async def _warm(self, line: _Line, entry: Entry, plain: Zygote, code: _Code) -> Zygote:
        variables = entry.variables
        kind = _with(plain.kind, variables)
        preload = entry.spec.template.config.get(_PRELOAD, "").split(",")
        bundle = code.bundle
        if bundle == _FLYTEKIT:
            bundle, preload = "", [*_FLYTEKITS_MODULES, *preload]
        for _ in range(_TRIES):
            parent = self._zygotes.warmest(kind) or plain
            if not self._zygotes.lives(parent):
                return plain
            wish = {
                "variables": variables,
                "bundle": bundle,
                "module": code.module,
                "cache": str(self._bundles),
                "preload": [m for m in preload if m],
                "avoid": sorted(line.avoid),
                "seconds": self._settings.warm_seconds,
                "most_bytes": self._settings.warm_bytes,
            }
            patience = self._settings.warm_seconds + _GRACE
            answer = await self._zygotes.fork(parent, kind.variables, wish, patience)
            match answer["outcome"]:
                case "nothing new" if parent is plain:
                    break
                case "ready" | "nothing new":
                    line.warm.add(code)
                    return self._zygotes.warmest(kind) or plain
                case "orphaned":
                    return plain  # that says nothing of the bundle
                case "unsafe" if answer["what"] not in line.avoid:
                    line.avoid.add(answer["what"])
                case _:
                    break
        line.plain.add(code)
        return plain


def _may_share(entry: Entry) -> bool:
    """Whether libraries that were imported for others serve this attempt too.

    They look at the number of threads only when they are imported. The parent that it comes from has its variables.
    """
    wants = entry.grant.wants
    shared = wants.threads == 1 and not wants.gpu and not entry.anew
    return shared and _are_small(entry.variables)


def _with(kind: Kind, variables: Mapping[str, str]) -> Kind:
    """The kind of those that were started with these variables beside an interpreter's own."""
    digest = _digest(variables)
    return kind if kind.variables == digest else kind._replace(variables=digest)


def _are_small(variables: Mapping[str, str]) -> bool:
    return not variables or sum(map(len, variables.values())) <= _MOST_VARIABLES


def _digest(variables: Mapping[str, str]) -> str:
    if not variables:
        return ""
    return hashlib.sha256(json.dumps(sorted(variables.items())).encode()).hexdigest()[:16]


@once_a_template
def _code_of(template: core.TaskTemplate) -> _Code:
    """Which libraries an attempt wants, in a word; no bundle when nobody knows."""
    if command.is_flytekits(template):
        return _Code(_FLYTEKIT)
    if not command.is_own(template):
        return _Code("")
    words = command.words_of(template)
    return _Code(command.bundle_of(words), command.module_of(words))
