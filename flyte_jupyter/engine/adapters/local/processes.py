"""Looking at processes, and ending them, without ever meaning somebody else who has their number by now."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def identity(pid: int) -> str:
    """Tells this process from a later one with the same number, in the words of a zygote's records; empty when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else f"{boot}:{fields[19]}"


def is_same(pid: int, known: str) -> bool:
    """Whether the process `pid` still is the one that was `known`; without a known identity nobody is."""
    return bool(known) and identity(pid) == known


def kill_group(pid: int, known: str) -> None:
    """Kill a process and its group if it still is the one that was `known`."""
    if is_same(pid, known):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end(pid: int, known: str) -> None:
    """Ask a process to end if it still is the one that was `known`."""
    if is_same(pid, known):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)


def kill(pid: int, known: str) -> None:
    """Kill a process if it still is the one that was `known`."""
    if is_same(pid, known):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def own_bytes(pid: int) -> int:
    """The memory that would be free without this process: what it shares with others counts by its share. Zero when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        return (
            next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
            * 1024
        )
    except (OSError, StopIteration, ValueError):
        return 0
