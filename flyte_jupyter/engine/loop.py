"""Many runs side by side: each has its inbox and takes its turns; a broken one stops nobody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from flyte_jupyter.engine.actor import RunActor, World
from flyte_jupyter.engine.answers import RunContext
from flyte_jupyter.engine.answers.programs import LARGE
from flyte_jupyter.engine.core.errors import UnreadableRecord
from flyte_jupyter.engine.core.observations import Observation
from flyte_jupyter.engine.core.state import Scope
from flyte_jupyter.engine.ports import (
    BlobFailure,
    Fenced,
    Stale,
    StoreBusy,
    StoredRun,
    StoreFull,
    passes,
)
from flyte_jupyter.engine.program import Policies, policies_of
from flyte_jupyter.idl.ids import RunId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Times are in seconds."""

    linger: float = 0.02
    """How long acknowledgements wait for something that matters more, to share its commit."""
    gather: float = 0.001
    longest_gather: float = 0.02
    crowd: int = 16
    """With a crowd of attempts in flight a run rests after each turn as long as that took, within these limits.

    What ends meanwhile shares a commit.
    """
    first_wait: float = 0.05
    longest_wait: float = 10.0
    """How long a run rests after a failed turn, or after it could not be read: doubling from the first to the longest."""
    full_wait: float = 1.0
    """How long it rests while the world is away, busy or full."""
    policies: Policies = field(default_factory=Policies)
    """What the installation says about all nodes: retries of the system's failures, how long retries wait."""


@dataclass(frozen=True, slots=True)
class LoopEvents:
    """What the loop tells its engine: that the lease is lost, that a run took a turn, what stands in the way."""

    fenced: Callable[[], None]
    turned: Callable[[RunActor], None]
    trouble: Callable[[RunId, str], None]


class Loop:
    """Holds the actors of all open runs and drives each one that has something to do."""

    def __init__(self, world: World, events: LoopEvents, settings: LoopSettings) -> None:
        self._world = world
        self._events = events
        self._settings = settings
        self._actors: dict[RunId, RunActor] = {}
        self._opening: dict[RunId, asyncio.Task[None]] = {}
        self._driving: dict[RunId, asyncio.Task[None]] = {}
        self._lingering: dict[RunId, asyncio.TimerHandle] = {}
        self._rests_until: dict[RunId, float] = {}
        self._unread: dict[RunId, int] = {}
        """How often in a row a run, or its messages, could not be read."""
        self._looks: dict[RunId, asyncio.TimerHandle] = {}
        self._closed = False

    # -- doors --

    def __contains__(self, run: RunId) -> bool:
        return run in self._actors or run in self._opening or run in self._unread

    def actors(self) -> Iterator[RunActor]:
        """All live runs."""
        yield from list(self._actors.values())

    def actor(self, run: RunId) -> RunActor | None:
        """A live run; None when it is not."""
        return self._actors.get(run)

    def notice(self, run: RunId) -> None:
        """There are durable messages for this run, or it is new: look."""
        if self._closed:
            return
        if run in self._opening:
            # What is being read right now may have been read before the message came.
            self._opening[run].add_done_callback(lambda _: self.notice(run))
            return
        if timer := self._looks.pop(run, None):
            timer.cancel()
        task = asyncio.get_running_loop().create_task(self._open(run))
        self._opening[run] = task
        task.add_done_callback(lambda _: self._opening.pop(run, None))

    async def open(self, run: RunId) -> None:
        """Load a run and send again what it owes. Raises `Fenced` when another engine has the lease by now."""
        if self._closed:
            raise Fenced(f"another engine has taken over before {run} was loaded")
        self.notice(run)
        await asyncio.wait([self._opening[run]])

    def tell(self, run: RunId, seen: Observation) -> bool:
        """Pass on an observation. False when the run is not live: it is over, or was never known."""
        actor = self._actors.get(run)
        if actor is None:
            return False
        self._wake(run, urgent=actor.tell(seen))
        return True

    def tell_all_first(self, seen: Observation) -> None:
        """Have every live run hear this before anything else."""
        for actor in self.actors():
            actor.tell_first(seen)
            self._wake(actor.context.id, urgent=True)

    def settle(self, run: RunId, ids: Sequence[int]) -> None:
        """These actions are done."""
        actor = self._actors.get(run)
        if actor is not None:
            actor.settle(ids)
            self._wake(run, urgent=actor.finishing)

    async def close(self) -> None:
        """Stop all turns. What was not committed is heard again after the next start."""
        self._closed = True
        for timer in [*self._lingering.values(), *self._looks.values()]:
            timer.cancel()
        tasks = [*self._driving.values(), *self._opening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- turns --

    def _wake(self, run: RunId, *, urgent: bool) -> None:
        if self._closed or run in self._driving:
            return
        timer, linger = self._lingering.get(run), self._settings.linger
        if timer is not None and not urgent:
            return  # what can wait makes no turn sooner
        wait = self._rest_of_gathering(run) if urgent else linger
        if linger <= 0 or wait <= 0:
            if timer is not None:
                timer.cancel()
            self._begin(run)
            return
        loop = asyncio.get_running_loop()
        if timer is not None and timer.when() > loop.time() + wait:
            timer.cancel()
            timer = None
        if timer is None:
            self._lingering[run] = loop.call_later(wait, self._begin, run)

    def _note_rest(self, run: RunId, began: float) -> None:
        now, settings = asyncio.get_running_loop().time(), self._settings
        rest = min(max(settings.gather, now - began), settings.longest_gather)
        self._rests_until[run] = now + rest

    def _rest_of_gathering(self, run: RunId) -> float:
        """How many seconds more a run of many attempts waits for company."""
        actor, until = self._actors.get(run), self._rests_until.get(run)
        if actor is None or until is None or actor.state.summary.active < self._settings.crowd:
            return 0.0
        return until - asyncio.get_running_loop().time()

    def _begin(self, run: RunId) -> None:
        self._lingering.pop(run, None)
        actor = self._actors.get(run)
        if self._closed or actor is None or run in self._driving:
            return
        task = asyncio.get_running_loop().create_task(self._drive(actor))
        self._driving[run] = task
        task.add_done_callback(lambda done: self._rest(actor, done))

    def _rest(self, actor: RunActor, done: asyncio.Task[None]) -> None:
        run = actor.context.id
        self._driving.pop(run, None)
        if done.cancelled():
            return
        if error := done.exception():
            log.error("run %s: its turns ended unexpectedly", run, exc_info=error)
        if actor.waiting:
            self._wake(run, urgent=actor.finishing or actor.urgent)
        elif actor.over:
            del self._actors[run]
            self._rests_until.pop(run, None)

    async def _drive(self, actor: RunActor) -> None:
        while actor.waiting and not self._closed:
            began = asyncio.get_running_loop().time()
            try:
                await actor.turn()
            except Fenced:
                self._fence()
                return
            except Exception as error:  # noqa: BLE001 - one run's trouble must not stop the others
                await self._trouble(actor, error)
            else:
                self._events.turned(actor)
                run = actor.context.id
                self._note_rest(run, began)
                waits = not actor.urgent or self._rest_of_gathering(run) > 0
                if self._settings.linger > 0 and waits:
                    return

    def _fence(self) -> None:
        # Somebody else writes now: a turn more could only do harm.
        self._closed = True
        self._events.fenced()

    async def _trouble(self, actor: RunActor, error: Exception) -> None:
        run = actor.context.id
        waits = passes(error)
        if not waits:
            actor.strikes += 1
        reason = _reason(error)
        self._events.trouble(run, reason)
        log.warning("run %s: turn failed, trying again: %s", run, reason)
        if isinstance(error, Stale):
            await self._reload(actor)
        elif actor.strikes > self._world.most_strikes + 1 and not waits:
            await self._give_up(actor, error)
        # What passes is no run's failure, so no strikes make these waits longer.
        await asyncio.sleep(self._settings.full_wait if waits else self._pause(actor.strikes))

    async def _reload(self, actor: RunActor) -> None:
        try:
            await actor.reload()
        except Exception:
            log.exception("run %s: cannot be read again yet", actor.context.id)

    async def _give_up(self, actor: RunActor, error: Exception) -> None:
        try:
            await actor.give_up(error)
        except Fenced:
            self._fence()
        except Exception:
            log.exception("run %s: cannot even be failed", actor.context.id)
        else:
            actor.strikes = 0
            self._events.turned(actor)

    # -- opening --

    async def _open(self, run: RunId) -> None:
        try:
            actor = self._actors.get(run)
            if actor is not None:
                actor.take_messages(await self._world.runs.inbox(run))
            else:
                actor = await self._adopt(await self._world.runs.load(run))
        except Exception as error:  # noqa: BLE001 - a run that cannot be read must not stop the others
            self._look_again(run, error)
            return
        self._unread.pop(run, None)
        self._events.turned(actor)
        if actor.waiting:
            self._wake(run, urgent=True)
        elif actor.over and run not in self._driving:
            # While its last turn ends, the end of that turn is what lets it go.
            self._actors.pop(run, None)
            self._rests_until.pop(run, None)

    def _look_again(self, run: RunId, error: Exception) -> None:
        """Nobody tells twice that there is something to read: who could not read it looks again, less and less often."""
        failures = self._unread.get(run, 0)
        self._unread[run] = failures + 1
        self._events.trouble(run, f"cannot be loaded: {error!r}")
        trace = None if failures else error
        log.error("run %s cannot be loaded: %r", run, error, exc_info=trace)
        if isinstance(error, UnreadableRecord):
            # Only another version of this program could.
            return
        wait = self._pause(failures)
        self._looks[run] = asyncio.get_running_loop().call_later(wait, self.notice, run)

    def _pause(self, failures: int) -> float:
        wait: float = self._settings.first_wait * 2 ** min(failures, 20)
        return min(wait, self._settings.longest_wait)

    async def _adopt(self, stored: StoredRun) -> RunActor:
        context = await self._context(stored)
        if len(stored.closure) > LARGE:
            actor = await asyncio.to_thread(RunActor, self._world, context, stored)
        else:
            actor = RunActor(self._world, context, stored)
        self._actors[stored.id] = actor
        if stored.owed:
            self._world.deliver(stored.id, stored.owed)
        return actor

    async def _context(self, stored: StoredRun) -> RunContext:
        """What is fixed about a run, with the graphs that its dynamic tasks have made so far."""
        answers, spec = self._world.answers, stored.spec
        policies = policies_of(spec, self._settings.policies)
        program = await answers.programs.get(stored.plan, stored.closure, policies)
        context = RunContext(
            id=stored.id,
            program=program,
            inputs=stored.inputs,
            env=stored.env,
            spec=spec,
            recovers=stored.recovers,
            policies=policies,
        )
        scopes = (kept for kept in stored.state.nodes.values() if isinstance(kept, Scope))
        for digest in sorted({scope.plan for scope in scopes if scope.plan}):
            await answers.expander.restore(context, digest)
        return context


def _reason(error: Exception) -> str:
    """What stands in the way, for who asks how a run goes."""
    if isinstance(error, StoreFull) or (isinstance(error, BlobFailure) and error.no_space):
        return f"no space left: {error}"
    return str(error) if isinstance(error, StoreBusy | BlobFailure) else repr(error)
