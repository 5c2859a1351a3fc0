"""Secrets that tasks ask for: their own processes have them where flytekit looks, and nobody else; what is missing or open is refused."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest
from flytekit_attempts import archive, execute, fast
from local_attempts import attempt_id, bench, seen
from test_local_containers import NOTES, engine, fake_docker, path_with, raw

from flyte_jupyter.engine.adapters.local.link import Hello
from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.ports import Accepted, Rejected
from flyte_jupyter.idl import core

__all__ = ["engine"]
Secret = core.Secret
VALUE = "correct-horse-battery"
PASSWORD = Secret(group="Db", key="Password", mount_requirement=Secret.ENV_VAR, env_var="DB")
KEYS = Secret(group="db", group_version="v2", key="Keys", mount_requirement=Secret.FILE, env_var="KEYS")  # fmt: skip
ANY = Secret(group="db", key="any")

OWN = """
import os, pathlib, time

def do_tell(inputs):
    folder = os.environ["FLYTE_SECRETS_DEFAULT_DIR"]
    assert os.environ["FLYTE_SECRETS_ENV_PREFIX"] == "_FSEC_" and os.environ["FLYTE_SECRETS_FILE_PREFIX"] == ""
    assert "_FLYTE_JUPYTER_SECRETS" not in os.environ
    for name in ("_FSEC_DB_PASSWORD", "DB", "_FSEC_DB_ANY"):
        print(name, os.environ.get(name))
    assert os.environ["KEYS"] == folder + "/db/v2/keys"
    for name in ("db/v2/keys", "db/any"):
        print(name, pathlib.Path(folder, name).read_text())
    assert not os.path.exists(folder + "/db/password") and "_FSEC_DB_V2_KEYS" not in os.environ
    pathlib.Path(os.environ["PLACE"], "told").touch()
    while not os.path.exists(os.environ["PLACE"] + "/go"):
        time.sleep(0.01)

def do_look(inputs):
    print(os.getpid(), sorted(name for name in os.environ if "SEC" in name))
"""
SCRIPT = """
for name in _FSEC_DB_PASSWORD DB _FSEC_DB_ANY; do echo $name $(printenv $name); done
for name in db/v2/keys db/any; do echo $name $(cat $FLYTE_SECRETS_DEFAULT_DIR/$name); done
[ -z "$_FLYTE_JUPYTER_SECRETS" ] || exit 1
touch $PLACE/told
while [ ! -e $PLACE/go ]; do sleep 0.01; done
"""
TOLD = [
    f"_FSEC_DB_PASSWORD {VALUE}-1",
    f"DB {VALUE}-1",
    f"_FSEC_DB_ANY {VALUE}-3",
    f"db/v2/keys {VALUE}-2",
    f"db/any {VALUE}-3",
]


def put(folder: Path, name: str, value: str, mode: int = 0o600) -> Path:
    """The user's file of a secret."""
    path = folder / "secrets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
    path.chmod(mode)
    return path


def asking(spec, *secrets):
    spec.template.security_context.secrets.extend(secrets)
    return spec


def holding(folder: Path, word: str) -> list[Path]:
    """Files that the executor has written, and command lines of this machine's processes, with a word in them."""
    files = [p for p in folder.rglob("*") if not p.is_relative_to(folder / "secrets")]
    lines = [p / "cmdline" for p in Path("/proc").iterdir() if p.name.isdecimal()]
    found = []
    for path in [*files, *lines]:
        if path.is_symlink() or not path.is_file():
            continue
        try:
            said = path.read_bytes()
        except OSError:
            continue
        if word.encode() in said:
            found.append(path)
    return found


@pytest.mark.parametrize("anew", [False, True], ids=["forked", "started anew"])
@pytest.mark.parametrize("command", ["own", "plain"])
def test_a_task_has_its_secrets_and_nothing_else_on_the_machine_holds_their_values(
    tmp_path, command, anew
):
    put(tmp_path, "Db/Password", f"{VALUE}-1\n")
    put(tmp_path, "db/v2/Keys", f"{VALUE}-2")
    put(tmp_path, "db/any", f"{VALUE}-3")
    place = tmp_path / "place"
    place.mkdir()
    env = {"PLACE": str(place)} | ({"FLYTE_JUPYTER_NO_FORK": "1"} if anew else {})

    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(OWN, "tell") if command == "own" else b.command(["sh", "-c", SCRIPT])
            spec.env.update(env)
            assert isinstance(await b.executor.launch(asking(spec, PASSWORD, KEYS, ANY)), Accepted)

            async def told():
                return (place / "told").exists() or (await b.executor.listing()).ended

            await seen(told)
            kept = holding(tmp_path, VALUE)
            (place / "go").touch()
            assert (await b.ended(spec.id)).code == 0, await b.log(spec)
            assert b.error(spec) is None, b.error(spec)
            assert (await b.log(spec)).splitlines() == TOLD
            log = b.executor._logs
            assert all(path.is_relative_to(log) for path in kept), kept

    asyncio.run(main())


FLYTEKITS = """
from flytekit import task, current_context

def tried(*name):
    try:
        return current_context().secrets.get(*name)
    except ValueError:
        return "none"

@task
def tell(x: int) -> str:
    secrets = current_context().secrets
    print("told", secrets.get("Db", "Password"), secrets.get("db", "Keys", "v2"), secrets.get("db", "any"), tried("db", "other"))
    return ""
"""


@pytest.mark.parametrize("anew", [False, True], ids=["forked", "started anew"])
def test_flytekit_finds_what_its_task_has_asked_for_and_nothing_else(tmp_path, anew):
    code = archive(tmp_path / "code" / "fast.tar.gz", "fk_secrets", FLYTEKITS)
    for name, value in {"Db/Password": "a", "db/v2/Keys": "b", "db/any": "c", "db/other": "d"}.items():  # fmt: skip
        put(tmp_path, name, value)

    async def main():
        async with bench(tmp_path) as b:
            words = fast(execute("fk_secrets", "tell"), code)
            env = {"FLYTE_JUPYTER_NO_FORK": "1"} if anew else {}
            spec = asking(b.spec(core.Container(args=words), env=env), PASSWORD, KEYS, ANY)
            assert (await b.run(spec)).code == 0
            assert b.error(spec) is None, b.error(spec)
            assert "told a b c none" in await b.log(spec)

    asyncio.run(main())


def test_the_next_attempt_of_a_reused_worker_has_none_of_them(tmp_path):
    put(tmp_path, "db/any", VALUE)

    async def main():
        async with bench(tmp_path) as b:
            told = []
            for at, secrets in enumerate([(), (ANY,), (), (ANY,)]):
                spec = asking(b.task(OWN, "look", attempt_id(f"n{at}"), reuse="true"), *secrets)
                assert (await b.run(spec)).code == 0
                assert b.error(spec) is None, b.error(spec)
                told.append((await b.log(spec)).split(maxsplit=1))
            worker, names = told[0]
            assert told[2] == [worker, names] == [worker, "[]\n"]
            assert len({worker, told[1][0], told[3][0]}) == 3
            assert "_FSEC_DB_ANY" in told[1][1]

    asyncio.run(main())


def missing(folder):
    return (ANY, "SecretMissing", ["db/any", f"{folder}/secrets/db/any", "umask 077", "mkdir -p"])


def open_to_others(folder):
    path = put(folder, "db/any", VALUE, 0o640)
    return (ANY, "SecretExposed", ["db/any", f"{path}", "-rw-r-----", "chmod 600"])


def somebody_elses(folder):
    path = put(folder, "db/any", VALUE)
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, -1)
    return (ANY, "SecretExposed", ["belongs to user 12345", "chown 0"])


def a_folder(folder):
    (folder / "secrets" / "db" / "any").mkdir(parents=True)
    return (ANY, "SecretMissing", ["db/any", "has to be a file"])


def elsewhere(_folder):
    return (Secret(group="..", key="secret"), "BadTaskSpecification", ["'..'"])


def without_a_group(_folder):
    return (Secret(key="any"), "BadTaskSpecification", ["group ''"])


def a_path(_folder):
    return (Secret(group="db", key="a/b"), "BadTaskSpecification", ["'a/b'"])


@pytest.mark.parametrize(
    "made",
    [missing, open_to_others, somebody_elses, a_folder, elsewhere, without_a_group, a_path],
    ids=lambda made: made.__name__,
)
def test_a_secret_that_cannot_be_had_is_refused_by_name_with_the_remedy(tmp_path, made):
    secret, code, words = made(tmp_path)

    async def main():
        async with bench(tmp_path) as b:
            assert (await b.run(b.task(OWN, "look"))).code == 0  # its interpreter runs already
            spec = asking(b.task(OWN, "look", attempt_id("n1")), secret)
            assert not b.executor.prepare(spec)
            answer = await b.executor.launch(spec)
            assert isinstance(answer, Rejected)
            why = answer.why
            assert (why.code, why.blame, why.retryable) == (code, Blame.USER, False)
            assert all(word in why.message for word in words), why.message
            assert "steps.task" in why.message
            assert VALUE not in why.message

    asyncio.run(main())


def test_the_command_of_a_refusal_makes_the_file(tmp_path):
    async def main():
        async with bench(tmp_path / "a place") as b:
            spec = asking(b.task(OWN, "look"), ANY)
            answer = await b.executor.launch(spec)
            order = answer.why.message.partition("`")[2].partition("`")[0]
            shell = await asyncio.create_subprocess_shell(order, stdin=asyncio.subprocess.PIPE)
            await shell.communicate(b"typed\n")
            assert (await b.run(spec)).code == 0
            assert "_FSEC_DB_ANY" in await b.log(spec)

    asyncio.run(main())


def test_one_that_goes_while_its_attempt_waits_is_refused_in_its_turn(tmp_path):
    path = put(tmp_path, "db/any", VALUE)

    async def main():
        async with bench(tmp_path, capacity=Capacity(cpu=1, memory=2**30, gpu=0)) as b:
            first = b.command(["sh", "-c", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done"])
            await b.executor.launch(first)
            await b.started(first.id)
            spec = asking(b.task(OWN, "look", attempt_id("n1")), ANY)
            assert isinstance(await b.executor.launch(spec), Accepted)
            path.unlink()
            (tmp_path / "go").touch()
            how = await b.ended(spec.id)
            assert (how.why.code, how.why.blame, how.why.retryable) == ("SecretMissing", Blame.USER, False)  # fmt: skip

    asyncio.run(main())


def test_variables_of_the_control_plane_serve_where_there_is_no_file(tmp_path):
    environ = {**os.environ, "_FSEC_DB_ANY": VALUE, "_FSEC_DB_PASSWORD": VALUE}
    put(tmp_path, "Db/Password", "of a file")
    script = "echo ${_FSEC_DB_ANY-none} ${_FSEC_DB_PASSWORD-none} ${DB-none}"

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            told = []
            for at, secrets in enumerate([(), (ANY,), (PASSWORD,)]):
                spec = asking(b.command(["sh", "-c", script], attempt_id(f"n{at}")), *secrets)
                assert (await b.run(spec)).code == 0
                told.append((await b.log(spec)).strip())
            assert told == ["none none none", f"{VALUE} none none", "none of a file of a file"]
            as_file = Secret(group="db", key="any", mount_requirement=Secret.FILE)
            spec = asking(b.command(["true"], attempt_id("n3")), as_file)
            answer = await b.executor.launch(spec)
            assert answer.why.code == "SecretMissing"
            assert "_FSEC_" not in answer.why.message
            assert not [p for p in holding(tmp_path, VALUE) if not p.is_relative_to(tmp_path / "logs")]  # fmt: skip

    asyncio.run(main())


def test_a_runtime_of_an_older_release_is_not_left_to_run_without(tmp_path, monkeypatch):
    put(tmp_path, "db/any", VALUE)
    with_all = Hello.__init__

    def older(self, *args, **fields):
        with_all(self, *args, **{**fields, "secrets": False})

    monkeypatch.setattr(Hello, "__init__", older)

    async def main():
        async with bench(tmp_path) as b:
            how = await b.run(asking(b.task(OWN, "look"), ANY))
            assert how.why.code == "InterpreterUnusable"
            assert "Upgrade it there" in how.why.message

    asyncio.run(main())


def test_a_container_is_given_names_of_variables_and_files_to_see(tmp_path):
    told = f'{NOTES}\nif [ "$1" = run ]; then echo "has $_FSEC_DB_PASSWORD $DB $KEYS"; fi\n'
    environ = {**os.environ, **fake_docker(tmp_path / "bin", told)}
    put(tmp_path, "Db/Password", VALUE)
    keys = put(tmp_path, "db/v2/Keys", VALUE)

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            spec = asking(raw(b, "true", data=None), PASSWORD, KEYS)
            await b.run(spec)
            lines = (await b.log(spec)).splitlines()
            words = [line.removeprefix("word ") for line in lines if line.startswith("word ")]
            options = list(pairwise(words))
            for name in ("_FSEC_DB_PASSWORD", "DB", "KEYS", "FLYTE_SECRETS_DEFAULT_DIR"):
                assert ("--env", name) in options
            assert ("--env", "_FLYTE_JUPYTER_SECRETS") not in options
            assert ("--volume", f"{keys}:/etc/flyte/secrets/db/v2/keys:ro") in options
            assert not [word for word in words if VALUE in word]
            assert f"has {VALUE} {VALUE} /etc/flyte/secrets/db/v2/keys" in lines

    asyncio.run(main())


def test_a_container_has_its_secrets_and_what_may_be_a_file_is_one(tmp_path, engine):
    put(tmp_path, "Db/Password", f"{VALUE}-1\n")
    put(tmp_path, "db/v2/Keys", f"{VALUE}-2")
    put(tmp_path, "db/any", f"{VALUE}-3")
    script = (
        "echo $_FSEC_DB_PASSWORD $DB $_FSEC_DB_ANY; cat $KEYS; echo; "
        "cat $FLYTE_SECRETS_DEFAULT_DIR/db/any; echo; ls $FLYTE_SECRETS_DEFAULT_DIR/db"
    )

    async def main():
        async with bench(tmp_path, environ={**os.environ, **path_with(engine)}) as b:
            spec = asking(raw(b, script, data=None), PASSWORD, KEYS, ANY)
            assert (await b.run(spec)).code == 0, await b.log(spec)
            told = (await b.log(spec)).split()
            assert told == [*(f"{VALUE}-{n}" for n in (1, 1, 2, 3)), "any", "v2"]
            log = b.executor._logs
            assert all(path.is_relative_to(log) for path in holding(tmp_path, VALUE))
            # The engine itself keeps variables.
            assert not holding(engine.parent, f"{VALUE}-2")
            assert not holding(engine.parent, f"{VALUE}-3")

    asyncio.run(main())
