"""A task and its cohort: units and folds, from labels alone, the same for every encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask
from clearbench.evaluation.splits import Fold, make_folds, patient_labels
from clearbench.evaluation.tasks import Task, TaskCard
from clearbench.evaluation.units import Units, make_units

LEAST_PATIENTS = 10  # positives (and negatives) a label needs, of all patients
LEAST_PER_FOLD = 2  # and in every test fold


@dataclass(frozen=True)
class Prepared:
    """A task on one cohort: what is classified, and the folds that every encoder shares."""

    task: Task
    units: Units
    folds: tuple[Fold, ...]
    skipped: tuple[str, ...]


def prepare_task(task: Task, cohort: Cohort) -> Prepared:
    """Make units and folds from labels alone, so that every encoder meets the same ones.

    Raises BadTask if the labels can't carry the task.
    """
    units = make_units(cohort, task.card)
    folds = make_folds(units, task.card)
    skipped = _too_rare(units, folds, task.card)
    if len(skipped) == len(task.card.outputs):
        raise BadTask(f"{task.name}: nothing can be scored: {'; '.join(skipped)}")
    return Prepared(task, units, folds, skipped)


def _too_rare(units: Units, folds: Sequence[Fold], task: TaskCard) -> tuple[str, ...]:
    """Name the labels (or classes) with too few patients to be scored."""
    patients, labels = patient_labels(units, task)
    place = {patient: row for row, patient in enumerate(patients)}
    tests = [[place[patient] for patient in fold.test] for fold in folds]
    notes = []
    for column, name in enumerate(task.outputs):
        positive = labels[:, column]
        total = min(int(positive.sum()), int((~positive).sum()))
        fewest = min(min(int(positive[rows].sum()), int((~positive[rows]).sum())) for rows in tests)
        if total < LEAST_PATIENTS or fewest < LEAST_PER_FOLD:
            notes.append(
                f"{name}: {int(positive.sum())} of {len(patients)} patients are positive, and "
                f"{fewest} of the rarer kind are in the smallest "
                f"test fold; {LEAST_PATIENTS} patients of each kind and {LEAST_PER_FOLD} per fold "
                "are needed"
            )
    return tuple(notes)
