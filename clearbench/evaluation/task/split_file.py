"""A task's folds as a file next to its card, so that later versions use the same folds."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field, ValidationError

from clearbench.bounded import read_text
from clearbench.cards import Card, describe_faults
from clearbench.errors import BadTask, name_some
from clearbench.evaluation.task.card import Split, Task
from clearbench.evaluation.task.splits import Fold, split_sha256
from clearbench.evaluation.task.units import Units
from clearbench.files import write_text

EMPTY: Mapping[str, str] = MappingProxyType({})


class SplitFileFold(Card):
    """The patients of one fold; `test_cohort` if the test patients are of another cohort."""

    test_cohort: str = ""
    repeat: int
    number: int
    train: tuple[str, ...]
    tune: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def fold(self) -> Fold:
        """Return the fold for training."""
        return Fold(self.repeat, self.number, self.train, self.tune, self.test)


class SplitFile(Card):
    """All folds of a task, the card's [split], and the version that made them.

    `labels_check` has, by test cohort ("" without one), a check number of the labels at the time.
    """

    frozen: Literal[1] = 1
    task: str
    cohort: str
    split: Split
    made_by: str
    split_sha256: str
    labels_check: dict[str, str] = Field(default_factory=dict)
    folds: tuple[SplitFileFold, ...]


def make_split_file(
    task: Task, folds: Mapping[str, Sequence[Fold]], checks: Mapping[str, str] = EMPTY
) -> SplitFile:
    """Return a task's folds as a split file.

    `folds` and `checks` of labels are by test cohort, "" without one.
    """
    every = tuple(fold for group in folds.values() for fold in group)
    return SplitFile(
        task=task.name,
        cohort=task.card.cohort,
        split=task.card.split,
        made_by=f"clearbench {version('clearbench')}",
        split_sha256=split_sha256(every),
        labels_check=dict(checks),
        folds=tuple(
            SplitFileFold(test_cohort=cohort, **vars(fold))
            for cohort, group in folds.items()
            for fold in group
        ),
    )


def split_text(split: SplitFile) -> str:
    """Return the text of a split file, one fold per line."""
    facts = split.model_dump(mode="json")
    folds = ",\n  ".join(json.dumps(fold) for fold in facts.pop("folds"))
    return json.dumps(facts, indent=1).removesuffix("\n}") + f',\n "folds": [\n  {folds}\n ]\n}}\n'


def write_split(split: SplitFile, path: Path) -> None:
    """Write a split file, whole or not at all; raises StorageFull."""
    text = split_text(split)
    write_text(path, text)


def read_split(path: Path, task: Task) -> SplitFile:
    """Read the split file of a task.

    Raises BadTask for a file that isn't a split file, is for another cohort or [split], was changed
    by hand, or has a patient on two sides of a fold.
    """
    try:
        split = SplitFile.model_validate_json(read_text(path, 1024))
    except ValidationError as error:
        why = describe_faults(error, SplitFile)
        raise BadTask(f"{path}: not a split file ({why}); {_again(task)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadTask(f"{path}: not a split file ({error}); {_again(task)}") from error
    fault = _twice(split) or _misfit(split, task)
    if fault:
        raise BadTask(f"{path}: {fault}; {_again(task)}")
    return split


def _again(task: Task) -> str:
    """Return the way out: restore the file, or make a new one."""
    return f"put the file back, or make a new one: clearbench tasks freeze {task.name} --replace"


def _twice(split: SplitFile) -> str:
    """Name the first patient who is in one fold twice."""
    for fold in split.folds:
        counts = Counter([*fold.train, *fold.tune, *fold.test])
        twice = [patient for patient, count in counts.items() if count > 1]
        if twice:
            return f"patient {twice[0]} is in fold {fold.number} of repeat {fold.repeat} twice"
    return ""


def _misfit(split: SplitFile, task: Task) -> str:
    """Return why a file is not the split of this task; "" if it is."""
    if split.cohort != task.card.cohort:
        return f"it is for cohort {split.cohort}, the card for {task.card.cohort}"
    if split.split != task.card.split:
        return "it was made for another [split] than the card's"
    if split_sha256([fold.fold for fold in split.folds]) != split.split_sha256:
        return "its folds were changed after it was written (they don't match its split_sha256)"
    return ""


def folds_of_file(
    split: SplitFile, units: Units, test_cohort: str = ""
) -> tuple[Units, tuple[Fold, ...]]:
    """Return the units whose patients are in the file, and its folds of patients that have units.

    Who is left out is named in the units' `excluded`. Raises BadTask if the file has no fold for
    the test cohort, or a side is left without patients.
    """
    folds = [one.fold for one in split.folds if one.test_cohort == test_cohort]
    if not folds:
        raise BadTask(
            f"the split file of {split.task} has no fold for test cohort {test_cohort}; make a new "
            f"one: clearbench tasks freeze {split.task} --replace"
        )
    known = {patient for fold in folds for side in _sides(fold) for patient in side}
    present = set(units.patients)
    notes = [
        *_note(present - known, "patients are not in the split file"),
        *_note(known - present, "patients of the split file have no unit"),
    ]
    rows = [row for row, patient in enumerate(units.patients) if patient in known]
    return units.take(rows, notes), tuple(_with_units(fold, present, split.task) for fold in folds)


def _sides(fold: Fold) -> tuple[tuple[str, ...], ...]:
    """Return train, tune and test."""
    return fold.train, fold.tune, fold.test


def _note(patients: set[str], what: str) -> list[str]:
    """Return one note: the number of patients, and the first few; none for no patients."""
    names = sorted(patients)
    return [f"{len(names)} {what}: {name_some(names)}"] if names else []


def _with_units(fold: Fold, present: set[str], task: str) -> Fold:
    """Return a fold of the patients who have units."""
    sides = [tuple(patient for patient in side if patient in present) for side in _sides(fold)]
    if not all(sides):
        raise BadTask(
            f"{task}: in fold {fold.number} of the split file a side has no patient with a unit; "
            "is it the file of this cohort?"
        )
    return Fold(fold.repeat, fold.number, *sides)
