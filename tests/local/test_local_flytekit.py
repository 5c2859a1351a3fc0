"""Tasks that flytekit wrote, run by flytekit's own entry points in processes of this machine."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from flytekit_attempts import archive, execute, fast, map_execute
from local_attempts import attempt_id, bench, number

from flyte_jupyter.engine.adapters.local.logs import log_path
from flyte_jupyter.engine.ports import Rejected
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

STEPS = """
import os, sys, tempfile
from flytekit import task, current_context
from flytekit.exceptions.user import FlyteRecoverableException

@task
def double(x: int) -> int:
    print("parent", os.getppid(), "in", os.getcwd(), "temporary", tempfile.gettempdir())
    return 2 * x

@task
def wrong(x: int) -> int:
    raise ValueError("no good")

@task
def again(x: int) -> int:
    raise FlyteRecoverableException("another time")

@task
def crash(x: int) -> int:
    os._exit(9)

@task
def call(x: int) -> int:
    import grpc
    from concurrent import futures

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request * 2)

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary("/a/b")(b"x" * x, timeout=30)
    server.stop(0).wait()
    return len(answer)
"""


def flytekits(b, words, attempt=None, config=None, env=None):
    """An attempt of one of flytekit's commands; flytekit gives its tasks this variable."""
    image = core.KeyValuePair(key="FLYTE_INTERNAL_IMAGE", value="an:image")
    return b.spec(core.Container(args=words, env=[image]), attempt, config=config, env=env)


def x_of(literals):
    (literal,) = literals.literals.values()
    return literal.scalar.primitive.integer


def exists(place: str) -> bool:
    return Path(place).exists()


def give(spec, values) -> None:
    """Let the attempt's input be this list."""
    items = core.LiteralCollection(literals=[number(value) for value in values])
    many = core.LiteralMap(literals={"x": core.Literal(collection=items)})
    Path(spec.inputs.removeprefix("file://")).write_bytes(many.SerializeToString())


def said(log: str, word: str) -> str:
    words = log.split()
    return words[words.index(word) + 1]


def test_uploaded_code_runs_below_a_parent_that_has_flytekit(tmp_path):
    code = archive(tmp_path / "code" / "fast.tar.gz", "fk_steps", STEPS)

    async def main():
        async with bench(tmp_path) as b:
            parents = set()
            for at in range(2):
                words = fast(execute("fk_steps", "double"), code)
                spec = flytekits(b, words, attempt_id(f"n{at}"))
                assert (await b.run(spec)).code == 0
                assert x_of(b.outputs(spec)) == 6
                log = await b.log(spec)
                parents.add(int(said(log, "parent")))
                # The image's folder is somebody's on this machine.
                assert said(log, "in").startswith(str(tmp_path / "local" / "attempts"))
                assert not exists(said(log, "temporary"))
            warm = [z.hello.pid for z in b.executor._zygotes._live.values() if z.kind.generation]
            assert list(parents) == warm

    asyncio.run(main())


@pytest.mark.parametrize("apart", [False, True], ids=["forked", "started anew"])
def test_code_of_the_image_runs(tmp_path, apart):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "fk_image.py").write_text(STEPS)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "image")}
    env = {"FLYTE_JUPYTER_NO_FORK": "1"} if apart else {}

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            spec = flytekits(b, execute("fk_image", "double"), env=env)
            assert (await b.run(spec)).code == 0
            assert x_of(b.outputs(spec)) == 6

    asyncio.run(main())


def test_an_item_of_a_map_task_takes_its_own_input(tmp_path):
    code = archive(tmp_path / "code" / "fast.tar.gz", "fk_steps", STEPS)

    async def main():
        async with bench(tmp_path) as b:
            for at in (0, 2):
                env = {
                    "FLYTE_K8S_ARRAY_INDEX": str(at),
                    "BATCH_JOB_ARRAY_INDEX_VAR_NAME": "FLYTE_K8S_ARRAY_INDEX",
                }
                words = fast(map_execute("fk_steps", "double"), code)
                item = AttemptId(RunId("p", "d", "r1"), ("n0", at), 0)
                spec = flytekits(b, words, item, env=env)
                give(spec, [5, 6, 7])
                await b.run(spec)
                assert b.error(spec) is None, b.error(spec)
                assert x_of(b.outputs(spec)) == 2 * (5 + at)

    asyncio.run(main())


def test_errors_are_left_as_flytekit_leaves_them(tmp_path):
    code = archive(tmp_path / "code" / "fast.tar.gz", "fk_steps", STEPS)
    kinds = core.ContainerError

    async def main():
        async with bench(tmp_path) as b:
            found = {}
            for name in ("wrong", "again", "absent"):
                words = fast(execute("fk_steps", name), code)
                spec = flytekits(b, words, attempt_id(name))
                assert (await b.run(spec)).code == 0
                found[name] = b.error(spec)
                assert b.outputs(spec) is None
            assert "no good" in found["wrong"].message
            assert found["wrong"].kind == kinds.NON_RECOVERABLE
            assert found["again"].kind == kinds.RECOVERABLE
            assert "absent" in found["absent"].message
            words = fast(execute("fk_steps", "wrong"), code)
            spec = flytekits(b, words, attempt_id("strict"), env={"FLYTE_FAIL_ON_ERROR": "true"})
            assert (await b.run(spec)).code == 1
            assert b.error(spec) is not None
            words = fast(execute("fk_steps", "crash"), code)
            assert (await b.run(flytekits(b, words, attempt_id("crash")))).code == 9

    asyncio.run(main())


def test_a_bad_command_line_ends_with_words_in_the_log(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = flytekits(b, ["pyflyte-execute", "--outputs", "nowhere"])
            assert (await b.run(spec)).code == 2
            assert "No such option" in await b.log(spec)
            spec = flytekits(b, fast(["true"], "file:///nowhere/fast.tar.gz"), attempt_id("n1"))
            assert (await b.run(spec)).code == 1
            assert "Traceback" in await b.log(spec)

    asyncio.run(main())


def test_a_task_may_use_grpc_although_its_parent_has_imported_it(tmp_path):
    code = archive(tmp_path / "code" / "fast.tar.gz", "fk_steps", STEPS)

    async def main():
        async with bench(tmp_path) as b:
            for at in range(2):
                words = fast(execute("fk_steps", "call"), code)
                spec = flytekits(b, words, attempt_id(f"n{at}"))
                await b.run(spec)
                assert b.error(spec) is None, b.error(spec)
                assert x_of(b.outputs(spec)) == 6

    asyncio.run(main())


def test_an_interpreter_without_flytekit_is_refused_with_the_remedy(tmp_path):
    """A Python that has this package, and flytekit is hidden from it."""
    code = (
        "import runpy, sys; sys.modules['flytekit'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    other = tmp_path / "python"
    other.write_text(
        '#!/bin/sh\nwhile [ "$1" != -m ]; do shift; done\nshift\n'
        f'exec {sys.executable} -P -c "{code}" "$@"\n'
    )
    other.chmod(0o755)

    async def main():
        async with bench(tmp_path) as b:
            config = {"flyte_jupyter.interpreter": str(other)}
            how = await b.run(flytekits(b, execute("m", "t"), config=config))
            assert how.why.code == "FlytekitMissing"
            assert "pip install flytekit" in how.why.message

    asyncio.run(main())


def test_this_interpreter_without_flytekit_is_refused_at_once(tmp_path, monkeypatch):
    async def main():
        async with bench(tmp_path) as b:
            monkeypatch.setitem(sys.modules, "flytekit", None)
            answer = await b.executor.launch(flytekits(b, execute("m", "t")))
            assert isinstance(answer, Rejected)
            assert answer.why.code == "FlytekitMissing"
            assert "pip install flytekit" in answer.why.message

    asyncio.run(main())


def test_places_in_an_execution_that_look_alike_have_logs_of_their_own(tmp_path):
    run = RunId("p", "d", "r")
    paths = [("n0", 0, "dn3"), ("n0", "0", "dn3"), ("n0-0-dn3",), ("n0", "0-dn3"), ("n0", 0)]
    assert len({log_path(tmp_path, AttemptId(run, path, 0)) for path in paths}) == len(paths)
