"""`flyte-jupyter engine` beside a control plane that serves: processes that can be stopped, killed and told apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from processes import eventually
from serving import Served


class EngineApart:
    """One engine on the data folder of `served`. It says in its log whether it decides."""

    def __init__(self, served: Served, number: int) -> None:
        self.log = served.folder / f"engine-{number}.out"
        command = [
            sys.executable, "-m", "flyte_jupyter.cli.main", "engine",
            "--config", str(served.config), "--data-dir", str(served.folder / "data"),
        ]  # fmt: skip
        with self.log.open("wb") as out:
            env = {**os.environ, **served.s3.environment}
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env)

    @property
    def word(self) -> str:
        """What it said last of itself."""
        said = [w for w in self.log.read_text().splitlines() if w.startswith("engine: ")]
        return said[-1].removeprefix("engine: ").partition(":")[0] if said else ""

    def until(self, word: str) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.word == word

        eventually(look, what=f"{word}: {self.log}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


class Engines:
    """Those of one data folder."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.all: list[EngineApart] = []

    def start(self) -> EngineApart:
        self.all.append(EngineApart(self._served, len(self.all)))
        return self.all[-1]

    def two(self) -> tuple[EngineApart, EngineApart]:
        """One that decides and one that stands by."""
        alive = [engine for engine in self.all if engine.process.poll() is None]
        while len(alive) < 2:
            alive.append(self.start())

        def look() -> list[EngineApart] | None:
            ranked = sorted(alive, key=lambda engine: engine.word)
            return ranked if [e.word for e in ranked] == ["active", "standby"] else None

        found = eventually(look, what=f"one engine of two deciding: {[e.log for e in alive]}")
        assert isinstance(found, list)
        return found[0], found[1]
