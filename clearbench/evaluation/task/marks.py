"""The slices that a reader marked for a task's finding, as the cohort tells them."""

from collections.abc import Iterable

from clearbench.cohort.table import MARKS, Cohort
from clearbench.errors import BadTask
from clearbench.evaluation.task.card import TaskCard

Marks = tuple[int, ...]  # slice indices of one scan


def mark_columns(cohort: Cohort, task: TaskCard) -> list[str]:
    """Return the columns that tell a task's marked slices, none where the cohort doesn't know them.

    They are key_slices_<label> of the task's labels, where the cohort tells labels apart, else
    key_slices; a task that takes marked slices alone needs that one.
    """
    names = cohort.table.column_names
    columns = [own for label in task.labels if (own := f"{MARKS}_{label}") in names]
    apart = any(name.startswith(f"{MARKS}_") for name in names)
    if not columns and (task.slices == "key" or (MARKS in names and not apart)):
        columns = [MARKS]
    return columns


def read_marks(cohort: Cohort, task: TaskCard) -> tuple[Marks, ...]:
    """Return the marked slices of each scan; () where the cohort doesn't know them.

    They are those of `mark_columns`. Raises UnknownName if the task takes marked slices alone
    and there is no such column, BadTask for a cell that holds anything but whole numbers.
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
        raise BadTask(f"column {MARKS} of cohort {cohort} holds {text!r}; whole numbers") from error
