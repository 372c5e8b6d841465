"""Whatever a damaged file makes a library raise becomes the fault of that scan alone."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from clearbench.errors import UnreadableScan

# What libraries raise for values that no file should have: almost anything.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def damage_as_unreadable() -> Iterator[None]:
    """Raise UnreadableScan instead of what a library raises; errors of the disk stay as they are.

    Without it, one file that nobody thought of would stop a run over thousands.
    """
    try:
        yield
    except (UnreadableScan, OSError):
        raise
    except DAMAGE as error:
        why = str(error).splitlines()[0] if str(error) else "no reason given"
        raise UnreadableScan(
            f"it can't be read ({type(error).__name__}: {why}); it is damaged, or of a kind that "
            "clearbench doesn't know"
        ) from error
