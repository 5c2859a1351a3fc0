"""Attempts for tests: small code bundles, executors that are cleaned up after, and the news they give."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
import tarfile
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from flyte_jupyter.engine.adapters.local.executor import LocalExecutor
from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import AttemptNews, AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

ROOMY = Capacity(cpu=8, memory=64 * 2**30, gpu=2)
DEADLINE = 60.0


class WallClock:
    """Enough of a clock for an executor."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def bundle(
    folder: Path,
    source: str,
    cells: list[dict[str, object]] | None = None,
    beside: Mapping[str, str] | None = None,
) -> str:
    """A bundle with a module, `steps`; each function in it whose name starts with `do_` becomes a task of the rest of its name.

    `beside` are its other files, by name.
    """
    tail = """

    class _Task:
        def __init__(self, function):
            self.function = function

        def dispatch(self, inputs, context):
            result = self.function(inputs)
            return inputs if result is None else result


    for _name, _function in list(globals().items()):
        if _name.startswith("do_"):
            globals()[_name[3:]] = _Task(_function)
    """
    files = {
        "steps.py": textwrap.dedent(source) + textwrap.dedent(tail),
        "bundle.json": json.dumps(
            {"format": 1, "version": "", "entry": "steps", "cells": cells or []}
        ),
        **(beside or {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bundle.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return f"file://{path}"


def number(value: int) -> core.Literal:
    return core.Literal(scalar=core.Scalar(primitive=core.Primitive(integer=value)))


def attempt_id(node: str = "n0", attempt: int = 0, run: str = "r1") -> AttemptId:
    return AttemptId(RunId("p", "d", run), (node,), attempt)


class Bench:
    """A folder, an executor over it, and what it said."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder = folder
        self.options = options
        self.said: list[AttemptNews] = []
        self._more = asyncio.Event()
        self.executor = self.new_executor()

    def new_executor(self) -> LocalExecutor:
        options = {"capacity": ROOMY, **self.options}
        return LocalExecutor(self.folder / "local", self.folder / "logs", WallClock(), **options)

    def news(self, news: AttemptNews) -> None:
        self.said.append(news)
        self._more.set()

    async def started(self, attempt: AttemptId) -> None:
        await self._until(lambda: any(n.id == attempt for n in self.said))

    async def ended(self, attempt: AttemptId) -> Exit:
        await self._until(lambda: any(n.id == attempt and n.how for n in self.said))
        return next(n.how for n in self.said if n.id == attempt and n.how)

    async def _until(self, seen) -> None:
        async with asyncio.timeout(DEADLINE):
            while not seen():
                self._more.clear()
                await self._more.wait()

    def command(self, argv: list[str], attempt: AttemptId | None = None, **given) -> AttemptSpec:
        """An attempt of a plain command."""
        return self.spec(core.Container(command=argv[:1], args=argv[1:]), attempt, **given)

    def task(
        self,
        source: str,
        name: str,
        attempt: AttemptId | None = None,
        *,
        beside: Mapping[str, str] | None = None,
        **config: str,
    ) -> AttemptSpec:
        """An attempt of `do_<name>` in `source`."""
        content = hash((source, *(beside or {}).items()))
        uri = bundle(self.folder / "bundles" / str(abs(content)), source, beside=beside)
        args = ["--inputs", "{{.input}}", "--output-prefix", "{{.outputPrefix}}"]
        args += [
            "--raw-output-data-prefix",
            "{{.rawOutputDataPrefix}}",
            "--checkpoint-path",
            "{{.checkpointOutputPrefix}}",
        ]
        args += [
            "--prev-checkpoint",
            "{{.prevCheckpointPrefix}}",
            "--bundle",
            uri,
            "--entity",
            f"steps:{name}",
        ]
        container = core.Container(args=["flyte-jupyter-execute", *args])
        given = {"interpreter": sys.executable} | config
        return self.spec(
            container, attempt, config={f"flyte_jupyter.{k}": v for k, v in given.items()}
        )

    def spec(
        self, container, attempt=None, config: Mapping[str, str] | None = None, env=None
    ) -> AttemptSpec:
        attempt = attempt or attempt_id()
        where = self.folder / "blobs" / attempt.run.name / "-".join(map(str, attempt.path))
        where.mkdir(parents=True, exist_ok=True)
        inputs = where / "inputs.pb"
        inputs.write_bytes(core.LiteralMap(literals={"x": number(3)}).SerializeToString())
        template = core.TaskTemplate(
            id=core.Identifier(project="p", domain="d", name="steps.task", version="v1"),
            type="python-task",
            container=container,
            config=config or {},
        )
        prefix = f"file://{where}/{attempt.attempt}"
        return AttemptSpec(
            attempt, template, f"file://{inputs}", prefix, f"{prefix}/raw", env or {}
        )

    async def run(self, spec: AttemptSpec) -> Exit:
        assert not hasattr(await self.executor.launch(spec), "why")
        return await self.ended(spec.id)

    def outputs(self, spec: AttemptSpec) -> core.LiteralMap | None:
        path = Path(spec.output_prefix.removeprefix("file://")) / "outputs.pb"
        return core.LiteralMap.FromString(path.read_bytes()) if path.exists() else None

    def error(self, spec: AttemptSpec) -> core.ContainerError | None:
        path = Path(spec.output_prefix.removeprefix("file://")) / "error.pb"
        return core.ErrorDocument.FromString(path.read_bytes()).error if path.exists() else None

    async def log(self, spec: AttemptSpec) -> str:
        return (await self.executor.read_log(spec.id, 0, 1 << 30)).data.decode()

    def zygote_pids(self) -> list[int]:
        return [z.hello.pid for z in self.executor._zygotes._live.values()]


@contextlib.asynccontextmanager
async def bench(folder: Path, **options: object) -> AsyncIterator[Bench]:
    """A started executor; afterwards every attempt and every zygote is gone."""
    made = Bench(folder, **options)
    await made.executor.start(made.news)
    try:
        yield made
    finally:
        listing = await made.executor.listing()
        for attempt in listing.all:
            await made.executor.kill(attempt)
        pids = made.zygote_pids()
        await made.executor.stop()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


async def seen(look: Callable[[], Awaitable[object]]) -> object:
    """Look until there is something to see, and give it. Fails after a minute."""
    async with asyncio.timeout(DEADLINE):
        while not (found := await look()):  # noqa: ASYNC110  # files and processes raise no events
            await asyncio.sleep(0.01)
        return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def notes(
    b: Bench, source: str, names: list[str], place: Path, reuse: str = "true"
) -> list[AttemptSpec]:
    """Attempts of the task `note` in `source`, as those of one workflow are: with one and the same template. It writes below `place`."""
    made = [b.task(source, "note", attempt_id(name), reuse=reuse) for name in names]
    return [
        replace(spec, template=made[0].template, env={"PLACE": str(place), **spec.env})
        for spec in made
    ]


def order(place: Path) -> list[str]:
    """What they have noted in the file `order` there, in turn."""
    path = place / "order"
    return path.read_text().split() if path.exists() else []
