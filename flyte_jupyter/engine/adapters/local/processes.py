"""Looking at processes, and ending them, without ever meaning somebody else who has their number by now."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

_ROUNDS = 5


def identity(pid: int) -> str:
    """Tells this process from a later one with the same number, in the words of a zygote's records; empty when it is gone."""
    fields = _stat(pid)
    return f"{_boot()}:{fields[19]}" if fields else ""


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


def end_families(leaders: Iterable[tuple[int, str]], marks: Collection[str]) -> None:
    """Kill what is left of the sessions that these processes led, and whoever has one of these ``NAME=value`` in its environment.

    A leader may be gone already, killed with its parent: its number is nobody else's as long as its session or group exists.
    """
    boot = _boot()
    sessions = {
        pid
        for pid, known in leaders
        if boot and known.startswith(boot) and identity(pid) in ("", known)
    }
    wanted = {os.fsencode(mark) for mark in marks}
    # Again until nobody is left: who is killed may have been about to start one more.
    for _ in range(_ROUNDS):
        found = [pid for pid in _others() if _is_of(pid, sessions, wanted)]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _is_of(pid: int, sessions: Collection[int], marks: Collection[bytes]) -> bool:
    fields = _stat(pid)
    if not fields:
        return False
    group, session = int(fields[2]), int(fields[3])
    if group in sessions or session in sessions:
        return True
    with suppress(OSError):
        return not set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")).isdisjoint(marks)
    return False


def _others() -> list[int]:
    with suppress(OSError):
        return [
            int(p.name)
            for p in Path("/proc").iterdir()
            if p.name.isdecimal() and int(p.name) != os.getpid()
        ]
    return []


def _stat(pid: int) -> list[str]:
    """The fields of its ``stat`` from the third (state) on; empty when it is gone, or over."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    fields = text.rpartition(")")[2].split()
    return [] if fields[0] == "Z" else fields


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


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
