"""The simulation is worth something: engines that break their promises are found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_engine_simulation import check

from flyte_jupyter.engine import delivering
from flyte_jupyter.engine.adapters.memory import MemoryRuns
from flyte_jupyter.engine.lease import Tenure

MOST = 120


def forgetful(monkeypatch):
    """After a restart nothing that was owed is done."""
    load = MemoryRuns.load

    async def forgetting(self, run):
        return replace(await load(self, run), owed=())

    monkeypatch.setattr(MemoryRuns, "load", forgetting)


def unfenced(monkeypatch):
    """Whoever had the lease goes on as if it had it still, and writes over what another has written since."""
    commit = MemoryRuns.commit

    async def overwriting(self, new):
        return await commit(self, replace(new, expect=(await self.load(new.run)).version))

    async def without_asking(self):
        """Renew nothing."""

    monkeypatch.setattr(MemoryRuns, "commit", overwriting)
    monkeypatch.setattr(MemoryRuns, "check", lambda self, epoch: None)
    monkeypatch.setattr(Tenure, "renew", without_asking)


def childless(monkeypatch):
    """Child executions are taken for processes."""
    monkeypatch.setattr(delivering, "_is_child", lambda actor, attempt: False)


@pytest.mark.parametrize("broken", [forgetful, unfenced, childless], ids=lambda f: f.__name__)
def test_a_broken_promise_is_found_out(broken, monkeypatch, caplog):
    caplog.set_level("CRITICAL")
    broken(monkeypatch)
    assert any(_found(seed) for seed in range(MOST))


def _found(seed):
    try:
        check(seed)
    except Exception:  # it shows in many ways
        return True
    return False
