"""Which parent an attempt is forked from: one that has imported its libraries, as long as nothing speaks against it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from flyte_jupyter.engine.adapters.local import command
from flyte_jupyter.engine.adapters.local.entries import Entry, LocalSettings
from flyte_jupyter.engine.adapters.local.zygotes import Zygote, Zygotes

_PRELOAD = "flyte_jupyter.preload"
# Variables that no library looks at.
_OURS = ("FLYTE_", "_F_", "BATCH_JOB_ARRAY_")
_FLYTEKIT = "flytekit"
# The second is what it looks for in every task, to find out whether it is in a notebook.
_FLYTEKITS_MODULES = ("flytekit.bin.entrypoint", "IPython")
# Beyond the time that a warm parent gives itself.
_GRACE = 15.0
_TRIES = 4


@dataclass(slots=True)
class _Line:
    """What is known of one interpreter in one state: bundles by the parent they need, and packages that no parent can take in."""

    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    warm: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    avoid: set[str] = field(default_factory=set)


class Warmth:
    """Chooses among the zygotes of an interpreter. `bundles` is where code is unpacked."""

    def __init__(self, zygotes: Zygotes, bundles: Path, settings: LocalSettings) -> None:
        self._zygotes = zygotes
        self._bundles = bundles
        self._settings = settings
        self._lines: dict[tuple[str, str], _Line] = {}

    async def parent_of(self, entry: Entry, plain: Zygote) -> Zygote:
        """A warm parent for the attempt, which is made when there is none; `plain` when there can be none."""
        uri = _code_of(entry)
        line = self._lines.setdefault(plain.kind.line, _Line())
        if not uri or uri in line.plain or not may_share(entry):
            return plain
        parent = self._ready(line, plain, uri)
        if parent is None:
            # One after the other: each begins with what the one before it has imported.
            async with line.busy:
                parent = self._ready(line, plain, uri) or await self._warm(line, entry, plain, uri)
        return parent

    def _ready(self, line: _Line, plain: Zygote, uri: str) -> Zygote | None:
        if uri in line.plain:
            return plain
        parent = self._zygotes.warmest(plain.kind)
        if parent is None:
            line.warm.clear()
            return None
        return self._zygotes.touch(parent) if uri in line.warm else None

    async def _warm(self, line: _Line, entry: Entry, plain: Zygote, uri: str) -> Zygote:
        preload = entry.spec.template.config.get(_PRELOAD, "").split(",")
        if uri == _FLYTEKIT:
            uri_of_bundle, preload = "", [*_FLYTEKITS_MODULES, *preload]
        else:
            uri_of_bundle = uri
        for _ in range(_TRIES):
            parent = self._zygotes.warmest(plain.kind) or plain
            wish = {
                "bundle": uri_of_bundle,
                "cache": str(self._bundles),
                "preload": [m for m in preload if m],
                "avoid": sorted(line.avoid),
                "seconds": self._settings.warm_seconds,
                "most_bytes": self._settings.warm_bytes,
            }
            answer = await self._zygotes.fork(parent, wish, self._settings.warm_seconds + _GRACE)
            match answer["outcome"]:
                case "nothing new" if parent is plain:
                    break
                case "ready" | "nothing new":
                    line.warm.add(uri)
                    return self._zygotes.warmest(plain.kind) or plain
                case "unsafe" if answer["what"] not in line.avoid:
                    line.avoid.add(answer["what"])
                case _:
                    break
        line.plain.add(uri)
        return plain


def may_share(entry: Entry) -> bool:
    """Whether libraries that were imported for others serve this attempt too.

    They look at the number of threads and at other variables only when they are imported, so it must have none of its own.
    """
    wants, spec = entry.grant.wants, entry.spec
    names = [*spec.env, *(pair.key for pair in spec.template.container.env)]
    usual = all(name.startswith(_OURS) for name in names)
    apart = any(name == "FLYTE_JUPYTER_NO_FORK" for name in names)
    return (
        command.is_pythons(spec.template)
        and wants.threads == 1
        and not wants.gpu
        and usual
        and not apart
    )


def _code_of(entry: Entry) -> str:
    """Which libraries the attempt wants, in a word: the URI of its bundle, or flytekit itself; empty when nobody knows."""
    template = entry.spec.template
    if command.is_flytekits(template):
        return _FLYTEKIT
    return command.bundle_of([*template.container.command, *template.container.args])
