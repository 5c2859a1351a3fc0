"""File systems that are small enough to be filled. Only root can make them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import eventually

SIZE = "32m"


@contextlib.contextmanager
def mounted(disk: Path, size: str = SIZE) -> Iterator[Path]:
    """A file system of its own at this folder."""
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "flyte-jupyter-test", str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(
            f"this test fills a small disk, which cannot be mounted here: {done.stderr.strip()}. "
            "Run it as root, or in a namespace where you are: unshare -Urm make test"
        )
    try:
        yield disk
    finally:
        eventually(lambda: subprocess.run(["umount", str(disk)], check=False).returncode == 0)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast
