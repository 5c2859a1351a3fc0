"""Raw containers: refused by name where no engine works, and run by a real one with their data laid in and taken out."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import tempfile
from itertools import pairwise
from pathlib import Path

import container_engine
import pytest
from local_attempts import attempt_id, bench, seen

from flyte_jupyter.engine.adapters.local import containers, leftovers
from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.ports import Accepted, NotNow, Rejected, passes
from flyte_jupyter.idl import core

CARRIED = core.DataLoadingConfig(
    enabled=True,
    input_path="/var/inputs",
    output_path="/var/outputs",
    format=core.DataLoadingConfig.JSON,
)


def raw(
    b, script, attempt=None, *, image=container_engine.IMAGE, data=CARRIED, kind="raw-container"
):
    container = core.Container(image=image, command=["sh", "-c", script], data_config=data)
    spec = b.spec(container, attempt)
    spec.template.type = kind
    integer = core.LiteralType(simple=core.SimpleType.INTEGER)
    spec.template.interface.inputs.variables["x"].type.CopyFrom(integer)
    if data is not None:
        spec.template.interface.outputs.variables["y"].type.CopyFrom(integer)
    return spec


def path_with(*programs: object) -> dict[str, str]:
    return {"PATH": os.pathsep.join([*map(str, programs), "/usr/bin", "/bin"])}


def without_engines(folder) -> dict[str, str]:
    """A PATH with the usual commands and neither podman nor docker."""
    folder.mkdir()
    for name in ("sh", "sleep"):
        (folder / name).symlink_to(shutil.which(name))
    return {"PATH": str(folder)}


def test_without_an_engine_a_raw_container_is_refused_with_what_is_missing(tmp_path):
    async def main():
        async with bench(tmp_path, environ=without_engines(tmp_path / "bin")) as b:
            answer = await b.executor.launch(raw(b, "true"))
            assert isinstance(answer, Rejected)
            assert (answer.why.code, answer.why.blame) == ("NoContainerEngine", Blame.USER)
            assert container_engine.IMAGE in answer.why.message
            assert "podman is not installed; docker is not installed" in answer.why.message
            assert not (await b.executor.listing()).all

    asyncio.run(main())


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no server' >&2; exit 125", "not usable (no server)"),
        ('echo \'{"ServerErrors": ["nobody listens"]}\'', "not usable (nobody listens)"),
    ],
)
def test_an_engine_that_does_not_answer_is_not_usable(tmp_path, script, words):
    environ = without_engines(tmp_path / "bin")
    docker = tmp_path / "bin" / "docker"
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(0o755)

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            answer = await b.executor.launch(raw(b, "true"))
            assert words in answer.why.message

    asyncio.run(main())


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed here")
def test_dockers_client_without_its_server_is_not_usable(tmp_path):
    environ = without_engines(tmp_path / "bin")
    docker = tmp_path / "bin" / "docker"
    docker.write_text(
        f'#!/bin/sh\nexec {shutil.which("docker")} --host unix://{tmp_path}/nobody "$@"\n'
    )
    docker.chmod(0o755)

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            answer = await b.executor.launch(raw(b, "true"))
            assert "docker is installed and not usable" in answer.why.message

    asyncio.run(main())


def fake_docker(folder: Path, script: str) -> dict[str, str]:
    """A PATH with the usual commands and a docker that is a shell script."""
    environ = without_engines(folder)
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(0o755)
    return environ


HANGS = f"{shutil.which('sleep')} 987 & exec {shutil.which('sleep')} 987"
"""Neither it nor its child, which holds its pipes too, ever ends."""


def test_an_engine_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_PROBE_SECONDS", 0.2)
    environ = fake_docker(tmp_path / "bin", f"echo $$ > {tmp_path}/pid; {HANGS}")

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            answer = await b.executor.launch(raw(b, "true"))
            assert (answer.why.code, answer.why.blame) == ("NoContainerEngine", Blame.SYSTEM)
            assert answer.why.retryable
            assert "docker is installed, and `info` gives no answer" in answer.why.message
            group = int((tmp_path / "pid").read_text())

            async def gone():
                return not await asyncio.to_thread(members, group)

            await seen(gone)

    asyncio.run(main())


def members(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(pid))
    return found


def test_an_engine_is_heard_although_its_child_holds_its_pipes(tmp_path):
    environ = fake_docker(
        tmp_path / "bin", f"{shutil.which('sleep')} 987 & echo $! > {tmp_path}/pid; echo '{{}}'"
    )

    async def main():
        try:
            assert (await containers.Engines(environ).usable()).endswith("docker")
        finally:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    asyncio.run(main())


def test_a_container_that_a_hanging_engine_may_still_have_is_removed_later(tmp_path, monkeypatch):
    hangs = tmp_path / "hangs"
    script = (
        f"if [ $1 != run ] && [ -e {hangs} ]; then {HANGS}; fi\n"
        f"case $1 in info) echo '{{}}';; rm) echo $4 > {tmp_path}/removed;; run) exec sleep 987;; esac"
    )
    environ = fake_docker(tmp_path / "bin", script)

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            spec = raw(b, "true", data=None)
            assert isinstance(await b.executor.launch(spec), Accepted)
            await b.started(spec.id)
            hangs.touch()
            monkeypatch.setattr(containers, "_PROBE_SECONDS", 0.2)
            monkeypatch.setattr(containers, "_REMOVAL_SECONDS", 0.2)
            for _ in range(2):  # by what it answers to `rm`, and to `info`
                with pytest.raises(NotNow) as caught:
                    await b.executor.kill(spec.id)
                assert passes(caught.value)
                assert spec.id in (await b.executor.listing()).all
            hangs.unlink()
            monkeypatch.setattr(containers, "_PROBE_SECONDS", 60.0)
            monkeypatch.setattr(containers, "_REMOVAL_SECONDS", 60.0)
            b.executor._engines._until = 0.0
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all

    asyncio.run(main())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_container_that_its_engine_refuses_to_remove_is_tried_again(
    tmp_path, monkeypatch, restarted
):
    monkeypatch.setattr(containers, "_PAUSE", 0.0)
    monkeypatch.setattr(leftovers, "_FIRST", 3600.0 if restarted else 0.0)
    refuses, removed = tmp_path / "refuses", tmp_path / "removed"
    refuses.touch()
    script = (
        f"case $1 in info) echo '{{}}';; run) exec sleep 987;;\n"
        f"rm) [ -e {refuses} ] && {{ echo busy >&2; exit 1; }}; echo $3 >> {removed};; esac"
    )
    environ = fake_docker(tmp_path / "bin", script)

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            spec = raw(b, "true", data=None)
            assert isinstance(await b.executor.launch(spec), Accepted)
            await b.started(spec.id)
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            if restarted:
                await b.executor.stop()
                b.executor = b.new_executor()
            refuses.unlink()
            if restarted:
                await b.executor.start(b.news)

            async def noted():
                return removed.exists() and not any((tmp_path / "local" / "leftovers").iterdir())

            await seen(noted)
            assert removed.read_text().startswith("flyte-jupyter-")

    asyncio.run(main())


def test_want_of_files_is_no_word_against_an_engine(tmp_path, monkeypatch):
    environ = fake_docker(tmp_path / "bin", "echo '{}'")

    async def short(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            with monkeypatch.context() as patched:
                patched.setattr(containers.Engines, "_asked", short)
                with pytest.raises(OSError, match="Too many open files") as caught:
                    await b.executor.launch(raw(b, "true"))
                assert passes(caught.value)
            assert isinstance(await b.executor.launch(raw(b, "true")), Accepted)

    asyncio.run(main())


def test_what_wants_an_image_never_runs_without_when_its_engine_has_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_GOOD_FOR", 0.0)
    once, ran = tmp_path / "once", tmp_path / "ran"
    script = f"[ -e {once} ] && {{ echo 'no server' >&2; exit 1; }}; : > {once}; echo '{{}}'"
    environ = fake_docker(tmp_path / "bin", script)

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            how = await b.run(raw(b, f": > {ran}", data=None))
            assert how.why.code == "LaunchFailed"
            assert how.why.blame is Blame.SYSTEM
            assert "not usable (no server)" in how.why.message
            assert not ran.exists()

    asyncio.run(main())


def test_a_plain_command_of_this_machine_needs_no_image(tmp_path):
    async def main():
        async with bench(tmp_path, environ=without_engines(tmp_path / "bin")) as b:
            spec = raw(b, "exit 3", image="alpine:3", data=None, kind="container")
            assert (await b.run(spec)).code == 3

    asyncio.run(main())


NOTES = """
case "$1" in
  info) echo '{}' ;;
  run) for word in "$@"; do echo "word $word"; done ;;
esac
"""


@pytest.mark.parametrize(
    ("given", "program", "told"),
    [
        ({"command": ["sh", "-c", "echo {{.inputs.x}}"], "args": ["-"]}, "sh", ["-c", "echo 3", "-"]),
        ({"args": ["--number", "{{.inputs.x}}"]}, None, ["--number", "3"]),
        ({}, None, []),
    ],
    ids=["command", "arguments only", "neither"],
)  # fmt: skip
def test_a_command_takes_the_place_of_the_images_program_and_arguments_are_given_to_it(
    tmp_path, given, program, told
):
    """As in a pod: an engine's own way is to give both to the image's program."""

    async def main():
        async with bench(tmp_path, environ=fake_docker(tmp_path / "bin", NOTES)) as b:
            spec = b.spec(core.Container(image="an/image:1", **given))
            spec.template.type = "raw-container"
            assert (await b.run(spec)).code == 0
            lines = (await b.log(spec)).splitlines()
            words = [line.removeprefix("word ") for line in lines if line.startswith("word ")]
            before, after = (
                words[: words.index("an/image:1")],
                words[words.index("an/image:1") + 1 :],
            )
            assert after == told
            options = dict(pairwise(before))
            assert options.get("--entrypoint") == program

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asked", "limits", "option", "value"),
    [
        ({"size_limit": "64Mi"}, [], "--shm-size", str(64 << 20)),
        ({}, [("MEMORY", "1Gi")], "--shm-size", str(1 << 30)),
        ({"size_limit": "1Mi", "mount_path": "/fast"}, [], "--tmpfs", f"/fast:rw,mode=1777,size={1 << 20}"),
        (None, [], "--shm-size", None),
    ],
    ids=["so much", "as much as there is", "elsewhere", "none"],
)  # fmt: skip
def test_a_container_has_the_shared_memory_that_its_task_asks_for(
    tmp_path, asked, limits, option, value
):
    async def main():
        async with bench(tmp_path, environ=fake_docker(tmp_path / "bin", NOTES)) as b:
            spec = raw(b, "true", data=None)
            if asked is not None:
                wanted = core.SharedMemory(**asked)
                spec.template.extended_resources.shared_memory.CopyFrom(wanted)
            for name, quantity in limits:
                kind = core.Resources.ResourceName.Value(name)
                spec.template.container.resources.limits.add(name=kind, value=quantity)
            assert (await b.run(spec)).code == 0
            lines = (await b.log(spec)).splitlines()
            words = [line.removeprefix("word ") for line in lines if line.startswith("word ")]
            assert dict(pairwise(words)).get(option) == value

    asyncio.run(main())


def test_shared_memory_of_no_size_is_refused(tmp_path):
    async def main():
        async with bench(tmp_path, environ=fake_docker(tmp_path / "bin", NOTES)) as b:
            spec = raw(b, "true", data=None)
            spec.template.extended_resources.shared_memory.size_limit = "lots"
            answer = await b.executor.launch(spec)
            assert (answer.why.code, "lots" in answer.why.message) == ("BadResources", True)

    asyncio.run(main())


def test_data_lies_where_a_pod_has_it_unless_the_task_says_where(tmp_path):
    async def main():
        async with bench(tmp_path, environ=fake_docker(tmp_path / "bin", NOTES)) as b:
            spec = raw(b, "true", data=core.DataLoadingConfig(enabled=True))
            await b.run(spec)
            words = (await b.log(spec)).split()
            places = [word.rpartition(":")[2] for word in words if ":/var/" in word]
            assert places == ["/var/flyte/inputs", "/var/flyte/outputs"]

    asyncio.run(main())


LOOKS = """
case "$1" in
  info) echo '{}' ;;
  run) for word in "$@"; do
    case "$word" in *:/var/flyte/inputs) find "${word%%:*}" -printf 'mode %y%m %P\\n' ;; esac
  done ;;
esac
"""


def test_inputs_can_be_read_by_whoever_an_image_runs_as_whatever_our_umask(tmp_path):
    async def main():
        environ = fake_docker(tmp_path / "bin", LOOKS)
        (tmp_path / "bin" / "find").symlink_to(shutil.which("find"))
        async with bench(tmp_path, environ=environ) as b:
            spec = raw(b, "true", data=core.DataLoadingConfig(enabled=True))
            item = core.Literal(scalar=core.Scalar(primitive=core.Primitive(integer=1)))
            listed = core.Literal(collection=core.LiteralCollection(literals=[item]))
            path = Path(spec.inputs.removeprefix("file://"))
            given = core.LiteralMap(literals={"many": listed})
            await asyncio.to_thread(path.write_bytes, given.SerializeToString())
            await b.run(spec)
            found = {line for line in (await b.log(spec)).splitlines() if line.startswith("mode ")}
            assert {"mode d755 ", "mode d755 many", "mode f644 many/0"} <= found, found

    before = os.umask(0o077)
    try:
        asyncio.run(main())
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def engine():
    # Its sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="fj-", ignore_cleanup_errors=True) as folder:
        programs = container_engine.make(Path(folder))
        if programs is None:
            pytest.skip("no container engine can be made to work here")
        yield programs
        container_engine.clear(programs)


def test_data_is_laid_in_and_taken_out(tmp_path, engine):
    async def main():
        async with bench(tmp_path, environ=path_with(engine)) as b:
            script = "echo from inside; echo $FLYTE_INTERNAL_EXECUTION_ID {{.inputs.x}}; echo $(( $(cat /var/inputs/x) * 7 )) > /var/outputs/y"
            spec = raw(b, script)
            how = await b.run(spec)
            log = await b.log(spec)
            assert how.code == 0, log
            assert b.error(spec) is None, b.error(spec)
            assert b.outputs(spec).literals["y"].scalar.primitive.integer == 21
            assert "from inside\n" in log
            assert "r1 3\n" in log
            assert container_engine.names(engine) == []

    asyncio.run(main())


def test_a_container_that_fails_ends_with_its_status(tmp_path, engine):
    async def main():
        async with bench(tmp_path, environ=path_with(engine)) as b:
            spec = raw(b, "exit 9")
            assert (await b.run(spec)).code == 9
            spec = raw(b, "true", attempt_id("n1"))
            assert (await b.run(spec)).code == 0
            assert "y" in b.error(spec).message
            spec = raw(b, "true", attempt_id("n2"), image="localhost/there-is-none:1")
            assert (await b.run(spec)).code not in (0, None)
            assert "there-is-none" in await b.log(spec)
            assert container_engine.names(engine) == []

    asyncio.run(main())


def test_a_command_that_only_the_image_has_reads_and_writes_at_its_uris(tmp_path, engine):
    async def main():
        async with bench(tmp_path, environ=path_with(engine)) as b:
            container = core.Container(
                image=container_engine.IMAGE,
                command=["/bin/busybox-of-nowhere"],
            )
            spec = b.spec(container)
            assert (await b.run(spec)).code not in (0, None)
            script = "cat $(echo {{.input}} | tail -c +8) > $(echo {{.outputPrefix}} | tail -c +8)/outputs.pb"
            spec = raw(b, script, attempt_id("n1"), data=None)
            assert (await b.run(spec)).code == 0, await b.log(spec)
            assert b.outputs(spec).literals["x"].scalar.primitive.integer == 3

    asyncio.run(main())


@pytest.mark.parametrize("how", ["kill", "its process", "the parent"])
def test_no_container_outlives_its_attempt(tmp_path, engine, how):
    async def main():
        async with bench(tmp_path, environ=path_with(engine)) as b:
            spec = raw(b, "echo pid up; sleep 600")
            await b.executor.launch(spec)

            async def up():
                return "up" in await b.log(spec)

            await seen(up)
            assert len(container_engine.names(engine)) == 1
            if how == "its process":
                entry = b.executor._entries[spec.id]
                assert entry.zygote is not None
                os.kill(child_of(entry.zygote.hello.pid), signal.SIGKILL)
            elif how == "the parent":
                for pid in b.zygote_pids():
                    os.kill(pid, signal.SIGKILL)
            if how == "kill":
                await b.executor.kill(spec.id)
            else:
                await b.ended(spec.id)
                await b.executor.reap(spec.id)
            assert container_engine.names(engine) == []

    asyncio.run(main())


def child_of(parent: int) -> int:
    """The one child of a process."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            return int(pid)
    raise AssertionError(f"{parent} has no child")
