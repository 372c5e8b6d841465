"""A folder's disk: free space, whether it can be written to, file system."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs")
MOUNTS = Path("/proc/mounts")


@dataclass(frozen=True)
class Disk:
    """The disk of a folder, which need not exist yet.

    refusal     why nothing can be written there; "" if it can
    filesystem  Linux's name of it; "" if unknown
    """

    path: str
    exists: bool
    free_bytes: int
    refusal: str
    filesystem: str

    @property
    def network(self) -> bool:
        """Return True if it is a network file system."""
        return self.filesystem.removeprefix("fuse.") in (*NETWORK, "sshfs")


def look_at_disk(folder: Path) -> Disk:
    """Describe a folder's disk; leaves no file there."""
    whole = folder.resolve()
    nearest = next(path for path in (whole, *whole.parents) if path.exists())
    free, refusal = shutil.disk_usage(nearest).free, _refusal(nearest)
    return Disk(str(whole), whole.is_dir(), free, refusal, filesystem_of(nearest))


def _refusal(folder: Path) -> str:
    """Try to write a temporary file; return why it fails, "" if it doesn't."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return str(error.strerror)


def filesystem_of(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of a path's file system; "" if the system has no list of mounts."""
    if not mounts.is_file():
        return ""
    found, longest = "", -1
    for line in mounts.read_text(errors="replace").splitlines():
        _, point, name, *_ = line.split(" ")
        point = point.replace("\\040", " ")  # a space in the list
        # of two mounts at one point, the later one hides the other
        if path.is_relative_to(point) and len(point) >= longest:
            found, longest = name, len(point)
    return found
