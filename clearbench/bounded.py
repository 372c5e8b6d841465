"""Files from elsewhere, read whole: regular files only, and none that is far too large.

A pipe would wait for ever, /dev/zero has no end, and a card of a gigabyte is no card.
"""

import errno
import os
import stat
from pathlib import Path

MB = 2**20
MOST_MB = 64  # of a record in JSON


def read_bytes(path: Path, most_mb: float = MOST_MB) -> bytes:
    """Return a file's content; raises OSError, also for what is no file or larger than that."""
    # without waiting for somebody who writes into a pipe
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "a pipe, socket or device, not a file", str(path))
        if facts.st_size > most_mb * MB:
            reason = f"{facts.st_size / MB:,.0f} MB, more than {most_mb:g} MB"
            raise OSError(errno.EFBIG, reason, str(path))
        return file.read()


def read_text(path: Path, most_mb: float = MOST_MB) -> str:
    """Return a file's text in UTF-8; raises OSError as `read_bytes`, or UnicodeDecodeError."""
    return read_bytes(path, most_mb).decode("utf-8")
