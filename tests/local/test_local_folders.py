"""What an executor remembers on disk: read back by the next one, whatever was cut short."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flyte_jupyter.engine.adapters.local import folders
from flyte_jupyter.engine.adapters.local.folders import Folders, Kept, key_of
from flyte_jupyter.engine.adapters.local.resources import Wants
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

RUN = RunId("p", "d", "r")


def kept(at: int, template: core.TaskTemplate) -> Kept:
    spec = AttemptSpec(
        AttemptId(RUN, (f"n{at}",), 0), template, "in", "out", "raw", {"A": str(at)}, node=f"n{at}"
    )
    return Kept(spec, Grant(Wants(1000, 5, 1)))


def put(made: Folders, *those: Kept) -> list[str]:
    keys = [key_of(one.spec.id) for one in those]
    for key, one in zip(keys, those, strict=True):
        made.keep(key, one)
    return keys


def test_what_was_kept_is_read_back_in_order_without_what_was_forgotten(tmp_path):
    one, two = core.TaskTemplate(type="one"), core.TaskTemplate(type="two")
    those = [kept(at, one if at % 2 else two) for at in range(6)]
    first = Folders(tmp_path / "attempts")
    keys = put(first, *those)
    work = Path(first.begin(keys[3], Grant(Wants(1000, 5, 1), ("gpu7",))))
    first.forget(keys[0])
    again = Folders(tmp_path / "attempts")
    found = list(again.all())
    assert [k.spec for k in found] == [k.spec for k in those[1:]]
    assert found[2].grant.devices == ("gpu7",)
    assert work.is_dir()
    (work / "left").touch()
    assert again.forget(keys[3]) == work.name
    again.clear(work.name)
    assert not work.exists()


def test_a_line_that_was_cut_short_was_not_accepted_and_spoils_none(tmp_path):
    template = core.TaskTemplate(type="t")
    put(Folders(tmp_path / "attempts"), kept(0, template), kept(1, template))
    journal = tmp_path / "attempts.journal"
    journal.write_bytes(journal.read_bytes()[:-20])
    again = Folders(tmp_path / "attempts")
    assert [k.spec.node for k in again.all()] == ["n0"]
    put(again, kept(2, template))
    assert [k.spec.node for k in Folders(tmp_path / "attempts").all()] == ["n0", "n2"]


def test_a_directory_is_used_again_only_when_it_is_as_it_was_given(tmp_path):
    template = core.TaskTemplate(type="t")
    made = Folders(tmp_path / "attempts")
    keys = put(made, *(kept(at, template) for at in range(3)))
    first = Path(made.begin(keys[0], Grant(Wants())))
    assert made.forget(keys[0]) == ""
    second = Path(made.begin(keys[1], Grant(Wants())))
    assert second == first
    (second / "left").touch()
    assert made.forget(keys[1]) == second.name
    made.clear(second.name)
    third = Path(made.begin(keys[2], Grant(Wants())))
    assert third != first
    assert not list(third.iterdir())
    third.chmod(0o500)
    assert made.forget(keys[2]) == third.name


def test_one_that_is_launched_again_takes_nobodys_directory(tmp_path):
    made, template = Folders(tmp_path / "attempts"), core.TaskTemplate(type="t")
    one, other = kept(1, template), kept(2, template)
    first, second = put(made, one, other)
    work = Path(made.begin(first, one.grant))
    made.forget(first)
    assert Path(made.begin(second, other.grant)) == work
    (work / "half").touch()
    put(made, one)
    assert Path(made.begin(first, one.grant)) != work
    assert (work / "half").exists()


def test_the_journal_does_not_grow_with_what_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_LEAST_BYTES", 4096)
    made = Folders(tmp_path / "attempts")
    stays, goes = kept(0, core.TaskTemplate(type="stays")), core.TaskTemplate(type="goes")
    put(made, stays)
    work = Path(made.begin(key_of(stays.spec.id), Grant(Wants())))
    for at in range(1, 200):
        (key,) = put(made, kept(at, goes))
        made.forget(key)
    assert (tmp_path / "attempts.journal").stat().st_size < 8192
    again = Folders(tmp_path / "attempts")
    assert [k.spec for k in again.all()] == [stays.spec]
    assert Path(again.begin(key_of(stays.spec.id), Grant(Wants()))) == work


def test_a_line_that_was_made_before_the_journal_was_written_anew_can_be_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(folders, "_LEAST_BYTES", 4096)
    made = Folders(tmp_path / "attempts")
    late = kept(0, core.TaskTemplate(type="late"))
    key = key_of(late.spec.id)
    line, work = made.line_of(key, late), made.lend(key)
    for at in range(1, 200):
        (other,) = put(made, kept(at, core.TaskTemplate(type="goes")))
        made.forget(other)
    made.keep(key, late, work, line)
    again = Folders(tmp_path / "attempts")
    assert [k.spec for k in again.all()] == [late.spec]
    assert (tmp_path / "attempts" / work).is_dir()


def test_what_nobody_claims_is_removed_at_the_start(tmp_path):
    (tmp_path / "attempts" / "stray").mkdir(parents=True)
    (tmp_path / "attempts" / "file").touch()
    made = Folders(tmp_path / "attempts")
    assert not list(made.all())
    assert not list((tmp_path / "attempts").iterdir())


def test_an_attempt_that_cannot_be_written_down_is_not_accepted(tmp_path):
    (tmp_path / "attempts.journal").mkdir()
    with pytest.raises(IsADirectoryError):
        put(Folders(tmp_path / "attempts"), kept(0, core.TaskTemplate(type="t")))


def test_a_directory_that_is_lent_is_given_to_nobody_else(tmp_path):
    template = core.TaskTemplate(type="t")
    made = Folders(tmp_path / "attempts")
    one, two = kept(0, template), kept(1, template)
    first, second = key_of(one.spec.id), key_of(two.spec.id)
    made.take_back(made.lend(first))
    work = made.lend(second)
    assert work == first, "the name alone says nothing: it was here before"
    other = made.lend(first)
    assert other != work
    made.keep(second, two, work)
    made.keep(first, one, other)
    assert made.begin(key_of(one.spec.id), Grant(Wants())) == made.path_of(other)


def test_a_directory_that_comes_back_unused_is_there_for_the_next_or_gone(tmp_path):
    made = Folders(tmp_path / "attempts")
    lent = [made.lend(f"{at:032}") for at in range(2)]
    Path(made.path_of(lent[0]), "left").touch()
    for name in lent:
        made.take_back(name)
    assert [path.name for path in (tmp_path / "attempts").iterdir()] == lent[1:]


def test_of_an_attempt_that_did_not_fit_on_the_disk_nothing_stands_there(tmp_path, monkeypatch):
    template = core.TaskTemplate(type="t")
    made = Folders(tmp_path / "attempts")
    put(made, kept(0, template))
    one = kept(1, template)
    key, write = key_of(one.spec.id), os.write
    work = made.lend(key)
    made.keep(key, one, work)
    size = (tmp_path / "attempts.journal").stat().st_size
    made.forget(key)
    two = kept(2, template)
    for short in range(1, size):

        def part(fd, data, short=short):
            return write(fd, data[:-short]) if len(data) > short else 0

        with monkeypatch.context() as full:
            full.setattr(os, "write", part)
            with pytest.raises(OSError, match="No space"):
                made.keep(key_of(two.spec.id), two, work)
        assert [k.spec.node for k in Folders(tmp_path / "attempts").all()] == ["n0"], short
