"""Files from elsewhere: regular files only, none that is far too large, and JSON that is no trick.

A pipe would wait for ever, /dev/zero has no end, and a card of a gigabyte is no card.
"""

import errno
import json
import os
import stat
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

MB = 2**20
MOST_MB = 64  # of a record in JSON


def size_text(count: float) -> str:
    """Return a number of bytes as people write it: 512 bytes, 64 MB, 1.5 TB (steps of 1024)."""
    size, unit = count, "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.1f}".removesuffix(".0") + f" {unit}"


def open_bytes(path: Path, most_mb: float = MOST_MB) -> BinaryIO:
    """Open a file; raises OSError, also for what is no file or larger than that."""
    try:
        # without waiting for somebody who writes into a pipe
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # a socket can't be opened at all, and the system's words for it help nobody
        if error.errno == errno.ENXIO:
            raise OSError(errno.EINVAL, "a pipe, socket or device, not a file", str(path)) from None
        raise
    file = os.fdopen(handle, "rb")
    try:
        facts = os.fstat(handle)
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "a pipe, socket or device, not a file", str(path))
        if facts.st_size > most_mb * MB:
            reason = f"{size_text(facts.st_size)}, more than {size_text(most_mb * MB)}"
            raise OSError(errno.EFBIG, reason, str(path))
    except OSError:
        file.close()
        raise
    return file


def read_bytes(path: Path, most_mb: float = MOST_MB) -> bytes:
    """Return a file's content; raises OSError, also for what is no file or larger than that."""
    with open_bytes(path, most_mb) as file:
        return file.read()


def read_text(path: Path, most_mb: float = MOST_MB) -> str:
    """Return a file's text in UTF-8; raises OSError as `read_bytes`, or UnicodeDecodeError."""
    # -sig: editors of Windows put a byte order mark before it
    return read_bytes(path, most_mb).decode("utf-8-sig")


def read_json(path: Path, most_mb: float = MOST_MB) -> Any:
    """Return the record in a JSON file; raises OSError as `read_bytes`, or ValueError.

    Refused are what the standard has not (NaN, Infinity), what has two meanings (a key twice), and
    what no file could be written with again (halves of characters).
    """
    text = read_text(path, most_mb)
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        if "\\ud" in text.lower():  # a half of a character may be written so
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("lists in lists, too deep") from error
    except UnicodeEncodeError as error:
        raise ValueError("it has half a character (a lone surrogate)") from error
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object whose keys are each there once; raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice} is there twice")
    return found


def _no_number(word: str) -> float:
    """Refuse NaN and Infinity, which JSON doesn't have."""
    raise ValueError(f"{word} is no number in JSON")


def is_file(path: Path) -> bool:
    """Tell whether a path leads to a regular file; False also for what can be no path."""
    try:
        return path.is_file()
    # a stranger's text may be too long, or have a NUL
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Tell whether a path leads to something; False also for what can be no path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
