"""A task for another library: the bags, targets and folds on which clearbench scores its heads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats, Rows
from clearbench.errors import BadArgument
from clearbench.evaluation.bags.load import load_bags
from clearbench.evaluation.protocol.encoder_data import rows_of, with_features
from clearbench.evaluation.task.card import TaskCard, find_task
from clearbench.evaluation.task.prepared import PreparedTask, prepare_from_store
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units
from clearbench.store.folder import default_store, open_store
from clearbench.store.records import find_record


@dataclass(frozen=True)
class FoldRows:
    """One fold as row numbers of the units; a head may choose its settings on `tune`."""

    repeat: int
    number: int
    train: Rows
    tune: Rows
    test: Rows


@dataclass(frozen=True)
class LoadedTask:
    """A task's units with one encoder's features; one row per unit, in the order of `unit_ids`.

    task, encoder  their names; the encoder's as name@fp8
    target, metric the task's target, and the metric that ranks encoders
    outputs        the names of the labels, classes or cuts
    bags           one array [instances, dim] float32 per unit; most are read-only maps of files
    targets        [units] 0 or 1, or a class number; [units, labels] of a multilabel target, NaN
                   unknown; [units, 2] time and event of a survival target
    patients       [units] the patient of each unit; a fold never divides a patient
    unit_ids       [units]
    folds          the folds of the task
    not_scored     labels that are too rare to be scored, and why
    excluded       units that are left out, and why
    """

    task: str
    encoder: str
    target: str
    metric: str
    outputs: tuple[str, ...]
    bags: tuple[NDArray[np.float32], ...]
    targets: NDArray[Any]
    patients: NDArray[np.str_]
    unit_ids: NDArray[np.str_]
    folds: tuple[FoldRows, ...]
    not_scored: tuple[str, ...]
    excluded: tuple[str, ...]

    def splits(self) -> list[tuple[Rows, Rows]]:
        """Return the rows to train (and tune) on and to test on, as `cv` of scikit-learn has it."""
        return [(np.sort(np.r_[fold.train, fold.tune]), fold.test) for fold in self.folds]


def load_task(
    task: str,
    model: str,
    *,
    store: Path | str | None = None,
    test_cohort: str = "",
    task_folders: tuple[Path, ...] = (),
) -> LoadedTask:
    """Load a task's bags, targets and folds under one encoder's features, as `evaluate` uses them.

    `task` is a name or the path of a card, `model` a name, or name@fp8 where a store has several
    sets of features. A task that is tested on several cohorts needs `test_cohort`. Raises
    UnknownName, BadArgument, BadTask, BadStore.
    """
    folder = open_store(store or default_store())
    found = find_task(task, task_folders)
    record = find_record(folder, model, found.card.cohort)
    prepared = _prepared(prepare_from_store(found, folder), test_cohort)
    units, bags = load_bags(prepared.units, record, folder)
    return LoadedTask(
        task=found.name,
        encoder=record.reference,
        target=found.card.target,
        metric=found.card.primary,
        outputs=found.card.outputs,
        bags=tuple(bag.features for bag in bags),
        targets=_targets(units, found.card),
        patients=np.array(units.patients),
        unit_ids=np.array(units.ids),
        folds=tuple(_rows(fold, units) for fold in with_features(prepared, units)),
        not_scored=prepared.skipped,
        excluded=units.excluded,
    )


def _prepared(every: list[PreparedTask], test_cohort: str) -> PreparedTask:
    """Return the task on one test cohort; raises BadArgument if it isn't clear which."""
    if len(every) == 1 and not test_cohort:
        return every[0]
    for prepared in every:
        if test_cohort and prepared.test_cohort == test_cohort:
            return prepared
    names = ", ".join(filter(None, (prepared.test_cohort for prepared in every)))
    reason = (
        f"the task is tested on {names}; name one"
        if names
        else "the task is tested on its own cohort"
    )
    raise BadArgument("test_cohort", test_cohort, reason)


def _targets(units: Units, card: TaskCard) -> NDArray[Any]:
    """Return targets in the shape that other libraries expect; whole numbers if all are known."""
    values: Floats = units.targets
    if card.target in ("multilabel", "survival"):
        return values
    flat = values[:, 0]
    return flat if np.isnan(flat).any() else flat.astype(np.int64)


def _rows(fold: Fold, units: Units) -> FoldRows:
    """Return a fold as row numbers."""
    sides = (rows_of(side, units) for side in (fold.train, fold.tune, fold.test))
    return FoldRows(fold.repeat, fold.number, *sides)
