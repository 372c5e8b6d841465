"""A cohort's scans and labels → units (patients, studies or scans) with one target each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask
from clearbench.evaluation.tasks import TaskCard

YES_NO = MappingProxyType(
    {
        "0": 0,
        "1": 1,
        "0.0": 0,
        "1.0": 1,
        "false": 0,
        "true": 1,
        "no": 0,
        "yes": 1,
        "negative": 0,
        "positive": 1,
    }
)
SIDES = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "val": "tune",
        "valid": "tune",
        "validation": "tune",
        "tune": "tune",
        "test": "test",
        "testing": "test",
        "holdout": "test",
    }
)
SHOWN = 5


@dataclass(frozen=True)
class Units:
    """What is classified: one row per unit, in the order of ids.

    targets [units, labels]: 0 or 1, the class's number for multiclass, NaN where unknown
    sides: the unit's side of a fixed split (train, tune or test), empty without one
    excluded: units left out, and why
    """

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    scans: tuple[tuple[str, ...], ...]
    targets: NDArray[np.float64]
    sides: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    def take(self, rows: Sequence[int], excluded: Sequence[str] = ()) -> "Units":
        """Return some of the units, and say why the others are left out."""
        return Units(
            ids=tuple(self.ids[i] for i in rows),
            patients=tuple(self.patients[i] for i in rows),
            scans=tuple(self.scans[i] for i in rows),
            targets=self.targets[list(rows)],
            sides=tuple(self.sides[i] for i in rows),
            excluded=(*self.excluded, *excluded),
        )


@dataclass(frozen=True)
class _Scan:
    """One scan of the cohort, as a unit needs it."""

    scan_id: str
    unit: str
    patient: str
    day: float
    side: str
    values: tuple[float, ...]


def make_units(cohort: Cohort, task: TaskCard) -> Units:
    """Group scans into units and give each its target: the maximum of known values, or the class.

    Units without a label, or on no side of a fixed split, are left out and counted. Raises
    UnknownName for a label column the cohort lacks, BadTask for values outside the task's, a unit
    whose scans contradict each other, or when no unit has a label.
    """
    groups: dict[str, list[_Scan]] = defaultdict(list)
    for scan in _scans(cohort, task):
        groups[scan.unit].append(scan)
    chosen = {unit: _select(scans, task.select) for unit, scans in sorted(groups.items())}
    every = Units(
        ids=tuple(chosen),
        patients=tuple(_patient(unit, scans, task) for unit, scans in chosen.items()),
        scans=tuple(tuple(scan.scan_id for scan in scans) for scans in chosen.values()),
        targets=np.array([_target(unit, scans, task) for unit, scans in chosen.items()]),
        sides=tuple(_side(unit, scans, task) for unit, scans in chosen.items()),
    )
    labelled = _labelled(every, cohort, task)
    return _on_a_side(labelled, task) if task.split.column else labelled


def _labelled(units: Units, cohort: Cohort, task: TaskCard) -> Units:
    """Leave out units without any label."""
    known = np.flatnonzero(~np.isnan(units.targets).all(axis=1)).tolist()
    if not known:
        raise BadTask(
            f"no {task.unit} of cohort {cohort.name} has a value of {', '.join(task.labels)}"
        )
    blank = len(units.ids) - len(known)
    note = f"{blank} of {len(units.ids)} {task.unit} units have no label"
    return units.take(known, (note,) if blank else ())


def _on_a_side(units: Units, task: TaskCard) -> Units:
    """Leave out units whose side of a fixed split is blank, or none we know."""
    there = [row for row, side in enumerate(units.sides) if side in SIDES.values()]
    lost = len(units.ids) - len(there)
    other = sorted({side or "blank" for side in units.sides} - set(SIDES.values()))
    found, column = ", ".join(other[:SHOWN]), task.split.column
    if not there:
        raise BadTask(f"column {column} must name train and test patients; it holds {found}")
    note = (
        f"{lost} of {len(units.ids)} {task.unit} units are neither train, val nor test in column "
        f"{column} ({found})"
    )
    return units.take(there, (note,) if lost else ())


def _scans(cohort: Cohort, task: TaskCard) -> list[_Scan]:
    """Read what a task needs of each scan."""
    labels = [_values(cohort, name, task) for name in task.labels]
    count = cohort.table.num_rows
    sides = cohort.label(task.split.column) if task.split.column else [None] * count
    days = _days(cohort) if task.select != "all" else [0.0] * count
    units = _unit_ids(cohort, task)
    ids = zip(
        cohort.column("scan_id"),
        units,
        cohort.column("patient_id"),
        days,
        sides,
        *labels,
        strict=True,
    )
    return [
        _Scan(str(scan), str(unit), str(patient), day, _plain_side(side), tuple(values))
        for scan, unit, patient, day, side, *values in ids
    ]


def _plain_side(side: str | None) -> str:
    """Return train, tune or test for its usual names; anything else as it is."""
    return SIDES.get((side or "").lower(), side or "")


def _days(cohort: Cohort) -> list[float]:
    """Return each scan's day; raises BadTask if one has none, or no number."""
    texts = cohort.column("day") or [None] * cohort.table.num_rows
    try:
        return [float(text or "") for text in texts]
    except ValueError as error:
        raise BadTask(
            f"select = first or last needs a number in column day of cohort {cohort.name} "
            "for every scan"
        ) from error


def _unit_ids(cohort: Cohort, task: TaskCard) -> list[str | None]:
    """Return each scan's unit."""
    if task.unit == "study" and not all(cohort.column("study_id") or [None]):
        raise BadTask(f"unit = study, and cohort {cohort.name} has no study_id for every scan")
    return cohort.column(
        {"patient": "patient_id", "study": "study_id", "scan": "scan_id"}[task.unit]
    )


def _values(cohort: Cohort, name: str, task: TaskCard) -> list[float]:
    """Read one label column as numbers, NaN where blank."""
    allowed = {value: i for i, value in enumerate(task.classes)} if task.classes else dict(YES_NO)
    texts = cohort.label(name)
    bad = sorted({text for text in texts if text is not None and _key(text, task) not in allowed})
    if bad:
        wanted = ", ".join(task.classes) if task.classes else "0, 1, yes, no, true, false"
        raise BadTask(
            f"label {name} of cohort {cohort.name} holds {', '.join(bad[:SHOWN])}; "
            f"the task allows {wanted} (blank = unknown)"
        )
    return [float("nan") if text is None else float(allowed[_key(text, task)]) for text in texts]


def _key(text: str, task: TaskCard) -> str:
    """Fold case for yes/no labels only."""
    return text if task.classes else text.lower()


def _select(scans: list[_Scan], select: str) -> list[_Scan]:
    """Take all scans of a unit, or its first or last by day."""
    ordered = sorted(scans, key=lambda scan: (scan.day, scan.scan_id))
    if select == "all":
        return ordered
    edge = ordered[0].day if select == "first" else ordered[-1].day
    return [scan for scan in ordered if scan.day == edge]


def _target(unit: str, scans: list[_Scan], task: TaskCard) -> list[float]:
    """Join the labels of a unit's scans."""
    values = np.array([scan.values for scan in scans])
    if task.target == "multiclass":
        found = {value for value in values[:, 0] if not np.isnan(value)}
        if len(found) > 1:
            names = ", ".join(task.classes[int(value)] for value in sorted(found))
            raise BadTask(
                f"{task.unit} {unit} has contradicting values of {task.labels[0]}: {names}"
            )
    return [
        float(np.nanmax(column)) if not np.isnan(column).all() else float("nan")
        for column in values.T
    ]


def _side(unit: str, scans: list[_Scan], task: TaskCard) -> str:
    """Return the one side of a fixed split that a unit is on."""
    sides = {scan.side for scan in scans}
    if len(sides) > 1:
        names = ", ".join(sorted(side or "blank" for side in sides))
        raise BadTask(f"{task.unit} {unit} is on several sides of the split ({names})")
    return sides.pop()


def _patient(unit: str, scans: list[_Scan], task: TaskCard) -> str:
    """Return the one patient whose unit it is."""
    patients = {scan.patient for scan in scans}
    if len(patients) > 1:
        names = ", ".join(sorted(patients)[:SHOWN])
        raise BadTask(f"{task.unit} {unit} belongs to several patients ({names})")
    return patients.pop()
