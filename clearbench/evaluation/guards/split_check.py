"""A patient is on one side of a fold, or nothing is scored."""

from collections.abc import Sequence
from itertools import combinations

from clearbench.errors import BadTask
from clearbench.evaluation.task.splits import Fold

SHOWN = 5


def check_split(folds: Sequence[Fold]) -> None:
    """Refuse folds in which a patient is on two sides, or nobody is trained on or tested.

    Raises BadTask naming the fold and the patients.
    """
    for fold in folds:
        place = f"repeat {fold.repeat}, fold {fold.number}"
        sides = {"train": fold.train, "tune": fold.tune, "test": fold.test}
        for (one, first), (other, second) in combinations(sides.items(), 2):
            both = sorted(set(first) & set(second))
            if both:
                raise BadTask(
                    f"{place}: {_some(both)} in {one} and in {other}; make the split anew"
                )
        for name in ("train", "test"):
            if not sides[name]:
                raise BadTask(f"{place}: nobody in {name}; fewer folds, or another split column")


def _some(patients: Sequence[str]) -> str:
    """Name a few patients and count the rest."""
    more = f" and {len(patients) - SHOWN} more" if len(patients) > SHOWN else ""
    kind = "patient" if len(patients) == 1 else "patients"
    return f"{kind} {', '.join(patients[:SHOWN])}{more}"
