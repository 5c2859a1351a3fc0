"""Attempts that are with their zygote before anybody has decided that they will be: none begins before it is launched."""

from __future__ import annotations

from collections import OrderedDict

from flyte_jupyter.engine.adapters.local.admission import Admission
from flyte_jupyter.engine.adapters.local.entries import Entry
from flyte_jupyter.engine.adapters.local.folders import Folders, Kept
from flyte_jupyter.engine.adapters.local.resources import BadQuantity, wants_of
from flyte_jupyter.engine.adapters.local.slots import Grant, Slots
from flyte_jupyter.engine.adapters.local.starting import Starter
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl.ids import AttemptId

_MOST = 16
"""Each takes a directory, and its zygote keeps it: the oldest give way, and are launched from the beginning if they are launched."""


class Drafts:
    """Those that were drawn last and are not launched yet."""

    def __init__(self, admission: Admission, folders: Folders, starter: Starter) -> None:
        self._admission = admission
        self._folders = folders
        self._starter = starter
        self._drawn: OrderedDict[AttemptId, Entry] = OrderedDict()

    def draw(self, spec: AttemptSpec, slots: Slots[Entry]) -> bool:
        """Send it to its zygote, to wait there, if it could begin as soon as it is launched. Whether it is there."""
        if not self._admission.is_at_home(spec):
            return False
        try:
            wants = wants_of(spec.template)
            if not slots.has_room(wants):
                return False
            entry = self._admission.entry(spec, Grant(wants))
            self.drop(spec.id)
            entry.line = self._folders.line_of(entry.key, Kept(spec, entry.grant))
            entry.work = self._folders.lend(entry.key)
        except (BadQuantity, OSError):
            return False  # said by the launch
        if not self._starter.hold(entry):
            self._folders.take_back(entry.work)
            return False
        self._drawn[spec.id] = entry
        if len(self._drawn) > _MOST:
            self.drop(next(iter(self._drawn)))
        return True

    def of(self, spec: AttemptSpec) -> Entry | None:
        """As it was drawn from this very object, if its zygote is still there."""
        entry = self._drawn.get(spec.id)
        if entry is None or entry.zygote is None:
            return None
        if entry.spec is spec and self._starter.zygotes.lives(entry.zygote):
            return entry
        self.drop(spec.id)
        return None

    def launched(self, entry: Entry) -> None:
        """It is written down, and no draft any more; what was drawn for it besides is not needed."""
        if self._drawn.get(entry.spec.id) is not entry:
            self.drop(entry.spec.id)
        elif entry.zygote is not None:
            del self._drawn[entry.spec.id]
            entry.zygote.keys.add(entry.key)

    def drop(self, attempt: AttemptId) -> None:
        """It will not be launched as it was drawn."""
        entry = self._drawn.pop(attempt, None)
        if entry is not None and entry.zygote is not None:
            entry.zygote.link.post({"op": "reap", "key": entry.key})
            self._folders.take_back(entry.work)

    def clear(self) -> None:
        """None of them will be launched: what holds them is told by the end of its connection."""
        self._drawn.clear()
