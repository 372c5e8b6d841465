"""The slices that a reader marked for a task's finding, from the cohort's columns."""

from collections.abc import Iterable

from clearbench.cohort.columns import MARKS
from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask
from clearbench.evaluation.task.card import TaskCard

Marks = tuple[int, ...]  # slice indices of one scan


def mark_columns(cohort: Cohort, task: TaskCard) -> list[str]:
    """Return the columns with a task's marked slices; none where the cohort has no marks.

    They are key_slices_<label> of the task's labels, where the cohort has one per label, else
    key_slices. A task with `slices = "key"` always needs one.
    """
    names = cohort.table.column_names
    columns = [name for label in task.labels if (name := f"{MARKS}_{label}") in names]
    per_label = any(name.startswith(f"{MARKS}_") for name in names)
    if not columns and (task.slices == "key" or (MARKS in names and not per_label)):
        columns = [MARKS]
    return columns


def read_marks(cohort: Cohort, task: TaskCard) -> tuple[Marks, ...]:
    """Return the marked slices of each scan, from `mark_columns`; () where the cohort has no marks.

    Raises UnknownName if the task has `slices = "key"` and there is no such column, BadTask for a
    cell with anything but whole numbers.
    """
    cells = [cohort.label(column) for column in mark_columns(cohort, task)]
    return tuple(_joined(row, cohort.name) for row in zip(*cells, strict=True))


def _joined(cells: Iterable[str | None], cohort: str) -> Marks:
    """Return the slices of some cells, each once, in order."""
    return tuple(sorted({index for cell in cells for index in _indices(cell, cohort)}))


def _indices(text: str | None, cohort: str) -> list[int]:
    """Read the slice indices of one cell, separated by spaces."""
    try:
        return [int(part) for part in (text or "").split()]
    except ValueError as error:
        raise BadTask(
            f"column {MARKS} of cohort {cohort} has the cell {text!r}; write slice indices as "
            "whole numbers, separated by spaces"
        ) from error
