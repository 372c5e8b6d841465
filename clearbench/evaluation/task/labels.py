"""Text in a cohort's columns → values: labels, sides of a split, days."""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from types import MappingProxyType

import numpy as np

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask, counted, name_some
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.words import (
    TIME,
    YES_NO,
    fold,
    is_time,
    is_unknown,
    spellings,
    usual,
)

# Each word as `fold` writes it; "Training set" is also read.
SIDES = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "val": "tune",
        "valid": "tune",
        "validation": "tune",
        "dev": "tune",
        "tune": "tune",
        "tuning": "tune",
        "test": "test",
        "testing": "test",
        "holdout": "test",
        "hold out": "test",
        "held out": "test",
    }
)


def read_labels(cohort: Cohort, task: TaskCard) -> list[list[float]]:
    """Read the label columns [labels, scans]; NaN where blank, or 0 with `blank = "negative"`.

    Raises UnknownName for a column the cohort lacks, BadTask for values outside the task's.
    """
    if task.target == "survival":
        return _survival(cohort, task)
    found = [_values(cohort, name, task) for name in task.labels]
    if task.blank == "unknown":
        return found
    values = np.array(found)
    blank = np.array([[text is None for text in cohort.label(name)] for name in task.labels])
    # of one label, a blank cell is all that a scan without the finding has
    annotated = True if task.target == "binary" else ~np.isnan(values).all(axis=0)
    filled: list[list[float]] = np.where(blank & annotated, 0.0, values).tolist()
    return filled


def _survival(cohort: Cohort, task: TaskCard) -> list[list[float]]:
    """Read time and event; a scan that lacks one of them has neither."""
    cells = zip(cohort.column("scan_id"), cohort.label(task.labels[0]), strict=True)
    unknown = {fold(each) for each in task.unknown}
    times = [
        _time(
            None if text is None or _is_no_time(text, unknown) else text,
            f"{task.labels[0]} of scan {scan}",
            cohort.name,
        )
        for scan, text in cells
    ]
    values = np.array([times, _values(cohort, task.labels[1], task)])
    values[:, np.isnan(values).any(axis=0)] = np.nan
    found: list[list[float]] = values.tolist()
    return found


def _is_no_time(text: str, unknown: Collection[str]) -> bool:
    """Tell whether a cell of times is unknown; a number of 0 or more is always a time."""
    return not is_time(text) and is_unknown(fold(text), (), unknown)


def _time(text: str | None, which: str, cohort: str) -> float:
    """Read a time; NaN if blank."""
    if text is not None and not is_time(text):
        raise BadTask(f"label {which}, cohort {cohort}, is {text!r}; {TIME}; blank = unknown")
    return _number(text)


def _values(cohort: Cohort, name: str, task: TaskCard) -> list[float]:
    """Read one label column as numbers, NaN where unknown."""
    words = _allowed(task)
    exact = len({fold(each) for each in task.classes}) < len(task.classes)
    key = str if exact else fold  # classes that differ by case only stay different by it
    unknown, classes = {fold(each) for each in task.unknown}, set(map(fold, words))
    texts = cohort.label(name)
    known = {
        text for text in texts if text is not None and not is_unknown(fold(text), classes, unknown)
    }
    bad = sorted(text for text in known if key(text) not in words)
    if bad:
        raise BadTask(_not_allowed(name, cohort, task, bad))
    return [float(words[key(text)]) if text in known and text else math.nan for text in texts]


def _allowed(task: TaskCard) -> dict[str, int]:
    """Return the number of each allowed value: yes and no, or the card's classes."""
    if not task.classes:
        return dict(YES_NO)
    folded = [fold(each) for each in task.classes]
    names = task.classes if len(set(folded)) < len(folded) else folded
    if task.positive:
        return {each: int(each in (task.positive, fold(task.positive))) for each in names}
    return {each: number for number, each in enumerate(names)}


def _not_allowed(name: str, cohort: Cohort, task: TaskCard, bad: Sequence[str]) -> str:
    """Return the error for values that the card doesn't allow, with their counts."""
    counts = Counter(cohort.label(name))
    listed = name_some([f"{text} ({counted(counts[text], 'scan')})" for text in bad])
    wanted = ", ".join(task.classes) if task.classes else "0, 1, yes, no, true, false"
    return (
        f"label {name} of cohort {cohort.name} has the values {listed}; the task allows {wanted}. "
        f'If one means unknown, the card says so: unknown = ["{bad[0]}"]; if it is a class, add it '
        "to classes"
    )


def notes_on_labels(cohort: Cohort, task: TaskCard) -> tuple[str, ...]:
    """Return what was read otherwise than it is written: spellings, unknown words, sites, sides."""
    survival = task.target == "survival"
    names = task.labels[1:] if survival else task.labels
    notes = [note for name in names for note in _notes_on(cohort, name, task)]
    times = _notes_on_times(cohort, task) if survival else []
    return (*times, *notes, *notes_on_sides(cohort, task))


def _notes_on_times(cohort: Cohort, task: TaskCard) -> list[str]:
    """Return a note on words in the times that count as unknown."""
    name, unknown = task.labels[0], {fold(each) for each in task.unknown}
    counts = Counter(text for text in cohort.label(name) if text and _is_no_time(text, unknown))
    words = ", ".join(
        f"{text} ({counted(count, 'scan')})" for text, count in sorted(counts.items())
    )
    return [f"label {name}: {words} counts as unknown"] if words else []


def notes_on_sides(cohort: Cohort, task: TaskCard) -> tuple[str, ...]:
    """Return how the column of a split was read: spellings, unknown sites, words of sides."""
    if task.split.group:
        return _notes_on_groups(task.split.group, Counter(cohort.label(task.split.group)))
    column = task.split.column
    counts = Counter(cohort.label(column)) if column else Counter[str | None]()
    read = [
        f"{text} ({counted(count, 'scan')}) is {side}"
        for text, count in counts.items()
        if text and (side := _side(text)) in SIDES.values() and text.lower() not in SIDES
    ]
    return (f"column {column}: {', '.join(sorted(read))}",) if read else ()


def _notes_on_groups(column: str, counts: Counter[str | None]) -> tuple[str, ...]:
    """Return which spellings are one group, and which words and blanks are none."""
    found = spellings(text for text in counts if text is not None)
    known = [texts for value, texts in found.items() if not is_unknown(value, (), ())]
    same = "; ".join(" = ".join(sorted(texts)) for texts in known if len(texts) > 1)
    lost = [t for value in found if is_unknown(value, (), ()) for t in sorted(found[value])]
    words = [f"{text} ({counted(counts[text], 'scan')})" for text in lost]
    words += [f"blank ({counted(counts[None], 'scan')})"] if counts[None] else []
    one = (f"column {column}: read as one value each: {same}",) if same else ()
    if not words:
        return one
    unknown = f"{', '.join(words)} counts as unknown; such patients only train"
    return (*one, f"column {column}: {unknown}")


def _notes_on(cohort: Cohort, name: str, task: TaskCard) -> list[str]:
    """Return the notes on one label."""
    found = spellings(text for text in cohort.label(name) if text is not None)
    classes, unknown = set(_allowed(task)), {fold(each) for each in task.unknown}
    times = {value: sum(texts.values()) for value, texts in found.items()}
    words = [
        f"{usual(texts)} ({counted(times[value], 'scan')})"
        for value, texts in found.items()
        if is_unknown(value, {fold(each) for each in classes}, unknown)
    ]
    same = [" = ".join(sorted(texts)) for texts in found.values() if len(texts) > 1]
    notes = [f"label {name}: {', '.join(words)} counts as unknown"] if words else []
    blank = cohort.label(name).count(None) if task.blank == "negative" else 0
    notes += [f"label {name}: blank ({counted(blank, 'scan')}) counts as negative"] if blank else []
    return notes + ([f"label {name}: read as one value each: {'; '.join(same)}"] if same else [])


def read_sides(cohort: Cohort, task: TaskCard) -> list[str]:
    """Return each scan's side of a fixed split or its group, blank where the task has neither.

    The usual names of a side become train, tune or test; other text is returned unchanged. Of a
    group, spellings are one (Bonn and bonn), and words that mean unknown are blank.
    """
    column = task.split.column or task.split.group
    texts = cohort.label(column) if column else [None] * cohort.table.num_rows
    if task.split.group:
        return _groups(texts)
    return [_side(text) if text else "" for text in texts]


def _groups(texts: Sequence[str | None]) -> list[str]:
    """Return each scan's group in its usual spelling, blank where unknown."""
    found = spellings(text for text in texts if text is not None)
    shown = {value: "" if is_unknown(value, (), ()) else usual(found[value]) for value in found}
    return ["" if text is None else shown[fold(text)] for text in texts]


def _side(text: str) -> str:
    """Return train, tune or test; other text as it is."""
    return SIDES.get(re.sub(r" (set|cohort|split|sample|data)$", "", fold(text)), text)


def read_days(cohort: Cohort, task: TaskCard) -> list[float]:
    """Return each scan's day, 0 if the task takes all scans; raises BadTask if one is missing."""
    if task.select == "all":
        return [0.0] * cohort.table.num_rows
    texts = cohort.column("day") or [None] * cohort.table.num_rows
    days = [_number(text) for text in texts]
    if not all(map(math.isfinite, days)):
        raise BadTask(
            f"select = {task.select} needs a number in column day of cohort {cohort.name} "
            "for every scan"
        )
    return days


def _number(text: str | None) -> float:
    """Read a number; NaN if blank or not a number."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan
