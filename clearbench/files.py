"""Write files completely or not at all, and remove the drafts of killed processes.

What is written is a regular file: a new one, or one that is replaced whole. A link is followed, so
that it stays a link. A folder, pipe, socket or device is refused before anything is written; only
`write_output`, for a path that a user typed, streams into a pipe or character device.
"""

import errno
import fcntl
import itertools
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Literal

from clearbench.errors import BadRequest, StorageFull
from clearbench.rights import GROUP_READS, OWNER_ONLY, create, make_folders, rights_at

DISK_REFUSES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)
MOST_LINKS = 40  # as Linux allows
IN_USE = "in-use"
SCRATCH = "clearbench"
_numbers = itertools.count()


def draft_of(path: Path) -> Path:
    """Return the path of a draft, a hidden file next to `path`.

    Its name has the host, the process and a new number: several threads may write the same file.
    """
    # in a container, process numbers come again, and a killed one may have left this very name
    while True:
        unique = f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
        # in the same folder, because a rename is one step only within one file system
        draft = path.with_name(f".{path.name}.{unique}.tmp")
        if not os.path.lexists(draft):
            return draft


def write_whole(
    path: Path, write: Callable[[Path], object], *, private: bool = False, group: bool = False
) -> None:
    """Write a draft in the same folder, flush it to the disk, and rename it to `path`.

    Only its owner, and with `group` its group, can read a `private` file, also while it is a draft.
    Files in a store are so by the store's setting. A link or a pipe at `path` is replaced: see
    write_output for a path that a user typed. Raises StorageFull if the disk refuses; then no draft
    is left.
    """
    private_rights = (GROUP_READS if group else OWNER_ONLY) if private else None
    _write(path, write, lambda draft: draft.replace(path), private_rights or rights_at(path))


def write_behind(path: Path, write: Callable[[Path], object]) -> None:
    """Write as write_whole does, but a link stays, and its target is replaced.

    The target has the rights of a file at the link's place. Raises StorageFull.
    """
    target = path.resolve()
    _write(target, write, lambda draft: draft.replace(target), rights_at(path))


def write_output(
    path: Path,
    write: Callable[[Path], object],
    *,
    private: bool = False,
    group: bool = False,
    stream: bool = True,
) -> None:
    """Write a file that a user named, as write_whole does; or into the pipe or device at `path`.

    A link stays, and its target is replaced. A stream gets nothing before all of the content is
    there, and is refused without `stream`. Raises BadRequest if `path` is anything else than a
    regular file, and StorageFull.
    """
    if not _is_stream(path):
        write_whole(_behind_links(path), write, private=private, group=group)
        return
    if not stream:
        raise BadRequest(f"{path} is a pipe or a device; name a regular file")
    with scratch("output") as folder:
        draft = folder / path.name
        try:
            write(draft)
            with draft.open("rb") as source, _open_stream(path) as opened:
                shutil.copyfileobj(source, opened)
        except OSError as error:
            if error.errno not in DISK_REFUSES:
                raise
            place = f"{path}, or {tempfile.gettempdir()}"
            raise StorageFull(f"{place}: can't be written to ({error.strerror})") from error


def check_output(path: Path) -> Path:
    """Return a path that a user typed, if write_output can write there; raises BadRequest."""
    if _is_stream(path):
        return path
    check_folder(_behind_links(path).absolute().parent)
    return path


def check_folder(folder: Path) -> None:
    """Raise BadRequest if no file can be written into a folder, which may not exist yet."""
    whole = folder.absolute()
    there = next(each for each in (whole, *whole.parents) if each.exists())
    if not there.is_dir():
        raise BadRequest(f"{there} is a file, not a folder; name another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadRequest(f"you can't write into {there}; name another place")


def _is_stream(path: Path) -> bool:
    """Return True for a pipe or character device that is there, and for an open descriptor."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or _descriptor(path) is not None


def _open_stream(path: Path) -> BinaryIO:
    """Open a stream; an open descriptor is used itself, and goes on where it is."""
    number = _descriptor(path)
    if number is None:
        return path.open("ab")
    sys.stdout.flush()  # what was printed before comes first
    return os.fdopen(os.dup(number), "wb")


def _descriptor(path: Path) -> int | None:
    """Return the number of the open file of this process that a path names, as /dev/stdout does."""
    ours = {"/dev/fd", f"/proc/{os.getpid()}/fd"}
    for _ in range(MOST_LINKS):
        folder = path.parent.resolve()
        if str(folder) in ours and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            break
        path = folder / path.readlink()
    return None


def _behind_links(path: Path) -> Path:
    """Return the path of the regular file to write: a new one, an old one, or a link's target.

    Raises BadRequest for anything else.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise BadRequest(
                f"{path} is a link to nothing; remove the link, or name its target"
            ) from None
        return path
    except (OSError, ValueError):  # such as a part of the path that is no folder
        if path.is_symlink():
            raise BadRequest(f"{path} is a link that leads nowhere; remove it") from None
        return path
    if stat.S_ISDIR(mode):
        raise BadRequest(f"{path} is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise BadRequest(f"{path} is a socket or a block device; only regular files are written")
    return path.resolve() if path.is_symlink() else path


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

    rights = OWNER_ONLY if private else rights_at(path)
    _write(path, lambda draft: draft.write_bytes(content), settle, rights)


def write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Fill a draft folder and rename it to `path`, which must not exist yet.

    So `path` appears completely or not at all.

    Raises StorageFull if the disk refuses.
    """

    def fill(draft: Path) -> None:
        draft.mkdir()
        write(draft)

    _fill_and_settle(path, draft_of(path), fill, lambda draft: draft.rename(path), rights_at(path))


def _write(
    path: Path,
    write: Callable[[Path], object],
    settle: Callable[[Path], object],
    rights: int | None,
) -> None:
    """Write a draft, flush it to the disk, and give it its final name with `settle`."""

    def fill(draft: Path) -> None:
        if rights is not None:
            create(draft, rights)
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())  # else a crash may leave an empty file under the final name

    _fill_and_settle(path, draft_of(path), fill, settle, rights)


def _fill_and_settle(
    path: Path,
    draft: Path,
    fill: Callable[[Path], object],
    settle: Callable[[Path], object],
    rights: int | None,
) -> None:
    """Fill a draft and give it its final name; raises StorageFull, and leaves no draft."""
    try:
        make_folders(path.parent, rights)
        fill(draft)
        settle(draft)
    except IsADirectoryError as error:
        raise StorageFull(f"{path}: a folder is where this file belongs; remove it") from error
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


def remove_linked(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link to a file, that file first."""
    if path.is_symlink() and path.is_file():
        remove(path.resolve())
    remove(path)


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


def everything_below(
    folder: Path, on_closed: Callable[[OSError], object] | None = None
) -> list[Path]:
    """List every file and folder below a folder, hidden ones too, and what is behind links.

    Each folder is listed once, however many links lead to it. `on_closed` gets the error of a
    folder that can't be listed.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, onerror=on_closed, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()  # os.walk goes on with this very list
            continue
        seen.add(real)
        found += [Path(place, name) for name in (*folders, *files)]
    return sorted(found)


def find_drafts(folder: Path, *, deep: bool = True) -> list[Draft]:
    """List the drafts in a folder, in the order of their paths."""
    ours = re.compile(rf"\..+\.{re.escape(socket.gethostname())}-(\d+)(-\d+)?\.tmp.*")
    theirs = re.compile(r"\..+-\d+-\d+\.tmp.*")
    found = []
    for path in everything_below(folder) if deep else sorted(folder.glob(".*.tmp*")):
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


def make_scratch(purpose: str) -> Path:
    """Make a folder for temporary files that only its owner can read; whoever makes it removes it.

    It is called as a draft is, so that what killed processes left there is found, and removed
    first: it is data of patients. What belongs to another user stays. Raises OSError.
    """
    _sweep_scratch(Path(tempfile.gettempdir()))
    return Path(tempfile.mkdtemp(prefix=f"{draft_of(Path(f'{SCRATCH}-{purpose}')).name}-"))


@cache
def _sweep_scratch(folder: Path) -> None:
    """Remove what killed processes left in a folder, once in this process."""
    for draft in find_drafts(folder, deep=False):
        if draft.writer == "killed" and draft.path.name.startswith(f".{SCRATCH}-"):
            shutil.rmtree(draft.path, ignore_errors=True)


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Make a folder as make_scratch does, and remove it afterwards."""
    folder = make_scratch(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Mark a folder as in use by this process: with a draft that never becomes a file."""
    mark = draft_of(folder / IN_USE)
    # a disk that refuses says so at the first real file
    with suppress(OSError):
        make_folders(mark.parent, rights_at(mark))
        mark.touch(mode=rights_at(mark) or 0o666)
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread has this lock of a folder, and hold it.

    For files that are read and written again, so that nothing of two writers is lost. A file system
    without locks has none.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)  # the system lets it go when a process ends
        yield
    finally:
        os.close(handle)


def _alive(process: int) -> bool:
    """Return True if a process of this host is running."""
    try:
        os.kill(process, 0)  # signal 0 only checks whether the process exists
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, under another user
        return True
    return True
