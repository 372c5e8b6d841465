from pathlib import Path

import pytest

from clearbench.store.disk import Disk, filesystem_of, look_at_disk

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /data nfs4 rw,vers=4.2 0 0
/dev/sdb1 /data/local xfs rw 0 0
//server/share /mnt/a\\040b cifs rw 0 0
sshfs#me@host /far fuse.sshfs rw 0 0
"""


def test_a_folder_s_disk_is_described_and_nothing_left_behind(tmp_path: Path) -> None:
    disk = look_at_disk(tmp_path)
    assert (disk.path, disk.exists, disk.refusal) == (str(tmp_path.resolve()), True, "")
    assert disk.free_bytes > 0
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_made_yet_is_where_its_parent_is(tmp_path: Path) -> None:
    disk = look_at_disk(tmp_path / "a" / "b")
    assert not disk.exists
    assert disk.refusal == ""
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_written_has_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert look_at_disk(tmp_path / "file").refusal == "Not a directory"


@pytest.mark.parametrize(
    ("place", "kind", "network"),
    [
        ("/home/me", "ext4", False),
        ("/data", "nfs4", True),
        ("/data/store", "nfs4", True),
        ("/data/local/store", "xfs", False),
        ("/database", "ext4", False),
        ("/mnt/a b/c", "cifs", True),
        ("/far/away", "fuse.sshfs", True),
    ],
)
def test_the_nearest_mount_counts(place: str, kind: str, network: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert filesystem_of(Path(place), mounts) == kind
    assert Disk(place, True, 1, "", kind).network is network


def test_without_a_list_of_mounts_nothing_is_claimed(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, tmp_path / "none") == ""
    assert not Disk("x", True, 1, "", "").network
