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
    # budgets, back-off, time
    Mutation("a user's retry too many", "policy", "if used >= budget:", "if used > budget:"),
    Mutation("the system's failures charge the user", "policy", "tries.attempt + 1 - spoiled", "tries.attempt + 1"),
    Mutation("a permanent failure is retried", "policy", "if not failure.retryable:", "if failure.retryable and False:"),
    Mutation("system failures are forgotten", "policy", "Tries(tries.attempt + 1, spoiled, failure", "Tries(tries.attempt + 1, 0, failure"),
    Mutation("the attempt number is used again", "policy", "Tries(tries.attempt + 1, spoiled, failure", "Tries(tries.attempt, spoiled, failure"),
    Mutation("a retry forgets when the node was queued", "policy", "failure, tries.since, tries.cache)", "failure, None, tries.cache)"),
    Mutation("a retry forgets what the catalog said", "policy", "failure, tries.since, tries.cache)", "failure, tries.since)"),
    Mutation("no budget is called exhausted", "policy", "if budget <= 1:", "if budget <= 0:"),
    Mutation("what is exhausted inside is permanent outside", "policy", "failure.blame, retryable=failure.retryable", "failure.blame"),
    Mutation("the user's back-off is the system's", "policy", "node.system_backoff if by_system else node.backoff", "node.backoff"),
    Mutation("a back-off never doubles", "policy", "2 ** min(failures - 1, 16)", "1"),
    Mutation("a back-off has no end", "policy", "return min(doubled, LONGEST_BACK_OFF)", "return doubled"),
    Mutation("a timeout blames the system", "policy", "        Blame.USER,\n        retryable=True,", "        Blame.SYSTEM,\n        retryable=True,"),
    Mutation("a gap gives nothing back", "policy", "deadline=state.deadline + _given(gap, state.since, now))\n    if isinstance(state, Ready", "deadline=state.deadline)\n    if isinstance(state, Ready"),
    Mutation("a gap gives back more than was run", "policy", "return min(max(gap, _NOTHING), max(now - since, _NOTHING))", "return max(gap, _NOTHING)"),
    Mutation("a gap does not extend a node's limit", "policy", "return replace(state, tries=replace(state.tries, since=since))", "return state"),
    Mutation("a gap does not extend a map's limit", "policy", "return replace(state, since=state.since + _given(gap, state.since, now))", "return state"),
    Mutation("a gate is more patient than it should be", "policy", "return min(limits, default=None)", "return max(limits, default=None)"),
    Mutation("the later of two deadlines counts", "policy", "else min(whole, state.deadline)", "else max(whole, state.deadline)"),
    Mutation("a graph has no time limit", "policy", "Launching | Queued | Running | Nested):\n        since = state.tries.since", "Launching | Queued | Running):\n        since = state.tries.since"),
    Mutation("a map's failure is the system's", "policy", "Blame.SYSTEM if spoiled else Blame.USER", "Blame.SYSTEM"),
    # attempts and the catalog
    Mutation("durations go negative", "attempts", "return max(at.now, state.since)", "return at.now"),
    Mutation("the cache is asked even when overwritten", "attempts", "if at.overwrite_cache:", "if False:"),
    Mutation("a broken catalog is a miss", "attempts", "CacheOutcome.LOOKUP_FAILURE if seen.broken else CacheOutcome.MISS", "CacheOutcome.MISS"),
    Mutation("a reservation is asked about without pause", "attempts", "until = max(seen.until, at.now + _ASK_AGAIN)", "until = seen.until"),
    Mutation("waiting news makes the attempt younger", "attempts", "since = state.since if isinstance(state, Queued) else _later(at, state)", "since = at.now"),
    Mutation("a success is not reaped", "attempts", "return Next(done, (Reap(at.path, attempt),))", "return Next(done)"),
    Mutation("what left a graph is not reaped", "attempts", "actions: tuple[Action, ...] = (Reap(at.path, state.tries.attempt),)", "actions: tuple[Action, ...] = ()"),
    Mutation("a node in back-off has no digest", "attempts", "replace(after, digest=state.digest)", "after"),
    Mutation("a lost attempt is not killed", "attempts", "policy.lost(at.node, attempt)), (Kill(at.path, attempt),)", "policy.lost(at.node, attempt)), ()"),
    Mutation("a late attempt is believed", "transitions", "isinstance(state, IN_FLIGHT) and state.tries.attempt == attempt", "isinstance(state, IN_FLIGHT)"),
    Mutation("a stranger is left running", "transitions", "return (Kill(seen.path, seen.attempt),)", "return ()"),
    Mutation("a stranger's end is never reaped", "transitions", "return (Reap(seen.path, seen.attempt),)", "return ()"),
    Mutation("an abort leaves a launching attempt", "transitions", "if isinstance(state, IN_FLIGHT):\n        return state.tries.attempt, (Kill(path, state.tries.attempt),)", "if isinstance(state, IN_FLIGHT):\n        return state.tries.attempt, ()"),
    Mutation("an abort in back-off counts the attempt to come", "transitions", "max(state.tries.attempt - 1, 0), ()", "state.tries.attempt, ()"),
    # counters, slots, indexes
    Mutation("one slot too many", "draft", "self._active < self.summary.max_parallelism", "self._active <= self.summary.max_parallelism"),
    Mutation("the end node takes a slot", "draft", "if node.kind in LEAVES:\n            self._active", "if True:\n            self._active"),
    Mutation("an old entry stays in an index", "draft", "        index = index.discard(old)\n", "        pass\n"),
    Mutation("a deadline is never looked up", "draft", "        if old.deadline != new.deadline:\n", "        if False:\n"),
    Mutation("a reservation is never given back", "draft", "self.actions.append(Release(path, digest))", "pass"),
    Mutation("a reservation is given back between attempts", "draft", "        if now in ENDED:\n            self._end(", "        if now in ENDED or was is Queued:\n            self._end("),
    Mutation("an abort while asking keeps a reservation", "draft", "if isinstance(old, Probing | Reserved) or", "if isinstance(old, Reserved) or"),
    Mutation("a hit gives back what nobody has", "draft", "if isinstance(new, Succeeded) and (new.cached or new.recovered):", "if False:"),
    Mutation("a nested node's end is not counted", "draft", "        if isinstance(path[-1], str):\n            scope = path[:-1]", "        if len(path) == 1:\n            scope = path[:-1]"),
    Mutation("a child execution can be lost", "index", "losable = path if node.kind is NodeKind.TASK else None", "losable = path"),
    Mutation("a map never queues", "index", "isinstance(state, Mapped) and state.turn >= 0", "isinstance(state, Mapped) and state.turn > 9"),
    Mutation("rows forget a time limit", "index", "if of not in (MARKED if node.node_timeout is None else TIMED):", "if of not in MARKED:"),
    # turns
    Mutation("a retry jumps the queue", "turns", "elif draft.has_slot and not draft.ready:", "elif draft.has_slot:"),
    Mutation("a retry begins anew", "turns", "    if tries.attempt:\n", "    if tries.attempt and digest:\n"),
    Mutation("a reserved node computes without asking", "turns", "_go(draft, path, attempts.probe(at(draft, path), digest, tries.since))", "_go(draft, path, attempts.launch(at(draft, path), tries, digest))"),
    Mutation("a back-off ends late", "turns", "head[0] <= draft.now:", "head[0] < draft.now:"),
    Mutation("a reserved node forgets since when", "turns", "enable(draft, path, Tries(since=state.since), state.digest)", "enable(draft, path, Tries(), state.digest)"),
    Mutation("children that are released together take no slots", "draft", "self._active += len(paths) * (type(new) in HOLDING)", "pass"),
    Mutation("children that wait together all have one turn", "draft", "for turn, path in enumerate(paths, first):", "for turn, path in enumerate(paths, 0):"),
    Mutation("a child with two parents is released with the others", "nesting", "and len(nodes[n].upstream) == 1]", "]"),
    Mutation("children that are released together jump the queue", "turns", "count = 0 if draft.ready else", "count ="),
    Mutation("a composite waits for a slot", "turns", "elif kind not in LEAVES:", "elif kind not in LEAVES and kind is not NodeKind.WORKFLOW:"),
    # graphs inside nodes
    Mutation("a child goes on one parent early", "nesting", "if waiting_on > 1:", "if waiting_on > 2:"),
    Mutation("an untouched child is blocked by nothing", "nesting", "waiting_on = len(graph.nodes[name].upstream)", "waiting_on = 1"),
    Mutation("fail-fast keeps the last failure", "nesting", "if fate.failure is None or not fast or fate.handling:", "if True:"),
    Mutation("finish-runnable keeps the first failure", "nesting", "if fate.failure is None or not fast or fate.handling:", "if fate.failure is None or fate.handling:"),
    Mutation("a failure node's error is not told", "nesting", "if fate.failure is None or not fast or fate.handling:", "if fate.failure is None or not fast:"),
    Mutation("a failing graph inside stops the whole run", "nesting", "stopping.stop_scope(draft, scope, policy.AUTO_ABORT)", "stopping.stop_all(draft, policy.AUTO_ABORT)"),
    Mutation("a failure node runs twice", "nesting", "and not (fate.handling or aborting):", "and not aborting:"),
    Mutation("an abort starts the failure node", "nesting", "and not (fate.handling or aborting):", "and not fate.handling:"),
    Mutation("an aborted run ends failed", "nesting", "    if draft.summary.phase is RunPhase.ABORTING:\n        phase", "    if draft.summary.phase is RunPhase.ABORTED:\n        phase"),
    Mutation("a dynamic task is not tried again", "nesting", "elif node.kind is NodeKind.TASK:\n        draft.put", "elif node.kind is NodeKind.GATE:\n        draft.put"),
    Mutation("both arms of a branch run", "nesting", "            draft.put((*scope, name), SKIPPED)\n    turns", "            turns.enable(draft, (*scope, name))\n    turns"),
    Mutation("an unknown arm hangs the branch", "nesting", "(inside.arm and inside.arm not in graph.nodes)", "(inside.arm and inside.arm in graph.nodes and False)"),
    Mutation("the graph's outputs are lost", "nesting", "names = [END] if END in graph.nodes else graph.nodes", "names: list[str] = []"),
    Mutation("skipping stops after one node", "settle", "elif isinstance(state, Skipped):\n        nesting.skip(draft, path)", "elif isinstance(state, Skipped):\n        pass"),
    Mutation("a stopped graph goes on", "settle", "if draft.open_in(scope):", "if True:"),
    Mutation("a graph ends before all ends are heard", "settle", "        if draft.ended:\n            _conclude(draft, draft.ended.popleft())\n        elif draft.emptied:", "        if draft.ended and not draft.emptied:\n            _conclude(draft, draft.ended.popleft())\n        elif draft.emptied:"),
    Mutation("a dead graph's news counts", "settle", "    if not draft.alive(scope):\n        return\n", ""),
    # stopping
    Mutation("what is inside outlives its node", "stopping", "if isinstance(state, Nested):\n        stop_scope", "if False:\n        stop_scope"),
    Mutation("items outlive their map", "stopping", "elif isinstance(state, Mapped):\n        stop_items", "elif False:\n        stop_items"),
    Mutation("a stop leaves the failure node", "stopping", "    if graph.failure_node is not None:\n", "    if graph.failure_node is None and False:\n"),
    Mutation("what waits for its first slot outlives its graph", "stopping", "draft.leave_queue(queue, Aborted(cause))", "pass"),
    Mutation("who has left the queue still stands in it", "draft", "self.ready = self.ready.without(", "(lambda _: None)("),
    Mutation("a retry that waits is taken for a new node", "stopping", "and not (state.digest or state.tries.attempt):", "and True:"),
    Mutation("a stop ends too few items", "stopping", "    left = state.active\n", "    left = state.active - 1\n"),
    Mutation("a node that timed out is tried again", "stopping", "Failed(why, attempt, timed_out=True)", "Failed(why, attempt)"),
    # array nodes
    Mutation("a map runs too many items", "arrays", "return min(left, array.concurrency - state.active)", "return min(left, array.concurrency)"),
    Mutation("a map starves its neighbours", "arrays", "    if draft.ready.single:\n", "    if True:\n"),
    Mutation("a map keeps its turn", "arrays", "replace(state, began=state.began + count, turn=-1)", "replace(state, began=state.began + count)"),
    Mutation("a failed item counts as a success", "arrays", "failed=around.failed + (not done)", "failed=around.failed"),
    Mutation("a map fails too late", "arrays", "if around.size - around.failed < node.array.least(around.size):", "if around.size - around.failed + 1 < node.array.least(around.size):"),
    Mutation("a map gathers before its end", "arrays", "elif around.succeeded + around.failed == around.size:", "elif around.succeeded >= node.array.least(around.size):"),
    Mutation("a failed map leaves items running", "arrays", "        stopping.stop_items(draft, owner, around, policy.AUTO_ABORT)\n", ""),
    Mutation("a ratio is rounded down", "plan", "int(exact) if exact == int(exact) else int(exact) + 1", "int(exact)"),
    Mutation("an empty map waits for its items", "composites", "    if not seen.size:\n", "    if seen.size < 0:\n"),
    # gates and answers
    Mutation("a gate is not opened to people", "composites", "ask: tuple[Action, ...] = (OpenGate(at.path),)", "ask: tuple[Action, ...] = ()"),
    Mutation("a recovered node does not say whose", "composites", "Succeeded(seen.outputs, recovered=seen.source)", "Succeeded(seen.outputs)"),
    Mutation("an answer of the wrong kind is swallowed", "composites", "if at.node.kind is not NodeKind.BRANCH:\n        return misplaced(at, state, seen)", "if at.node.kind is not NodeKind.BRANCH:\n        return Next(state)"),
    # the door
    Mutation("a listing condemns too early", "step", "if state.since < seen.as_of and", "if state.since <= seen.as_of and"),
    Mutation("a listing is not believed", "step", "not in seen.attempts:\n", "in seen.attempts:\n"),
    Mutation("a run begins twice", "step", "if draft.summary.phase is not RunPhase.QUEUED:\n        return", "pass"),
    Mutation("a final run goes on", "step", "        case _ if draft.summary.phase.final:\n", "        case _ if draft.summary.phase.final and not isinstance(seen, AboutNode):\n"),
    Mutation("an ended run is aborted", "step", "        case _ if draft.summary.phase.final:\n", "        case _ if draft.summary.phase.final and isinstance(seen, AboutNode):\n"),
    Mutation("a deadline is judged before its gap", "step", "    if seen.gap:\n", "    if seen.gap and not draft.deadlines.first:\n"),
    Mutation("nobody is woken for a deadline", "step", "if ticked or before is None or wake < before:", "if ticked:"),
    Mutation("every gate hears every signal", "step", "if signal == seen.signal]", "]"),
    Mutation("giving up runs the failure node", "step", 'failed_node="", handling=True', 'failed_node=""'),
    Mutation("a recovered graph is a stranger's", "step", "recovered = isinstance(seen, Expanded) and isinstance(state, Resolving)", "recovered = False"),
    Mutation("a sleep that is over times out", "step", "if isinstance(state, Waiting) and state.until is not None and state.until <= draft.now:", "if False:"),
    # what clients are told
    Mutation("an attempt's end is told after its node's", "node_events", "        return begins, [*attempts, *ends]\n    begins += attempts\n", "        return begins, [*ends, *attempts]\n    ends += attempts\n"),
    Mutation("a retried node goes back to queued", "node_events", "return _GOING if tries.attempt else () if waiting else (NODE.QUEUED,)", "return () if waiting else (NODE.QUEUED,)"),
    Mutation("a node is queued again after a reservation", "node_events", "waiting = isinstance(state, Ready) and not state.digest", "waiting = isinstance(state, Ready)"),
    Mutation("what is inside is told after the end", "report", "        yield from begins\n        around.append((path, ends))", "        yield from begins\n        yield from ends"),
    Mutation("clients hear of an item as a parent", "node_events", "while owner is not None and isinstance(owner[-1], int):", "while owner is None:"),
    Mutation("a dynamic graph has no version", "node_events", 'f"dynamic_{place.node.id}", inside.plan', 'f"dynamic_{place.node.id}", ""'),
    Mutation("a timed out node has failed", "node_events", "return NODE.TIMED_OUT if state.timed_out else NODE.FAILED", "return NODE.FAILED"),
    Mutation("every item is told of each time", "item_events", "    if now != told:\n", "    if True:\n"),
    Mutation("an item's attempt that failed at once is not told of", "item_events", "if (attempt, TASK.RETRYABLE_FAILED) != told:", "if False:"),
    Mutation("an item's attempts are not counted", "wording", "return state.tries.attempt - 1, TASK.RETRYABLE_FAILED", "return state.tries.attempt, TASK.RETRYABLE_FAILED"),
    Mutation("a short attempt took no time", "place", "return self.change.now - timedelta(seconds=self.after.ran)", "return self.change.now"),
    Mutation("a cache hit has a task execution", "attempt_events", "return None if after.cached or after.recovered else after.attempt", "return after.attempt"),
    Mutation("what an attempt waits for is told again and again", "attempt_events", '        and after.reason in ("", before.reason)\n', "        and False\n"),
    # what stays
    Mutation("a shared bucket is written into", "persistent", "shelf[low] = shelf[low].copy()", "pass"),
    Mutation("another version is read as this one", "codec", "if version != VERSION:", "if version > VERSION + 1:"),
]  # fmt: skip
