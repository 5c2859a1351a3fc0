"""What one attempt's process is to be, as a ``launch`` message says it."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.kernel.runtime import pyflyte

PROGRAM = "flyte-jupyter-execute"
_NOTHING: Mapping[str, str] = {}


class Environments:
    """Variables that many attempts have in common, by the number under which they were sent; zero is none."""

    def __init__(self) -> None:
        self._known: dict[int, Mapping[str, str]] = {0: _NOTHING}

    def keep(self, message: Mapping[str, Any]) -> None:
        """From an ``env`` message, in place of what had this number. Raises `KeyError`, `TypeError` or `ValueError`."""
        self._known[int(message["number"])] = variables(message["env"])

    def __getitem__(self, number: int) -> Mapping[str, str]:
        return self._known[number]


@dataclass(slots=True)  # nobody changes one, but a frozen one takes four times as long to make
class Job:
    """One attempt. `limit` is the log's, in bytes; `nice` is added to the parent's.

    `memory` is the most it may hold, in bytes, and `patience` how many seconds it may stand still once somebody has stopped it.
    Its environment is `own` laid over `shared`, which many attempts have in common, came as number `of` and never changes.
    `inputs` are those that it is handed, in base64; without them they stand where its command line says.
    `anew` says that it must be no fork, `chooses` that it has variables which libraries that were preloaded here have not seen.
    `ahead` says that it has no slot yet, and gets that of an attempt of the same `slot` whose worker can serve it next.
    `held` says that it may never be: it begins when it is told to, and not before.
    `ours` says that the command is this runtime's own, which a worker can run; `flytekits` that it is one of flytekit's, which a
    fork can run without exec too.
    """

    key: str
    argv: Sequence[str]
    own: Mapping[str, str]
    cwd: str
    log: str
    limit: int
    shared: Mapping[str, str] = field(default_factory=dict)
    of: int = 0
    reuse: bool = False
    nice: int = 0
    memory: int = 0
    patience: float = 0.0
    bundle: str = ""
    preload: Sequence[str] = ()
    ahead: bool = False
    held: bool = False
    slot: str = ""
    anew: bool = False
    chooses: bool = False
    inputs: str | None = None
    ours: bool = False
    flytekits: bool = False

    @classmethod
    def read(cls, message: Mapping[str, Any], environments: Environments) -> Job:
        """From a ``launch`` message. Raises `KeyError`, `TypeError` or `ValueError` when it is not one."""
        argv = [str(word) for word in message["argv"]]
        cwd, given = str(message["cwd"]), message.get
        of = int(given("of", 0))
        inputs = given("inputs")
        if not argv or not os.path.isdir(cwd):  # noqa: PTH112  # asked for every attempt
            raise ValueError("argv is empty" if not argv else f"there is no folder {cwd}")
        return cls(
            key=message["key"],
            argv=argv,
            own=variables(message["env"]),
            cwd=cwd,
            log=str(message["log"]),
            limit=int(message["log_limit"]),
            shared=environments[of],
            of=of,
            reuse=bool(given("reuse")),
            nice=int(given("nice", 0)),
            memory=int(given("memory", 0)),
            patience=float(given("patience", 0)),
            bundle=str(given("bundle", "")),
            preload=[str(m) for m in given("preload", ())],
            ahead=bool(given("ahead")),
            held=bool(given("held")),
            slot=str(given("slot", "")),
            anew=bool(given("anew")),
            chooses=bool(given("chooses")),
            inputs=None if inputs is None else str(inputs),
            ours=is_ours(argv),
            flytekits=pyflyte.is_command(argv[0]),
        )

    @property
    def env(self) -> dict[str, str]:
        """All of its variables."""
        return {**self.shared, **self.own}

    def variable(self, name: str) -> str:
        """One variable; empty when it is not set."""
        return self.own[name] if name in self.own else self.shared.get(name, "")

    @property
    def apart(self) -> bool:
        """Whether its process is started anew: it has to be, or its author asks for it."""
        return self.anew or self.variable("FLYTE_JUPYTER_NO_FORK") == "1"

    @property
    def given(self) -> bytes | None:
        """The inputs that it is handed. Raises `ValueError` when they are not base64."""
        return None if self.inputs is None else b64decode(self.inputs, validate=True)

    @property
    def shares(self) -> bool:
        """Whether a worker that serves others may serve it."""
        return self.reuse and self.ours and not self.apart

    @property
    def worker(self) -> tuple[str, ...]:
        """Attempts may share a process when this is equal: a started library never looks at these variables again."""
        devices, threads = self.variable("CUDA_VISIBLE_DEVICES"), self.variable("OMP_NUM_THREADS")
        return (self.bundle, str(self.nice), devices, threads, self.slot)


def variables(found: object) -> dict[str, str]:
    """Environment variables as they came. Raises `TypeError` when they are none."""
    if type(found) is not dict and not isinstance(found, Mapping):  # the second takes much longer
        raise TypeError(f"variables are an object, not {type(found).__name__}")
    return {str(name): str(value) for name, value in found.items()}


def is_ours(argv: Sequence[str]) -> bool:
    """Whether a command is this runtime's own."""
    return argv[0].rpartition("/")[2] == PROGRAM  # asked for every attempt
