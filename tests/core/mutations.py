"""Deliberate bugs in the machine. Each must be caught by the core's own tests (``test_core_mutations.py``)."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """Replace `old`, which occurs exactly once in `module`, by `new`."""

    name: str
    module: str
    old: str
    new: str


MUTATIONS = [
    Mutation("a user's retry too many", "policy", "if used >= budget:", "if used > budget:"),
    Mutation("the system's failures charge the user", "policy", "tries.attempt + 1 - spoiled", "tries.attempt + 1"),
    Mutation("a permanent failure is retried", "policy", "if not failure.retryable:", "if failure.retryable and False:"),
    Mutation("system failures are forgotten", "policy", "Tries(tries.attempt + 1, spoiled, failure)", "Tries(tries.attempt + 1, 0, failure)"),
    Mutation("the attempt number is used again", "policy", "Tries(tries.attempt + 1, spoiled, failure)", "Tries(tries.attempt, spoiled, failure)"),
    Mutation("no budget is called exhausted", "policy", "if budget <= 1:", "if budget <= 0:"),
    Mutation("a timeout blames the system", "policy", "        Blame.USER,\n", "        Blame.SYSTEM,\n"),
    Mutation("a gap gives nothing back", "policy", "return running.deadline + given", "return running.deadline"),
    Mutation("a gap gives back more than was run", "policy", "min(max(gap, timedelta(0)), max(now - running.since, timedelta(0)))", "max(gap, timedelta(0))"),
    Mutation("durations go negative", "transitions", "return max(at.now, state.since)", "return at.now"),
    Mutation("the cache is asked even when overwritten", "transitions", "if at.node.cache is not None and not at.overwrite_cache:", "if at.node.cache is not None:"),
    Mutation("nothing is remembered", "transitions", "if at.node.cache is not None:\n        actions", "if at.node.cache is None:\n        actions"),
    Mutation("a success is not reaped", "transitions", "actions: tuple[Action, ...] = (Reap(at.path, attempt),)", "actions: tuple[Action, ...] = ()"),
    Mutation("a late attempt is believed", "transitions", "isinstance(state, IN_FLIGHT) and state.tries.attempt == attempt", "isinstance(state, IN_FLIGHT)"),
    Mutation("a stranger is left running", "transitions", "return (Kill(seen.path, seen.attempt),)", "return ()"),
    Mutation("a stranger's end is never reaped", "transitions", "return (Reap(seen.path, seen.attempt),)", "return ()"),
    Mutation("a node in back-off has no digest", "transitions", "replace(after, digest=state.digest)", "after"),
    Mutation("an abort leaves a launching attempt", "transitions", "if isinstance(state, IN_FLIGHT):\n        return state.tries.attempt, (Kill(path, state.tries.attempt),)", "if isinstance(state, IN_FLIGHT):\n        return state.tries.attempt, ()"),
    Mutation("an abort in back-off counts the attempt to come", "transitions", "max(state.tries.attempt - 1, 0), ()", "state.tries.attempt, ()"),
    Mutation("a lost attempt is not killed", "transitions", "policy.lost(at.node, attempt)), (Kill(at.path, attempt),)", "policy.lost(at.node, attempt)), ()"),
    Mutation("one slot too many", "draft", "self._active < self.summary.max_parallelism", "self._active <= self.summary.max_parallelism"),
    Mutation("the end node takes a slot", "draft", "if node is not None and node.kind is NodeKind.TASK:", "if node is not None:"),
    Mutation("an old deadline stays in the index", "draft", "self.deadlines = self.deadlines.discard((old.deadline, path))", "pass"),
    Mutation("terminal nodes are counted again", "draft", "if isinstance(new, TERMINAL) and not isinstance(old, TERMINAL):", "if isinstance(new, TERMINAL | Ready):"),
    Mutation("a retry jumps the queue", "settle", "elif draft.has_slot and not draft.ready:", "elif draft.has_slot:"),
    Mutation("a child goes on one parent early", "settle", "if state.waiting_on > 1:", "if state.waiting_on > 2:"),
    Mutation("a retry begins anew", "settle", "if digest or tries.attempt:", "if digest:"),
    Mutation("a back-off ends late", "settle", "head[0] <= draft.now:", "head[0] < draft.now:"),
    Mutation("fail-fast keeps the last failure", "settle", "if summary.failure is None or not fast:", "if True:"),
    Mutation("skipping stops after one node", "settle", "elif isinstance(state, Skipped):\n        _skip(draft, path)", "elif isinstance(state, Skipped):\n        pass"),
    Mutation("an aborted run ends failed", "settle", "if draft.summary.phase is RunPhase.ABORTING:", "if draft.summary.phase is RunPhase.ABORTED:"),
    Mutation("a listing condemns too early", "step", "if state.since < seen.as_of and", "if state.since <= seen.as_of and"),
    Mutation("a listing is not believed", "step", "not in seen.attempts:\n", "in seen.attempts:\n"),
    Mutation("a run begins twice", "step", "if draft.summary.phase is not RunPhase.QUEUED:\n        return", "pass"),
    Mutation("a final run goes on", "step", "        case _ if draft.summary.phase.final:\n", "        case _ if draft.summary.phase.final and not isinstance(seen, AboutNode):\n"),
    Mutation("an ended run is aborted", "step", "        case _ if draft.summary.phase.final:\n", "        case _ if draft.summary.phase.final and isinstance(seen, AboutNode):\n"),
    Mutation("a deadline is judged before its gap", "step", "    if seen.gap:\n", "    if seen.gap and not draft.deadlines.first:\n"),
    Mutation("nobody is woken for a deadline", "step", "if ticked or before is None or wake < before:", "if ticked:"),
    Mutation("an attempt's end is told after its node's", "report", "        yield from attempts\n        yield from (self._node(phase, after) for phase in phases if phase not in _GOING)", "        yield from (self._node(phase, after) for phase in phases if phase not in _GOING)\n        yield from attempts"),
    Mutation("a retried node goes back to queued", "report", "started = state.tries.attempt > 0", "started = False"),
    Mutation("a short attempt took no time", "report", "return self.now - timedelta(seconds=after.ran)", "return self.now"),
    Mutation("a cache hit has a task execution", "report", "return None if after.cached else after.attempt", "return after.attempt"),
    Mutation("a shared bucket is written into", "persistent", "shelf[low] = shelf[low].copy()", "pass"),
    Mutation("another version is read as this one", "codec", "if version != VERSION:", "if version > VERSION + 1:"),
]  # fmt: skip
