"""A task's folds as a file beside its card: who is where, whatever later versions would draw."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field, ValidationError

from clearbench.cards import Card, told_faults
from clearbench.errors import BadTask
from clearbench.evaluation.task.card import Split, Task
from clearbench.evaluation.task.splits import Fold, split_sha256
from clearbench.evaluation.task.units import Units
from clearbench.files import write_text

SHOWN = 5
CHECK_DIGITS = 4  # of 16 bits: one change in 65,536 goes unnoticed
EMPTY: Mapping[str, str] = MappingProxyType({})


class FrozenFold(Card):
    """The patients of one fold; `test_cohort` where the test patients are another cohort's."""

    test_cohort: str = ""
    repeat: int
    number: int
    train: tuple[str, ...]
    tune: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def fold(self) -> Fold:
        """Return it as heads are trained on it."""
        return Fold(self.repeat, self.number, self.train, self.tune, self.test)


class FrozenSplit(Card):
    """All folds of a task, how the card wanted them made, and what made them.

    `labels_check` tells, by test cohort ("" where there is none), whether labels are still those
    that the split was frozen with.
    """

    frozen: Literal[1] = 1
    task: str
    cohort: str
    split: Split
    made_by: str
    split_sha256: str
    labels_check: dict[str, str] = Field(default_factory=dict)
    folds: tuple[FrozenFold, ...]


def labels_check(units: Units) -> str:
    """Return a check number of all units' labels: another one, most surely, where any changed.

    It is short, so that nobody can find patients' labels by trying all that there may be.
    """
    rows = sorted(zip(units.ids, units.targets.tolist(), strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:CHECK_DIGITS]


def freeze_split(
    task: Task, folds: Mapping[str, Sequence[Fold]], checks: Mapping[str, str] = EMPTY
) -> FrozenSplit:
    """Return a task's folds as they are kept.

    `folds` and `checks` of labels by test cohort, "" where there is none.
    """
    every = tuple(fold for some in folds.values() for fold in some)
    return FrozenSplit(
        task=task.name,
        cohort=task.card.cohort,
        split=task.card.split,
        made_by=f"clearbench {version('clearbench')}",
        split_sha256=split_sha256(every),
        labels_check=dict(checks),
        folds=tuple(
            FrozenFold(test_cohort=cohort, **vars(fold))
            for cohort, some in folds.items()
            for fold in some
        ),
    )


def split_text(split: FrozenSplit) -> str:
    """Return a frozen split as it is written, one fold a line."""
    facts = split.model_dump(mode="json")
    folds = ",\n  ".join(json.dumps(fold) for fold in facts.pop("folds"))
    return json.dumps(facts, indent=1).removesuffix("\n}") + f',\n "folds": [\n  {folds}\n ]\n}}\n'


def write_split(split: FrozenSplit, path: Path) -> None:
    """Write a frozen split whole; raises StorageFull."""
    text = split_text(split)
    write_text(path, text)


def read_split(path: Path, task: Task) -> FrozenSplit:
    """Read the frozen split of a task.

    Raises BadTask for a file that is none, is another task's, was made for another [split], was
    changed since, or has a patient on two sides.
    """
    try:
        split = FrozenSplit.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        why = told_faults(error, FrozenSplit)
        raise BadTask(f"{path}: not a frozen split ({why}); {_again(task)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadTask(f"{path}: not a frozen split ({error}); {_again(task)}") from error
    fault = _twice(split) or _misfit(split, task)
    if fault:
        raise BadTask(f"{path}: {fault}; {_again(task)}")
    return split


def _again(task: Task) -> str:
    """Say how to make the file anew."""
    return f"put the file back, or make it anew: clearbench tasks freeze {task.name} --replace"


def _twice(split: FrozenSplit) -> str:
    """Name the first patient who is twice in one fold."""
    for fold in split.folds:
        counts = Counter([*fold.train, *fold.tune, *fold.test])
        twice = [patient for patient, count in counts.items() if count > 1]
        if twice:
            return f"patient {twice[0]} is on two sides of fold {fold.number}, repeat {fold.repeat}"
    return ""


def _misfit(split: FrozenSplit, task: Task) -> str:
    """Say why a file is not the split of this task."""
    if split.cohort != task.card.cohort:
        return f"patients of cohort {split.cohort}, the card says {task.card.cohort}"
    if split.split != task.card.split:
        return "made for another [split] than the card's"
    if split_sha256([fold.fold for fold in split.folds]) != split.split_sha256:
        return "changed since it was frozen (its digest is another)"
    return ""


def frozen_folds(
    split: FrozenSplit, units: Units, test_cohort: str = ""
) -> tuple[Units, tuple[Fold, ...]]:
    """Return the units whose patients the split knows, and its folds of patients that have units.

    Who is left out on either side is told among the units' `excluded`. Raises BadTask if the split
    has no fold for the test cohort, or a side is left without patients.
    """
    folds = [one.fold for one in split.folds if one.test_cohort == test_cohort]
    if not folds:
        raise BadTask(f"the frozen split of {split.task} has no fold for cohort {test_cohort}")
    known = {patient for fold in folds for side in _sides(fold) for patient in side}
    there = set(units.patients)
    notes = [
        *_note(there - known, "patients are unknown to the frozen split"),
        *_note(known - there, "patients of the frozen split have no unit"),
    ]
    rows = [row for row, patient in enumerate(units.patients) if patient in known]
    return units.take(rows, notes), tuple(_present(fold, there, split.task) for fold in folds)


def _sides(fold: Fold) -> tuple[tuple[str, ...], ...]:
    """Return train, tune and test."""
    return fold.train, fold.tune, fold.test


def _note(patients: set[str], what: str) -> list[str]:
    """Count patients and name a few."""
    names = sorted(patients)
    more = " …" if len(names) > SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}"] if names else []


def _present(fold: Fold, there: set[str], task: str) -> Fold:
    """Return a fold of those who have units."""
    sides = [tuple(patient for patient in side if patient in there) for side in _sides(fold)]
    if not all(sides):
        raise BadTask(
            f"{task}: fold {fold.number} of the frozen split has a side without patients; is it "
            "the split of this cohort?"
        )
    return Fold(fold.repeat, fold.number, *sides)
