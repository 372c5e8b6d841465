"""The series table, as `clearbench scans` lists it: with pseudonyms or, if asked, ids in clear."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.doubts import spelling_notes
from clearbench.cohort.faults import ID_PATTERN
from clearbench.cohort.ids import ISSUED
from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.people import (
    find_placeholders,
    issued_by_several,
    name_people,
)
from clearbench.errors import BadArgument, counted, name_some, plain_text
from clearbench.scans.dicom.records import Identity
from clearbench.scans.found import FoundScan, Inventory
from clearbench.scans.kernels import is_soft_kernel
from clearbench.scans.notes import Note
from clearbench.scans.scanner_texts import with_keys
from clearbench.technical import FROM_HEADER

NOT_USED = "each study counts as a patient; to say otherwise, edit patient_id in the cohort table"
KEYS = ("PatientID", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "path")


@dataclass(frozen=True)
class NamedScan:
    """A found scan with its ids in a cohort; `keys` are its identifiers in clear.

    patient  whose scan it is, in clear; "" if nothing says so, and it counts as one patient
    """

    scan: FoundScan
    place: str
    scan_id: str
    patient_id: str
    study_id: str
    series_id: str
    keys: dict[str, str]
    patient: str = ""


def name_scans(
    inventory: Inventory, names: Pseudonyms, *, keep_ids: bool = False
) -> list[NamedScan]:
    """Give every found scan its ids: pseudonyms, or with `keep_ids` the identifiers themselves.

    Raises BadArgument if an identifier to keep can't be an id.
    """
    root = inventory.root if inventory.root.is_dir() else inventory.root.parent
    known = [scan.identity for scan in inventory.scans if scan.identity]
    people = name_people(known)
    series = Counter(one.series_uid for one in known)
    patients = Counter(study for study, _ in {(one.study_uid, people[one]) for one in known})
    clashes = _Clashes(_several(series), _several(patients), people, find_placeholders(people))
    return [
        _named(
            _with_patient_note(_with_keys(scan, names), clashes),
            scan.path.relative_to(root).as_posix(),
            names,
            keep_ids,
            clashes,
        )
        for scan in inventory.scans
    ]


def _with_keys(scan: FoundScan, names: Pseudonyms) -> FoundScan:
    """Return a scan whose facts have keyed tokens in the place of unknown texts."""
    return replace(scan, facts=with_keys(scan.facts, names.other))


def _several(counts: Counter[str]) -> set[str]:
    """Return what was counted more than once."""
    return {name for name, count in counts.items() if count > 1}


def _with_patient_note(scan: FoundScan, clashes: "_Clashes") -> FoundScan:
    """Note on a scan that its PatientID is not used."""
    reason = clashes.placeholders.get(clashes.person(scan.identity), "")
    if not reason:
        return scan
    note = Note("header", f"{reason}: {NOT_USED}", tag="PatientID")
    return replace(scan, facts=scan.facts.with_notes(note))


def people_notes(
    scans: Sequence[NamedScan], likely: str = "", *, in_clear: bool = False
) -> tuple[str, ...]:
    """Return notes on what is not sure about whose scans these are.

    likely: a column of the user's table that may name the patients of scans that nothing names
    in_clear: patients are named by their PatientIDs, else as a cohort has them
    """
    return (
        *_spellings(scans, in_clear),
        *_issuers(scans, in_clear),
        *_placeholders(scans),
        *_without_patient(scans, likely),
    )


def _spellings(scans: Sequence[NamedScan], in_clear: bool) -> list[str]:
    """Note patients who may be one person under two spellings of a PatientID."""
    names = {item.patient: item.patient_id for item in scans if item.patient}
    shown = str if in_clear else names.__getitem__
    return spelling_notes(list(names), shown, "the id of a patient")


def _issuers(scans: Sequence[NamedScan], in_clear: bool) -> list[str]:
    """Note PatientIDs that several hospitals issued, and who they count as."""
    found = issued_by_several(item.scan.identity for item in scans if item.scan.identity)
    people: dict[str, set[str]] = {key: set() for key in found}
    for item in scans:
        if item.keys["PatientID"] in people and item.patient:
            people[item.keys["PatientID"]].add(item.patient)
    ids = {item.patient: item.patient_id for item in scans}
    several, one = [], []
    for key, who in people.items():
        issued = f"{key} ({', '.join(found[key])})"
        shown = issued if in_clear else ", ".join(sorted(ids[name] for name in who))
        several += [shown] if len(who) > 1 else []
        one += [shown] if who == {key} else []
    return [
        f"{len(names)} PatientID{'s have' if len(names) > 1 else ' has'} several issuers "
        f"(IssuerOfPatientID), and {text}: {name_some(names)}"
        for names, text in (
            (several, "each issuer's is a patient; if they are one, say so in a column patient_id"),
            (one, "the table has one id for all; if they are several people, join on "
                  "StudyInstanceUID, with a column patient_id"),
        )
        if names
    ]  # fmt: skip


def _placeholders(scans: Sequence[NamedScan]) -> tuple[str, ...]:
    """Return how many scans have a PatientID that is not used, by reason."""
    notes = (n.text for s in scans for n in s.scan.facts.notes if n.tag == "PatientID")
    return tuple(f"{counted(count, 'scan')}: {text}" for text, count in Counter(notes).items())


def _without_patient(scans: Sequence[NamedScan], likely: str) -> tuple[str, ...]:
    """Return a note on how many scans say nothing of their patient; () if all do.

    likely: a column of the user's table that may name them
    """
    # a PatientID that is not used has its own note
    count = sum(not (item.patient or item.keys["PatientID"]) for item in scans)
    if not count:
        return ()
    of = "the scan names" if len(scans) == 1 else f"{count} of {len(scans)} scans name"
    say = "say so in a column patient_id"
    if likely:
        say = f"say so in a column patient_id (is it {likely}? then call that column patient_id)"
    return (f"{of} no patient, and each counts as one patient; if a patient has several, {say}",)


@dataclass(frozen=True)
class _Clashes:
    """What an anonymiser gave to several: series UIDs, study UIDs, PatientIDs with the reason.

    people: whose each header is, in clear
    """

    series: set[str]
    studies: set[str]
    people: dict[Identity, str]
    placeholders: dict[str, str]

    def person(self, identity: Identity | None) -> str:
        """Return whose a header is; "" without one."""
        return self.people[identity] if identity else ""


def _named(
    scan: FoundScan, place: str, names: Pseudonyms, keep_ids: bool, clashes: _Clashes
) -> NamedScan:
    """Name one scan; a file without DICOM identifiers is its own study and patient."""
    identity, keys = scan.identity, keys_of(scan, place)
    series = identity.series_uid if identity else ""
    if identity and series in clashes.series:
        series = identity.full_name
    unique = series or place
    person = clashes.person(identity)
    patient = "" if person in clashes.placeholders else person
    study = keys["StudyInstanceUID"]
    if study in clashes.studies:
        study = f"{study}.{person}"
    sources = {
        "scan": unique,
        "patient": patient or study or unique,
        "study": study or unique,
        "series": series,
    }
    ids = {
        kind: id_of(kind, text, names=names, keep_ids=keep_ids) if text else ""
        for kind, text in sources.items()
    }
    return NamedScan(
        scan, place, ids["scan"], ids["patient"], ids["study"], ids["series"], keys, patient
    )


def keys_of(scan: FoundScan, place: str) -> dict[str, str]:
    """Return a scan's identifiers in clear, "" where it has none; `place` is its path."""
    identity = scan.identity
    return {
        "PatientID": identity.patient_id if identity else "",
        "AccessionNumber": identity.accession_number if identity else "",
        "StudyInstanceUID": identity.study_uid if identity else "",
        "SeriesInstanceUID": identity.series_instance_uid if identity else "",
        "path": place,
    }


def id_of(kind: str, identifier: str, *, names: Pseudonyms, keep_ids: bool) -> str:
    """Return an identifier's pseudonym, or with `keep_ids` the identifier itself.

    Raises BadArgument if an identifier to keep can't be an id.
    """
    return _kept(identifier) if keep_ids else names.name(kind, identifier)


def _kept(identifier: str) -> str:
    """Return an identifier as an id in clear; raises BadArgument if its letters don't allow it."""
    name = identifier.replace("/", "_").replace(ISSUED, ".")
    if not ID_PATTERN.fullmatch(name):
        raise BadArgument(
            "keep_ids",
            True,
            f"{identifier!r} can't be an id (letters, digits, dot, dash, underscore); "
            "leave the option out to use pseudonyms",
        )
    return name


def series_table(scans: list[NamedScan], *, keep_ids: bool = False) -> pa.Table:
    """List scans as a table: ids, path, geometry, technical facts, problems.

    Identifiers from DICOM headers appear only with `keep_ids`; problems and errors name no file.
    """
    return pa.Table.from_pylist([_row(item, keep_ids) for item in scans], schema=_schema(keep_ids))


def _schema(keep_ids: bool) -> pa.Schema:
    """Return the columns of the series table."""
    text, number = pa.string(), pa.float64()
    fields: list[tuple[str, pa.DataType]] = [
        ("scan_id", text), ("patient_id", text), ("study_id", text), ("series_id", text),
        ("path", text), ("kind", text), ("orientation", text),
        ("n_slices", pa.int64()), ("rows", pa.int64()), ("columns", pa.int64()),
        ("spacing_z_mm", number), ("spacing_y_mm", number), ("spacing_x_mm", number),
        *((column.name, number if column.number else text) for column in FROM_HEADER),
        ("soft_kernel", pa.bool_()), ("dynamic", pa.bool_()), ("windows", text),
        ("problems", text), ("error", text),
    ]  # fmt: skip
    return pa.schema(fields + [(key, text) for key in KEYS[:-1] if keep_ids])


def _row(item: NamedScan, keep_ids: bool) -> dict[str, object]:
    """Return one scan as a row of the series table."""
    scan, facts = item.scan, item.scan.facts
    shape = (*scan.shape, None, None, None)[:3]
    spacing = (*(None if isnan(mm) else mm for mm in scan.spacing_mm), None, None, None)[:3]
    row: dict[str, object] = {
        "scan_id": item.scan_id, "patient_id": item.patient_id, "study_id": item.study_id,
        "series_id": item.series_id, "path": item.place, "kind": scan.kind,
        "orientation": scan.orientation,
        "n_slices": shape[0], "rows": shape[1], "columns": shape[2],
        "spacing_z_mm": spacing[0], "spacing_y_mm": spacing[1], "spacing_x_mm": spacing[2],
        **{column.name: getattr(facts, column.name) for column in FROM_HEADER},
        "soft_kernel": is_soft_kernel(facts.kernel), "dynamic": scan.dynamic,
        "windows": ", ".join(scan.windows),
        "problems": "; ".join(dict.fromkeys(note.text for note in facts.notes)),
        "error": without_names(scan.error, scan.path),
    }  # fmt: skip
    return row | ({key: item.keys[key] for key in KEYS[:-1]} if keep_ids else {})


def without_names(text: str, path: Path) -> str:
    """Return a sentence about a scan without names of its files and folders, and without quotes.

    A header's text stands between quotes, and any text may stand in a header.
    """
    if not text:
        return ""
    names = {str(path), path.name, path.parent.name} - {""}
    if path.is_dir():
        names |= {name for _, folders, files in os.walk(path) for name in (*folders, *files)}
    names |= set(map(plain_text, names))  # as an error shows a name that isn't UTF-8
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return re.sub(r"(?<!\w)(['\"]).*\1(?!\w)", "'…'", text)


def series_records(scans: list[NamedScan], *, keep_ids: bool = False) -> list[dict[str, object]]:
    """Return the rows of the series table for the screen: with notes as records, and files named.

    They are for the screen, and not to be stored.
    """
    rows: list[dict[str, object]] = series_table(scans, keep_ids=keep_ids).to_pylist()
    return [
        row
        | {"problems": "; ".join(item.scan.facts.problems), "error": item.scan.error}
        | {"notes": [asdict(note) for note in item.scan.facts.notes]}
        for row, item in zip(rows, scans, strict=True)
    ]


def key_table(scans: list[NamedScan]) -> dict[str, str]:
    """Return pseudonym → identifier of every scan, for the store's key table."""
    keys: dict[str, str] = {}
    for item in scans:
        keys[item.scan_id] = item.keys["SeriesInstanceUID"] or item.place
        keys.setdefault(item.patient_id, item.patient or item.keys["PatientID"])
        if item.scan.identity:
            keys[item.study_id] = item.keys["StudyInstanceUID"]
            keys[item.series_id] = item.keys["SeriesInstanceUID"]
    return {name: identifier for name, identifier in keys.items() if identifier}


def relative_to(place: str, root: Path, target: Path) -> str:
    """Return a scan's path, relative to the cohort file `target`."""
    return os.path.relpath(root / place, target.parent)


def unlabelled_cohort_table(scans: list[NamedScan], root: Path) -> pa.Table:
    """Make the table of a cohort without labels, of scans below `root`; paths are absolute."""
    windows = any(item.scan.window for item in scans)
    rows = [
        {
            "scan_id": item.scan_id,
            "patient_id": item.patient_id,
            "path": str((root / item.place).resolve()),
            "study_id": item.study_id,
            "series_id": item.series_id or None,
            **({"window": item.scan.window or None} if windows else {}),
        }
        for item in scans
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in rows[0]]))
