"""Slots, sizes and command lines: the pure half of the local executor."""

from __future__ import annotations

import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_attempts import ROOMY, Bench, attempt_id

from flyte_jupyter.engine.adapters.local import command
from flyte_jupyter.engine.adapters.local.resources import (
    BadQuantity,
    Capacity,
    Wants,
    amount,
    devices,
    machine,
    refusal,
    wants_of,
)
from flyte_jupyter.engine.adapters.local.slots import Grant, Slots
from flyte_jupyter.idl import core, literals

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("500m", 0.5),
        ("1.5Gi", 1.5 * GIB),
        ("1e3", 1000),
        ("100M", 1e8),
        (".5", 0.5),
        ("1E", 1e18),
    ],
)
def test_quantities_read_as_in_kubernetes(text, value):
    assert amount(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "two", "1 Gi", "-1", "1Gb", "1e999", "1ee3"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(BadQuantity):
        amount(text)


def template(requests=(), limits=()):
    names = core.Resources
    entries = {"cpu": names.CPU, "mem": names.MEMORY, "gpu": names.GPU}

    def listed(given):
        return [names.ResourceEntry(name=entries[k], value=v) for k, v in given]

    return core.TaskTemplate(
        container=core.Container(resources=names(requests=listed(requests), limits=listed(limits)))
    )


def test_a_task_that_asks_for_nothing_gets_one_cpu():
    assert wants_of(template()) == Wants(cpu=1000, memory=0, gpu=0)


def test_requests_win_over_limits():
    found = wants_of(template([("cpu", "500m")], [("cpu", "4"), ("mem", "1Gi"), ("gpu", "1")]))
    assert found == Wants(cpu=500, memory=GIB, gpu=1)


@pytest.mark.parametrize(
    ("wants", "words"),
    [
        (Wants(cpu=8001), "at most 4"),
        (Wants(memory=9 * GIB), "at most 8192Mi"),
        (Wants(gpu=1), "1 GPUs and this machine has 0"),
    ],
)
def test_what_is_larger_than_the_machine_is_refused_with_the_remedy(wants, words):
    assert words in refusal(wants, Capacity(cpu=4, memory=8 * GIB))


def test_what_is_as_large_as_the_machine_is_not():
    assert refusal(Wants(4000, 8 * GIB, 1), Capacity(4, 8 * GIB, 1)) is None


def test_this_machine_has_something():
    assert machine({}).cpu >= 1
    assert machine({}).memory > 2**20
    assert devices({"CUDA_VISIBLE_DEVICES": "3, 5"}) == ("3", "5")
    assert devices({"CUDA_VISIBLE_DEVICES": ""}) == ()


def laid_out(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


GROUPS = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "cpu", "memory"),
    [
        ({}, 64, None),
        ({f"{GROUPS}/cpu.max": "200000 100000\n", f"{GROUPS}/memory.max": "1048576\n"}, 2, 2**20),
        (
            {
                "proc/self/cgroup": "0::/pods/one\n",
                f"{GROUPS}/cpu.max": "max 100000\n",
                f"{GROUPS}/pods/cpu.max": "150000 100000\n",
                f"{GROUPS}/pods/one/cpu.max": "max 100000\n",
                f"{GROUPS}/pods/memory.max": "max\n",
                f"{GROUPS}/pods/one/memory.max": "2097152\n",
            },
            1.5,
            2**21,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/\n",
                f"{GROUPS}/cpu,cpuacct/cpu.cfs_quota_us": "700000\n",
                f"{GROUPS}/cpu,cpuacct/cpu.cfs_period_us": "300000\n",
                f"{GROUPS}/memory/docker/1/memory.limit_in_bytes": "1048576\n",
            },
            2.333,
            2**20,
        ),
        (
            {
                f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1\n",
                f"{GROUPS}/cpu/cpu.cfs_period_us": "100000\n",
                f"{GROUPS}/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            64,
            None,
        ),
        ({f"{GROUPS}/cpu.max": "20000 100000\n"}, 1, None),
    ],
)
def test_a_machine_is_as_large_as_its_control_groups_allow(
    tmp_path, monkeypatch, files, cpu, memory
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = machine({}, laid_out(tmp_path, files))
    assert (found.cpu, found.memory) == (cpu, memory or pages)


def names(granted):
    return [attempt.path[0] for attempt, _ in granted]


def test_first_come_first_served():
    slots = Slots(Capacity(2, GIB))
    for name in "abc":
        slots.ask(attempt_id(name), Wants())
    assert names(slots.grant()) == ["a", "b"]
    slots.release(attempt_id("a"))
    assert names(slots.grant()) == ["c"]


def test_a_large_one_is_not_starved_by_small_ones():
    slots = Slots(Capacity(4, GIB))
    slots.ask(attempt_id("s0"), Wants())
    assert names(slots.grant()) == ["s0"]
    slots.ask(attempt_id("large"), Wants(cpu=4000))
    slots.ask(attempt_id("s1"), Wants())
    assert names(slots.grant()) == []
    slots.release(attempt_id("s0"))
    assert names(slots.grant()) == ["large"]


def test_one_that_waits_for_a_gpu_holds_up_nobody_else():
    slots = Slots(Capacity(4, GIB, 1))
    slots.ask(attempt_id("g0"), Wants(gpu=1))
    slots.ask(attempt_id("g1"), Wants(gpu=1))
    slots.ask(attempt_id("c"), Wants())
    assert names(slots.grant()) == ["g0", "c"]


def test_devices_are_exclusive():
    slots = Slots(Capacity(4, GIB, 2), ["5", "7"])
    slots.ask(attempt_id("a"), Wants(gpu=1))
    slots.ask(attempt_id("b"), Wants(gpu=1))
    assert [g.devices for _, g in slots.grant()] == [("5",), ("7",)]
    slots.release(attempt_id("a"))
    slots.ask(attempt_id("c"), Wants(gpu=1))
    assert [g.devices for _, g in slots.grant()] == [("5",)]


def test_adopted_ones_count():
    slots = Slots(Capacity(1, GIB))
    slots.adopt(attempt_id("old"), Grant(Wants()))
    slots.ask(attempt_id("new"), Wants())
    assert names(slots.grant()) == []
    slots.release(attempt_id("old"))
    assert names(slots.grant()) == ["new"]


def test_the_head_of_the_queue_is_sent_ahead_and_called_back_to_its_place():
    slots = Slots(Capacity(1, GIB))
    for name in "abcdef":
        slots.ask(attempt_id(name), Wants())
    assert names(slots.grant()) == ["a"]
    assert [a.path[0] for a in slots.behind(2)] == ["b", "c"]
    for name in "bcd":
        slots.send_ahead(attempt_id(name))
    assert list(slots.behind(2)) == []
    slots.hand_over(attempt_id("a"), attempt_id("b"))
    assert [a.path[0] for a in slots.behind(3)] == ["e"]
    slots.call_back([attempt_id("c"), attempt_id("b"), attempt_id("e"), attempt_id("unknown")])
    assert [a.path[0] for a in slots.behind(9)] == ["c", "e", "f"]
    slots.release(attempt_id("c"))
    slots.release(attempt_id("b"))
    assert names(slots.grant()) == ["d"]


sizes = st.builds(
    Wants, cpu=st.integers(0, 4000), memory=st.integers(0, GIB), gpu=st.integers(0, 2)
)


@settings(deadline=None)
@given(st.lists(sizes, max_size=30), st.randoms(use_true_random=False))
def test_everybody_runs_and_the_machine_is_never_overbooked(wants, order):
    slots = Slots(Capacity(4, GIB, 2))
    for at, one in enumerate(wants):
        slots.ask(attempt_id(str(at)), one)
    running, done = {}, set()
    while len(done) < len(wants):
        for attempt, grant in slots.grant():
            running[attempt] = grant
        assert running, "nobody can move"
        assert sum(g.wants.cpu for g in running.values()) <= 4000
        assert sum(g.wants.memory for g in running.values()) <= GIB
        held = [d for g in running.values() for d in g.devices]
        assert len(held) == len(set(held)) == sum(g.wants.gpu for g in running.values())
        ended = order.choice(sorted(running))
        slots.release(ended)
        del running[ended]
        done.add(ended)


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("{{.input}}", "file://"),
        ("{{ $Input }}", "file://"),
        ("{{.prevCheckpointPrefix}}", '""'),
        ("{{.checkpointOutputPrefix}}", "/_flytecheckpoints"),
        ("{{.namespace}}", "p-d"),
        ("{{.perRetryUniqueKey}}", "key"),
        ("{{.inputs.X}}", "7"),
        ("{{.inputs.list}}", "[a,true]"),
        ("{{.unheardOf}}", "{{.unheardOf}}"),
        ("--to={{.outputPrefix}}/x", "--to=file://"),
    ],
)
def test_templates_are_filled_as_flyte_fills_them(tmp_path, written, filled):
    def literal(**given):
        return core.Literal(scalar=core.Scalar(primitive=core.Primitive(**given)))

    items = [literal(string_value="a"), literal(boolean=True)]
    inputs = {
        "x": literal(integer=7),
        "list": core.Literal(collection=core.LiteralCollection(literals=items)),
    }
    spec = Bench(tmp_path, capacity=ROOMY).command([written])
    (word,) = command.argv_of(spec, "key", core.LiteralMap(literals=inputs))
    assert filled in word


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("$(MINE)/$(MODE)", "task/run"),
        ("node $(FLYTE_INTERNAL_NODE_ID)", "node n7"),
        ("$$(MODE) $$5 $$$(MODE)", "$(MODE) $5 $run"),
        ("$(date) $(PATH) $MODE $(MODE", "$(date) $(PATH) $MODE $(MODE"),
        ("{{.inputs.x}}", "$(MODE) $$ $"),
    ],
)
def test_variables_in_a_command_that_is_not_pythons_are_expanded_as_kubernetes_does(
    tmp_path, written, expanded
):
    spec = Bench(tmp_path).command(["tool", written], attempt_id("n7"), env={"MODE": "run"})
    spec.template.container.env.add(key="MODE", value="task's")
    spec.template.container.env.add(key="MINE", value="task")
    inputs = core.LiteralMap(literals={"x": literals.literal("$(MODE) $$ $")})
    assert command.argv_of(spec, "key", inputs) == ["tool", expanded]


def test_the_environment_of_an_attempt(tmp_path):
    spec = Bench(tmp_path).command(
        ["x"], attempt_id("n7", 3), env={"MINE": "1", "CUDA_VISIBLE_DEVICES": "9"}
    )
    ambient = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "SECRET": "s"}
    found = command.environment_of(
        spec, Grant(Wants(cpu=2500, gpu=1), ("4",)), ambient, {"OWN": "o"}
    )
    expected = {
        "PATH": "/bin", "LC_ALL": "C.UTF-8", "MINE": "1", "OWN": "o", "FLYTE_INTERNAL_EXECUTION_ID": "r1",
        "FLYTE_INTERNAL_NODE_ID": "n7", "FLYTE_ATTEMPT_NUMBER": "3", "FLYTE_INTERNAL_TASK_NAME": "steps.task",
        "CUDA_VISIBLE_DEVICES": "4", "OMP_NUM_THREADS": "2",
    }  # fmt: skip
    assert found.items() >= expected.items()
    assert "SECRET" not in found


@pytest.mark.parametrize("wants", [Wants(), Wants(cpu=0), Wants(gpu=1), Wants(cpu=1, memory=GIB)])
def test_an_event_costs_the_same_however_many_wait(wants):
    """A look at everybody who waits would show in the memory that it takes."""

    def most_bytes(waiting):
        slots = Slots(Capacity(2, GIB, 1))
        for at in range(waiting):
            slots.ask(attempt_id(str(at)), wants)
        running = [attempt for attempt, _ in slots.grant()]
        tracemalloc.start()
        for _ in range(200):
            slots.release(running.pop(0))
            running += [attempt for attempt, _ in slots.grant()]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert most_bytes(20_000) < most_bytes(1_000) + 50_000
