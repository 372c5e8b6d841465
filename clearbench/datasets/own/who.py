"""Whose scan is it? The user's table says so, else its header; else each scan is a patient."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from clearbench.cohort.doubts import spelling_notes
from clearbench.datasets.own.label_table import LabelRow, LabelTable
from clearbench.datasets.series import NamedScan, placeholder_notes, without_patient
from clearbench.errors import name_some

MakeId = Callable[[str, str], str]  # kind ("patient", "study"), identifier in clear → id


def with_people(
    scans: list[NamedScan], matches: Mapping[str, str], table: LabelTable, make_id: MakeId
) -> tuple[list[NamedScan], tuple[str, ...]]:
    """Give scans the patients of the table, and its studies where a header has none; with notes.

    matches: the key of the table's row by scan_id, "" without one. A scan without a row gets the
    patient of the other scans with its PatientID.
    """
    blank = LabelRow({})
    rows = {item.scan_id: table.rows.get(matches[item.scan_id], blank) for item in scans}
    told = {scan: row.patient for scan, row in rows.items() if row.patient}
    told |= _by_header(scans, told)
    named = [
        _with_study(
            _with_patient(item, told.get(item.scan_id, ""), make_id),
            rows[item.scan_id].study,
            make_id,
        )
        for item in scans
    ]
    notes = (*_whose(scans, told, table), *placeholder_notes(named), *without_patient(named))
    return named, notes


def _by_header(scans: list[NamedScan], told: Mapping[str, str]) -> dict[str, str]:
    """Return the patients of scans without a row whose PatientID is that of one told patient."""
    known: dict[str, set[str]] = defaultdict(set)
    for item in scans:
        if item.scan_id in told and item.patient:
            known[item.patient].add(told[item.scan_id])
    return {
        item.scan_id: next(iter(known[item.patient]))
        for item in scans
        if item.scan_id not in told and len(known[item.patient]) == 1
    }


def _with_patient(item: NamedScan, patient: str, make_id: MakeId) -> NamedScan:
    """Return a scan with the patient that the table names, "" for none."""
    if not patient:
        return item
    # that its PatientID is nobody's matters no more
    notes = tuple(note for note in item.scan.facts.notes if note.tag != "PatientID")
    scan = replace(item.scan, facts=replace(item.scan.facts, notes=notes))
    return replace(item, scan=scan, patient=patient, patient_id=make_id("patient", patient))


def _with_study(item: NamedScan, study: str, make_id: MakeId) -> NamedScan:
    """Return a scan with the study that the table names, if its header has none."""
    if not study or item.keys["StudyInstanceUID"]:
        return item
    # patients may all have a study called 1
    name = f"{item.patient}.{study}" if item.patient else study
    return replace(item, study_id=make_id("study", name))


def _whose(scans: list[NamedScan], told: Mapping[str, str], table: LabelTable) -> tuple[str, ...]:
    """Note that the patients are the table's, and where headers say otherwise."""
    if not (told and table.patients):
        return ()
    notes = [
        f"patients are those of column {table.patients}: {len(told)} scans of "
        f"{len(set(told.values()))} patients",
        *spelling_notes(list(told.values())),
    ]
    headers: dict[str, set[str]] = defaultdict(set)
    patients: dict[str, set[str]] = defaultdict(set)
    for item in scans:
        if item.scan_id in told and item.patient:
            headers[item.patient].add(told[item.scan_id])
            patients[told[item.scan_id]].add(item.patient)
    for groups, text in (
        (headers, "one PatientID in the headers, but several patients in the table"),
        (patients, "one patient in the table, but several PatientIDs in the headers"),
    ):
        odd = [name for name, others in groups.items() if len(others) > 1]
        notes += [f"{text}; the table is followed: {name_some(odd)}"] if odd else []
    return tuple(notes)
