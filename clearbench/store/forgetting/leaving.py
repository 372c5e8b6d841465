"""Who leaves, and under which ids they are in the store."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.cohort.columns import is_label
from clearbench.cohort.ids import ISSUED
from clearbench.cohort.pseudonyms import SECRET_FILE, open_pseudonyms, read_keys
from clearbench.errors import BadArgument, BadStore, UnknownName, counted, name_some
from clearbench.store.catalogue.texts import owners_of_files
from clearbench.store.cohorts import cohort_names, stored_table
from clearbench.store.features import read_facts
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.mentions import Mentions, is_telling
from clearbench.store.forgetting.notes import count_notes, read_json
from clearbench.store.forgetting.result_tables import files_below, owned_rows
from clearbench.store.records import every_record

PSEUDONYM = re.compile(r"patient-[0-9a-f]{12}")
FEWEST_LETTERS = 3  # of an id that is looked for among labels
GROUPS = ("site", "split")  # texts of the user's, as labels are
IDS = ("scan_id", "patient_id", "study_id", "series_id")


@dataclass(frozen=True)
class Leaving:
    """Patients who leave some cohorts of a store, with all their ids.

    scans: cohort and scan id of each of their rows; files: their feature files
    names: ids that are theirs alone; identifiers: the same in clear, and paths
    shared: their ids that others have too; staying: all ids and paths of others
    former: patients in earlier results of these scans, before an id was changed
    """

    patients: frozenset[str]
    cohorts: frozenset[str]
    scans: frozenset[tuple[str, str]] = frozenset()
    files: tuple[Path, ...] = ()
    names: frozenset[str] = frozenset()
    identifiers: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    staying: frozenset[str] = frozenset()
    former: frozenset[str] = frozenset()

    @property
    def mentions(self) -> Mentions:
        """Return what finds their ids, in clear too."""
        return Mentions(self.names | self.identifiers, self.staying)

    def ids_in(self, cohort: str) -> frozenset[str]:
        """Return the ids that mean them in one cohort, also those that others have elsewhere."""
        scans = {scan for owner, scan in self.scans if owner == cohort}
        return self.patients | scans | self.names


@dataclass(frozen=True)
class _Row:
    """One scan: of a cohort's table, of a feature file without a row, or of a result's tables."""

    cohort: str
    scan_id: str
    patient_id: str
    ids: frozenset[str]
    path: str = ""


@dataclass(frozen=True)
class _Everybody:
    """All rows of a store and of results, the patient in each feature file, and the key table."""

    scanned: tuple[_Row, ...]
    tested: tuple[_Row, ...]
    owners: dict[Path, str]
    keys: dict[str, str]
    fixed: frozenset[str]  # names of cohorts and encoders

    @property
    def rows(self) -> tuple[_Row, ...]:
        """Return all rows."""
        return self.scanned + self.tested


def find_leaving(
    store: StoreFolder,
    patients: Sequence[str],
    cohorts: Sequence[str] = (),
    results: Sequence[Path] = (),
) -> Leaving:
    """Return the patients with these ids, or with these PatientIDs under the store's pseudonyms.

    They are looked for in cohorts, features, the key table, and results, also below `results`.
    Raises UnknownName for a patient that is nowhere, BadArgument where several cohorts have an id
    and none is named, or a named one doesn't have it.
    """
    everybody = _everybody(store, results)
    known = {row.patient_id for row in everybody.rows}
    known |= {name for name in everybody.keys if PSEUDONYM.fullmatch(name)}
    known |= {name for name in patients if _is_noted(name, [store.results, *results])}
    chosen = [known_id(patient, known, store) for patient in patients]
    unknown = next((name for name in chosen if name not in known), None)
    if unknown is not None:
        more = _elsewhere(unknown, everybody.keys, store)
        raise UnknownName.among("patient of this store", unknown, known, more)
    where = [name for one in chosen for name in _cohorts_of(one, everybody.rows, cohorts)]
    return _collected(everybody, Leaving(frozenset(chosen), frozenset(where)))


def _elsewhere(name: str, keys: Mapping[str, str], store: StoreFolder) -> str:
    """Return where an id is that is no patient's: in labels, or as a part of patients' ids."""
    issued = issued_ids(name, keys)
    # of one or two digits, it is a class
    exact = name if len(name) >= FEWEST_LETTERS else ""
    labels = find_in_labels(store, Mentions(frozenset({name}), frozenset()), exact=exact)
    texts = (
        (issued, "it was issued to several patients, whose ids are"),
        (labels, "labels have it, of patients with other ids:"),
    )
    return "".join(f" ({text} {name_some(some)})" for some, text in texts if some)


def issued_ids(name: str, keys: Mapping[str, str]) -> list[str]:
    """Return the patients in clear, in a key table, who have a PatientID of several issuers."""
    return sorted({clear for clear in keys.values() if clear.startswith(f"{name}{ISSUED}")})


def find_in_labels(
    store: StoreFolder, mentions: Mentions, patients: Collection[str] = (), exact: str = ""
) -> list[str]:
    """Return the labels and sites that mention ids: cohort, column and rows, without `patients`.

    exact: an id that also counts where it is a whole cell, however short it is
    """
    found: dict[str, int] = {}
    for cohort in cohort_names(store):
        table = stored_table(store, cohort)
        texts = [name for name in table.column_names if is_label(name) or name in GROUPS]
        for column in texts:
            pairs = zip(*(table.column(c).to_pylist() for c in ("patient_id", column)), strict=True)
            cells = Counter(cell for owner, cell in pairs if cell and owner not in patients)
            hits = [cell for cell in cells if cell == exact or mentions.in_text(cell)]
            if hits:
                found[f"column {column} of cohort {cohort}"] = sum(cells[cell] for cell in hits)
    return [f"{place} ({counted(count, 'row')})" for place, count in found.items()]


def resume_leaving(store: StoreFolder, saved: Leaving, results: Sequence[Path] = ()) -> Leaving:
    """Return those who were leaving when a run was interrupted, with the files that are left."""
    return _collected(_everybody(store, results), saved)


def _collected(everybody: _Everybody, saved: Leaving) -> Leaving:
    """Complete the ids of patients; ids that were found before, and are gone meanwhile, stay."""
    patients, where = saved.patients, saved.cohorts
    gone = {row for row in everybody.rows if row.patient_id in patients and row.cohort in where}
    stay = [row for row in everybody.rows if row not in gone]
    scans = saved.scans | {(row.cohort, row.scan_id) for row in everybody.scanned if row in gone}
    ids = patients | saved.names | {name for row in gone for name in row.ids}
    others = everybody.fixed | {name for row in stay for name in row.ids}
    keys = everybody.keys
    names = ids - others
    names |= _in_their_folders(names, keys) - others
    clear = saved.identifiers | {keys[name] for name in names if name in keys}
    clear |= {row.path for row in gone if row.path}
    kept = {value for name, value in keys.items() if name not in names}
    kept |= {row.path for row in stay if row.path}
    return Leaving(
        patients=patients,
        cohorts=where,
        scans=scans,
        files=tuple(
            path
            for path, patient in sorted(everybody.owners.items())
            if (path.parent.name, path.stem) in scans
            or (patient in patients and path.parent.name in where)
        ),
        names=names,
        identifiers=frozenset(clear - kept),
        shared=saved.shared | (ids & others),
        staying=others | (kept - clear),
        former=frozenset(
            row.patient_id
            for row in everybody.tested
            if (row.cohort, row.scan_id) in scans and row.patient_id not in patients
        ),
    )


def _in_their_folders(names: Collection[str], keys: Mapping[str, str]) -> set[str]:
    """Return the pseudonyms of files in folders that are called as one of some patients."""
    folders = {keys[name] for name in names if name in keys}
    return {name for name, identifier in keys.items() if folders & set(identifier.split("/"))}


def _everybody(store: StoreFolder, results: Sequence[Path]) -> _Everybody:
    """Read all ids of a store and of results."""
    owners = _owners(store)
    found = {
        row
        for path in files_below([store.results, *results], ".parquet")
        for row in owned_rows(path)
    }
    tested = (
        _Row(row.cohort, row.scan_id, row.patient_id, _ids(row.patient_id, row.unit, row.scan_id))
        for row in found
    )
    encoders = {record.name for record in every_record(store)}
    return _Everybody(
        scanned=tuple(_scanned(store, owners)),
        tested=tuple(tested),
        owners=owners,
        keys=read_keys(store.root),
        fixed=frozenset(encoders | set(cohort_names(store))),
    )


def _ids(*names: str | None) -> frozenset[str]:
    """Return the names that aren't blank."""
    return frozenset(name for name in names if name)


def _owners(store: StoreFolder) -> dict[Path, str]:
    """Return the patient in every feature file; "" for a damaged one."""
    owners = owners_of_files(store)
    for path in files_below([store.features], ".h5"):
        if path not in owners:
            try:
                owners[path] = read_facts(path).patient_id
            except BadStore:
                owners[path] = ""
    return owners


def _scanned(store: StoreFolder, owners: dict[Path, str]) -> list[_Row]:
    """Return every scan of the cohorts, then those that only have features."""
    rows = [
        _Row(
            cohort,
            row["scan_id"],
            row["patient_id"],
            _ids(*(row.get(name) for name in IDS)),
            row["path"],
        )
        for cohort in cohort_names(store)
        for row in stored_table(store, cohort).to_pylist()
    ]
    known = {(row.cohort, row.scan_id) for row in rows}
    rows += [
        _Row(path.parent.name, path.stem, patient, _ids(path.stem, patient))
        for path, patient in owners.items()
        if (path.parent.name, path.stem) not in known
    ]
    return rows


def known_id(patient: str, known: Collection[str], store: StoreFolder) -> str:
    """Return a known id, or the known pseudonym of a PatientID; else what was given."""
    if patient in known or not (store.root / SECRET_FILE).is_file():
        return patient
    pseudonym = open_pseudonyms(store.root).name("patient", patient)
    return pseudonym if pseudonym in known else patient


def _is_noted(patient: str, folders: Sequence[Path]) -> bool:
    """Tell whether a note of a result names a patient, as one of a split file without a scan."""
    if not is_telling(patient) or patient.isalpha():  # it may be any word of a note
        return False
    mentions = Mentions(frozenset({patient}), frozenset())
    return any(count_notes(read_json(path), mentions) for path in files_below(folders, ".json"))


def _cohorts_of(patient: str, rows: Iterable[_Row], cohorts: Collection[str]) -> list[str]:
    """Return the cohorts that a patient leaves."""
    found = sorted({row.cohort for row in rows if row.patient_id == patient})
    lacking = [name for name in cohorts if name not in found]
    if lacking:
        reason = f"{patient} is not in {name_some(lacking)}, but in {name_some(found) or 'none'}"
        raise BadArgument("cohorts", cohorts, reason)
    if cohorts:
        return list(cohorts)
    if len(found) > 1 and not PSEUDONYM.fullmatch(patient):
        several = " ".join(f"--cohort {name}" for name in found)
        raise BadArgument(
            "cohorts",
            (),
            f"the cohorts {name_some(found)} have a patient {patient}: name all of them if it is "
            f"one person ({several}), else the one that is meant",
        )
    return found
