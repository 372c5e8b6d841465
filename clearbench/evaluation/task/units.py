"""A cohort's scans and labels → units (patients, studies or scans) with one target each."""

import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask, name_some
from clearbench.evaluation.task.card import Split, TaskCard
from clearbench.evaluation.task.labels import SIDES, read_days, read_labels, read_sides
from clearbench.evaluation.task.marks import Marks, read_marks

# The order matters: "<=" begins with "<", so it must be tried first.
COMPARISONS: MappingProxyType[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq}
)


@dataclass(frozen=True)
class Units:
    """What is predicted: one row per unit, in the order of ids.

    targets [units, labels]: 0 or 1, the class's number for multiclass and ordinal, time and event
    for survival; NaN where unknown
    cohorts: the cohort of each unit
    sides: the unit's side of a fixed split (train, tune or test), or its group; empty without one
    key_slices: the only slices of each scan that the task takes; empty where it takes all
    marked: which slices of each scan a reader marked; empty where the cohort has no marks
    excluded: units left out, and why
    """

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    scans: tuple[tuple[str, ...], ...]
    targets: NDArray[np.float64]
    cohorts: tuple[str, ...]
    sides: tuple[str, ...]
    key_slices: tuple[tuple[Marks, ...], ...] = ()
    marked: tuple[tuple[Marks, ...], ...] = ()
    excluded: tuple[str, ...] = ()

    def take(self, rows: Sequence[int], excluded: Sequence[str] = ()) -> "Units":
        """Return some of the units; `excluded` says why the others are left out."""
        return Units(
            ids=tuple(self.ids[i] for i in rows),
            patients=tuple(self.patients[i] for i in rows),
            scans=tuple(self.scans[i] for i in rows),
            targets=self.targets[list(rows)],
            cohorts=tuple(self.cohorts[i] for i in rows),
            sides=tuple(self.sides[i] for i in rows),
            key_slices=tuple(self.key_slices[i] for i in rows) if self.key_slices else (),
            marked=tuple(self.marked[i] for i in rows) if self.marked else (),
            excluded=(*self.excluded, *excluded),
        )

    def joined(self, other: "Units") -> "Units":
        """Join units of two cohorts, as train and test; the cohort is put before every name."""
        pairs = ((self, "train"), (other, "test"))
        return Units(
            ids=tuple(f"{c}/{i}" for u, _ in pairs for c, i in zip(u.cohorts, u.ids, strict=True)),
            patients=tuple(
                f"{c}/{p}" for u, _ in pairs for c, p in zip(u.cohorts, u.patients, strict=True)
            ),
            scans=self.scans + other.scans,
            targets=np.concatenate([self.targets, other.targets]),
            cohorts=self.cohorts + other.cohorts,
            sides=tuple(side for units, side in pairs for _ in units.ids),
            key_slices=self.key_slices + other.key_slices,
            marked=self._marks() + other._marks() if self.marked or other.marked else (),
            excluded=self.excluded + other.excluded,
        )

    def _marks(self) -> tuple[tuple[Marks, ...], ...]:
        """Return the marked slices of each scan, none where the cohort has no marks."""
        return self.marked or tuple(((),) * len(scans) for scans in self.scans)


@dataclass(frozen=True)
class _Scan:
    """What a unit needs of one scan."""

    scan_id: str
    unit: str
    patient: str
    day: float
    side: str
    values: tuple[float, ...]
    marked: Marks = ()


def make_units(cohort: Cohort, task: TaskCard) -> Units:
    """Group scans into units, each with its target: the maximum of known labels, or the class.

    Units without a label, or without a side of a fixed split, are left out and counted. Raises
    UnknownName for a label column the cohort lacks, BadTask for values that the task doesn't allow,
    for a unit whose scans contradict each other, or if no unit has a label.
    """
    grouped = _grouped(cohort, task, read_labels(cohort, task))
    labelled = _with_keys(_labelled(grouped, cohort, task), task)
    return _with_side(labelled, task) if task.split.column else labelled


def unlabelled_units(cohort: Cohort, task: TaskCard) -> Units:
    """Group scans into units for a trained head, which needs no label and no split column.

    Targets are all unknown. Raises BadTask for scans that can't be grouped, as `make_units` does.
    """
    unknown = [[float("nan")] * cohort.table.num_rows for _ in task.labels]
    plain = task.model_copy(update={"split": Split()})
    return _with_keys(_grouped(cohort, plain, unknown), plain)


def _grouped(cohort: Cohort, task: TaskCard, labels: list[list[float]]) -> Units:
    """Group scans into units and join the labels [labels, scans] of each."""
    groups: dict[str, list[_Scan]] = defaultdict(list)
    for scan in _scans(cohort, task, labels):
        groups[scan.unit].append(scan)
    chosen = {
        unit: kept
        for unit, scans in sorted(groups.items())
        if (kept := _select(scans, task.select))
    }
    if not chosen:
        raise BadTask(f'no scan of cohort {cohort.name} is selected by "{task.select}"')
    marked = _marked(chosen)
    unselected = len(groups) - len(chosen)
    note = f"{unselected} of {len(groups)} {task.unit} units have no scan with {task.select}"
    return Units(
        ids=tuple(chosen),
        patients=tuple(_patient(unit, scans, task) for unit, scans in chosen.items()),
        scans=tuple(tuple(scan.scan_id for scan in scans) for scans in chosen.values()),
        targets=np.array([_target(unit, scans, task) for unit, scans in chosen.items()]),
        cohorts=(cohort.name,) * len(chosen),
        sides=tuple(_side(unit, scans, task) for unit, scans in chosen.items()),
        key_slices=marked if task.slices == "key" else (),
        marked=marked,
        excluded=(note,) if unselected else (),
    )


def _marked(chosen: dict[str, list[_Scan]]) -> tuple[tuple[Marks, ...], ...]:
    """Return the marked slices of each unit's scans, if any is marked."""
    found = tuple(tuple(scan.marked for scan in scans) for scans in chosen.values())
    return found if any(map(any, found)) else ()


def _with_keys(units: Units, task: TaskCard) -> Units:
    """Leave out units without a marked slice, if the task takes only marked slices."""
    if task.slices == "all":
        return units
    kept = [row for row, keys in enumerate(units.key_slices) if any(keys)]
    if not kept:
        raise BadTask('slices = "key", and no unit has a marked slice in column key_slices')
    lost = len(units.ids) - len(kept)
    note = f"{lost} of {len(units.ids)} {task.unit} units have no marked slice"
    return units.take(kept, (note,) if lost else ())


def _labelled(units: Units, cohort: Cohort, task: TaskCard) -> Units:
    """Leave out units without any label."""
    known = np.flatnonzero(~np.isnan(units.targets).all(axis=1)).tolist()
    if not known:
        raise BadTask(
            f"no {task.unit} of cohort {cohort.name} has a value of {', '.join(task.labels)}; "
            f"bring labels: clearbench cohort add LABELS --name {cohort.name}"
        )
    blank = len(units.ids) - len(known)
    note = f"{blank} of {len(units.ids)} {task.unit} units have no label"
    return units.take(known, (note,) if blank else ())


def _with_side(units: Units, task: TaskCard) -> Units:
    """Leave out units whose side of a fixed split is blank or unknown."""
    kept = [row for row, side in enumerate(units.sides) if side in SIDES.values()]
    lost = len(units.ids) - len(kept)
    other = sorted({side or "blank" for side in units.sides} - set(SIDES.values()))
    found, column = name_some(other), task.split.column
    if not kept:
        raise BadTask(f"column {column} must have the values train and test; it has {found}")
    note = (
        f"{lost} of {len(units.ids)} {task.unit} units are neither train, val nor test in column "
        f"{column} ({found})"
    )
    return units.take(kept, (note,) if lost else ())


def _scans(cohort: Cohort, task: TaskCard, labels: list[list[float]]) -> list[_Scan]:
    """Read what a task needs of each scan."""
    count = cohort.table.num_rows
    marks = read_marks(cohort, task) or ((),) * count
    ids = zip(
        cohort.column("scan_id"),
        _unit_ids(cohort, task),
        cohort.column("patient_id"),
        read_days(cohort, task),
        read_sides(cohort, task),
        marks,
        *labels,
        strict=True,
    )
    return [
        _Scan(
            str(scan),
            str(unit),
            str(patient),
            day,
            side,
            tuple(values),
            marked,
        )
        for scan, unit, patient, day, side, marked, *values in ids
    ]


def _unit_ids(cohort: Cohort, task: TaskCard) -> list[str | None]:
    """Return each scan's unit."""
    if task.unit == "study" and not all(cohort.column("study_id") or [None]):
        raise BadTask(
            f"unit = study needs a study_id for every scan; cohort {cohort.name} lacks some"
        )
    return cohort.column(
        {"patient": "patient_id", "study": "study_id", "scan": "scan_id"}[task.unit]
    )


def _select(scans: list[_Scan], select: str) -> list[_Scan]:
    """Take all scans of a unit, those of its first or last day, or by a test of the day."""
    ordered = sorted(scans, key=lambda scan: (scan.day, scan.scan_id))
    if select == "all":
        return ordered
    if select in ("first", "last"):
        edge = ordered[0].day if select == "first" else ordered[-1].day
        return [scan for scan in ordered if scan.day == edge]
    passes, limit = _day_test(select)
    return [scan for scan in ordered if passes(scan.day, limit)]


def _day_test(select: str) -> tuple[Callable[[float, float], bool], float]:
    """Read "day <= 0" as a comparison and a number."""
    words = select.removeprefix("day").strip()
    sign = next(sign for sign in COMPARISONS if words.startswith(sign))
    return COMPARISONS[sign], float(words.removeprefix(sign))


def _target(unit: str, scans: list[_Scan], task: TaskCard) -> list[float]:
    """Join the labels of a unit's scans."""
    values = np.array([scan.values for scan in scans])
    if task.target not in ("binary", "multilabel"):
        found = sorted({tuple(row) for row in values if not np.isnan(row).any()})
        if len(found) > 1:
            names = ", ".join(_name_of(row, task) for row in found)
            raise BadTask(
                f"{task.unit} {unit} has contradicting values of {', '.join(task.labels)}: {names}"
            )
    return [
        # np.nanmax warns where all are NaN.
        float(np.nanmax(column)) if not np.isnan(column).all() else float("nan")
        for column in values.T
    ]


def _name_of(row: tuple[float, ...], task: TaskCard) -> str:
    """Write a unit's value as the cohort has it."""
    if task.target in ("multiclass", "ordinal"):
        return task.classes[int(row[0])]
    return "/".join(f"{value:g}" for value in row)


def _side(unit: str, scans: list[_Scan], task: TaskCard) -> str:
    """Return the one side of a fixed split that a unit is on."""
    sides = {scan.side for scan in scans}
    if len(sides) > 1:
        names = ", ".join(sorted(side or "blank" for side in sides))
        raise BadTask(f"{task.unit} {unit} is on several sides of the split ({names})")
    return sides.pop()


def _patient(unit: str, scans: list[_Scan], task: TaskCard) -> str:
    """Return the one patient of a unit."""
    patients = {scan.patient for scan in scans}
    if len(patients) > 1:
        names = name_some(sorted(patients))
        raise BadTask(f"{task.unit} {unit} belongs to several patients ({names})")
    return patients.pop()
