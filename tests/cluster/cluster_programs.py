"""One program of the test cluster as a process that can be stopped, frozen, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from processes import eventually


class Program:
    """A process with a log; `ready` says whether it does its work."""

    def __init__(
        self, name: str, command: list[str], folder: Path, *, ready: Callable[[], object]
    ) -> None:
        self.name = name
        self.command = command
        self.log = folder / "logs" / f"{name}.log"
        self.ready = ready
        self.process: subprocess.Popen | None = None

    def start(self, *, within: float = 90) -> None:
        """Start and wait until it is ready.

        Raises:
            AssertionError: it ended or isn't ready in time; with the end of its log.
        """
        assert not self.running, f"{self.name} runs already"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, cwd=self.log.parent.parent,
            )  # fmt: skip
        try:
            self.wait_until_ready(within=within)
        except AssertionError:
            self.kill()
            raise

    def wait_until_ready(self, *, within: float = 90) -> None:
        """Wait until it does its work.

        Raises:
            AssertionError: it ended or isn't ready in time; with the end of its log.
        """

        def look() -> bool:
            assert self.running, f"{self.name} ended by itself: {self.tail()}"
            return bool(self.ready())

        eventually(look, within=within, what=f"{self.name} at work: {self.log}")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def stop(self) -> None:
        """End it as an operator would; kill it when it takes too long."""
        if self.process is None:
            return
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self._send(signal.SIGKILL)
            self.process.wait(20)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._send(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again with its data."""
        self.kill()
        self.start()

    def _send(self, number: signal.Signals) -> None:
        if self.running:
            assert self.process is not None
            os.kill(self.process.pid, number)
