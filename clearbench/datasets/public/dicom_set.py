"""Public sets of DICOM series: one readable series per study, with its technical facts."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from clearbench.cores import default_workers
from clearbench.datasets.pick import pick_series
from clearbench.datasets.rows import TableRow
from clearbench.datasets.series import NamedScan, series_table
from clearbench.errors import BadCohort
from clearbench.scans.found import FoundScan
from clearbench.scans.inventory import find_scans
from clearbench.scans.scanner_texts import with_keys
from clearbench.technical import facts_row


@dataclass(frozen=True)
class PickedScans:
    """The chosen series, and the problems of the others."""

    scans: tuple[NamedScan, ...]
    missing: tuple[str, ...]


def find_series(root: Path, below: Path | None = None) -> list[NamedScan]:
    """Find the CT series below a folder, with the identifiers of their headers.

    Paths are relative to `root`. For public sets only: there are no pseudonyms.
    """
    inventory = find_scans(below or root, workers=default_workers())
    return [_named(scan, root) for scan in inventory.scans if scan.identity is not None]


def _named(scan: FoundScan, root: Path) -> NamedScan:
    """Name a series by its identifiers."""
    identity = scan.identity
    place = scan.path.relative_to(root).as_posix()
    series = identity.series_uid if identity else ""
    study = identity.study_uid if identity else ""
    patient = identity.patient_id if identity else ""
    return NamedScan(
        scan=replace(scan, facts=with_keys(scan.facts, None)),
        place=place,
        scan_id=series or place.replace("/", "_"),
        patient_id=patient,
        study_id=study or series,
        series_id=series,
        keys={},
    )


def renamed(scans: Iterable[NamedScan], patient: str, study: str) -> list[NamedScan]:
    """Return the same series with another patient and study than in their headers."""
    return [replace(item, patient_id=patient, study_id=study) for item in scans]


def pick(root: Path, scans: Sequence[NamedScan], source_url: str) -> PickedScans:
    """Choose one series per study: axial, thin but at least 1 mm, soft kernel, most slices.

    Raises BadCohort if there is none.
    """
    if not scans:
        raise BadCohort(f"{root}: no CT series in DICOM files; get them from {source_url}")
    picked = pick_series(series_table(list(scans)))
    by_id = {item.scan_id: item for item in scans}
    unreadable = [f"{item.place}: {item.scan.error}" for item in scans if item.scan.error]
    without = [f"study {study}: no readable series" for study in picked.without]
    chosen = sorted((by_id[name] for name in picked.scan_ids), key=_by_patient)
    return PickedScans(tuple(chosen), (*without, *unreadable))


@dataclass(frozen=True)
class MatchedSeries:
    """The series of a table's patients; patients without a series; what was left out."""

    scans: tuple[NamedScan, ...]
    without: tuple[str, ...]
    missing: tuple[str, ...]


def match_series(
    root: Path, table: Path, patients: Collection[str], source_url: str
) -> MatchedSeries:
    """Choose one series per study, as `pick` does, of the patients in a table.

    Raises BadCohort if there is no series, or none of such a patient.
    """
    picked = pick(root, find_series(root), source_url)
    scanned = {item.patient_id for item in picked.scans}
    known = tuple(item for item in picked.scans if item.patient_id in patients)
    if not known:
        raise BadCohort(
            f"{table}: none of its patients (e.g. {next(iter(patients), 'none')}) has a series in "
            f"{root}; the headers have e.g. {picked.scans[0].patient_id!r}"
        )
    unknown = sorted(scanned - set(patients))
    left_out = [f"{name}: not in {table.name}, left out" for name in unknown]
    without = tuple(sorted(set(patients) - scanned))
    return MatchedSeries(known, without, (*left_out, *picked.missing))


def _by_patient(item: NamedScan) -> tuple[str, str, str]:
    """Return the sort key of a series: patient, then date."""
    return item.patient_id, str(study_date(item) or ""), item.scan_id


def series_row(item: NamedScan) -> TableRow:
    """Return one series as a cohort row: ids, path, technical facts; the caller adds labels."""
    return {
        "scan_id": item.scan_id,
        "patient_id": item.patient_id,
        "path": item.place,
        "study_id": item.study_id,
        "series_id": item.series_id or None,
        **facts_row(item.scan.facts),
    }


def study_date(item: NamedScan) -> date | None:
    """Return the study's date in the header (public sets shift it); None if it isn't valid."""
    text = item.scan.identity.study_date if item.scan.identity else ""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
