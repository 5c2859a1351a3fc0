"""Bundles are unpacked with suspicion: nothing is ever written outside of their folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading

import pytest

from flyte_jupyter.kernel.bundling import pack
from flyte_jupyter.kernel.runtime import bundle, unpacked
from flyte_jupyter.kernel.runtime.bundle import BundleRefused, BundleUnavailable


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def stored(folder, data: bytes) -> str:
    path = folder / "bundle.tar.gz"
    path.write_bytes(data)
    return f"file://{path}"


WICKED = {
    "climbs": [(named("../evil.py"), b"x")],
    "climbs inside": [(named("a/../../evil.py"), b"x")],
    "absolute": [(named("/tmp/flyte-jupyter-evil.py"), b"x")],
    "symlink": [(named("out", tarfile.SYMTYPE, ".."), b"")],
    "write through a symlink": [
        (named("out", tarfile.SYMTYPE, ".."), b""),
        (named("out/evil.py"), b"x"),
    ],
    "hard link": [(named("out", tarfile.LNKTYPE, "/etc/passwd"), b"")],
    "character device": [(named("null", tarfile.CHRTYPE), b"")],
    "block device": [(named("disk", tarfile.BLKTYPE), b"")],
    "file and folder": [(named("a"), b"x"), (named("a/b"), b"x")],
    "file below a file": [(named("a"), b"x"), (named("a/b/c"), b"x")],
    "folder and file": [(named("a/b"), b"x"), (named("a"), b"x")],
    "folder where a file is": [(named("a"), b"x"), (named("a", tarfile.DIRTYPE), b"")],
    "the folder itself": [(named("."), b"x")],
    "name too long": [(named("x" * 300), b"x")],
    "path too long": [(named("/".join(["x" * 200] * 30)), b"x")],
    "fifo": [(named("pipe", tarfile.FIFOTYPE), b"")],
}


@pytest.mark.parametrize("kind", WICKED)
def test_a_wicked_bundle_is_refused_and_leaves_nothing(tmp_path, kind):
    cache = tmp_path / "deep" / "cache"
    uri = stored(tmp_path, archive(*WICKED[kind]))
    with pytest.raises(BundleRefused):
        bundle.fetch(uri, cache)
    assert not list(cache.iterdir())
    assert {p.name for p in tmp_path.iterdir()} == {"bundle.tar.gz", "deep"}


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "MOST_FILES", 5)
    uri = stored(tmp_path, archive(*[(named(f"f{n}"), b"") for n in range(6)]))
    with pytest.raises(BundleRefused, match="more than 5 files"):
        bundle.fetch(uri, tmp_path / "cache")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "MOST_BYTES", 1 << 20)
    uri = stored(tmp_path, archive((named("zeros"), bytes(2 << 20))))
    with pytest.raises(BundleRefused):
        bundle.fetch(uri, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("data", [b"", b"not an archive", b"\x1f\x8b\x08garbage"])
def test_what_is_no_archive_is_refused(tmp_path, data):
    with pytest.raises(BundleRefused):
        bundle.fetch(stored(tmp_path, data), tmp_path / "cache")


def test_an_archive_with_a_damaged_place_is_refused_or_unpacked(tmp_path):
    """Its checksum is read where something of it is, so what is well formed all the same may pass; a version says more."""
    whole = archive((named("squares"), b"".join(b"%d " % (n * n) for n in range(5000))))
    refused = 0
    for at in range(len(whole) // 2, len(whole) - 20, len(whole) // 50):
        damaged = whole[:at] + b"\xff" * 20 + whole[at + 20 :]
        try:
            bundle.unpack(damaged, tmp_path)
        except BundleRefused:
            refused += 1
    assert refused


def test_what_killed_ones_left_unfinished_goes_when_it_is_old(tmp_path):
    uri, cache = stored(tmp_path, archive((named("a.py"), b"x"))), tmp_path / "cache"
    for name in (".part-old", ".gone-old", ".part-new", ".gone-new", ".else"):
        (cache / name / "deep").mkdir(parents=True)
        if not name.endswith("new"):
            os.utime(cache / name, (1, 1))
    kept = bundle.fetch(uri, cache).folder.name
    assert {p.name for p in cache.iterdir()} == {".part-new", ".gone-new", ".else", kept}


def test_a_missing_bundle_says_where_it_should_be(tmp_path):
    with pytest.raises(BundleUnavailable, match="nowhere"):
        bundle.fetch(f"file://{tmp_path}/nowhere.tar.gz", tmp_path / "cache")


def test_a_bundle_is_unpacked_once(tmp_path):
    uri = stored(tmp_path, archive((named("a/b.py"), b"x = 1")))
    first = bundle.fetch(uri, tmp_path / "cache")
    stamp = (first.folder / "a" / "b.py").stat().st_mtime_ns
    second = bundle.fetch(uri, tmp_path / "cache")
    assert second.folder == first.folder
    assert (second.folder / "a" / "b.py").stat().st_mtime_ns == stamp


def test_many_at_once_unpack_one_bundle(tmp_path):
    uri = stored(tmp_path, archive(*[(named(f"m{n}.py"), b"x = 1") for n in range(50)]))
    seen = []
    together = threading.Barrier(8)

    def fetch():
        together.wait()
        seen.append(len(list(bundle.fetch(uri, tmp_path / "cache").folder.iterdir())))

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [50] * 8
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_bundle_over_fsspec(tmp_path):
    import fsspec

    uri = "memory://bundles/one.tar.gz"
    with fsspec.open(uri, "wb") as file:
        file.write(archive((named("b.py"), b"x = 1")))
    assert (bundle.fetch(uri, tmp_path / "cache").folder / "b.py").read_bytes() == b"x = 1"


def test_a_name_that_is_not_there_says_so(tmp_path):
    uri = stored(tmp_path, archive((named("a_module_for_this_test.py"), b"x = 1")))
    code = bundle.fetch(uri, tmp_path / "cache")
    assert bundle.load(code, "a_module_for_this_test:x") == 1
    with pytest.raises(BundleRefused, match="has no 'y'"):
        bundle.load(code, "a_module_for_this_test:y")
    with pytest.raises(BundleRefused, match="must read"):
        bundle.load(code, "nonsense")


def test_a_bundle_whose_content_was_changed_is_refused(tmp_path):
    packed = pack({"steps.py": b"x = 1\n", "pkg/data.txt": b"1"}, "steps")
    code = bundle.fetch(stored(tmp_path, packed.data), tmp_path / "cache")
    assert (code.folder / "pkg" / "data.txt").read_bytes() == b"1"
    manifest = (code.folder / "bundle.json").read_bytes()
    names = {"steps.py": b"x = 2\n", "pkg/data.txt": b"1", "bundle.json": manifest}
    other = tmp_path / "other"
    other.mkdir()
    uri = stored(other, archive(*[(named(n), content) for n, content in names.items()]))
    with pytest.raises(BundleRefused, match="changed after it was packed"):
        bundle.fetch(uri, other / "cache")
    assert not list((other / "cache").iterdir())


@pytest.mark.parametrize("manifest", [b"[]", b"{", b'{"cells": [1]}', b'{"cells": [{}]}'])
def test_a_damaged_manifest_is_refused(tmp_path, manifest):
    uri = stored(tmp_path, archive((named("bundle.json"), manifest)))
    with pytest.raises(BundleRefused, match="damaged"):
        bundle.fetch(uri, tmp_path / "cache")


def test_the_bundle_that_was_not_used_for_longest_goes_unless_somebody_holds_it(tmp_path):
    cache = tmp_path / "cache"
    folders = {}
    for at, name in enumerate(["held", "old", "used"]):
        (tmp_path / name).mkdir()
        uri = stored(tmp_path / name, archive((named("a.bin"), bytes(100_000))))
        folders[name] = bundle.fetch(uri, cache).folder
        os.utime(folders[name], (at, at))
    unpacked.let_go()
    holder = (
        "import sys; from pathlib import Path; from flyte_jupyter.kernel.runtime import unpacked; "
    )
    holder += "unpacked.hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holder, str(folders["held"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        os.utime(folders["held"], (0, 0))
        unpacked.prune(cache, 250_000)
        assert set(cache.iterdir()) == {folders["held"], folders["used"]}
    unpacked.prune(cache, 0)
    assert not list(cache.iterdir())


def test_folders_that_came_into_being_since_an_import_looked_for_them_are_looked_into(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", f"""
import sys
from pathlib import Path
from flyte_jupyter.kernel.runtime import bundle

late, place = Path({str(tmp_path)!r}) / "late", Path({str(tmp_path)!r}) / "bundle"
sys.path.insert(0, str(late))
for name in ("steps", "lately"):
    try:
        __import__(name)
    except ImportError:
        pass
for folder, name, text in ((late, "lately", "here = 1"), (place, "steps", "from lately import here")):
    folder.mkdir()
    (folder / f"{{name}}.py").write_text(text)
print(bundle.load(bundle.Unpacked(place), "steps:here"))
"""],
        capture_output=True, text=True, check=True, timeout=120, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert said.stdout.strip() == "1"
