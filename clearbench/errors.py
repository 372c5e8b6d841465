"""Every error that clearbench raises on purpose, drawn as a tree.

* ClearbenchError                        exit code 2 unless a class says otherwise
  + BadRequest        (ValueError)       an option, argument or statement that can't be served
    - BadArgument                        one argument of a call, with its value and the reason
    - NoMemory                           what a network was given doesn't fit in the device's memory
    - BadQuery                           SQL that is not exactly one SELECT, or that DuckDB refuses
  + UnknownName       (KeyError)         a name that is in no catalogue; offers the nearest ones
  + BadCard           (ValueError)       a TOML card that breaks its own rules
  + BadCohort         (ValueError)       a table of scans or labels that contradicts itself
  + BadTask           (ValueError)       a task that these labels, features or patients can't serve
  + BadStore          (RuntimeError)     a folder that is not a store, or has another schema
  + WeightsUnavailable (RuntimeError)    weights that are missing, refused or not the expected ones
  + MissingExtra      (ImportError)      an optional package; names the pip command
  + UnreadableScan    (ValueError)       one scan can't be read; the others go on   (exit code 1)
  + TrainingDiverged  (RuntimeError)     the loss is not a number any more            (exit code 1)
  + StorageFull       (OSError)          the disk refused a write                   (exit code 1)

Each message names what is wrong, where, and what to do.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Self

from clearbench.exit_codes import ExitCode

LONG_WORD = re.compile(r"(\S{200})\S{200,}(\S{100})")
LONGEST = 1800  # letters of a message
LONGEST_NAME = 200  # of a name that may be a misspelt one


def is_text(name: str) -> bool:
    """Tell whether a name is UTF-8; Python holds other bytes as halves of letters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class ClearbenchError(Exception):
    """Any error that clearbench raises on purpose."""

    exit_code = ExitCode.REFUSED

    def __str__(self) -> str:
        return shortened(" ".join(str(part) for part in self.args))


class BadRequest(ClearbenchError, ValueError):
    """An option, argument or statement can't be served."""


class NoMemory(BadRequest):
    """What a network was given doesn't fit in the device's memory."""


class BadArgument(BadRequest):
    """One argument can't be served. The message names it as Python does; the command line names
    its own option.

    name    the parameter of the public function
    value   the value that was passed
    reason  what is wrong, and what to do
    """

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(name, value, reason)
        self.name, self.value, self.reason = name, value, reason

    def __str__(self) -> str:
        return shortened(f"{self.name}={self.value!r}: {self.reason}")


class BadQuery(BadRequest):
    """A statement is not exactly one SELECT, or DuckDB refuses it."""


class UnknownName(ClearbenchError, KeyError):
    """A name is not in a catalogue; the message offers the nearest ones."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], more: str = "") -> Self:
        """Return the error: no `kind` is called `name`, the nearest known names, then `more`."""
        return cls(f'no {kind} is called "{name}"{suggestion(name, known)}{more}')


class BadCard(ClearbenchError, ValueError):
    """A card breaks its own rules."""


class BadCohort(ClearbenchError, ValueError):
    """A table of scans or labels contradicts itself."""


class BadTask(ClearbenchError, ValueError):
    """A task can't be served by these labels, features or patients."""


class BadStore(ClearbenchError, RuntimeError):
    """A folder is not a clearbench store, or has another schema version."""


class WeightsUnavailable(ClearbenchError, RuntimeError):
    """Weights are missing, refused, or not the expected ones."""


class MissingExtra(ClearbenchError, ImportError):
    """An optional package is not installed; the message names the pip command."""


class UnreadableScan(ClearbenchError, ValueError):
    """One scan can't be read; the others go on."""

    exit_code = ExitCode.FAILED


class TrainingDiverged(ClearbenchError, RuntimeError):
    """The loss of a pretraining is not a number any more; the last checkpoint is kept."""

    exit_code = ExitCode.FAILED


class StorageFull(ClearbenchError, OSError):
    """The disk refused a write; files that were complete stay."""

    exit_code = ExitCode.FAILED


def check_between(name: str, value: float, least: float, most: float, more: str = "") -> None:
    """Raise BadArgument for a number that isn't from `least` to `most`; NaN never is."""
    if not least <= value <= most:
        raise BadArgument(name, value, f"must be from {least:,g} to {most:,}{more}")


def shortened(text: str) -> str:
    """Return a message without the middle of words that no reader needs whole.

    A cell, a key or a value of a stranger's file may have a million letters.
    """
    text = LONG_WORD.sub(r"\1…\2", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean a or b?" for the known names nearest to `name`, or nothing."""
    if len(name) > LONGEST_NAME:  # the time of a comparison grows with the square of it
        return ""
    names = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=cutoff)
    return f"; did you mean {' or '.join(names[match] for match in near)}?" if near else ""


def plain_text(text: str) -> str:
    """Return text on one line that a terminal only shows: control codes and lone surrogates, which
    stand for bytes that are no text, are written as their codes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def counted(count: int, noun: str) -> str:
    """Write a number of things: "1 scan", "1,200 scans"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def name_some(names: Sequence[str], shown: int = 5, separator: str = ", ") -> str:
    """Return "a, b, c, d, e and 3 more": the first `shown` names, and a count of the rest."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(map(shortened, names[:shown])) + more
