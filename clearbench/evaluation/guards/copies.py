"""Scans that are stored under two patients' ids: every pair, and who may be one patient."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clearbench.errors import name_some
from clearbench.evaluation.guards.duplicates import find_duplicates
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units
from clearbench.scans.thumbnail import Sketch

Sketches = Mapping[tuple[str, str], Sketch]  # by cohort and scan id
TWO_SIDES, ONE_SIDE = "two sides", "one side"


@dataclass(frozen=True)
class Copy:
    """Two scans of different patients that look like one scan.

    times_nearer: how many times nearer to each other than to other scans; NaN with few patients
    sides: whether any fold has them on two sides, such as train and test, or never
    """

    cohort: str
    scan_id: str
    patient_id: str
    other_cohort: str
    other_scan_id: str
    other_patient_id: str
    similarity: float
    times_nearer: float
    sides: str


@dataclass(frozen=True)
class FoundCopies:
    """The copies among `searched` of `total` scans, the most similar first."""

    copies: tuple[Copy, ...]
    searched: int
    total: int


def find_copies(units: Units, sketches: Sketches, folds: Sequence[Fold]) -> FoundCopies:
    """Return the scans that are stored under two patients' ids, of those that have a sketch."""
    rows = [
        (cohort, scan, patient)
        for cohort, patient, scans in zip(units.cohorts, units.patients, units.scans, strict=True)
        for scan in scans
        if (cohort, scan) in sketches
    ]
    total = sum(map(len, units.scans))
    if len(rows) < 2:
        return FoundCopies((), len(rows), total)
    thumbnails = np.stack([sketches[cohort, scan].thumbnail for cohort, scan, _ in rows])
    found = find_duplicates(thumbnails, [patient for _, _, patient in rows])
    sides = _sides(folds)
    copies = []
    for pair in found.pairs:
        one, other = rows[pair.first], rows[pair.second]
        apart = _apart(sides.get(one[2], []), sides.get(other[2], []))
        ids = (*_without_cohort(one), *_without_cohort(other))
        where = TWO_SIDES if apart else ONE_SIDE
        copies.append(Copy(*ids, pair.similarity, pair.times_nearer, where))
    return FoundCopies(tuple(copies), len(rows), total)


def _without_cohort(row: tuple[str, str, str]) -> tuple[str, str, str]:
    """Return cohort, scan and patient; with two cohorts a patient is called <cohort>/<id>."""
    cohort, scan, patient = row
    return cohort, scan, patient.removeprefix(f"{cohort}/")


def _apart(one: Sequence[int], other: Sequence[int]) -> bool:
    """Tell whether two patients are on different sides of any fold."""
    return any(a != b for a, b in zip(one, other, strict=False))


def _sides(folds: Sequence[Fold]) -> dict[str, list[int]]:
    """Return each patient's side in every fold, as a number."""
    found: dict[str, list[int]] = {}
    for number, fold in enumerate(folds):
        for side, patients in enumerate((fold.train, fold.tune, fold.test)):
            for patient in patients:
                found.setdefault(patient, [-1] * len(folds))[number] = side
    return found


def copies_alarm(copies: Sequence[Copy]) -> str:
    """Return the alarm that counts copies, names some and says what to do; "" without copies."""
    if not copies:
        return ""
    several = any(copy.cohort != copy.other_cohort for copy in copies)
    listed = [
        f"{_name(copy.cohort, copy.scan_id, several)} and "
        f"{_name(copy.other_cohort, copy.other_scan_id, several)} ({copy.similarity:.3f})"
        for copy in copies
    ]
    parted = Counter(copy.sides for copy in copies)
    leak = (
        f"{parted[TWO_SIDES]} of them on two sides of a fold"
        if parted[TWO_SIDES]
        else ("all on one side of each fold, where they count twice")
    )
    return (
        f"{len(listed)} × the same scan under two patients' ids, {leak}{_across(copies)}: "
        f"{name_some(listed)}; {_way_out(copies)}"
    )


def _name(cohort: str, scan: str, several: bool) -> str:
    """Return a scan's name, with its cohort if there are several."""
    return f"{cohort}/{scan}" if several else scan


def _across(copies: Sequence[Copy]) -> str:
    """Return how many pairs are of two cohorts, and of which."""
    both = [{copy.cohort, copy.other_cohort} for copy in copies]
    counts = Counter(" and ".join(sorted(two)) for two in both if len(two) > 1)
    text = ", ".join(f"{count} of cohorts {names}" for names, count in counts.items())
    return f" ({text})" if text else ""


def _way_out(copies: Sequence[Copy]) -> str:
    """Return what to do. One patient_id can't join two cohorts: it counts within a cohort."""
    listed = "every pair is in the view duplicates of SQL"
    if all(copy.cohort != copy.other_cohort for copy in copies):
        return f"leave one of each pair out ({listed})"
    return (
        f"give them one patient_id, or leave one of them out ({listed}; clearbench tasks check "
        "TASK --group-copies FILE.csv proposes patients)"
    )


def grouped_patients(copies: Sequence[Copy], cohort: str) -> dict[str, str]:
    """Return the patient that copies within a cohort belong to, by the patients that change.

    Patients who share a copy, or a chain of copies, become the first of them.
    """
    first: dict[str, str] = {}

    def root(patient: str) -> str:
        while first.get(patient, patient) != patient:
            patient = first[patient]
        return patient

    for copy in copies:
        if copy.cohort == copy.other_cohort == cohort:
            one, other = sorted((root(copy.patient_id), root(copy.other_patient_id)))
            first[other] = one
    return {patient: root(patient) for patient in sorted(first) if root(patient) != patient}
