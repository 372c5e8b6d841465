"""Text in a cohort's columns → values: labels, sides of a split, days."""

import math
from types import MappingProxyType

import numpy as np

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask, name_some
from clearbench.evaluation.task.card import TaskCard

YES_NO = MappingProxyType(
    {
        "0": 0,
        "1": 1,
        "0.0": 0,
        "1.0": 1,
        "false": 0,
        "true": 1,
        "no": 0,
        "yes": 1,
        "negative": 0,
        "positive": 1,
    }
)
SIDES = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "val": "tune",
        "valid": "tune",
        "validation": "tune",
        "tune": "tune",
        "test": "test",
        "testing": "test",
        "holdout": "test",
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
    annotated = ~np.isnan(values).all(axis=0)
    filled: list[list[float]] = np.where(np.isnan(values) & annotated, 0.0, values).tolist()
    return filled


def _survival(cohort: Cohort, task: TaskCard) -> list[list[float]]:
    """Read time and event; a scan that lacks one of them has neither."""
    cells = zip(cohort.column("scan_id"), cohort.label(task.labels[0]), strict=True)
    times = [_time(text, f"{task.labels[0]} of scan {scan}", cohort.name) for scan, text in cells]
    values = np.array([times, _values(cohort, task.labels[1], task)])
    values[:, np.isnan(values).any(axis=0)] = np.nan
    found: list[list[float]] = values.tolist()
    return found


def _time(text: str | None, which: str, cohort: str) -> float:
    """Read a time; NaN if blank."""
    value = _number(text)
    # "not <=" refuses NaN too, which stands for text that isn't a number.
    if text is not None and not 0 <= value < math.inf:
        raise BadTask(f"label {which}, cohort {cohort}, is {text!r}; a time is a number, 0 or more")
    return value


def _values(cohort: Cohort, name: str, task: TaskCard) -> list[float]:
    """Read one label column as numbers, NaN where blank."""
    allowed = {value: i for i, value in enumerate(task.classes)} if task.classes else dict(YES_NO)
    texts = cohort.label(name)
    bad = sorted({text for text in texts if text is not None and _key(text, task) not in allowed})
    if bad:
        wanted = ", ".join(task.classes) if task.classes else "0, 1, yes, no, true, false"
        raise BadTask(
            f"label {name} of cohort {cohort.name} has the values {name_some(bad)}; "
            f"the task allows {wanted} (blank = unknown)"
        )
    return [math.nan if text is None else float(allowed[_key(text, task)]) for text in texts]


def _key(text: str, task: TaskCard) -> str:
    """Ignore case for yes/no labels only; class names may differ by case."""
    return text if task.classes else text.lower()


def read_sides(cohort: Cohort, task: TaskCard) -> list[str]:
    """Return each scan's side of a fixed split or its group, blank where the task has neither.

    The usual names of a side become train, tune or test; other text is returned unchanged.
    """
    column = task.split.column or task.split.group
    texts = cohort.label(column) if column else [None] * cohort.table.num_rows
    # A group may have the name of a side, so its text stays.
    sides = {} if task.split.group else SIDES
    return [sides.get((text or "").lower(), text or "") for text in texts]


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
