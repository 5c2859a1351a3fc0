"""One attempt in this very process: what it leaves, whatever goes wrong."""

from __future__ import annotations

import os
import sys

import pytest
from local_attempts import bundle, number

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.runtime import entrypoint
from flyte_jupyter.kernel.runtime.entrypoint import UsageError, parse

SOURCE = """
from flyte_jupyter import Deck, RecoverableError, current_context

def do_ok(inputs):
    Deck("Report", "<p>fine</p>")

def do_fails_with_deck(inputs):
    Deck("Report", "<p>so far</p>")
    raise ValueError("no")

def do_fails_speechless(inputs):
    import os, sys
    sys.stdout = open(os.devnull, "w")
    sys.stdout.close()
    raise ValueError("no")

def _forked(end):
    import os, warnings
    with warnings.catch_warnings(action="ignore"):
        child = os.fork()
    if not child:
        return end()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == {"returns": 0, "exits": 3, "raises": 1}[end.__name__]

def do_forks(inputs):
    import sys
    def returns(): return inputs
    def exits(): sys.exit(3)
    def raises(): raise ValueError("in the child")
    for end in (returns, exits, raises):
        if _forked(end) is not None:
            return inputs

def do_passing(inputs):
    raise RecoverableError("try again")

def do_where(inputs):
    c = current_context()
    assert (c.mode, c.execution, c.node, c.attempt) == ("task", "r9", "n4", 2), c
    assert (c.checkpoint, c.previous_checkpoint) == ("file:///c", ""), c
    assert c.raw_output_prefix == "file:///raw"
"""


class Run:
    def __init__(self, folder, monkeypatch):
        self.folder = folder
        monkeypatch.setenv("FLYTE_JUPYTER_BUNDLES", str(folder / "cache"))
        monkeypatch.delitem(sys.modules, "steps", raising=False)
        self.uri = bundle(folder, SOURCE)
        self.inputs = folder / "inputs.pb"
        self.inputs.write_bytes(core.LiteralMap(literals={"x": number(3)}).SerializeToString())

    def __call__(self, name, **changed):
        given = {
            "inputs": f"file://{self.inputs}", "output-prefix": f"file://{self.folder}/out", "bundle": self.uri,
            "entity": f"steps:{name}", "checkpoint-path": "file:///c", "prev-checkpoint": '""',
            "raw-output-data-prefix": "file:///raw",
        } | changed  # fmt: skip
        return entrypoint.run([word for k, v in given.items() for word in (f"--{k}", v)])

    def left(self):
        out = self.folder / "out"
        return {p.name for p in out.iterdir()} if out.exists() else set()

    def outputs(self):
        return core.LiteralMap.FromString((self.folder / "out" / "outputs.pb").read_bytes())

    def error(self):
        return core.ErrorDocument.FromString((self.folder / "out" / "error.pb").read_bytes()).error


@pytest.fixture
def run(tmp_path, monkeypatch):
    before = list(sys.path)
    yield Run(tmp_path, monkeypatch)
    sys.path[:] = before
    sys.modules.pop("steps", None)


def test_outputs_and_a_deck(run):
    assert run("ok") == 0
    assert run.left() == {"outputs.pb", "deck.html"}
    assert "<p>fine</p>" in (run.folder / "out" / "deck.html").read_text()


def test_a_failing_task_leaves_its_deck_too(run, capfd):
    assert run("fails_with_deck") == 0
    assert run.left() == {"error.pb", "deck.html"}
    assert run.error().kind == core.ContainerError.NON_RECOVERABLE
    assert run.error().origin == core.ExecutionError.USER
    assert "ValueError: no" in capfd.readouterr().err


def test_a_failure_is_in_the_log_of_a_task_that_has_closed_its_output(run, capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert run("fails_speechless") == 0
    assert "ValueError: no" in capfd.readouterr().err


def test_a_process_that_a_task_forks_leaves_nothing_in_the_attempts_name(run, capfd):
    assert run("forks") == 0
    assert run.left() == {"outputs.pb"}
    assert run.outputs().literals.keys() == {"x"}
    assert "ValueError: in the child" in capfd.readouterr().err


def test_a_recoverable_error_may_be_retried(run):
    assert run("passing") == 0
    assert run.error().kind == core.ContainerError.RECOVERABLE
    assert run.error().message.startswith("RecoverableError: try again")


def test_a_task_knows_where_it_runs(run, monkeypatch):
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_ID", "r9")
    monkeypatch.setenv("FLYTE_INTERNAL_NODE_ID", "n4")
    monkeypatch.setenv("FLYTE_ATTEMPT_NUMBER", "2")
    assert run("where") == 0
    assert run.left() == {"outputs.pb"}


@pytest.mark.parametrize(
    ("changed", "code", "system"),
    [
        ({"inputs": "file:///nowhere/inputs.pb"}, "InputsUnreadable", True),
        ({"bundle": "file:///nowhere/bundle.tar.gz"}, "BundleUnavailable", True),
        ({"entity": "steps:nothing"}, "BundleRefused", False),
        ({"entity": "nothing:ok"}, "ModuleNotFoundError", False),
    ],
)
def test_what_is_missing_is_named(run, changed, code, system):
    assert run("ok", **changed) == 0
    assert run.left() == {"error.pb"}
    assert run.error().code == code
    assert (run.error().origin == core.ExecutionError.SYSTEM) is system


def test_damaged_inputs_are_named(run):
    run.inputs.write_bytes(b"\xff\xff\xff")
    assert run("ok") == 0
    assert run.error().code == "InputsDamaged"


def test_outputs_that_cannot_be_written_are_named(run):
    (run.folder / "out").mkdir()
    os.mkdir(run.folder / "out" / "outputs.pb")
    assert run("ok") == 0
    assert run.error().code == "OutputsNotWritten"
    assert run.error().origin == core.ExecutionError.SYSTEM


def test_a_full_device_is_named(run):
    """Every write to the device behind /dev/full fails for want of space."""
    (run.folder / "out").mkdir()
    part = run.folder / "out" / f".outputs.pb.{os.getpid()}.part"
    part.symlink_to("/dev/full")
    assert run("ok") == 0
    assert run.error().code == "NoSpace"
    assert run.error().kind == core.ContainerError.RECOVERABLE


def test_when_not_even_the_error_can_be_written_the_status_says_so(run, capfd):
    assert run("ok", **{"output-prefix": "/proc/nowhere"}) == 1
    assert "could not be written" in capfd.readouterr().err


def test_the_command_line():
    words = [
        "--inputs=i",
        "--output-prefix",
        "o",
        "--bundle",
        "b",
        "--entity",
        "m:t",
        "--prev-checkpoint",
        '""',
    ]
    found = parse(words)
    assert (found.inputs, found.output_prefix, found.previous_checkpoint) == ("i", "o", "")
    for bad in (words[1:], [*words, "--what", "x"], [*words, "--checkpoint-path"]):
        with pytest.raises(UsageError):
            parse(bad)
    assert entrypoint.run(["--nonsense"]) == 2
