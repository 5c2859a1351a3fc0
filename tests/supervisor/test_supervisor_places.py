"""Where a control plane lives, decided from the environment alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flyte_jupyter.supervisor import Places, StartFailed, find, find_or_start
from flyte_jupyter.supervisor.filesystems import network_file_system
from flyte_jupyter.supervisor.places import (
    LONGEST_SOCKET_PATH,
    make_private,
    owned_by_another,
    places,
)

MOUNTS = """\
/dev/vda1 / ext4 rw 0 0
server:/export/home /home nfs4 rw 0 0
/dev/vdb1 /home/local ext4 rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
user@host:/ /mnt/ssh fuse.sshfs rw 0 0
tmpfs /run/user/1000 tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", None),
        ("/home/ada/.local", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/ada", None),
        ("/home/local/ada", None),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/ssh/x", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_recognised(folder, kind):
    assert network_file_system(Path(folder), MOUNTS) == kind


def test_a_table_that_makes_no_sense_names_nothing():
    assert network_file_system(Path("/home"), "garbage\n\n / \n") is None


def test_data_goes_into_jupyters_own_folder():
    found = places({"HOME": "/var/home/ada", "JUPYTER_DATA_DIR": "/var/jd"}, mounts=MOUNTS)
    assert found.data == Path("/var/jd/flyte-jupyter")
    assert found.run == Path("/var/jd/flyte-jupyter/run")
    assert not found.notice


def test_a_home_on_a_network_file_system_moves_the_data_with_a_notice():
    found = places(
        {"HOME": "/home/ada", "FLYTE_JUPYTER_LOCAL_DIR": "/var/scratch/ada"}, mounts=MOUNTS
    )
    assert found.data == Path("/var/scratch/ada")
    assert "nfs4" in found.notice
    assert "per host" in found.notice
    assert "FLYTE_JUPYTER_LOCAL_DIR" in found.notice


def test_a_named_data_folder_is_taken_as_it_is():
    found = places({"HOME": "/x", "FLYTE_JUPYTER_DATA_DIR": "/var/mine"}, mounts=MOUNTS)
    assert found.data == Path("/var/mine")


def test_a_long_path_does_not_break_the_socket():
    deep = "/var/" + "d" * 150
    found = places({"HOME": "/x", "FLYTE_JUPYTER_DATA_DIR": deep}, mounts=MOUNTS)
    other = places({"HOME": "/x", "FLYTE_JUPYTER_DATA_DIR": deep + "e"}, mounts=MOUNTS)
    assert len(os.fsencode(found.socket)) <= LONGEST_SOCKET_PATH
    assert found.run != other.run


def test_a_private_folder_is_the_owners_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A folder of somebody else's: root's, or one that root gave away."""
    if os.getuid() != 0:
        return Path("/usr")
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    return folder


def test_somebody_elses_folder_is_refused(foreign, tmp_path):
    with pytest.raises(PermissionError, match="another user"):
        make_private(foreign)
    link = tmp_path / "link"
    link.symlink_to(foreign)
    with pytest.raises(PermissionError, match="another user"):
        make_private(link)


def test_a_control_plane_in_somebody_elses_folder_is_not_believed(foreign, tmp_path):
    """Anybody may have put a folder of that name into the temporary one, with a socket of their own in it."""
    assert owned_by_another(foreign) is not None
    assert find(Places(tmp_path, foreign)) is None


def test_a_place_that_cannot_be_written_to_is_one_clear_line(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(file / "data"))
    monkeypatch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
    with pytest.raises(StartFailed, match="FLYTE_JUPYTER_DATA_DIR"):
        find_or_start()
