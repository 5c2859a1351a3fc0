"""The whole engine in a deterministic world: virtual time, seeded schedules, crashes at any call, partitions, failing ports.

`Simulation(seed).play()` is one story. All of it follows from the seed (and, for the order of sets, from ``PYTHONHASHSEED``).
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from datetime import timedelta

from engine_programs import literals_of, random_program
from engine_worlds import RUN, World

from flyte_jupyter.engine.core.observations import AbortRequested
from flyte_jupyter.engine.engine import Ports
from flyte_jupyter.engine.ports import AttemptNews, BlobFailure, StoreFull

CALLS = {
    "runs": ("acquire", "open_runs", "load", "inbox", "closure", "commit", "settle"),
    "executor": ("launch", "kill", "reap", "listing"),
    "blobs": ("get", "several", "put", "exists", "names", "copy"),
    "catalog": ("lookup", "remember", "reserve", "release"),
    "children": ("launch", "terminate", "result", "interface"),
    "signals": ("open", "value"),
}
FAULTS = {
    "runs": lambda: StoreFull("no space left for the database"),
    "executor": lambda: ConnectionError("the executor does not answer"),
    "blobs": lambda: BlobFailure("the blobs do not answer"),
    "catalog": lambda: ConnectionError("the catalog is down"),
    "children": lambda: ConnectionError("admin does not answer"),
    "signals": lambda: ConnectionError("admin does not answer"),
}
_OF = contextvars.ContextVar("_OF", default=None)
"""Which engine a task belongs to."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Timers fire as soon as nothing else can happen; nobody waits for real time."""

    def __init__(self):
        super().__init__()
        self._virtual = 0.0

    def time(self):
        return self._virtual

    def _run_once(self):
        if not self._ready and self._scheduled:
            self._virtual = max(self._virtual, self._scheduled[0]._when)
        super()._run_once()


class Host:
    """The machine that one engine runs on: it can be cut off from the world, and it can die."""

    def __init__(self, simulation, number):
        self.simulation = simulation
        self.world = simulation.world
        self.rng = simulation.rng
        self.number = number
        self.left = self.rng.randint(0, 300) if self.rng.random() < 0.6 else 10**9
        self.after_doing = self.rng.random() < 0.5
        self.dead = asyncio.Event()
        self.connected = asyncio.Event()
        self.connected.set()
        self.tasks = set()
        ports = {name: View(self, name) for name in CALLS}
        holder = f"engine-{number}" if self.rng.random() < 0.5 else "engine"
        if simulation.alive:
            holder = f"engine-{number}"
        self.engine = self.world.engine(holder, Ports(clock=self.world.clock, **ports))
        self.starting = None

    def start(self):
        token = _OF.set(self)
        try:
            self.starting = asyncio.get_running_loop().create_task(self.engine.start())
        finally:
            _OF.reset(token)

    @staticmethod
    def fault(port):
        return FAULTS[port]()

    async def through(self, port, call, *args, **kwargs):
        """One call to the world: it may be the last, it may wait for the network, it may fail, done or not done."""
        if self.dead.is_set():
            await asyncio.get_running_loop().create_future()
        self.left -= 1
        if self.left <= 0:
            if self.after_doing:
                await call(*args, **kwargs)
            self.dead.set()
            await asyncio.get_running_loop().create_future()
        await self.connected.wait()
        fails = self.simulation.faulty and self.rng.random() < 0.02
        if fails and self.rng.random() < 0.5:
            raise self.fault(port)
        result = await call(*args, **kwargs)
        if fails and port != "runs":
            raise self.fault(port)
        return result

    async def kill(self):
        """As ``kill -9`` would."""
        self.dead.set()
        self.simulation.listeners.pop(self, None)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class View:
    """A port as one host sees it."""

    def __init__(self, host, name):
        self._host = host
        self._name = name
        self._port = getattr(host.world, name)

    def __getattr__(self, name):
        found = getattr(self._port, name)
        if name not in CALLS[self._name]:
            return found

        def guarded(*args, **kwargs):
            return self._host.through(self._name, found, *args, **kwargs)

        return guarded

    async def start(self, news, ready):
        self._host.simulation.listeners[self._host] = news

    async def stop(self):
        self._host.simulation.listeners.pop(self._host, None)


class Simulation:
    """One seed: a program, a world, and what happens to them."""

    def __init__(self, seed, *, calm=False):
        self.rng = random.Random(seed)
        self.program = random_program(random.Random(seed))
        self.calm = calm
        self.faulty = not calm and self.rng.random() < 0.5
        linger = 0.02 if self.rng.random() < 0.5 else 0.0
        handed = not calm and self.rng.random() < 0.5
        self.world = World(by_itself=calm, linger=linger, handed=handed)
        self.world.workers = self.rng.choice([1, 2, 32])
        self.world.plans.update(self.program.shelf.plans)
        self.world.failures.update(self.program.failures)
        self.world.create(self.program.compiled, **self.program.policies)
        self.listeners = {}
        self.world.executor._news = self._broadcast
        self.alive = []
        self.crashes = self.cuts = self.lost = 0
        self.abort = None if calm or self.rng.random() > 0.1 else self.rng.randint(0, 150)
        self.aborted = False

    def _broadcast(self, news):
        for listener in list(self.listeners.values()):
            listener(news)

    @staticmethod
    def run(play):
        """Run a coroutine function on a loop of its own, whose tasks know their engine."""
        loop = VirtualLoop()

        def factory(loop, coroutine, context=None):
            task = asyncio.Task(coroutine, loop=loop, context=context)
            host = _OF.get() if context is None else context.get(_OF)
            if host is not None:
                host.tasks.add(task)
                task.add_done_callback(host.tasks.discard)
            return task

        loop.set_task_factory(factory)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(play())

    def play(self):
        return self.run(self._play)

    async def _play(self):
        self.hosts = 0
        self._add_host()
        for moment in range(20_000):
            await self._bury()
            if await self._over():
                break
            if moment == self.abort:
                self.aborted = True
                self.world.runs.post(RUN, AbortRequested("enough", "me"))
            if not self.calm:
                await self._something_happens()
            self._answer()
            for _ in range(self.rng.randint(0, 8)):
                await asyncio.sleep(0)
            if self.rng.random() < 0.3:
                await asyncio.sleep(0.03)
            if self.calm or self.rng.random() < 0.1:
                self.world.clock.advance(timedelta(seconds=self.rng.choice([1, 6, 31])))
        else:
            raise AssertionError(f"it never ends: {await self._open_states()}")
        return await self._result()

    def _add_host(self):
        self.hosts += 1
        host = Host(self, self.hosts)
        if self.calm:
            host.left = 10**9
        self.alive.append(host)
        host.start()

    async def _bury(self):
        for host in list(self.alive):
            if host.starting.done() and not host.starting.cancelled() and host.starting.exception():
                host.dead.set()
            if host.dead.is_set():
                self.crashes += 1
                self.alive.remove(host)
                await host.kill()
        if not self.alive:
            if self.rng.random() < 0.5:
                self.world.clock.advance(timedelta(seconds=16))
            self._add_host()

    async def _something_happens(self):
        executor, rng = self.world.executor, self.rng
        queued, running = sorted(executor.queued), sorted(executor.running)
        chance = rng.random()
        if chance < 0.45 and queued:
            executor.begin(rng.choice(queued))
        elif chance < 0.85 and running:
            await executor.finish(rng.choice(running))
        elif chance < 0.87 and (queued or running) and self.lost < 1:
            self.lost += 1
            executor.vanish(rng.choice(queued + running))
        elif chance < 0.90 and executor.ended:
            again = rng.choice(sorted(executor.ended))
            self._broadcast(AttemptNews(again, executor.ended[again]))
        elif chance < 0.905 and len(self.alive) < 2:
            self._add_host()
        elif chance < 0.915 and self.cuts < 2:
            self.cuts += 1
            rng.choice(self.alive).connected.clear()
            # Long enough for the other engine to take over, if there is one.
            self.world.clock.advance(timedelta(seconds=rng.choice([1, 20])))
        elif chance > 0.93:
            for host in self.alive:
                host.connected.set()

    def _answer(self):
        """Somebody answers what is asked, sooner or later."""
        for (run, name), kind in sorted(self.world.signals.opened.items(), key=lambda i: i[0]):
            if (run, name) not in self.world.signals.answers and (
                self.calm or self.rng.random() < 0.1
            ):
                self.world.signals.answer(run, name, literals_of(kind))

    async def _over(self):
        runs = self.world.runs
        if await runs.open_runs():
            return False
        executor = self.world.executor
        left = executor.queued or executor.running or executor.ended
        if left:
            # Strays are found by the next survey.
            for host in self.alive:
                host.connected.set()
                host.left = 10**9
            self.world.clock.advance(timedelta(seconds=31))
        return not left

    async def _open_states(self):
        stored = await self.world.runs.load(RUN)
        executor = self.world.executor
        return stored.state, stored.owed, stored.inbox, executor.queued, executor.running

    async def _result(self):
        stored = await self.world.runs.load(RUN)
        summary = stored.state.summary
        outputs = await self.world.outputs() if summary.outputs else None
        for host in list(self.alive):
            await host.kill()
        code = summary.failure.code if summary.failure is not None else ""
        return str(summary.phase), code, outputs
