"""New or changed labels: joined to a cohort by scan or by patient."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.columns import REQUIRED, SECRET_MARK, columns_of
from clearbench.cohort.ids import MOST_DIGITS, lacks_zeros, pad_id, plain_id, with_nearest
from clearbench.cohort.table import Cohort, check_cohort
from clearbench.cohort.tidy import without_index
from clearbench.errors import BadCohort, check_between, counted, name_some, suggestion

# new labels never change these
FIXED = (*REQUIRED, "cohort", "public", "study_id", "series_id", SECRET_MARK)

SHOWN = 5

LabelRow = dict[str, str | None]


def update_labels(cohort: Cohort, labels: pa.Table, source: Path, pad_ids: int = 0) -> Cohort:
    """Return the cohort with the columns of `labels`, matched by scan_id, else patient_id.

    Columns of the same name get new values where `labels` has a row; other rows keep theirs. By
    scan_id, a table may give scans to other patients of the cohort; other ids and paths stay the
    same. `pad_ids` fills up ids of `labels` that are whole numbers with zeros to so many digits.
    Raises BadCohort if a row matches no scan, or two rows contradict each other.
    """
    labels, notes = without_index(with_usual_ids(labels), source)
    paths = columns_of("path", labels.column_names)
    notes += [f"column {name} is left out: paths stay" for name in paths]
    labels = labels.drop_columns(list(paths))
    key = label_key(labels, source)
    check_between("pad_ids", pad_ids, 0, MOST_DIGITS)
    if pad_ids:
        ids = [name and pad_id(name, pad_ids) for name in labels.column(key).to_pylist()]
        labels = _with_column(labels, key, ids)
    regrouped, note = _regrouped(cohort, labels, key)
    fixed = [name for name in FIXED if not (regrouped and name == "patient_id")]
    columns = [name for name in labels.column_names if name not in fixed]
    rows = _rows_by_key(labels.select([key, *columns]), key, source)
    known = [str(name) for name in dict.fromkeys(cohort.column(key))]
    unknown = sorted(set(rows) - set(known))
    if unknown:
        plain = {plain_id(name): name for name in known}
        zeros = any(lacks_zeros(name, plain.get(plain_id(name), "")) for name in unknown)
        hint = f"; fill up their zeros with --pad-ids {len(known[0])}" if zeros else ""
        raise BadCohort(
            f"{source}: {len(unknown)} of {len(rows)} {key} are not in cohort {cohort.name}: "
            f"{name_some(with_nearest(unknown[:SHOWN], known) + unknown[SHOWN:])}{hint}"
        )
    table = cohort.table
    for name in columns:
        table = _with_column(table, name, _updated(cohort, key, name, rows))
    found = check_cohort(table, cohort.name, source)
    return replace(found, problems=(*notes, *note, *found.problems))


def _regrouped(cohort: Cohort, labels: pa.Table, key: str) -> tuple[bool, tuple[str, ...]]:
    """Tell whether a table by scan says whose scan each is, by patients of the cohort; and a note.

    Other ids of patients are perhaps those that pseudonyms hide, so they are not taken.
    """
    if key != "scan_id" or "patient_id" not in labels.column_names:
        return False, ()
    now = dict(zip(cohort.column("scan_id"), cohort.column("patient_id"), strict=True))
    pairs = zip(
        labels.column(key).to_pylist(), labels.column("patient_id").to_pylist(), strict=True
    )
    changed = {scan: name for scan, name in pairs if scan in now and now[scan] != name}
    if not changed:
        return False, ()
    unknown = sorted({str(name) for name in changed.values()} - set(map(str, now.values())))
    if unknown:
        return False, (
            f"column patient_id is not taken: {name_some(unknown)} is no patient of {cohort.name}",
        )
    return True, (f"patient_id of {counted(len(changed), 'scan')} changed",)


def with_usual_ids(labels: pa.Table) -> pa.Table:
    """Call the columns of scans and patients by their usual names, where they have others."""
    for role in ("scan_id", "patient_id"):
        names = labels.column_names
        found = columns_of(role, names)
        if found and role not in names:
            labels = labels.rename_columns([role if name == found[0] else name for name in names])
    return labels


def label_key(labels: pa.Table, source: Path) -> str:
    """Return the id column of a table of labels: scan_id, else patient_id.

    Raises BadCohort if it has neither.
    """
    names = labels.column_names
    key = next((name for name in ("scan_id", "patient_id") if name in names), None)
    if key is None:
        hint = suggestion("patient_id", names) or suggestion("scan_id", names)
        raise BadCohort(f"{source}: no column scan_id or patient_id{hint}")
    return key


def _rows_by_key(labels: pa.Table, key: str, source: Path) -> dict[str, LabelRow]:
    """Return the row of each key; rows that repeat a key must agree."""
    rows: dict[str, LabelRow] = {}
    for record in labels.to_pylist():
        name = record[key]
        if name is None:
            raise BadCohort(f"{source}: {key} is blank in a row with labels")
        if rows.setdefault(name, record) != record:
            raise BadCohort(f"{source}: {key} {name} has two rows that contradict each other")
    return rows


def _updated(cohort: Cohort, key: str, name: str, rows: dict[str, LabelRow]) -> list[str | None]:
    """Return one column, with new values for the keys that have a row."""
    old = cohort.column(name) or [None] * cohort.table.num_rows
    return [
        rows[owner][name] if owner in rows else value
        for owner, value in zip(cohort.column(key), old, strict=True)
    ]


def _with_column(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    """Replace a column of that name, or append a new one."""
    column = pa.array(values, pa.string())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
