"""Check that no patient is both in train and test, or on any two sides of a fold."""

from collections.abc import Sequence
from itertools import combinations

from clearbench.errors import BadTask, name_some
from clearbench.evaluation.task.splits import Fold


def check_split(folds: Sequence[Fold]) -> None:
    """Refuse folds with a patient on two sides, or without training or test patients.

    Raises BadTask that names the fold and the patients.
    """
    for fold in folds:
        place = f"repeat {fold.repeat}, fold {fold.number}"
        sides = {"train": fold.train, "tune": fold.tune, "test": fold.test}
        for (one, first), (other, second) in combinations(sides.items(), 2):
            both = sorted(set(first) & set(second))
            if both:
                raise BadTask(f"{place}: {_some(both)} in both {one} and {other}; make a new split")
        for name in ("train", "test"):
            if not sides[name]:
                raise BadTask(
                    f"{place}: no patient in {name}; use fewer folds, or another split column"
                )


def _some(patients: Sequence[str]) -> str:
    """Name a few patients and count the rest."""
    noun = "patient" if len(patients) == 1 else "patients"
    return f"{noun} {name_some(patients)}"
