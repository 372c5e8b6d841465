"""Labels with too few patients to be scored, and groups that lack a class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadTask, counted
from clearbench.evaluation.task.card import Task
from clearbench.evaluation.task.splits import Fold, known_labels, patient_labels
from clearbench.evaluation.task.units import Units

LEAST_PATIENTS = 10  # positive (and negative) patients that a label needs
LEAST_PER_FOLD = 2  # of them in every test fold
LEAST_GROUPS = 2  # with both classes


def too_rare(units: Units, folds: Sequence[Fold], task: Task) -> tuple[str, ...]:
    """Name the labels (or classes) with too few patients to be scored, and groups without a class.

    Of an external test only its own patients count: those of training are of another cohort, and
    don't make it larger. A label needs both classes in every test fold, or its metrics have no
    value there, and both in training. Where each group is left out once, a group without a class
    has no score of its own, and the others count. Raises BadTask if no label is left.
    """
    card = task.card
    counted = _Counted.of(units, folds, task)
    notes = [counted.why_rare(column, name) for column, name in enumerate(card.outputs)]
    rare = tuple(note for note in notes if note)
    if len(rare) == len(card.outputs):
        raise BadTask(f"{task.name}: nothing can be scored: {'; '.join(rare)}")
    if not card.split.group:
        return rare
    kept = [column for column, note in enumerate(notes) if not note]
    names = _group_names(units, folds)
    return (*rare, *(text for column in kept for text in counted.without_class(column, names)))


def _group_names(units: Units, folds: Sequence[Fold]) -> list[str]:
    """Return the group that each fold tests."""
    group_of = dict(zip(units.patients, units.sides, strict=True))
    return [group_of[fold.test[0]] for fold in folds]


@dataclass(frozen=True)
class _Counted:
    """Which patients have which output: [patients, outputs], and the patients of each fold."""

    task: Task
    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    tests: list[list[int]]
    trains: list[list[int]]

    @classmethod
    def of(cls, units: Units, folds: Sequence[Fold], task: Task) -> "_Counted":
        """Count the patients of some units."""
        patients, positive = patient_labels(units, task.card)
        place = {patient: row for row, patient in enumerate(patients)}
        return cls(
            task,
            positive,
            known_labels(units, task.card) & ~positive,
            [[place[patient] for patient in fold.test] for fold in folds],
            [[place[patient] for patient in (*fold.train, *fold.tune)] for fold in folds],
        )

    def rarer(self, column: int, rows: Sequence[int]) -> int:
        """Return how many of some patients have the rarer class; of a risk, an event."""
        survival = self.task.card.target == "survival"
        groups = [self.positive] if survival else [self.positive, self.negative]
        return min(int(group[list(rows), column].sum()) for group in groups)

    def why_rare(self, column: int, name: str) -> str:
        """Return why an output can't be scored; "" if it can."""
        sides = self.tests if self.task.card.split.test else [*self.tests, *self.trains]
        tested = sorted({row for rows in sides for row in rows})
        per_fold = [self.rarer(column, rows) for rows in self.tests]
        group = self.task.card.split.group
        if group:
            enough = sum(count > 0 for count in per_fold) >= LEAST_GROUPS
            needed = f"{LEAST_GROUPS} values of {group} with both classes"
        else:
            enough = min(per_fold) >= LEAST_PER_FOLD
            needed = f"{LEAST_PER_FOLD} per fold"
        if self.rarer(column, tested) < LEAST_PATIENTS or not enough:
            known = int((self.positive | self.negative)[tested, column].sum())
            who = "tested patients" if self.task.card.split.test else "patients"
            return (
                f"{name}: {int(self.positive[tested, column].sum())} of {known} {who} "
                f"are positive, and a test fold has {min(per_fold)} of the rarer class; "
                f"{LEAST_PATIENTS} patients of each class and {needed} are needed"
            )
        taught = min(self.rarer(column, rows) for rows in self.trains)
        if taught < LEAST_PER_FOLD:
            return (
                f"{name}: training has {counted(taught, 'patient')} of the rarer class; at least "
                f"{LEAST_PER_FOLD} are needed"
            )
        return ""

    def without_class(self, column: int, names: Sequence[str]) -> list[str]:
        """Return a note for each group that lacks a class of an output."""
        name, group = self.task.card.outputs[column], self.task.card.split.group
        lacking = [
            (where, int(self.positive[rows, column].sum()), len(rows))
            for where, rows in zip(names, self.tests, strict=True)
            if not self.rarer(column, rows)
        ]
        return [
            f"{group} {where} has no score of its own for {name}: {positive} of its {count} "
            "patients are positive"
            for where, positive, count in lacking
        ]
