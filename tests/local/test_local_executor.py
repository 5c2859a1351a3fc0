"""Attempts of code bundles and of plain commands, through the executor's port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from functools import partial

import pytest
from local_attempts import alive, attempt_id, bench, children, seen

from flyte_jupyter.engine.adapters.local.logs import log_path
from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.ports import Accepted, Rejected
from flyte_jupyter.idl.ids import AttemptId, RunId

ECHO = """
import os, sys

def do_echo(inputs):
    print("out", flush=True)
    print("err", file=sys.stderr)
    print(os.environ["FLYTE_INTERNAL_EXECUTION_ID"], os.environ["FLYTE_INTERNAL_NODE_ID"], os.getcwd())

def do_fail(inputs):
    raise ValueError("no good")

def do_pid(inputs):
    print("pid", os.getpid())

def do_secret(inputs):
    print(sorted(os.environ))
"""


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_task_reads_its_inputs_and_leaves_its_outputs(tmp_path, reuse):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(ECHO, "echo", reuse=reuse)
            how = await b.run(spec)
            assert (how.code, how.signal, how.why) == (0, None, None)
            assert b.outputs(spec).literals["x"].scalar.primitive.integer == 3
            log = await b.log(spec)
            assert "out\n" in log
            assert "err\n" in log
            assert "r1 n0 " in log

    asyncio.run(main())


def test_a_task_that_raises_leaves_an_error_with_its_traceback(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(ECHO, "fail")
            assert (await b.run(spec)).code == 0
            error = b.error(spec)
            assert error.message.splitlines()[0] == "ValueError: no good"
            assert error.code == "ValueError"
            assert 'raise ValueError("no good")' in error.message
            assert b.outputs(spec) is None
            assert "ValueError: no good" in await b.log(spec)

    asyncio.run(main())


def test_a_reused_worker_serves_the_next_attempt(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            pids = set()
            for at in range(4):
                spec = b.task(ECHO, "pid", attempt_id(f"n{at}"), reuse="true")
                assert (await b.run(spec)).code == 0
                assert b.outputs(spec) is not None
                pids.add(await b.log(spec))
            assert len(pids) == 1

    asyncio.run(main())


SELF = """
    import os, random

    def do_self(inputs):
        left = os.environ.get("LEFT", "-")
        os.environ["LEFT"] = "behind"
        print(random.random(), os.environ.get("MINE", "-"), left, os.getcwd(), os.getpid())
"""


def test_processes_that_are_made_ahead_are_as_fresh_as_others(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            said = []
            for at in range(6):
                spec = b.task(SELF, "self", attempt_id(f"n{at}"))
                spec = replace(spec, env={**spec.env, "MINE": f"{at}"})
                assert (await b.run(spec)).code == 0
                said.append((await b.log(spec)).split())
            numbers, mine, left, places, pids = zip(*said, strict=True)
            assert len(set(numbers)) == len(set(places)) == len(set(pids)) == 6
            assert mine == tuple("012345")
            assert set(left) == {"-"}

    asyncio.run(main())


def test_processes_that_were_made_ahead_go_with_their_parent(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            assert (await b.run(b.task(SELF, "self"))).code == 0

            async def waiting():
                return [child for pid in b.zygote_pids() for child in children(pid)]

            pids = await seen(waiting)
            for pid in b.zygote_pids():
                os.kill(pid, signal.SIGKILL)

            async def gone():
                return not any(alive(pid) for pid in pids)

            assert await seen(gone)

    asyncio.run(main())


def test_without_reuse_every_attempt_has_its_own_process(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            pids = set()
            for at in range(4):
                spec = b.task(ECHO, "pid", attempt_id(f"n{at}"))
                await b.run(spec)
                pids.add(await b.log(spec))
            assert len(pids) == 4

    asyncio.run(main())


def test_a_plain_command_runs_with_its_templates_filled(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            words = ["/bin/sh", "-c", 'echo "$0 $1 $2"; echo $FLYTE_ATTEMPT_NUMBER; exit 7']
            spec = b.command(
                [*words, "{{.inputs.x}}", "{{ .OutputPrefix }}", "{{$prevCheckpointPrefix}}"]
            )
            assert (await b.run(spec)).code == 7
            assert await b.log(spec) == f'3 {spec.output_prefix} ""\n0\n'

    asyncio.run(main())


def test_a_plain_command_has_its_variables_filled_in_its_program_too(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.command(["$(TOOL)", "$(TOOL) $(HOME)"], env={"TOOL": "echo"})
            assert (await b.run(spec)).code == 0
            assert await b.log(spec) == "echo $(HOME)\n"

    asyncio.run(main())


def test_a_command_that_names_an_input_which_is_not_there_fails_by_its_name(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.command(["/bin/echo", "{{.inputs.y}}"])
            why = (await b.run(spec)).why
            assert (why.code, why.blame, why.retryable) == ("BadTaskSpecification", "user", False)
            assert "no input 'y': its inputs are x." in why.message

    asyncio.run(main())


def test_a_secret_of_the_control_plane_does_not_reach_a_task(tmp_path):
    async def main():
        environ = {
            "PATH": "/usr/bin:/bin",
            "AWS_SECRET_ACCESS_KEY": "s",
            "FLYTE_JUPYTER_TOKEN": "t",
        }
        async with bench(tmp_path, environ=environ) as b:
            spec = b.task(ECHO, "secret")
            await b.run(spec)
            log = await b.log(spec)
            assert "PATH" in log
            assert "AWS" not in log
            assert "TOKEN" not in log

    asyncio.run(main())


def test_what_can_never_run_is_rejected_by_name(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            cases = {
                "InterpreterMissing": b.task(ECHO, "echo", interpreter="/nowhere/python"),
                "CommandNotFound": b.command(["/nowhere/tool"]),
                "UnsupportedTask": b.command([]),
            }
            for code, spec in cases.items():
                answer = await b.executor.launch(spec)
                assert isinstance(answer, Rejected), code
                assert answer.why.code == code
            assert (
                "/nowhere/python"
                in (await b.executor.launch(cases["InterpreterMissing"])).why.message
            )
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_an_interpreter_without_this_package_is_a_failure_with_its_words(tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 'No module named flyte_jupyter' >&2\nexit 1\n")
    other.chmod(0o755)

    async def main():
        async with bench(tmp_path) as b:
            how = await b.run(b.task(ECHO, "echo", interpreter=str(other)))
            assert how.why.code == "InterpreterUnusable"
            assert "No module named flyte_jupyter" in how.why.message

    asyncio.run(main())


def test_a_changed_environment_is_said_at_the_head_of_the_log(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(ECHO, "echo", environment="of-another-day")
            await b.run(spec)
            first = (await b.log(spec)).splitlines()[0]
            assert "have changed since this task was registered" in first
            log = log_path(tmp_path / "logs", spec.id)
            assert log.stat().st_mode & 0o077 == 0
            assert log.parent.stat().st_mode & 0o077 == 0
            assert (tmp_path / "logs").stat().st_mode & 0o077 == 0
            assert b.outputs(spec) is not None

    asyncio.run(main())


async def grown(b, spec, offset):
    part = await b.executor.read_log(spec.id, offset, 2)
    return part if part.data else None


def test_a_log_is_read_in_slices_while_it_grows(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            fifo = tmp_path / "go"
            spec = b.command(
                ["/bin/sh", "-c", f"mkfifo {fifo}; printf abc; read x < {fifo}; printf def"]
            )
            assert isinstance(await b.executor.launch(spec), Accepted)
            got = b""
            while got != b"abc":
                part = await seen(partial(grown, b, spec, len(got)))
                assert not part.complete
                got += part.data
            await asyncio.to_thread(fifo.write_text, "go\n")
            await b.ended(spec.id)
            part = await b.executor.read_log(spec.id, 3, 100)
            assert (part.data, part.complete) == (b"def", True)

    asyncio.run(main())


@pytest.mark.parametrize(
    "name", ["..", ".", "a/../../b", "x" * 300, "\x00", "~", "/etc/passwd", "é"]
)
def test_a_log_stands_below_its_folder_whatever_the_names_are(tmp_path, name):
    path = log_path(tmp_path, AttemptId(RunId(name, name, name), (name,), 0))
    assert path.resolve().relative_to(tmp_path.resolve())
    assert len(path.relative_to(tmp_path).parts) == 5
    assert max(len(part) for part in path.parts) < 200


def test_names_that_look_alike_have_logs_of_their_own(tmp_path):
    names = ["a/b", "a_b", "a.b", "A/b", "a b"]
    paths = {log_path(tmp_path, attempt_id(name)) for name in names}
    assert len(paths) == len(names)


def test_system_failures_are_retryable_and_the_systems(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.command([sys.executable, "-c", "import os; os.kill(os.getppid(), 9)"])
            how = await b.run(spec)
            assert how.why.code == "WorkerLost"
            assert how.why.blame is Blame.SYSTEM
            assert how.why.retryable

    asyncio.run(main())


AUTHORED = """
from flyte_jupyter import task

@task
def double(x: int) -> int:
    return 2 * x

@task
def wrong(x: int) -> str:
    return x
"""


def test_a_task_of_the_authors_library(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(AUTHORED, "double")
            await b.run(spec)
            assert b.outputs(spec).literals["o0"].scalar.primitive.integer == 6
            spec = b.task(AUTHORED, "wrong", attempt_id("n1"))
            await b.run(spec)
            first = b.error(spec).message.splitlines()[0]
            assert "str" in first
            assert "int" in first

    asyncio.run(main())


def test_a_machine_that_cannot_give_a_folder_says_so(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.command(["true"])
            attempts = tmp_path / "local" / "attempts"
            attempts.rmdir()
            attempts.touch()
            await b.executor.launch(spec)
            why = (await b.ended(spec.id)).why
            assert (why.code, why.blame, why.retryable) == ("LaunchFailed", Blame.SYSTEM, True)
            attempts.unlink()
            assert (await b.run(b.command(["true"], attempt_id(attempt=1)))).code == 0

    asyncio.run(main())
