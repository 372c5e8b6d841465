"""The disk under a folder: its free space, whether it can be written, its file system."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs")
MOUNTS = Path("/proc/mounts")


@dataclass(frozen=True)
class Disk:
    """What a folder (or, until there is one, the place where it will be) offers.

    refusal     why nothing can be written there; "" if it can
    filesystem  as Linux calls it; "" where it is not known
    """

    path: str
    exists: bool
    free_bytes: int
    refusal: str
    filesystem: str

    @property
    def network(self) -> bool:
        """Whether other machines share it."""
        return self.filesystem.removeprefix("fuse.") in (*NETWORK, "sshfs")


def look_at_disk(folder: Path) -> Disk:
    """Describe the disk under a folder; nothing is left behind there."""
    whole = folder.resolve()
    place = next(path for path in (whole, *whole.parents) if path.exists())
    free, refusal = shutil.disk_usage(place).free, _refusal(place)
    return Disk(str(whole), whole.is_dir(), free, refusal, filesystem_of(place))


def _refusal(place: Path) -> str:
    """Try to write a file that has no name, and say why it can't be."""
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return str(error.strerror)


def filesystem_of(place: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the file system that holds a path; "" where there is no list of them."""
    if not mounts.is_file():
        return ""
    kind, longest = "", -1
    for line in mounts.read_text(errors="replace").splitlines():
        _, point, name, *_ = line.split(" ")
        point = point.replace("\\040", " ")  # how the list writes a space
        if place.is_relative_to(point) and len(point) >= longest:
            kind, longest = name, len(point)
    return kind
