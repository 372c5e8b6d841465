"""What a malformed input may cost, and the sentence in which it ends."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clearbench.errors import ClearbenchError, plain_text
from hostile.cases import Case

MOST_S, MOST_MB = 10, 1024
LONGEST = 2000  # letters of a sentence
PROCESS = Path("/proc/self")
NEVER = re.compile(r"weights_only=False|allow_pickle|Traceback|\\n.*\\n")


class TooSlow(BaseException):
    """Time is up; no `except Exception` of a reader takes it for a fault of the file."""


def said_by(door: Callable[[], object]) -> str:
    """Return the sentence in which an input is refused, "" if it is read.

    Fails for any other error, for more than 10 s or 1 GB, and for a sentence of many lines.
    """
    with limited():
        try:
            door()
        except ClearbenchError as error:
            check_sentence(str(error))
            return str(error)
    return ""


@contextmanager
def limited() -> Iterator[None]:
    """Fail if a part of a test takes more than 10 s, or more than 1 GB beyond what is in use."""
    before = start_peak()
    usual = signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(MOST_S)
    try:
        yield
    except TooSlow:
        pytest.fail(f"more than {MOST_S} s")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)
    taken = memory_mb("VmHWM") - before
    assert taken < MOST_MB, f"{taken:,} MB"


def _too_slow(*_: object) -> None:
    raise TooSlow


def start_peak() -> int:
    """Let the highest memory of this process begin here; return what is in use, in MB."""
    if (PROCESS / "clear_refs").exists():
        (PROCESS / "clear_refs").write_text("5")
    return memory_mb("VmRSS")


def memory_mb(name: str) -> int:
    """Return a number of this process's status; 0 where the system has none."""
    status = PROCESS / "status"
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(name)), 0)


@dataclass
class Tried:
    """How many cases there were, and what one of them cost at most."""

    cases: int = 0
    longest_s: float = 0.0
    most_mb: int = 0


TRIED: dict[str, Tried] = {}  # of this process, by format; benchmarks/hostile.py shows it


@contextmanager
def tried(kind: str, cases: int = 1) -> Iterator[None]:
    """Count some cases that are tried together, and what they cost."""
    start, before = time.perf_counter(), start_peak()
    yield
    one = TRIED.setdefault(kind, Tried())
    one.cases += cases
    one.longest_s = max(one.longest_s, time.perf_counter() - start)
    one.most_mb = max(one.most_mb, memory_mb("VmHWM") - before)


def try_each(cases: Iterable[Case], root: Path, check: Callable[[Case, Path], object]) -> None:
    """Write every case into a folder of its own, and check it there; what falls stops no other.

    `check` gets the case and its folder, and raises whatever it likes.
    """
    fallen: list[str] = []
    for number, case in enumerate(cases):
        folder = root / f"{number}"
        folder.mkdir(parents=True)
        case.write(folder)
        try:
            with tried(case.name.partition("/")[0]):
                check(case, folder)
        # pytest's own failure is no Exception
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001
            lines = [line for line in str(error).splitlines() if line.strip()]
            said = " / ".join(lines[:2])[:300]
            fallen.append(f"{case.name}: {type(error).__name__}: {said}")
        shutil.rmtree(folder, ignore_errors=True)
    assert not fallen, "\n" + "\n".join(fallen)


def usual_part(cases: Iterable[Case]) -> list[Case]:
    """Return the cases for every day: of those that may be read or refused, every third.

    With HOSTILE=all, as `make nightly` has it, all of them.
    """
    every = list(cases)
    if os.environ.get("HOSTILE") == "all":
        return every
    either = [case for case in every if case.refused is None]
    return [case for case in every if case.refused is not None] + either[::3]


def by_kind(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Sort cases by their format, the first word of their names."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.name.partition("/")[0], []).append(case)
    return found


def check_sentence(text: str) -> None:
    """Check that a refusal is one sentence that a terminal can show."""
    sentence = plain_text(text)
    assert sentence, "says nothing"
    assert len(sentence) < LONGEST, sentence
    assert not NEVER.search(sentence), sentence
