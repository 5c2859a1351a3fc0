"""A world that keeps the shell's promises and no more: late, doubled, reordered news, lost attempts, crashes between doing and noting."""

from __future__ import annotations

import random
from datetime import timedelta
from zlib import crc32

from core_admin import Admin
from core_checks import check
from core_plans import NOON, SECOND
from core_programs import DYNAMIC

from flyte_jupyter.engine.core import actions as a
from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core import state as s
from flyte_jupyter.engine.core.plan import END, NodeKind, NodePlan, Plans
from flyte_jupyter.engine.core.report import ReportContext, report
from flyte_jupyter.engine.core.scopes import node_at
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.core.step import fold, initial, step
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import Path, RunId

FAILURES = [
    Failure("Bug", "user", Blame.USER),
    Failure("Flaky", "user", Blame.USER, retryable=True),
    Failure("Flaky", "user", Blame.USER, retryable=True),
    Failure("Machine", "system", Blame.SYSTEM, retryable=True),
]
NO = Failure("ReceivedRejectSignal", "no", Blame.USER)
UNBOUND = Failure("Binding", "no", Blame.SYSTEM)


class Fortune:
    """What will come of each thing, the same whenever it is asked."""

    def __init__(self, seed: int):
        self.seed = seed
        self.ill = (0.02, 0.1, 0.35)[seed % 3]

    def dice(self, *what: object) -> float:
        return crc32(f"{self.seed} {what!r}".encode()) / 2**32

    def choice(self, among, *what: object):
        return among[int(self.dice(*what) * len(among))]

    def outcome(self, path: Path, attempt: int) -> Failure | None:
        if self.dice("ill", path, attempt) > self.ill:
            return None
        return self.choice(FAILURES, "failure", path, attempt)

    def size(self, path: Path) -> int:
        return self.choice([0, 1, 2, 3, 4, 5], "size", path)

    def arm(self, path: Path, node: NodePlan) -> str:
        return self.choice(list(node.body.nodes), "arm", path)

    def binds(self, path: Path) -> bool:
        return self.dice("binds", path) > self.ill / 10

    def answer(self, signal: str) -> bool:
        return self.dice("answer", signal) > self.ill

    def hit(self, path: Path) -> bool:
        return self.dice("hit", path) < 0.3

    def waits(self, path: Path) -> int:
        return self.choice([0, 1, 2], "waits", path)

    def recovered(self, path: Path) -> bool:
        return self.dice("recovered", path) < 0.5

    def leaves_graph(self, path: Path, attempt: int) -> bool:
        return self.dice("graph", path, attempt) < 0.8


class World:
    def __init__(
        self,
        plans: Plans,
        seed: int,
        *,
        max_parallelism: int = 0,
        most_opening: int = 0,
        timeout: timedelta | None = None,
        overwrite: bool = False,
        recovers: bool = False,
        faults: bool = True,
        checks: float = 1.0,
    ):
        self.random = random.Random(seed)
        self.fortune = Fortune(seed)
        self.plans = plans
        self.recovers, self.faults, self.checks = recovers, faults, checks
        self.state = initial(
            plans,
            max_parallelism=max_parallelism,
            most_opening=most_opening,
            overwrite_cache=overwrite,
            timeout=timeout,
        )
        self.now = NOON
        self.inbox: list[o.Observation] = [o.Started()]
        self.owed: list[a.Action] = []
        self.executor: dict[tuple[Path, int], str] = {}
        self.launched: set[tuple[Path, int]] = set()
        self.reserved: set[Path] = set()
        """Reservations in the catalog that nodes of this run hold."""
        self.waited: dict[Path, int] = {}
        self.gates: set[str] = set()
        self.signals: set[str] = set()
        """Opened gates' signals, and those that are answered."""
        self.admin = Admin(recovers=recovers)
        self.context = ReportContext(
            RunId("p", "d", "x"), "file:///b", plans, lambda _, node: core.Identifier(name=node)
        )
        self.calm = False

    # -- the machine --

    def hear(self, *batch: o.Observation) -> None:
        before = self.state
        done = fold(self.plans, before, batch, self.now)
        thorough = self.checks >= 1 or self.random.random() < self.checks
        if thorough:
            kept = dict(before.nodes)
            assert fold(self.plans, before, batch, self.now) == done, (
                "the same again gives the same"
            )
            assert dict(before.nodes) == kept, "the state before is as it was"
            now = done.state.nodes
            assert done.changed == {p for p in now if now[p] != kept.get(p)}
            if len(batch) == 1:
                self.hear_again(batch[0], done.state)
        assert not any(isinstance(before.nodes.get(p), s.TERMINAL) for p in done.changed)
        self.state = done.state
        for told in report(self.context, before, self.state, done.changed, self.now):
            self.admin.hear(told)
        for action in done.actions:
            self.owe(action)
        if thorough:
            check(self.plans, self.state)

    def hear_again(self, seen: o.Observation, state: s.RunState) -> None:
        if isinstance(seen, o.Tick) and seen.gap:
            return
        if isinstance(seen, o.CacheReserved | o.CacheMiss | o.CacheHit):
            # It may find a node that was about to ask again: that is one question, and this may be its answer.
            serialized = self.node(seen.path).cache.serialize
            if serialized and isinstance(state.nodes.get(seen.path), s.Probing):
                return
        again = step(self.plans, state, seen, self.now)
        assert again.state is state
        assert not again.changed
        harmless = (a.Kill, a.Reap, a.WakeAt, a.ReadSignal)
        assert all(isinstance(x, harmless) for x in again.actions)
        shows = (o.AttemptAccepted, o.AttemptWaits, o.AttemptStarted, o.Live)
        assert isinstance(seen, shows) or not any(isinstance(x, a.Kill) for x in again.actions)

    def owe(self, action: a.Action) -> None:
        if isinstance(action, a.Launch):
            assert (action.path, action.attempt) not in self.launched, "launched twice"
            self.launched.add((action.path, action.attempt))
        if isinstance(action, a.Kill):
            # As the outbox does: a launch that has not gone out yet never will.
            self.owed = [x for x in self.owed if x != a.Launch(action.path, action.attempt)]
        self.owed.append(action)

    def node(self, path: Path) -> NodePlan:
        node = node_at(self.plans, self.state.nodes, path)
        assert node is not None
        return node

    # -- the world --

    def say(self, seen: o.Observation) -> None:
        self.inbox.append(seen)

    def deliver(self) -> None:
        batch = []
        for _ in range(1 if self.calm else self.random.choice([1, 1, 1, 4])):
            if self.inbox:
                at = 0 if self.calm else self.random.randrange(len(self.inbox))
                batch.append(self.inbox[at])
                if self.calm or self.random.random() < 0.8:
                    del self.inbox[at]
        self.hear(*batch)

    def act(self) -> None:
        paths = list(dict.fromkeys(getattr(x, "path", None) for x in self.owed))
        path = paths[0] if self.calm else self.random.choice(paths)
        action = next(x for x in self.owed if getattr(x, "path", None) == path)
        self.do(action)
        # Sometimes it crashes after doing and before noting: it is done again later, or a part of it is forgotten.
        if self.calm or self.random.random() < 0.8:
            self.owed.remove(action)

    @property
    def bad_luck(self) -> float:
        return self.random.random() if self.faults and not self.calm else 0.0

    def do(self, action: a.Action) -> None:
        match action:
            case a.ResolveInputs(path):
                self.say(self.resolve(path))
            case a.Probe(path):
                # As the shell does: a question that nobody asks any more is not answered.
                if isinstance(self.state.nodes[path], s.Probing):
                    self.say(self.probe(path))
            case a.Launch(path, attempt):
                if self.bad_luck > 0.97 and (path, attempt) not in self.executor:
                    self.say(o.AttemptRejected(path, attempt, Failure("No", "never")))
                else:
                    self.executor.setdefault((path, attempt), "queued")
                    self.say(o.AttemptAccepted(path, attempt))
            case a.Collect(path, attempt):
                self.say(self.collect(path, attempt))
            case a.Kill(path, attempt) | a.Reap(path, attempt):
                self.executor.pop((path, attempt), None)
            case a.Release(path):
                self.reserved.discard(path)
            case a.OpenGate(path):
                signal = self.node(path).gate.signal
                self.gates.add(signal)
                if signal in self.signals:
                    self.say(o.SignalSet(signal))
            case a.ReadSignal(path):
                self.say(self.read(path))
            case a.Gather(path):
                unread = self.bad_luck > 0.85
                self.say(
                    o.InputsUnresolvable(path, UNBOUND) if unread else o.Gathered(path, "items")
                )

    def resolve(self, path: Path) -> o.Observation:
        node = self.node(path)
        dynamic = node.task_type == DYNAMIC
        if self.recovers and path[-1] != END and self.fortune.recovered(path):
            if dynamic and self.fortune.leaves_graph(path, 0):
                return o.Expanded(path, 3, node.task_name, f"digest of {path}")
            return o.Recovered(path, "recovered", "p/d/y/n0/0")
        if not self.fortune.binds(path):
            return o.InputsUnresolvable(path, UNBOUND)
        match node.kind:
            case NodeKind.ARRAY:
                return o.ItemsReady(path, f"digest of {path}", self.fortune.size(path))
            case NodeKind.BRANCH:
                return o.BranchChosen(path, f"digest of {path}", self.fortune.arm(path, node))
        return o.InputsReady(path, f"digest of {path}", "end" if path[-1] == END else "")

    def probe(self, path: Path) -> o.Observation:
        node = self.node(path)
        if self.fortune.hit(path):
            return o.CacheHit(path, "cached", "p/d/y/n0/0")
        waits = self.waited.get(path, self.fortune.waits(path))
        if node.cache.serialize and waits:
            self.waited[path] = waits - 1
            return o.CacheReserved(path, self.now + 4 * SECOND, "another")
        if node.cache.serialize:
            self.reserved.add(path)
        return o.CacheMiss(path, broken=self.bad_luck > 0.8)

    def collect(self, path: Path, attempt: int) -> o.Observation:
        why = self.fortune.outcome(path, attempt)
        if why is not None:
            return o.AttemptFailed(path, attempt, why)
        node = self.node(path)
        if node.task_type == DYNAMIC and self.fortune.leaves_graph(path, attempt):
            return o.Expanded(path, attempt, node.task_name)
        cached = s.CacheOutcome.NONE if node.cache is None else s.CacheOutcome.POPULATED
        return o.AttemptSucceeded(path, attempt, f"outputs of {path}", cache=cached)

    def read(self, path: Path) -> o.Observation:
        signal = self.node(path).gate.signal
        if signal not in self.signals:
            return o.SignalUnset(path)
        if self.fortune.answer(signal):
            return o.GateOpened(path, "the answer")
        return o.GateRefused(path, NO)

    def is_child(self, path: Path) -> bool:
        return self.node(path).kind is NodeKind.LAUNCH_PLAN

    def progress(self) -> None:
        key = self.random.choice(list(self.executor))
        # The end of a child execution is a durable message.
        heard = self.calm or self.random.random() < 0.8 or self.is_child(key[0])
        if self.executor[key] == "queued" and not self.calm and self.random.random() < 0.3:
            stage = self.random.choice(list(s.Stage))
            self.say(o.AttemptWaits(*key, stage, self.random.choice(["", "no room"])))
        elif self.executor[key] == "queued" and not self.calm and self.random.random() < 0.1:
            # So short that nobody has seen it run.
            self.executor[key] = "ended"
            self.say(self.collect(*key))
        elif self.executor[key] == "queued":
            self.executor[key] = "running"
            if heard:
                self.say(o.AttemptStarted(*key))
        elif self.executor[key] == "running":
            self.executor[key] = "ended"
            if self.random.random() < 0.2:
                self.say(self.collect(*key))
            elif heard:
                self.say(o.AttemptEnded(*key, o.Exit(0)))

    def look(self) -> None:
        """A listing as of now; it may be heard much later. It knows nothing of child executions."""
        mine = {key: phase for key, phase in self.executor.items() if not self.is_child(key[0])}
        self.say(o.Live(frozenset(mine), self.now))
        for key, phase in mine.items():
            if phase == "running":
                self.say(o.AttemptStarted(*key))
            elif phase == "ended":
                self.say(o.AttemptEnded(*key, o.Exit(0)))

    def vanish(self) -> None:
        key = self.random.choice(list(self.executor))
        if not self.is_child(key[0]):
            del self.executor[key]

    def haunt(self) -> None:
        """An old launch is sent once more, as after a crash: a real API server creates anew what was deleted."""
        key = self.random.choice(sorted(self.launched))
        self.executor.setdefault(key, "queued")
        self.say(o.AttemptAccepted(*key))

    def decide(self) -> None:
        """Somebody answers a signal; perhaps before anybody waits for it."""
        if self.gates:
            signal = self.random.choice(sorted(self.gates))
            self.signals.add(signal)
            self.say(o.SignalSet(signal))

    def time(self) -> None:
        jump = self.random.choice([1, 5, 30])
        gap = self.random.choice([0, 0, jump])
        self.now += jump * SECOND
        self.hear(o.Tick(timedelta(seconds=gap)))

    def turn(self, *, abort: float = 0.0) -> None:
        self.now += SECOND * self.random.choice([0, 1])
        dice = self.random.random()
        if dice < abort:
            self.say(o.AbortRequested("enough", "me"))
        elif dice < 0.40 and self.inbox:
            self.deliver()
        elif dice < 0.72 and self.owed:
            self.act()
        elif dice < 0.92 and self.executor:
            self.progress()
        elif dice < 0.94:
            self.look()
        elif dice < 0.945 and self.executor and self.faults:
            self.vanish()
        elif dice < 0.965:
            self.time()
        elif dice < 0.975 and self.launched and self.faults:
            self.haunt()
        elif dice < 0.985:
            self.decide()

    def settle(self) -> None:
        """No more faults: everything must come to its end, and leave nothing."""
        self.calm = True
        for _ in range(5000):
            if self.state.summary.phase.final and not (self.inbox or self.owed or self.executor):
                break
            if self.inbox:
                self.deliver()
            elif self.owed:
                self.act()
            elif any(phase != "ended" for phase in self.executor.values()):
                self.progress()
            elif self.gates - self.signals:
                self.decide()
            else:
                self.now += 10 * SECOND
                self.hear(o.Tick())
                self.look()
        check(self.plans, self.state)
        assert self.state.summary.phase.final, self.state
        assert not self.executor, "a finished run left something running or unreaped"
        assert not self.reserved, "a finished run holds a reservation"
        self.admin.check_over()
