"""Whatever a file makes a library raise becomes the fault of that scan alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from clearbench.errors import ClearbenchError, UnreadableScan, plain_text

LONGEST = 200  # letters of a library's sentence that are quoted
TOO_LARGE = "too large for this machine's memory"


@contextmanager
def damage_as_unreadable() -> Iterator[None]:
    """Raise UnreadableScan instead of anything that a library raises, with its type and text.

    Without it, one file that nobody thought of would stop a run over thousands.
    """
    try:
        yield
    except ClearbenchError:
        raise
    except MemoryError as error:  # a plain one has no text
        raise UnreadableScan(TOO_LARGE) from error
    except OSError as error:
        raise UnreadableScan(f"it can't be read ({error.strerror or why(error)})") from error
    except Exception as error:
        raise UnreadableScan(
            f"it can't be read ({type(error).__name__}: {why(error)}); it is damaged, or of a kind "
            "that clearbench doesn't know"
        ) from error


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Raise UnreadableScan that begins with `what` instead of anything that a library raises."""
    try:
        yield
    except (ClearbenchError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableScan(f"{what} ({why(error)})") from error


def why(error: BaseException) -> str:
    """Return the first line of a library's sentence, shortened, and as a terminal shows it."""
    first = plain_text(next(iter(str(error).splitlines()), "")) or "no reason given"
    return first if len(first) <= LONGEST else f"{first[:LONGEST]}…"
