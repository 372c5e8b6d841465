"""Files written whole or not at all, and the drafts that killed processes leave behind."""

import errno
import itertools
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

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
_numbers = itertools.count()


def draft_of(path: Path) -> Path:
    """Return a hidden name beside `path` to write to: host, process and a number are in it.

    Every call returns another name, so that threads can write the same file.
    """
    unique = f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
    return path.with_name(f".{path.name}.{unique}.tmp")


def write_whole(path: Path, write: Callable[[Path], object], *, private: bool = False) -> None:
    """Write a draft in the same folder, flush it to the disk, and rename it.

    A `private` file is readable by its owner only, from its first byte on. Raises StorageFull if
    the disk refuses; then nothing stays behind.
    """
    _write(path, write, lambda draft: draft.replace(path), private=private)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all; raises StorageFull."""
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_first(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole, unless it exists; of several writers at once the first one wins.

    Raises StorageFull if the disk refuses.
    """

    def settle(draft: Path) -> None:
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            draft.replace(path)

    _write(path, lambda draft: draft.write_bytes(content), settle, private=private)


def write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Fill a draft folder and rename it: `path`, which must not exist, appears whole or not at all.

    Raises StorageFull if the disk refuses.
    """

    def fill(draft: Path) -> None:
        draft.mkdir()
        write(draft)

    _translated(path, draft_of(path), fill, lambda draft: draft.rename(path))


def _write(
    path: Path,
    write: Callable[[Path], object],
    settle: Callable[[Path], object],
    *,
    private: bool,
) -> None:
    """Write a draft, flush it to the disk, and settle it under its name."""

    def fill(draft: Path) -> None:
        if private:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())

    _translated(path, draft_of(path), fill, settle)


def _translated(
    path: Path,
    draft: Path,
    fill: Callable[[Path], object],
    settle: Callable[[Path], object],
) -> None:
    """Fill a draft and settle it; a disk that refuses becomes StorageFull, and no draft stays."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(draft)
        settle(draft)
    except OSError as error:
        if error.errno in DISK_REFUSES:
            raise disk_refuses(path, str(error.strerror)) from error
        raise
    finally:
        _remove(draft)


def _remove(draft: Path) -> None:
    """Remove what is left of a draft."""
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


def disk_refuses(path: Path, reason: str) -> StorageFull:
    """Return the error for a file that can't be written: where, why, and what to do."""
    return StorageFull(
        f"{path.parent}: can't be written ({reason}); what was complete is kept. "
        "Free some space (or allow writing) and run the same command again"
    )


def sweep_drafts(folder: Path, *, deep: bool = True) -> int:
    """Remove drafts that killed processes of this host left in a folder; returns how many."""
    ours = re.compile(rf"\..+\.{re.escape(socket.gethostname())}-(\d+)(-\d+)?\.tmp.*")
    swept = 0
    drafts = (folder.rglob if deep else folder.glob)(".*.tmp*") if folder.is_dir() else ()
    for draft in list(drafts):
        owner = ours.fullmatch(draft.name)
        if owner and not _alive(int(owner[1])):
            _remove(draft)
            swept += 1
    return swept


def _alive(process: int) -> bool:
    """Tell whether a process of this host runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
