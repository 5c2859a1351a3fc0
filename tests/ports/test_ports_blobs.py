"""What every store of blobs owes its users, over each adapter."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from flyte_jupyter.engine.adapters import blobs as adapters
from flyte_jupyter.engine.adapters.blobs import FolderBlobs, RemoteBlobs, blobs_at
from flyte_jupyter.engine.adapters.memory import MemoryBlobs
from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound, passes


@pytest.fixture(params=["folder", "fsspec", "memory"])
def blobs(request, tmp_path):
    if request.param == "folder":
        return blobs_at(str(tmp_path / "root"))
    if request.param == "fsspec":
        return blobs_at(f"memory://{tmp_path.name}")
    return MemoryBlobs()


def run(coroutine):
    return asyncio.run(coroutine)


def test_what_was_put_is_got(blobs):
    uri = f"{blobs.root}/a/b/c.pb"
    run(blobs.put(uri, b"one"))
    assert run(blobs.get(uri)) == b"one"
    run(blobs.put(uri, b"two"))
    assert run(blobs.get(uri)) == b"two"
    assert run(blobs.exists(uri))


def test_of_many_those_are_got_that_there_are(blobs):
    uris = [f"{blobs.root}/many/{number}" for number in range(70)]
    for uri in uris[::2]:
        run(blobs.put(uri, uri.encode()))
    assert run(blobs.several(uris)) == {uri: uri.encode() for uri in uris[::2]}
    assert run(blobs.several([])) == {}
    with pytest.raises(BlobFailure):
        run(blobs.several(["file:///somewhere/else"]))


def test_nothing_there_is_said(blobs):
    uri = f"{blobs.root}/nothing/here"
    assert not run(blobs.exists(uri))
    with pytest.raises(BlobNotFound, match="nothing/here"):
        run(blobs.get(uri))
    with pytest.raises(BlobNotFound):
        run(blobs.copy(uri, f"{blobs.root}/x"))
    assert not run(blobs.exists(f"{blobs.root}/x"))


def test_a_folder_is_no_content(blobs):
    run(blobs.put(f"{blobs.root}/folder/file", b"x"))
    assert not run(blobs.exists(f"{blobs.root}/folder"))


def test_a_folder_tells_the_names_and_sizes_of_what_is_right_in_it(blobs):
    folder = f"{blobs.root}/n0/data/0"
    assert run(blobs.names(folder)) == {}
    run(blobs.put(f"{folder}/outputs.pb", b"12345"))
    run(blobs.put(f"{folder}/deck.html", b""))
    run(blobs.put(f"{folder}/inside/inputs.pb", b"1"))
    run(blobs.put(f"{folder}1/error.pb", b"1"))
    assert run(blobs.names(folder)) == {"outputs.pb": 5, "deck.html": 0}
    run(blobs.put(f"{folder}/outputs.pb", b"1"))
    run(blobs.put(f"{folder}/error.pb", b"12"))
    assert run(blobs.names(folder)) == {"outputs.pb": 1, "deck.html": 0, "error.pb": 2}
    with pytest.raises(BlobFailure, match="not below"):
        run(blobs.names("file:///elsewhere"))


def test_a_copy_is_its_own(blobs):
    source, target = f"{blobs.root}/s", f"{blobs.root}/deep/t"
    run(blobs.put(source, b"kept"))
    run(blobs.copy(source, target))
    run(blobs.put(source, b"changed"))
    assert run(blobs.get(target)) == b"kept"


def test_empty_content_is_content(blobs):
    uri = f"{blobs.root}/empty"
    run(blobs.put(uri, b""))
    assert run(blobs.exists(uri))
    assert run(blobs.get(uri)) == b""


@pytest.mark.parametrize("outside", ["/../x", "/a/../../x", "-beside/x", "/..", ""])
def test_nothing_outside_the_root_is_touched(blobs, outside):
    uri = f"{blobs.root}{outside}"
    for call in (blobs.get(uri), blobs.put(uri, b"x"), blobs.exists(uri), blobs.copy(uri, uri)):
        with pytest.raises(BlobFailure, match="not below"):
            run(call)


def test_an_unusual_name_is_a_name(blobs):
    uri = f"{blobs.root}/a b/ü%20#?&.pb"
    run(blobs.put(uri, b"x"))
    assert run(blobs.get(uri)) == b"x"


def test_the_adapters_are_chosen_by_the_root(tmp_path):
    assert isinstance(blobs_at(str(tmp_path)), FolderBlobs)
    assert isinstance(blobs_at(f"file://{tmp_path}"), FolderBlobs)
    assert isinstance(blobs_at("memory://x"), RemoteBlobs)
    assert blobs_at(str(tmp_path)).root == f"file://{tmp_path}"


def test_a_folder_takes_plain_paths_too(tmp_path):
    blobs = blobs_at(str(tmp_path))
    run(blobs.put(f"{tmp_path}/x", b"1"))
    assert run(blobs.get(f"file://{tmp_path}/x")) == b"1"


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path, monkeypatch):
    blobs = blobs_at(str(tmp_path))
    uri = f"{blobs.root}/x"
    run(blobs.put(uri, b"old"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(adapters.os, "replace", full)
    with pytest.raises(BlobFailure) as caught:
        run(blobs.put(uri, b"new"))
    assert caught.value.no_space
    assert os.listdir(tmp_path) == ["x"]
    assert run(blobs.get(uri)) == b"old"


def test_another_failure_is_not_want_of_space(tmp_path):
    blobs = blobs_at(str(tmp_path))
    run(blobs.put(f"{blobs.root}/file", b"x"))
    with pytest.raises(BlobFailure) as caught:
        run(blobs.put(f"{blobs.root}/file/below", b"x"))
    assert not caught.value.no_space
    assert not caught.value.passes, "a folder where a file stands is not waited for"


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), True),
        (PermissionError("The provided token has expired."), True),
        (OSError(errno.EINVAL, "Bad Request"), True),
        (OSError(errno.ENAMETOOLONG, "Your key is too long"), False),
        (ValueError("no such option"), False),
    ],
)
def test_an_object_store_that_is_away_is_told_from_one_that_refuses(monkeypatch, error, passes):
    blobs = blobs_at("memory://away")

    def refused(*_):
        raise error

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refused)
    with pytest.raises(BlobFailure) as caught:
        run(blobs.get(f"{blobs.root}/x"))
    assert caught.value.passes is passes


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_a_folder_that_gives_errors_may_give_content_again(tmp_path, monkeypatch, number):
    blobs = blobs_at(str(tmp_path))

    def broken(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(adapters.os, "open", broken)
    with pytest.raises(BlobFailure) as caught:
        run(blobs.get(f"{blobs.root}/x"))
    assert caught.value.passes


def asked_of(blobs, uri):
    return (blobs.get(uri), blobs.exists(uri), blobs.names(uri), blobs.put(uri, b"x"))


def test_a_folder_that_has_gone_is_away_and_not_empty(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    blobs = blobs_at(str(root))
    uri = f"{blobs.root}/n0/outputs.pb"
    assert not run(blobs.exists(uri)), "nobody has made it yet"
    run(blobs.put(uri, b"kept"))
    root.rename(elsewhere)
    for call in asked_of(blobs, uri):
        with pytest.raises(BlobFailure, match="has gone") as caught:
            run(call)
        assert passes(caught.value)
    assert not root.exists()
    elsewhere.rename(root)
    assert run(blobs.get(uri)) == b"kept"
    assert run(blobs.names(f"{blobs.root}/n1")) == {}


def test_an_empty_mount_point_is_no_empty_store(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters.os.path, "ismount", lambda _: True)
    blobs = blobs_at(str(tmp_path))
    uri = f"{blobs.root}/n0/outputs.pb"
    assert not run(blobs.exists(uri))
    monkeypatch.setattr(adapters.os.path, "ismount", lambda _: False)
    for call in asked_of(blobs, uri):
        with pytest.raises(BlobFailure, match="has gone"):
            run(call)
