"""Files of engines, which say who lives."""

from __future__ import annotations

import os

from flyte_jupyter.server import living
from flyte_jupyter.server.living import LivingEngine, is_dead, named


def test_engines_that_start_at_once_clear_away_the_same_files(tmp_path, monkeypatch):
    LivingEngine(tmp_path).leave()
    old = [named(f"dead-{number}", tmp_path) for number in range(3)]
    for file in old:
        file.touch()
    LivingEngine(tmp_path).leave()
    for file in old:
        assert file.exists(), "others may still ask for its lease"
        os.utime(file, (0, 0))

    def found_by_another_too(holder, data_dir):
        dead = is_dead(holder, data_dir)
        if holder == "dead-1":
            named(holder, data_dir).unlink()
        return dead

    monkeypatch.setattr(living, "is_dead", found_by_another_too)
    engine = LivingEngine(tmp_path)
    assert not any(file.exists() for file in old)
    assert not is_dead(engine.holder, tmp_path)
    engine.leave()
