"""A task and its cohort: units and folds, from labels alone, the same for every encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask
from clearbench.evaluation.task.card import Task
from clearbench.evaluation.task.split_file import frozen_folds, read_split
from clearbench.evaluation.task.splits import (
    Fold,
    known_labels,
    make_folds,
    patient_labels,
    split_sha256,
)
from clearbench.evaluation.task.units import Units, make_units
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder

LEAST_PATIENTS = 10  # positives (and negatives) a label needs, of all patients
LEAST_PER_FOLD = 2  # and in every test fold


@dataclass(frozen=True)
class PreparedTask:
    """A task on one cohort: what is classified, and the folds that every encoder shares.

    Where an encoder lacks patients, `folds` are without them, and `whole` are all of them.
    """

    task: Task
    units: Units
    folds: tuple[Fold, ...]
    skipped: tuple[str, ...]
    whole: tuple[Fold, ...] = ()

    @property
    def split_sha256(self) -> str:
        """Return the digest of the whole folds, the same for encoders that lack patients."""
        return split_sha256(self.whole or self.folds)

    @property
    def test_cohort(self) -> str:
        """Return the cohort that is tested, if it is another than the task's own."""
        other = set(self.units.cohorts) - {self.task.card.cohort}
        return other.pop() if other else ""

    @property
    def unscored(self) -> tuple[int, ...]:
        """Return the numbers of the outputs that `skipped` tells of."""
        names = enumerate(self.task.card.outputs)
        return tuple(i for i, name in names if any(n.startswith(f"{name}: ") for n in self.skipped))


def prepare_task(task: Task, cohort: Cohort, external: Cohort | None = None) -> PreparedTask:
    """Make units and folds from labels alone, so that every encoder meets the same ones.

    With an `external` cohort the task's own trains and that one is tested. A frozen split beside
    the card is taken as it is. Raises BadTask if the labels can't carry the task.
    """
    units = make_units(cohort, task.card)
    if external is not None:
        units = units.beside(make_units(external, task.card))
    if task.split_file is not None:
        other = external.name if external is not None else ""
        units, folds = frozen_folds(read_split(task.split_file, task), units, other)
    else:
        folds = make_folds(units, task.card)
    skipped = too_rare(units, folds, task)
    return PreparedTask(task, units, folds, skipped)


def prepare_from_store(task: Task, store: StoreFolder) -> list[PreparedTask]:
    """Prepare a task on the cohorts of a store: once, or once per cohort that it is tested on.

    Raises UnknownName for a cohort that the store lacks, and BadTask as `prepare_task` does.
    """
    own = load_cohort(store, task.card.cohort)
    others = [load_cohort(store, name) for name in task.card.split.test]
    return [prepare_task(task, own, other) for other in others] or [prepare_task(task, own)]


def too_rare(units: Units, folds: Sequence[Fold], of: Task) -> tuple[str, ...]:
    """Name the labels (or classes) with too few patients to be scored.

    Raises BadTask if none is left.
    """
    task = of.card
    patients, positives = patient_labels(units, task)
    known = known_labels(units, task)
    place = {patient: row for row, patient in enumerate(patients)}
    tests = [[place[patient] for patient in fold.test] for fold in folds]
    notes = []
    for column, name in enumerate(task.outputs):
        kinds = np.stack([positives[:, column], known[:, column] & ~positives[:, column]])
        kinds = kinds[:1] if task.target == "survival" else kinds  # nobody need be censored
        total = int(kinds.sum(axis=1).min())
        fewest = min(int(kinds[:, rows].sum(axis=1).min()) for rows in tests)
        if total < LEAST_PATIENTS or fewest < LEAST_PER_FOLD:
            notes.append(
                f"{name}: {int(kinds[0].sum())} of {int(known[:, column].sum())} patients are "
                f"positive, and {fewest} of the rarer kind are in the smallest test fold; "
                f"{LEAST_PATIENTS} patients of each kind and {LEAST_PER_FOLD} per fold are needed"
            )
    if len(notes) == len(task.outputs):
        raise BadTask(f"{of.name}: nothing can be scored: {'; '.join(notes)}")
    return tuple(notes)
