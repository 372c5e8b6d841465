"""Whose scan is it? The user's table says so, else its header; else each scan is a patient."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from clearbench.cohort.columns import LOOSE_STUDIES, named_columns
from clearbench.cohort.ids import find_nobody
from clearbench.datasets.own.label_table import LabelRow, LabelTable
from clearbench.datasets.series import NamedScan, people_notes
from clearbench.errors import BadCohort, counted, name_some

MANY = 3  # patients to one value of a study's column, so that it seems to name no studies
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
    # a PatientID that is not one patient's becomes none by being joined on
    stated = {
        item.scan_id: rows[item.scan_id].patient
        for item in scans
        if rows[item.scan_id].patient and (table.patients or item.patient)
    }
    stated |= _by_header(scans, stated)
    people = [_with_patient(item, stated.get(item.scan_id, ""), make_id) for item in scans]
    studies = {item.scan_id: rows[item.scan_id].study for item in people}
    loose = _is_no_study(people, studies, table.study)
    named = people if loose else [_with_study(s, studies[s.scan_id], make_id) for s in people]
    notes = (*_whose(scans, stated, table), *people_notes(named, table.likely, in_clear=True))
    return named, notes + ((loose,) if loose else ())


def refuse_nobody(scans: list[NamedScan], matches: Mapping[str, str], on: str) -> None:
    """Raise BadCohort if a row is joined on a word such as Anonymous, over several studies."""
    if on == "path":
        return
    studies = {(item.keys[on], item.study_id) for item in scans if item.keys[on]}
    nobody = {key: count for key, count in find_nobody(k for k, _ in studies).items() if count > 1}
    joined = [item.keys[on] for item in scans if matches[item.scan_id] and item.keys[on] in nobody]
    if joined:
        raise BadCohort(
            f"{len(joined)} scans of several studies have the {on} "
            f"{name_some(sorted(set(joined)))}, which is nobody's name, and no label is for all of "
            "them: join on StudyInstanceUID or path, or take that row out of the table"
        )


def _by_header(scans: list[NamedScan], stated: Mapping[str, str]) -> dict[str, str]:
    """Return the patients of scans without a row whose PatientID is that of one stated patient."""
    known: dict[str, set[str]] = defaultdict(set)
    for item in scans:
        if item.scan_id in stated and item.patient:
            known[item.patient].add(stated[item.scan_id])
    return {
        item.scan_id: next(iter(known[item.patient]))
        for item in scans
        if item.scan_id not in stated and len(known[item.patient]) == 1
    }


def _with_patient(item: NamedScan, patient: str, make_id: MakeId) -> NamedScan:
    """Return a scan with the patient that the table names, "" for none."""
    if not patient:
        return item
    # that its PatientID is nobody's matters no more
    notes = tuple(note for note in item.scan.facts.notes if note.tag != "PatientID")
    scan = replace(item.scan, facts=replace(item.scan.facts, notes=notes))
    return replace(item, scan=scan, patient=patient, patient_id=make_id("patient", patient))


def _is_no_study(scans: list[NamedScan], studies: Mapping[str, str], column: str) -> str:
    """Return why a column called study, session or exam names no studies, "" if it does.

    The name of a trial, or a kind of examination, is the same for many patients, and tells no scans
    of one patient apart. A scan without a patient counts as one.
    """
    if not named_columns(LOOSE_STUDIES, [column]):
        return ""
    named = [
        (item, studies[item.scan_id])
        for item in scans
        if studies[item.scan_id] and not item.keys["StudyInstanceUID"]
    ]
    joined = len({(item.patient, study) for item, study in named}) < len(named)
    of_patient: dict[str, set[str]] = defaultdict(set)
    for item, study in named:
        of_patient[item.patient_id].add(study)
    different = len(set().union(*of_patient.values()))
    shared = len(of_patient) > 1 and (different == 1 or different * MANY <= len(of_patient))
    if not (joined and shared) or any(len(some) > 1 for some in of_patient.values()):
        return ""
    return (
        f"column {column} is not taken as the study of a scan: it is the same for many patients, "
        "and for all scans of each"
    )


def _with_study(item: NamedScan, study: str, make_id: MakeId) -> NamedScan:
    """Return a scan with the study that the table names, if its header has none."""
    if not study or item.keys["StudyInstanceUID"]:
        return item
    # patients may all have a study called 1
    name = f"{item.patient}.{study}" if item.patient else study
    return replace(item, study_id=make_id("study", name))


def _whose(scans: list[NamedScan], stated: Mapping[str, str], table: LabelTable) -> tuple[str, ...]:
    """Note that the patients are the table's, and where headers say otherwise."""
    if not (stated and table.patients):
        return ()
    notes = [
        f"patients are those of column {table.patients}: {counted(len(stated), 'scan')} of "
        f"{counted(len(set(stated.values())), 'patient')}",
    ]
    headers: dict[str, set[str]] = defaultdict(set)
    patients: dict[str, set[str]] = defaultdict(set)
    for item in scans:
        if item.scan_id in stated and item.patient:
            headers[item.patient].add(stated[item.scan_id])
            patients[stated[item.scan_id]].add(item.patient)
    for groups, text in (
        (headers, "one PatientID in the headers, but several patients in the table"),
        (patients, "one patient in the table, but several PatientIDs in the headers"),
    ):
        odd = [name for name, others in groups.items() if len(others) > 1]
        notes += [f"{text}; the table is followed: {name_some(odd)}"] if odd else []
    return tuple(notes)
