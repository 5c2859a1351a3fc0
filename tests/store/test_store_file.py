"""The file itself: made once, locked, checked, never silently empty, never written by the wrong program."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest
from store_world import LOCAL, new_execution, run

from flyte_jupyter.store import mark, opening, tables
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseReadOnly,
    DatabaseTooNew,
    NetworkFileSystem,
    NotFound,
    StoreClosed,
)
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.supervisor.filesystems import network_file_system


async def fill(path: Path, count: int = 30) -> None:
    db = Database.open(path)
    executions = Executions(db)
    for number in range(count):
        await executions.create(new_execution(f"r{number}", weight=2_000))
    await db.close()


def left_by_a_crash(path: Path, into: Path) -> Path:
    """A copy of the files of a database that has commits in its write-ahead log, as a killed process leaves them."""

    async def crash():
        db = Database.open(path)
        executions = Executions(db)
        for number in range(5):
            await executions.create(new_execution(f"r{number}"))
        into.mkdir()  # noqa: ASYNC240 - nothing else runs on this loop
        for end in ("", "-wal", "-shm", ".mark"):
            shutil.copy(f"{path}{end}", into / f"flyte.db{end}")
        await db.close()

    asyncio.run(crash())
    return into / "flyte.db"


async def names(path: Path) -> set[str]:
    db = Database.open(path)
    try:
        return {r.name for r in await db.read(lambda c: c.execute(tables.runs.select()).all())}
    finally:
        await db.close()


def test_what_was_written_is_there_after_closing(path):
    async def story():
        await fill(path, 3)
        assert await names(path) == {"r0", "r1", "r2"}
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.stat().st_mode & 0o077 == 0

    asyncio.run(story())


def test_a_crash_leaves_a_log_that_is_recovered_even_without_shared_memory(path, tmp_path):
    copy = left_by_a_crash(path, tmp_path / "crashed")
    Path(f"{copy}-shm").unlink()
    assert asyncio.run(names(copy)) == {f"r{number}" for number in range(5)}


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_cut_log_is_refused(path, tmp_path, keep):
    copy = left_by_a_crash(path, tmp_path / "crashed")
    wal = Path(f"{copy}-wal")
    os.truncate(wal, int(wal.stat().st_size * keep))
    with pytest.raises(DatabaseDamaged) as refused:
        Database.open(copy)
    assert str(copy) in str(refused.value)
    assert "last" in str(refused.value)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_flipped_bytes_in_the_log_are_refused(path, tmp_path, where):
    copy = left_by_a_crash(path, tmp_path / "crashed")
    wal = Path(f"{copy}-wal")
    content = bytearray(wal.read_bytes())
    content[int(len(content) * where)] ^= 0xFF
    wal.write_bytes(content)
    with pytest.raises(DatabaseDamaged):
        Database.open(copy)


def test_a_removed_log_is_refused(path, tmp_path):
    copy = left_by_a_crash(path, tmp_path / "crashed")
    Path(f"{copy}-wal").unlink()
    with pytest.raises(DatabaseDamaged):
        Database.open(copy)


def spoil(path: Path) -> None:
    """Overwrite a page in the middle, and leave size and times as they were."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_large_file_that_was_closed_as_it_should_be_is_not_read_whole(path, monkeypatch):
    asyncio.run(fill(path))
    spoil(path)
    with pytest.raises(DatabaseDamaged):
        Database.open(path)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "ALWAYS_CHECKED", 0)
        # No good copy is replaced by what nobody has looked at.
        with pytest.raises(DatabaseDamaged):
            Database.open(path)
        shutil.copy2(path, f"{path}.backup")
        # Nothing tells it apart from what was left: it is opened, and the damage is met where it is read.
        asyncio.run(Database.open(path).close())
        os.utime(path, ns=(1, 1))
        with pytest.raises(DatabaseDamaged):
            Database.open(path)


def test_a_large_file_is_read_whole_after_a_crash(path, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "ALWAYS_CHECKED", 0)
    asyncio.run(fill(path))
    asyncio.run(Database.open(path).close())

    async def crash():
        db = Database.open(path)
        shutil.copytree(path.parent, tmp_path / "crashed")
        await db.close()

    asyncio.run(crash())
    copy = tmp_path / "crashed" / path.name
    spoil(copy)
    with pytest.raises(DatabaseDamaged):
        Database.open(copy)


USER_THAT_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from flyte_jupyter.store.database import Database
Database.open(Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_large_file_whose_users_were_only_killed_is_not_read_whole(path, monkeypatch):
    asyncio.run(fill(path))
    asyncio.run(Database.open(path).close())
    subprocess.run([sys.executable, "-c", USER_THAT_IS_KILLED, path], check=False)
    spoil(path)
    monkeypatch.setattr(opening, "ALWAYS_CHECKED", 0)
    # What a process has written is with the machine: the damage is nothing that a kill could do.
    asyncio.run(Database.open(path).close())


def test_a_large_file_is_read_whole_when_the_machine_was_started_anew(path, tmp_path, monkeypatch):
    asyncio.run(fill(path))
    asyncio.run(Database.open(path).close())
    subprocess.run([sys.executable, "-c", USER_THAT_IS_KILLED, path], check=False)
    spoil(path)
    monkeypatch.setattr(opening, "ALWAYS_CHECKED", 0)
    (tmp_path / "boot").write_text("another")
    monkeypatch.setattr(mark, "_BOOT", tmp_path / "boot")
    with pytest.raises(DatabaseDamaged):
        Database.open(path)


def test_going_on_without_the_lost_commits_takes_only_what_the_message_says(path, tmp_path):
    copy = left_by_a_crash(path, tmp_path / "crashed")
    wal = Path(f"{copy}-wal")
    os.truncate(wal, wal.stat().st_size // 2)
    with pytest.raises(DatabaseDamaged) as refused:
        Database.open(copy)
    subprocess.run(
        str(refused.value).rsplit("without them: ", 1)[1].split(";")[0], shell=True, check=True
    )
    assert asyncio.run(names(copy)) < {f"r{number}" for number in range(5)}


@pytest.mark.parametrize("where", [0, 100, 4096, 3 * 4096])
def test_overwritten_bytes_are_refused_and_the_command_restores(path, where):
    asyncio.run(fill(path))
    before = asyncio.run(names(path))
    with path.open("r+b") as file:
        file.seek(where)
        file.write(os.urandom(4096))
    with pytest.raises(DatabaseDamaged) as refused:
        Database.open(path)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    subprocess.run(message.rsplit("last copy: ", 1)[1], shell=True, check=True)
    assert asyncio.run(names(path)) == before


@pytest.mark.parametrize("table", sorted(tables.metadata.tables))
def test_a_damaged_page_of_any_table_or_index_is_refused(path, table):
    asyncio.run(fill(path, 3))
    with closing(sqlite3.connect(path)) as found:
        size = found.execute("PRAGMA page_size").fetchone()[0]
        of = "SELECT rootpage, name FROM sqlite_master WHERE tbl_name = ? AND rootpage > 0"
        pages = dict(found.execute(of, (table,)).fetchall())
    assert table in pages.values(), "the table itself has a page"
    whole = path.read_bytes()
    for page, name in pages.items():
        damaged = bytearray(whole)
        damaged[(page - 1) * size : page * size] = b"\xa5" * size
        path.write_bytes(damaged)
        with pytest.raises(DatabaseDamaged) as refused:
            Database.open(path)
        assert str(path) in str(refused.value), name
    path.write_bytes(whole)
    assert asyncio.run(names(path)) == {"r0", "r1", "r2"}


def test_a_damaged_file_without_a_copy_is_put_aside_by_the_command(path):
    asyncio.run(fill(path))
    Path(f"{path}.backup").unlink(missing_ok=True)
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(DatabaseDamaged) as refused:
        Database.open(path)
    subprocess.run(str(refused.value).rsplit("keep the file: ", 1)[1], shell=True, check=True)
    assert asyncio.run(names(path)) == set()
    assert Path(f"{path}.damaged").read_bytes() == b"x" * 10_000


@pytest.mark.parametrize("content", [b"", b"this is no database at all, it is a letter"])
def test_a_file_that_is_no_database_is_refused(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DatabaseDamaged):
        Database.open(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(DatabaseDamaged, match="not of this program"):
        Database.open(path)


def test_a_file_that_is_gone_is_not_replaced_by_an_empty_one(path):
    asyncio.run(fill(path, 1))
    path.unlink()
    with pytest.raises(DatabaseDamaged, match="gone"):
        Database.open(path)
    assert not path.exists()


def test_a_newer_schema_is_refused_and_left_alone(path):
    asyncio.run(fill(path, 1))
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    with pytest.raises(DatabaseTooNew, match="pip install --upgrade"):
        Database.open(path)


def test_a_second_opener_is_refused_until_the_first_closes(path):
    async def story():
        db = Database.open(path)
        with pytest.raises(DatabaseBusy, match="another control plane"):
            Database.open(path)
        await db.close()
        again = Database.open(path)
        await again.close()
        await again.close()
        with pytest.raises(StoreClosed):
            await again.write(lambda transaction: None)
        with pytest.raises(StoreClosed):
            await again.read(lambda connection: None)

    asyncio.run(story())


def test_looking_beside_a_running_control_plane_changes_nothing(path):
    async def story():
        with pytest.raises(NotFound):
            Database.open(path, readonly=True)
        assert not path.exists()
        db = Database.open(path)
        beside = Database.open(path, readonly=True)
        await Executions(db).create(new_execution())
        assert (await Executions(beside).get(run())).id.name == "a"
        with pytest.raises(DatabaseReadOnly):
            await Executions(beside).create(new_execution("b"))
        await beside.close()
        await db.close()

    asyncio.run(story())


OPEN_AS_A_STRANGER = """
import os, sys
from pathlib import Path
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import DatabaseReadOnly
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    Database.open(Path(sys.argv[1]))
except DatabaseReadOnly as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_that_may_not_be_written_is_refused(tmp_path, what):
    # pytest's own folders are closed to others, and root may write everything: so in the open, and as nobody.
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db" / "flyte.db"
        asyncio.run(fill(path, 1))
        for each in [Path(folder), *Path(folder).rglob("*")]:
            each.chmod(0o777 if each.is_dir() else 0o666)
        (path if what == "file" else path.parent).chmod(0o444 if what == "file" else 0o555)
        done = subprocess.run(
            [sys.executable, "-c", OPEN_AS_A_STRANGER, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        path.parent.chmod(0o700)
    assert str(path) in done.stdout, done.stderr
    assert "chmod" in done.stdout


MOUNTS = r"""
/dev/root / ext4 rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
//host/share /mnt/with\040space cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/sdb /home/ann/local ext4 rw 0 0
map auto_home on /System/Volumes/Data/home (autofs, automounted)
//ann@nas/share on /Volumes/share (smbfs, nodev, nosuid)
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/lib", None),
        ("/home/ann/x", "nfs4"),
        ("/home/ann/local/x", None),
        ("/homework", None),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
        ("/Volumes/share/x", "smbfs"),
    ],
)
def test_network_file_systems_are_told_by_the_mount_table(place, kind):
    assert network_file_system(PurePosixPath(place), MOUNTS) == kind


def test_a_database_on_a_network_file_system_is_refused(path):
    with pytest.raises(NetworkFileSystem, match="FLYTE_JUPYTER_DATA_DIR"):
        Database.open(path, mounts=LOCAL + f"server:/x {path.parent.parent} nfs rw 0 0\n")
    assert not path.parent.exists()


def test_the_first_database_is_what_alembic_would_make(path):
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    def schema(file):
        with closing(sqlite3.connect(file)) as connection:
            made = connection.execute(
                "SELECT name, sql FROM sqlite_master ORDER BY name"
            ).fetchall()
            rows = {
                name: connection.execute(f"SELECT * FROM {name}").fetchall()
                for name in ("alembic_version", "ledger", "lease", "projects")
            }
        return {name: "".join((sql or "").split()) for name, sql in made}, rows

    asyncio.run(Database.open(path).close())
    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    other = path.with_name("other.db")
    engine = create_engine(f"sqlite:///{other}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, opening.HEAD)
    engine.dispose()
    assert schema(path) == schema(other)


def test_migrations_make_what_the_tables_say(path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async def story():
        db = Database.open(path)
        different = await db.read(
            lambda c: compare_metadata(MigrationContext.configure(c), tables.metadata)
        )
        await db.close()
        assert different == []

    asyncio.run(story())


def test_the_known_revisions_are_those_in_the_folder():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [opening.HEAD]
    known = [revision.revision for revision in script.walk_revisions()]
    assert list(reversed(known)) == list(opening.REVISIONS)


def test_an_older_schema_is_copied_aside_before_it_is_migrated(path, monkeypatch):
    asyncio.run(fill(path, 1))
    with sqlite3.connect(path) as older:
        older.execute("UPDATE alembic_version SET version_num = '0000'")
        for (table,) in older.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            if table not in ("alembic_version", "sqlite_sequence"):
                older.execute(f"DROP TABLE {table}")
    older.close()
    monkeypatch.setattr(opening, "REVISIONS", {"0000": "0000_none"} | opening.REVISIONS)
    with pytest.raises(Exception, match="0000"):
        # Alembic itself does not know revision 0000: the copy stands all the same, and the file is as it was.
        Database.open(path)
    copy = Path(f"{path}.before-{opening.HEAD}")
    with sqlite3.connect(copy) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchone() == ("0000",)
    kept.close()
