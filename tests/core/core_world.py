"""A world that keeps the shell's promises and no more: late, doubled, reordered news, lost attempts, crashes between doing and noting."""

from __future__ import annotations

import random
from datetime import timedelta

from core_admin import Admin
from core_plans import NOON, SECOND

from flyte_jupyter.engine.core import actions as a
from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core.index import rebuild
from flyte_jupyter.engine.core.plan import START, NodeKind, Plan, Plans
from flyte_jupyter.engine.core.report import ReportContext, report
from flyte_jupyter.engine.core.state import (
    HOLDS_SLOT,
    IN_FLIGHT,
    TERMINAL,
    Aborted,
    BackingOff,
    Blame,
    Blocked,
    Failure,
    Ready,
    RunPhase,
    Skipped,
    Succeeded,
)
from flyte_jupyter.engine.core.step import initial, step
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import Path, RunId

OUTCOMES = [
    None, None, None, None,
    Failure("Bug", "user", Blame.USER),
    Failure("Flaky", "user", Blame.USER, retryable=True),
    Failure("Flaky", "user", Blame.USER, retryable=True),
    Failure("Machine", "system", Blame.SYSTEM, retryable=True),
]  # fmt: skip


class World:
    def __init__(self, plan: Plan, seed: int, *, max_parallelism: int = 0, overwrite: bool = False):
        self.random = random.Random(seed)
        self.plan = plan
        self.state = initial(plan, max_parallelism=max_parallelism, overwrite_cache=overwrite)
        self.now = NOON
        self.inbox: list[o.Observation] = [o.Started()]
        self.owed: list[a.Action] = []
        self.executor: dict[tuple[Path, int], str] = {}
        self.launched: set[tuple[Path, int]] = set()
        self.admin = Admin()
        self.context = ReportContext(
            RunId("p", "d", "x"),
            "file:///b",
            Plans(plan),
            lambda _, node: core.Identifier(name=node),
        )
        self.calm = False

    # -- the machine --

    def hear(self, seen: o.Observation) -> None:
        before, kept = self.state, dict(self.state.nodes)
        done = step(self.plan, before, seen, self.now)
        assert step(self.plan, before, seen, self.now) == done, "the same again gives the same"
        assert dict(before.nodes) == kept, "the state before is as it was"
        self.state = done.state
        assert done.changed == {p for p in kept if done.state.nodes[p] != kept[p]}
        if not (isinstance(seen, o.Tick) and seen.gap):
            again = step(self.plan, self.state, seen, self.now)
            assert again.state is self.state
            assert not again.changed
            assert all(isinstance(x, a.Kill | a.Reap | a.WakeAt) for x in again.actions)
            assert not isinstance(seen, o.AboutNode) or all(
                not isinstance(x, a.Kill) or isinstance(seen, o.AttemptAccepted | o.AttemptStarted)
                for x in again.actions
            )
        for told in report(self.context, before, self.state, done.changed, self.now):
            self.admin.hear(told)
        for action in done.actions:
            if isinstance(action, a.Launch):
                assert (action.path, action.attempt) not in self.launched, "launched twice"
                self.launched.add((action.path, action.attempt))
            if isinstance(action, a.Kill):
                # As the outbox does: a launch that has not gone out yet never will.
                self.owed = [x for x in self.owed if x != a.Launch(action.path, action.attempt)]
            self.owed.append(action)
        self.check(kept, done.changed)

    def check(self, before, changed) -> None:
        nodes, summary = self.state.nodes, self.state.summary
        remade = rebuild(self.plan, summary, dict(nodes))
        assert remade == self.state
        assert remade.index == self.state.index
        tasks = {p: s for p, s in nodes.items() if self.plan.nodes[p[0]].kind is NodeKind.TASK}
        assert summary.open == sum(not isinstance(s, TERMINAL) for s in nodes.values())
        assert summary.active == sum(isinstance(s, HOLDS_SLOT) for s in tasks.values())
        if summary.max_parallelism:
            assert summary.active <= summary.max_parallelism
            if any(isinstance(s, Ready) for s in tasks.values()):
                assert summary.active == summary.max_parallelism, "a free slot and a node waiting"
        else:
            assert not any(isinstance(s, Ready) for s in tasks.values())
        assert not any(isinstance(before[p], TERMINAL) for p in changed), "terminal is for ever"
        assert summary.phase.final == (summary.open == 0)
        for path, state in nodes.items():
            node = self.plan.nodes[path[0]]
            missing = sum(not isinstance(nodes[u,], Succeeded) for u in node.upstream)
            if isinstance(state, Blocked):
                assert state.waiting_on == missing
            elif not isinstance(state, Skipped | Aborted):
                assert not missing, f"{path} went on before its upstream"
            if isinstance(state, (Ready, BackingOff, *IN_FLIGHT)):
                assert state.tries.attempt - state.tries.system_failures <= node.retries
                assert state.tries.system_failures <= node.system_retries
        if summary.phase is RunPhase.SUCCEEDED:
            assert all(isinstance(s, Succeeded) for s in nodes.values())
        assert (summary.phase is RunPhase.FAILED) <= (summary.failure is not None)
        assert (summary.phase is RunPhase.ABORTED) <= bool(summary.abort)

    # -- the world --

    def say(self, seen: o.Observation) -> None:
        self.inbox.append(seen)

    def deliver(self) -> None:
        at = 0 if self.calm else self.random.randrange(len(self.inbox))
        seen = self.inbox[at]
        if self.calm or self.random.random() < 0.8:
            del self.inbox[at]
        self.hear(seen)

    def act(self) -> None:
        paths = list(dict.fromkeys(getattr(x, "path", None) for x in self.owed))
        path = paths[0] if self.calm else self.random.choice(paths)
        action = next(x for x in self.owed if getattr(x, "path", None) == path)
        self.do(action)
        # Sometimes it crashes after doing and before noting: it is done again later, or a part of it is forgotten.
        if self.calm or self.random.random() < 0.8:
            self.owed.remove(action)

    def do(self, action: a.Action) -> None:
        chaos = 0 if self.calm else self.random.random()
        match action:
            case a.ResolveInputs(path):
                bad = chaos > 0.97
                self.say(
                    o.InputsUnresolvable(path, Failure("Binding", "no", Blame.SYSTEM))
                    if bad
                    else o.InputsReady(
                        path, f"digest of {path}", "end" if path[0] == "end-node" else ""
                    )
                )
            case a.Probe(path):
                hit = self.random.random() < 0.3
                self.say(
                    o.CacheHit(path, "cached", "p/d/y/n0/0")
                    if hit
                    else o.CacheMiss(path, broken=chaos > 0.8)
                )
            case a.Launch(path, attempt):
                if chaos > 0.95 and (path, attempt) not in self.executor:
                    self.say(o.AttemptRejected(path, attempt, Failure("No", "never")))
                else:
                    self.executor.setdefault((path, attempt), "queued")
                    self.say(o.AttemptAccepted(path, attempt))
            case a.Collect(path, attempt):
                outcome = self.random.choice(OUTCOMES)
                self.say(
                    o.AttemptFailed(path, attempt, outcome)
                    if outcome
                    else o.AttemptSucceeded(path, attempt, f"outputs of {path}")
                )
            case a.Kill(path, attempt) | a.Reap(path, attempt):
                self.executor.pop((path, attempt), None)

    def progress(self) -> None:
        key = self.random.choice(list(self.executor))
        heard = self.calm or self.random.random() < 0.8
        if self.executor[key] == "queued":
            self.executor[key] = "running"
            if heard:
                self.say(o.AttemptStarted(*key))
        elif self.executor[key] == "running":
            self.executor[key] = "ended"
            if heard:
                self.say(o.AttemptEnded(*key, o.Exit(0)))

    def look(self) -> None:
        """A listing as of now; it may be heard much later."""
        self.say(o.Live(frozenset(self.executor), self.now))
        for key, phase in self.executor.items():
            if phase == "running":
                self.say(o.AttemptStarted(*key))
            elif phase == "ended":
                self.say(o.AttemptEnded(*key, o.Exit(0)))

    def vanish(self) -> None:
        del self.executor[self.random.choice(list(self.executor))]

    def haunt(self) -> None:
        """An old launch is sent once more, as after a crash: a real API server creates anew what was deleted."""
        key = self.random.choice(sorted(self.launched))
        self.executor.setdefault(key, "queued")
        self.say(o.AttemptAccepted(*key))

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
        elif dice < 0.70 and self.owed:
            self.act()
        elif dice < 0.85 and self.executor:
            self.progress()
        elif dice < 0.89:
            self.look()
        elif dice < 0.92 and self.executor:
            self.vanish()
        elif dice < 0.95:
            self.time()
        elif dice < 0.97 and self.launched:
            self.haunt()

    def settle(self) -> None:
        """No more faults: everything must come to its end, and leave nothing."""
        self.calm = True
        for _ in range(3000):
            if self.state.summary.phase.final and not (self.inbox or self.owed or self.executor):
                break
            if self.inbox:
                self.deliver()
            elif self.owed:
                self.act()
            elif any(phase != "ended" for phase in self.executor.values()):
                self.progress()
            else:
                self.now += 10 * SECOND
                self.hear(o.Tick())
                self.look()
        assert self.state.summary.phase.final, self.state
        assert not self.executor, "a finished run left something running or unreaped"
        assert isinstance(self.state.nodes[START,], Succeeded | Aborted)
        self.admin.check_over()
