"""Drafts of tasks that are launched again and again, as those of a loop or of a map: each is drawn once."""

from __future__ import annotations

from collections import OrderedDict

from flyte_jupyter.engine.pods.manifest import Draft, draft_for
from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec

_MOST = 64
_LARGEST = 64 * 1024
"""Bytes of a task whose draft is kept."""
_Key = tuple[bytes, bool, str, frozenset[str]]
"""All that a draft depends on, but for the settings and the cluster's template."""


class Drafts:
    """Those of an installation that were wanted last."""

    def __init__(self, settings: PodSettings) -> None:
        self._settings = settings
        self._kept: OrderedDict[_Key, tuple[Manifest | None, Draft]] = OrderedDict()

    def of(self, spec: AttemptSpec, template: Manifest | None = None) -> Draft:
        """The draft of an attempt's task over the cluster's template, as `draft_for` draws it. Raises `PodRefused`."""
        task = spec.template.SerializeToString()
        key = task, spec.interruptible, spec.service_account, frozenset(spec.env)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == template:
            self._kept.move_to_end(key)
            return kept[1]
        made = draft_for(spec, self._settings, template)
        if len(task) <= _LARGEST:
            self._kept[key] = template, made
            self._kept.move_to_end(key)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return made
