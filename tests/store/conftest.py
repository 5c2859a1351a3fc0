"""A database in a temporary folder."""

from __future__ import annotations

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db" / "flyte.db"
