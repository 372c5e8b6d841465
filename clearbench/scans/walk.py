"""What is under a path: regular files, links to nothing, and what is no file or can't be opened.

Only regular files are ever opened: a pipe would wait for ever, and /dev/zero has no end.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from clearbench.errors import is_text, plain_text
from clearbench.rights import is_store

GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)  # of a link: its file is missing
NO_FILE = "a pipe, socket or device, not a file"


@dataclass(frozen=True)
class Walked:
    """The entries below a folder, each in the order of its path.

    files   regular files that can be looked at, and whose names are text
    broken  links whose file is missing, such as those of a partial clone
    closed  files and folders that can't be looked at, and why
    odd     pipes, sockets and devices
    unnamed files whose names aren't UTF-8: no table can hold them
    """

    files: tuple[Path, ...] = ()
    broken: tuple[Path, ...] = ()
    closed: tuple[tuple[Path, str], ...] = ()
    odd: tuple[Path, ...] = ()
    unnamed: tuple[Path, ...] = ()


def walk(path: Path) -> Walked:
    """List a file, or every entry below a folder.

    Hidden files and folders are skipped, and so is a feature store among the scans. Linked folders
    are followed, each real folder once.
    """
    closed: list[tuple[Path, str]] = []
    found: dict[str, list[Path]] = {"files": [], "broken": [], "odd": [], "unnamed": []}
    for entry in _entries(path, closed):
        try:
            kind = _kind(entry)
        except OSError as error:
            closed.append((entry, error.strerror or "can't be opened"))
        else:
            found[kind].append(entry)
    return Walked(
        closed=tuple(sorted(closed)), **{name: tuple(paths) for name, paths in found.items()}
    )


def why_unnamed(file: Path) -> str:
    """Return why a file is left out whose name is not UTF-8."""
    return f"its name is not UTF-8 ({plain_text(file.name)}): rename it"


def is_file(path: Path) -> bool:
    """Tell whether a path is a regular file that can be looked at; never raises."""
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file raises where a folder is closed


def _kind(entry: Path) -> str:
    """Return the name of the list that an entry belongs to; raises OSError."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        if error.errno in GONE:
            return "broken"
        raise
    if not stat.S_ISREG(mode):
        return "odd"
    return "files" if is_text(str(entry)) else "unnamed"


def _entries(path: Path, closed: list[tuple[Path, str]]) -> list[Path]:
    """Return a file, or every entry below a folder that is not a folder, in a fixed order."""
    if not path.is_dir():
        return [path]
    entries: list[Path] = []
    seen: set[Path] = set()

    def note(error: OSError) -> None:
        closed.append((Path(str(error.filename)), error.strerror or "can't be opened"))

    for folder, subfolders, names in os.walk(path, onerror=note, followlinks=True):
        place = Path(folder)
        real = place.resolve()
        if real in seen or is_store(place):
            subfolders.clear()
            continue
        seen.add(real)
        # in place, because os.walk goes on with this very list
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        entries += [place / name for name in names if not name.startswith(".")]
    return sorted(entries)
