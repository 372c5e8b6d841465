"""Public sets of DICOM series: one readable series per study, with the technical facts it tells."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from clearbench.datasets.pick import pick_series
from clearbench.datasets.rows import Row
from clearbench.datasets.series import NamedScan, series_table
from clearbench.errors import BadCohort
from clearbench.scans.inventory import FoundScan, default_workers, find_scans
from clearbench.technical import facts_row


@dataclass(frozen=True)
class Picked:
    """The series chosen, and what is wrong with those that are not there."""

    scans: tuple[NamedScan, ...]
    missing: tuple[str, ...]


def find_series(root: Path, below: Path | None = None) -> list[NamedScan]:
    """Find the CT series below a folder, under the identifiers of their headers.

    Places are told from `root`. Public sets only: nothing is pseudonymised.
    """
    inventory = find_scans(below or root, workers=default_workers())
    return [_named(scan, root) for scan in inventory.scans if scan.identity is not None]


def _named(scan: FoundScan, root: Path) -> NamedScan:
    """Give a series its own identifiers as ids."""
    who = scan.identity
    place = scan.path.relative_to(root).as_posix()
    series = who.series_uid if who else ""
    study = who.study_uid if who else ""
    patient = who.patient_id if who else ""
    return NamedScan(
        scan=scan,
        place=place,
        scan_id=series or place.replace("/", "_"),
        patient_id=patient,
        study_id=study or series,
        series_id=series,
        keys={},
    )


def renamed(scans: Iterable[NamedScan], patient: str, study: str) -> list[NamedScan]:
    """Return the same series as those of one patient and study, whatever their headers say."""
    return [replace(item, patient_id=patient, study_id=study) for item in scans]


def pick(root: Path, scans: Sequence[NamedScan], whence: str) -> Picked:
    """Take one series per study: axial, thin but at least 1 mm, soft kernel, most slices.

    Raises BadCohort if there is none.
    """
    if not scans:
        raise BadCohort(f"{root}: no CT series in DICOM files there; get them from {whence}")
    picked = pick_series(series_table(list(scans)))
    by_id = {item.scan_id: item for item in scans}
    unreadable = [f"{item.place}: {item.scan.error}" for item in scans if item.scan.error]
    without = [f"study {study}: no readable series" for study in picked.without]
    chosen = sorted((by_id[name] for name in picked.scan_ids), key=_by_patient)
    return Picked(tuple(chosen), (*without, *unreadable))


@dataclass(frozen=True)
class Met:
    """The series of patients that a table names; who of them has none, and what was left out."""

    scans: tuple[NamedScan, ...]
    without: tuple[str, ...]
    missing: tuple[str, ...]


def meet(root: Path, table: Path, patients: Collection[str], whence: str) -> Met:
    """Take one series per study, as `pick` does, of the patients that a table names.

    Raises BadCohort if there is no series, or none of such a patient.
    """
    picked = pick(root, find_series(root), whence)
    there = {item.patient_id for item in picked.scans}
    known = tuple(item for item in picked.scans if item.patient_id in patients)
    if not known:
        raise BadCohort(
            f"{table}: none of its patients (e.g. {next(iter(patients), 'none')}) has a series in "
            f"{root}; the headers name e.g. {picked.scans[0].patient_id!r}"
        )
    strangers = sorted(there - set(patients))
    left_out = [f"{name}: not in {table.name}, left out" for name in strangers]
    return Met(known, tuple(sorted(set(patients) - there)), (*left_out, *picked.missing))


def _by_patient(item: NamedScan) -> tuple[str, str, str]:
    """Return what series are sorted by: patient, then date."""
    return item.patient_id, str(study_date(item) or ""), item.scan_id


def series_row(item: NamedScan) -> Row:
    """Write one series as a cohort row: ids, place, technical facts; labels are for the caller."""
    return {
        "scan_id": item.scan_id,
        "patient_id": item.patient_id,
        "path": item.place,
        "study_id": item.study_id,
        "series_id": item.series_id or None,
        **facts_row(item.scan.facts),
    }


def study_date(item: NamedScan) -> date | None:
    """Return the study's date as the header has it (public sets shift it), if it is usable."""
    text = item.scan.identity.study_date if item.scan.identity else ""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
