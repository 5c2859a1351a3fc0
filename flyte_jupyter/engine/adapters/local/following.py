"""Who may be sent to a zygote before there is a slot for it, to follow one that runs there."""

from __future__ import annotations

from collections.abc import Iterable

from flyte_jupyter.engine.adapters.local import jobs
from flyte_jupyter.engine.adapters.local.entries import Entry


def may_follow(entry: Entry, leading: Iterable[Entry]) -> bool:
    """Whether a worker of one of these can go on with this attempt in the same slot."""
    template, wants = entry.spec.template, entry.grant.wants
    if not jobs.may_follow(template) or wants.gpu or entry.anew:
        return False
    for one in leading:  # no generator: every launch asks, and most often the first will do
        if (
            one.spec.template is template
            and one.grant.wants == wants
            and one.zygote is not None
            and one.zygote.hello.waits
            and one.variables == entry.variables  # else it has another parent
        ):
            return True
    return False
