"""Patients → folds: by patient, stratified, repeated, and the same on every machine.

The stratification is the iterative one of Sechidis, Tsoumakas and Vlahavas, "On the Stratification
of Multi-Label Data", ECML PKDD 2011: the rarest label first, each row to the fold that lacks most.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadTask
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.units import Units

TUNE_PARTS = 5  # one fifth of the training patients tunes


@dataclass(frozen=True)
class Fold:
    """The patients of one fold. It has patient ids only, so a patient's scans share one side."""

    repeat: int
    number: int
    train: tuple[str, ...]
    tune: tuple[str, ...]
    test: tuple[str, ...]


def make_folds(units: Units, task: TaskCard) -> tuple[Fold, ...]:
    """Split patients by the task's [split]; each fold takes its tuning part from its training part.

    Raises BadTask if there are fewer patients than folds, or a fixed side is empty.
    """
    patients, labels = patient_labels(units, task)
    if not task.split.crossed:
        return (_fixed(units, task, patients, labels),)
    if task.split.group:
        return _groups(units, task, patients, labels)
    if len(patients) < task.split.folds:
        raise BadTask(
            f"{len(patients)} patients can't make {task.split.folds} folds; label more of cohort "
            f"{task.cohort}, or lower folds in the card"
        )
    return tuple(
        fold
        for repeat in range(task.split.repeats)
        for fold in _repeat(repeat, patients, labels, task)
    )


def patient_labels(units: Units, task: TaskCard) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Return the patients, and the outputs positive in any of their units [patients, outputs]."""
    # Sorted, so that folds don't depend on the order of the cohort's rows.
    patients = tuple(sorted(set(units.patients)))
    place = {patient: row for row, patient in enumerate(patients)}
    labels = np.zeros((len(patients), len(task.outputs)), bool)
    for patient, target in zip(units.patients, units.targets, strict=True):
        if task.target == "multiclass":
            labels[place[patient], int(target[0])] = True
        elif task.target == "ordinal":
            labels[place[patient]] |= target[0] >= np.arange(1, len(task.classes))
        elif task.target == "survival":
            labels[place[patient]] |= target[1] > 0
        else:
            labels[place[patient]] |= np.nan_to_num(target) > 0
    return patients, labels


def known_labels(units: Units, task: TaskCard) -> NDArray[np.bool_]:
    """Return which outputs are known in any unit of each patient [patients, outputs]."""
    patients = np.array(units.patients)
    known = ~np.isnan(units.targets[:, :1] if task.target == "survival" else units.targets)
    per_output = np.broadcast_to(known, (len(patients), len(task.outputs)))
    return np.stack(
        [per_output[patients == patient].any(axis=0) for patient in sorted(set(patients))]
    )


def _repeat(
    repeat: int, patients: Sequence[str], labels: NDArray[np.bool_], task: TaskCard
) -> list[Fold]:
    """Make one repeat's folds, each from its own seed."""
    # 1000, because folds add to the seed below: repeats must not meet.
    seed = task.split.seed + 1000 * repeat
    part = stratify(labels, task.split.folds, seed)
    folds = []
    for number in range(task.split.folds):
        inside = np.flatnonzero(part != number)
        tune = inside[stratify(labels[inside], TUNE_PARTS, seed + number + 1) == 0]
        folds.append(
            _fold(
                repeat,
                number,
                patients,
                np.setdiff1d(inside, tune),
                tune,
                np.flatnonzero(part == number),
            )
        )
    return folds


def _groups(
    units: Units, task: TaskCard, patients: Sequence[str], labels: NDArray[np.bool_]
) -> tuple[Fold, ...]:
    """Make one fold per group, its test set; patients without a group train only."""
    group_of = dict(zip(units.patients, units.sides, strict=True))
    _refuse_two_sides(units, f"in several groups of {task.split.group}")
    group = np.array([group_of[patient] for patient in patients])
    names = sorted({name for name in group if name})
    if len(names) < 2:
        raise BadTask(
            f"leaving one {task.split.group} out needs two or more; the cohort has "
            f"{', '.join(names) or 'none'}"
        )
    folds = []
    for number, name in enumerate(names):
        inside, test = np.flatnonzero(group != name), np.flatnonzero(group == name)
        tune = inside[stratify(labels[inside], TUNE_PARTS, task.split.seed + number) == 0]
        folds.append(_fold(0, number, patients, np.setdiff1d(inside, tune), tune, test))
    return tuple(folds)


def _refuse_two_sides(units: Units, what: str) -> None:
    """Raise BadTask for a patient whose units are on several sides, or in several groups."""
    sides: dict[str, set[str]] = defaultdict(set)
    for patient, side in zip(units.patients, units.sides, strict=True):
        sides[patient].add(side)
    for patient in sorted(sides):
        if len(sides[patient]) > 1:
            names = ", ".join(sorted(side or "blank" for side in sides[patient]))
            raise BadTask(f"patient {patient} is {what} ({names}); give every scan the same value")


def _fixed(
    units: Units, task: TaskCard, patients: Sequence[str], labels: NDArray[np.bool_]
) -> Fold:
    """Make the one fold of a fixed split."""
    _refuse_two_sides(units, "on several sides of the split")
    side_of = dict(zip(units.patients, units.sides, strict=True))
    train, tune, test = (
        np.array([i for i, patient in enumerate(patients) if side_of[patient] == side], int)
        for side in ("train", "tune", "test")
    )
    if len(train) and not len(tune):
        tune = train[stratify(labels[train], TUNE_PARTS, task.split.seed) == 0]
        train = np.setdiff1d(train, tune)
    if not len(train) or not len(test):
        counts = f"train {len(train)}, tune {len(tune)}, test {len(test)} patients"
        raise BadTask(f"a fixed split needs train and test patients; there are {counts}")
    return _fold(0, 0, patients, train, tune, test)


def _fold(repeat: int, number: int, patients: Sequence[str], *rows: NDArray[np.int64]) -> Fold:
    """Turn row numbers of each part into patients."""
    train, tune, test = (tuple(patients[i] for i in part) for part in rows)
    return Fold(repeat, number, train, tune, test)


def stratify(labels: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.int64]:
    """Give each row a fold, so that folds have equal sizes and equal shares of every label.

    labels [rows, labels] → fold [rows]. The same on every machine for one seed.
    """
    # PCG64 by name: numpy may change what default_rng is, and folds must stay.
    rng = np.random.Generator(np.random.PCG64(seed))
    order = rng.permutation(len(labels))
    fold = np.full(len(labels), -1)
    room = np.full(folds, len(labels) / folds)
    want = np.tile(labels.sum(axis=0) / folds, (folds, 1))
    while (open_rows := order[fold[order] < 0]).size:
        counts = labels[open_rows].sum(axis=0)
        # A label without open rows gets a number too large to be the rarest.
        rare = int(np.where(counts > 0, counts, len(labels) + 1).argmin()) if counts.any() else -1
        rows = open_rows[labels[open_rows, rare]] if rare >= 0 else open_rows
        for row in rows:
            first = want[:, rare] if rare >= 0 else room
            best = _neediest(first, room)
            fold[row] = best
            room[best] -= 1
            want[best] -= labels[row]
    return fold


def _neediest(first: NDArray[np.float64], room: NDArray[np.float64]) -> int:
    """Return the fold with the largest lack, then the most room.

    Rounded, so that values that differ by float rounding alone are ties on every machine.
    """
    # lexsort's last key counts most; the minus gives full ties to the first fold.
    return int(np.lexsort((-np.arange(len(room)), room.round(9), first.round(9)))[-1])


def split_sha256(folds: Sequence[Fold]) -> str:
    """Return the digest of all folds; results with equal digests can be compared."""
    return hashlib.sha256(
        json.dumps([asdict(fold) for fold in folds], sort_keys=True).encode()
    ).hexdigest()
