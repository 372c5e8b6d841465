"""Every deliberate error, drawn as a tree.

* ClearbenchError                        exit code 2 unless a class says otherwise
  + BadRequest        (ValueError)       an option, argument or statement that can't be served
    - BadArgument                        one argument of a call, with its value and the reason
    - BadQuery                           SQL that is not exactly one SELECT, or that DuckDB refuses
  + UnknownName       (KeyError)         a name that no catalogue holds; offers the nearest ones
  + BadCard           (ValueError)       a TOML card that breaks its own rules
  + BadCohort         (ValueError)       a table of scans or labels that contradicts itself
  + BadTask           (ValueError)       a task that these labels, features or patients can't serve
  + BadStore          (RuntimeError)     a folder that is no store, or one of another schema
  + WeightsUnavailable (RuntimeError)    weights that are missing, refused or not the expected ones
  + MissingExtra      (ImportError)      an optional package; names the pip command
  + UnreadableScan    (ValueError)       one scan can't be read; the others go on   (exit code 1)
  + TrainingDiverged  (RuntimeError)     the loss is no number any more               (exit code 1)
  + StorageFull       (OSError)          the disk refused a write                   (exit code 1)

Each message says what, where and what to do.
"""

import difflib
from collections.abc import Iterable
from typing import Self


class ClearbenchError(Exception):
    """Any error that clearbench raises on purpose."""

    exit_code = 2

    def __str__(self) -> str:
        return " ".join(str(part) for part in self.args)


class BadRequest(ClearbenchError, ValueError):
    """An option, argument or statement can't be served."""


class BadArgument(BadRequest):
    """One argument can't be served; the library names it as Python does, a face may name its own.

    name    the parameter of the public function
    value   what it was given
    reason  what is wrong, and what to do
    """

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(name, value, reason)
        self.name, self.value, self.reason = name, value, reason

    def __str__(self) -> str:
        return f"{self.name}={self.value!r}: {self.reason}"


class BadQuery(BadRequest):
    """A statement is not exactly one SELECT, or DuckDB refuses it."""


class UnknownName(ClearbenchError, KeyError):
    """A name is not in a catalogue; the message offers the nearest ones."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], more: str = "") -> Self:
        """Say that no `kind` is called `name`, offer its neighbours, then add `more`."""
        return cls(f'no {kind} is called "{name}"{suggestion(name, known)}{more}')


class BadCard(ClearbenchError, ValueError):
    """A card breaks its own rules."""


class BadCohort(ClearbenchError, ValueError):
    """A table of scans or labels contradicts itself."""


class BadTask(ClearbenchError, ValueError):
    """A task can't be served by these labels, features or patients."""


class BadStore(ClearbenchError, RuntimeError):
    """A folder is no clearbench store, or one of another schema version."""


class WeightsUnavailable(ClearbenchError, RuntimeError):
    """Weights are missing, refused, or not the expected ones."""


class MissingExtra(ClearbenchError, ImportError):
    """An optional package is not installed; the message names the pip command."""


class UnreadableScan(ClearbenchError, ValueError):
    """One scan can't be read; the others go on."""

    exit_code = 1


class TrainingDiverged(ClearbenchError, RuntimeError):
    """Pretraining has lost its way; the last checkpoint is kept."""

    exit_code = 1


class StorageFull(ClearbenchError, OSError):
    """The disk refused a write; what was complete before stays."""

    exit_code = 1


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean a or b?" for the known names nearest to `name`, or nothing."""
    names = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=cutoff)
    return f"; did you mean {' or '.join(names[match] for match in near)}?" if near else ""
