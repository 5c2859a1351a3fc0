"""The single-threaded parent that attempts are forked from.

``python -m flyte_jupyter.kernel.runtime.zygote --socket PATH --records DIR`` puts itself into the background once it listens. Rules of
this file: no thread, ever; nothing that waits but the one selector; whatever is learnt of an attempt's end is on disk before
anybody is told.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from flyte_jupyter.kernel.environment import fingerprint
from flyte_jupyter.kernel.runtime import births, frames, isolation, pyflyte, warming
from flyte_jupyter.kernel.runtime.bell import Bell
from flyte_jupyter.kernel.runtime.births import (
    InChild,
    Process,
    kill_group,
    next_ended,
    next_stopped,
)
from flyte_jupyter.kernel.runtime.idling import LONGEST_SECONDS, Idle
from flyte_jupyter.kernel.runtime.job import Environments, Job
from flyte_jupyter.kernel.runtime.peers import Peer, Peers, bound
from flyte_jupyter.kernel.runtime.polling import Selector
from flyte_jupyter.kernel.runtime.records import Attempts, Ended, Record, Records, is_key
from flyte_jupyter.kernel.runtime.spares import Spares
from flyte_jupyter.kernel.runtime.sweeping import Sweep
from flyte_jupyter.kernel.runtime.trials import Trials
from flyte_jupyter.kernel.runtime.waiting import Waiting
from flyte_jupyter.kernel.runtime.watch import Watch

PROTOCOL = 1
_CAN = {"waits": True, "hands": True, "holds": True, "secrets": True}


@dataclass(slots=True)
class Zygote:
    """The loop. `linger`: how many seconds it stays without a connection and without an attempt."""

    listener: socket.socket
    records: Records
    linger: float
    selector: selectors.BaseSelector = field(default_factory=Selector)
    peers: Peers = field(init=False)
    sweep: Sweep = field(init=False)
    spares: Spares = field(init=False)
    processes: dict[int, Process] = field(default_factory=dict)
    attempts: Attempts = field(init=False)
    environment: str = field(default_factory=fingerprint)
    trials: Trials = field(init=False)
    watch: Watch = field(default_factory=Watch)
    waiting: Waiting = field(default_factory=Waiting)
    idle: Idle = field(default_factory=Idle)
    environments: Environments = field(default_factory=Environments)
    preloads: isolation.Preloads = field(default_factory=isolation.Preloads)
    bell: Bell = field(default_factory=Bell)
    _since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.records)
        self.peers = Peers(self.selector, self._answer, self.waiting.drop)
        self.sweep = Sweep(self.records.folder)
        self.spares = Spares(self._fork, self._watch)
        tell, preloads = self.peers.tell_all, self.preloads
        self.trials = Trials(self.selector, self._fork, self._next_life, tell, preloads)

    def live(self, path: Path) -> int:
        """A whole life; `path` is where the listener stands. Raises as `serve` does."""
        births.share()
        self.serve()
        path.unlink(missing_ok=True)
        return 0

    def serve(self) -> None:
        """Until there is nothing to stay for. Raises `InChild` in every child it forks."""
        self.bell.hang(self.selector)
        self.peers.listen(self.listener)
        while True:
            now = time.monotonic()
            busy = bool(self.peers.all) or any(p.key for p in self.processes.values())
            if busy:
                self._since = now
            elif now >= self._since + self.linger:
                return
            due_at = self._next_at(None if busy else self._since + self.linger)
            for key, events in self.selector.select(
                None if due_at is None else max(0.0, due_at - now)
            ):
                key.data(events)
            if self.bell.heard():
                self._reap_children()
            self.records.flush()
            if due_at is not None and due_at <= time.monotonic():
                self._do_due()
            self.spares.refill()

    def _next_at(self, soonest: float | None) -> float | None:
        for part in (self.peers, self.watch, self.idle, self.sweep):
            at = part.next_at
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        return soonest

    def _do_due(self) -> None:
        self.peers.send_due()
        self._judge()
        self.idle.end_due()
        self.sweep.if_due(self.processes)

    # -- connections --

    def _answer(self, peer: Peer, message: frames.Message) -> None:
        op, key = message.get("op"), message.get("key")
        if op == "hello":
            # Another control plane, after one that may only stand still: it would go by what is no longer so.
            self.peers.replace(by=peer)
            self.waiting.keep_only(peer)
            self.environments = Environments()
            peer.send(self._hello())
        elif op == "ping":
            peer.send({"op": "pong"})
        elif peer.replaced:
            return
        elif op == "env":
            with suppress(KeyError, TypeError, ValueError):  # who launches with it is refused
                self.environments.keep(message)
        elif not is_key(key):
            self._refuse(peer, key, "BadKey", f"bad key {key!r}")
        elif op == "launch":
            self._launch(peer, message)
        elif op == "reap":
            self.attempts.forget(str(key))
            self.waiting.take(str(key))
        else:
            self._order(peer, str(key), message)

    def _order(self, peer: Peer, key: str, message: frames.Message) -> None:
        match message.get("op"):
            case "begin":
                if waited := self.waiting.take(key):
                    self._begin(*waited)
                elif not self.attempts.get(key):
                    self._refuse(peer, key, "BadLaunch", "it is not here")
            case "queue":
                self.waiting.queue(key)
            case "warm":
                failed = self.trials.begin(message)
                if failed:
                    peer.send(failed)
            case "kill":
                self._kill(key)

    def _hello(self) -> frames.Message:
        return {
            "op": "hello",
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "identity": isolation.identity(os.getpid()),
            "python": sys.version.split()[0],
            "environment": self.environment,
            **_CAN,
            "attempts": self.attempts.wire(),
        }

    def _kill(self, key: str) -> None:
        record = self.attempts.get(key)
        if record and record.exit is None:
            if record.pid in self.processes:
                # It may have done with this one: it must not be given another.
                self.processes[record.pid].retired = True
            kill_group(record.pid)
        if self.waiting.take(key):
            never = Record(key, 0, "", time.time())
            never.end(Ended(None, signal.SIGKILL))
            self.peers.tell_all(never.farewell())
        self.trials.stop(key)

    # -- launching --

    def _launch(self, peer: Peer, message: frames.Message) -> None:
        key: str = message["key"]
        known = self.attempts.get(key)
        if known:
            peer.send({"op": "started", "key": key, "pid": known.pid, "mode": "known"})
            if known.exit:
                peer.send(known.farewell())
            return
        try:
            job = Job.read(message, self.environments)
        except (KeyError, TypeError, ValueError) as e:
            self._refuse(peer, key, "BadLaunch", str(e))
            return
        if not self.waiting.admits(peer, job):
            self._begin(peer, job)

    def _begin(self, peer: Peer, job: Job) -> None:
        try:
            process, mode = self._process_for(job)
        except ModuleNotFoundError as e:
            self._refuse(peer, job.key, "FlytekitMissing", str(e))
        except (OSError, MemoryError) as e:
            why = getattr(e, "strerror", None) or "no memory is left"
            self._refuse(peer, job.key, "NoProcess", f"no process could be started: {why}")
        else:
            self._begun(peer, job, process, mode)

    def _refuse(self, peer: Peer, key: object, code: str, message: str) -> None:
        peer.send({"op": "refused", "key": key, "code": code, "message": message})

    def _begun(self, peer: Peer, job: Job, process: Process, mode: str) -> None:
        process.key = job.key
        process.identity = process.identity or isolation.identity(process.pid)
        self.attempts.begin(job.key, process.pid, process.identity)
        if mode != "reused":
            self.records.flush()
        self.watch.begin(process.pid, job.memory, job.patience)
        peer.post(f'{{"op":"started","key":"{job.key}","pid":{process.pid},"mode":"{mode}"}}')

    def _process_for(self, job: Job) -> tuple[Process, str]:
        why = pyflyte.missing() if job.flytekits else ""
        if why:
            raise ModuleNotFoundError(why)
        if job.chooses and self.preloads:
            job = replace(job, anew=True)
        elif job.preload and self.preloads.have(job.preload):
            self.spares.drop()
        if job.shares:
            idle = self.idle.take(job)
            if idle or not isolation.fork_hazard():
                process = idle or self._watch(births.new_worker(job, self._fork))
                self._give(process, job)
                return process, "reused" if idle else "fork"
        spare = self.spares.take(job)
        if spare:
            return spare, "fork"
        process, mode = births.new_attempt(job, self._fork)
        process.capture.aim(job.log, job.limit)
        return self._watch(process), mode

    def _give(self, process: Process, job: Job) -> None:
        process.give(job)
        if process.channel and process.channel.waiting:
            self._want_write(process)

    def _meet(self, process: Process, events: int) -> None:
        assert process.channel is not None
        if events & selectors.EVENT_WRITE:
            process.channel.flush()
            self._want_write(process)
        if events & selectors.EVENT_READ:
            self._hear(process)

    def _want_write(self, process: Process) -> None:
        """A large environment goes to a worker in parts."""
        assert process.channel is not None
        with suppress(KeyError):
            process.channel.want_write(self.selector)

    def _watch(self, process: Process) -> Process:
        self.processes[process.pid] = process
        read, register = selectors.EVENT_READ, self.selector.register
        register(process.capture.reader, read, lambda _: self._pump(process))
        if process.channel:
            register(process.channel.socket, read, partial(self._meet, process))
        return process

    def _pump(self, process: Process) -> None:
        if process.pid in self.processes and not process.capture.pump():
            # Every writer is closed, which would be told again and again; the process may go on.
            self.selector.unregister(process.capture.reader)

    def _fork(self, run: Callable[[], int]) -> int:
        pid = os.fork()
        if pid:
            return pid
        self._abandon()
        raise InChild(run)

    def _abandon(self) -> None:
        """In the child: let go of the parent's things, so that no object closes a number that means something else by then."""
        self.selector.close()
        self.peers.abandon()
        for process in self.processes.values():
            for peer in (process.channel, process.door):
                if peer:
                    peer.socket.close()

    def _next_life(self, order: warming.Order) -> int:
        """In the fork, once it is warm: a zygote of its own, with nothing of this one but what is imported."""
        listener, records = bound(order.socket), Records(order.folder / "records")
        warming.tell_ready()
        idle, environment = Idle(self.idle.seconds), self.environment
        child = Zygote(listener, records, self.linger, environment=environment, idle=idle)
        return child.live(order.socket)

    # -- ends --

    def _hear(self, process: Process) -> None:
        """A worker speaks: its attempt is over. When it says nothing more, its own end tells the rest."""
        assert process.channel is not None
        try:
            for message in process.channel.receive():
                process.retired = process.retired or bool(message["retire"])
                self._end(process, Ended.heard(message))
        except (OSError, frames.BadFrame, KeyError, TypeError, ValueError) as e:
            process.retired = True
            with suppress(KeyError):
                self.selector.unregister(process.channel.socket)
            # After nonsense nobody would hear of its attempt's end; a process that is over has a number that may be another's.
            if not isinstance(e, OSError) and process.pid in self.processes:
                kill_group(process.pid)
            return

    def _judge(self) -> None:
        """Kill whoever holds too much memory, or was stopped and forgotten."""
        for verdict in self.watch.verdicts():
            process = self.processes[verdict.pid]
            process.verdict, process.retired = verdict, True
            kill_group(verdict.pid)

    def _reap_children(self) -> None:
        while (moved := next_stopped()) is not None:
            self.watch.stopped(moved[0], still=moved[1])
        while (found := next_ended()) is not None:
            pid, ended = found
            process = self.processes.pop(pid, None)
            self.sweep.soon()
            self.watch.gone(pid)
            self.trials.ended(pid)
            if process is None:
                continue
            self.spares.gone(process)
            self.idle.gone(pid)
            if process.channel:
                # An answer that was sent just before the end counts; nobody else is served.
                process.retired = True
                self._hear(process)
                with suppress(KeyError):
                    self.selector.unregister(process.channel.socket)
                process.channel.socket.close()
            if process.key:
                self._end(process, ended)
            with suppress(KeyError):
                self.selector.unregister(process.capture.reader)
            process.capture.close()

    def _end(self, process: Process, ended: Ended) -> None:
        process.capture.settle()
        self.watch.end(process.pid)
        key, process.key = process.key, ""
        record = self.attempts.end(key, self.watch.explained(process.pid, ended, process.verdict))
        if record is None:
            return
        idle = process.idle
        following = self.waiting.next_for(process.serves) if idle else None
        if following is None:
            if idle:
                self.idle.add(process)
            self.peers.tell_all(record.farewell())
            return
        # Its slot goes to who has waited; nobody else waits for this news, so it may have company.
        sender, job = following
        self.peers.post_all(record.farewell(job.key))
        self._give(process, job)
        self._begun(sender, job, process, "reused")


def main(words: Sequence[str]) -> NoReturn:
    """Listen, go into the background, serve. Leaves by `os._exit`."""
    options = dict(zip(words[::2], words[1::2], strict=True))
    path = Path(options["--socket"])
    listener = bound(path)
    if os.fork():
        os._exit(0)
    os.setsid()
    isolation.gather_orphans()
    records, linger = Records(Path(options["--records"])), float(options.get("--linger", "600"))
    idle = Idle(float(options.get("--idle", LONGEST_SECONDS)))
    status = 1
    try:
        status = births.lead(lambda: Zygote(listener, records, linger, idle=idle).live(path))
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
