"""Write files completely or not at all, and remove the drafts of killed processes."""

import errno
import itertools
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clearbench.errors import StorageFull

DISK_REFUSES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)
OWNER_ONLY = 0o600
IN_USE = "in-use"
_numbers = itertools.count()


def draft_of(path: Path) -> Path:
    """Return the path of a draft, a hidden file next to `path`.

    Its name has the host, the process and a new number: several threads may write the same file.
    """
    unique = f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
    # in the same folder, because a rename is one step only within one file system
    return path.with_name(f".{path.name}.{unique}.tmp")


def write_whole(path: Path, write: Callable[[Path], object], *, private: bool = False) -> None:
    """Write a draft in the same folder, flush it to the disk, and rename it to `path`.

    Only its owner can read a `private` file, also while it is a draft. Raises StorageFull if the
    disk refuses; then no draft is left.
    """
    _write(path, write, lambda draft: draft.replace(path), private=private)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, completely or not at all; raises StorageFull."""
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_first(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a complete file, unless it exists; of several writers, the first one wins.

    Raises StorageFull if the disk refuses.
    """

    def settle(draft: Path) -> None:
        try:
            path.hardlink_to(draft)  # unlike a rename, it never replaces a file
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            draft.replace(path)

    _write(path, lambda draft: draft.write_bytes(content), settle, private=private)


def write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Fill a draft folder and rename it to `path`, which must not exist yet.

    So `path` appears completely or not at all.

    Raises StorageFull if the disk refuses.
    """

    def fill(draft: Path) -> None:
        draft.mkdir()
        write(draft)

    _fill_and_settle(path, draft_of(path), fill, lambda draft: draft.rename(path))


def _write(
    path: Path,
    write: Callable[[Path], object],
    settle: Callable[[Path], object],
    *,
    private: bool,
) -> None:
    """Write a draft, flush it to the disk, and give it its final name with `settle`."""

    def fill(draft: Path) -> None:
        if private:
            # made with these rights before any byte is in it: changing them later is too late
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())  # else a crash may leave an empty file under the final name

    _fill_and_settle(path, draft_of(path), fill, settle)


def _fill_and_settle(
    path: Path,
    draft: Path,
    fill: Callable[[Path], object],
    settle: Callable[[Path], object],
) -> None:
    """Fill a draft and give it its final name; raises StorageFull, and leaves no draft."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(draft)
        settle(draft)
    except IsADirectoryError as error:
        raise StorageFull(f"{path}: a folder lies where this file belongs; remove it") from error
    except OSError as error:
        if error.errno in DISK_REFUSES:
            raise disk_refuses(path, str(error.strerror)) from error
        raise
    # after a hard link, the draft's name is still there
    finally:
        remove(draft)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def disk_refuses(path: Path, reason: str) -> StorageFull:
    """Return the error for a file that can't be written."""
    return StorageFull(
        f"{path.parent}: can't be written to ({reason}); complete files are kept. "
        "Free some space (or allow writing) and run the same command again"
    )


@dataclass(frozen=True)
class Draft:
    """A draft on the disk, and what is known of the process that writes it.

    writer: "running" or "killed", a process of this host; "elsewhere", one of another host
    """

    path: Path
    writer: Literal["running", "killed", "elsewhere"]


def find_drafts(folder: Path, *, deep: bool = True) -> list[Draft]:
    """List the drafts in a folder, in the order of their paths."""
    ours = re.compile(rf"\..+\.{re.escape(socket.gethostname())}-(\d+)(-\d+)?\.tmp.*")
    theirs = re.compile(r"\..+-\d+-\d+\.tmp.*")
    found = []
    for path in sorted((folder.rglob if deep else folder.glob)(".*.tmp*")):
        owner = ours.fullmatch(path.name)
        if owner:
            found.append(Draft(path, "running" if _alive(int(owner[1])) else "killed"))
        # on a shared disk, the process numbers of other hosts say nothing here
        elif theirs.fullmatch(path.name):
            found.append(Draft(path, "elsewhere"))
    return found


def sweep_drafts(folder: Path, *, deep: bool = True) -> int:
    """Remove the drafts of killed processes of this host in a folder; returns their number."""
    killed = [draft for draft in find_drafts(folder, deep=deep) if draft.writer == "killed"]
    for draft in killed:
        remove(draft.path)
    return len(killed)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Mark a folder as in use by this process: with a draft that never becomes a file."""
    mark = draft_of(folder / IN_USE)
    # a disk that refuses says so at the first real file
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    """Return True if a process of this host is running."""
    try:
        os.kill(process, 0)  # signal 0 only asks whether the process exists
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, under another user
        return True
    return True
