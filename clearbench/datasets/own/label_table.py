"""The user's table of labels: the labels of each row, and the patient and study that it names."""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from clearbench.cohort.columns import DATE, KNOWN, OTHER_NAMES, columns_of, is_label, plain_name
from clearbench.cohort.identifiers import has_ids, likely_patients
from clearbench.cohort.ids import MOST_DIGITS, find_nobody, pad_id, rounded_ids
from clearbench.cohort.tidy import check_same_patients
from clearbench.errors import BadCohort, check_between, name_some

Labels = dict[str, str | None]
# Columns that hold no label, and not what a cohort takes from the table.
LEFT_OUT = ("scan_id", "series_id", "path")


@dataclass(frozen=True)
class LabelRow:
    """One row: its labels, and the patient and study in clear; "" where it names none."""

    labels: Labels
    patient: str = ""
    study: str = ""


@dataclass(frozen=True)
class LabelTable:
    """The rows by their key, and notes.

    `patients` is the column of patients: another one than that of the join; "" without one.
    `likely` may be one, by its content, where no column is called so. `study` is that of studies.
    """

    rows: dict[str, LabelRow]
    patients: str
    notes: tuple[str, ...]
    likely: str = ""
    study: str = ""


def label_table(table: pa.Table, column: str, source: Path, on: str, pad_ids: int) -> LabelTable:
    """Return the rows of a table by the value of `column`; equal rows count once.

    on: the identifier in that column. `pad_ids` fills up ids that are whole numbers with zeros to
    so many digits, as spreadsheets take leading zeros away. Raises BadCohort for rows that
    contradict each other, for columns that name patients differently, for rows whose patient is
    called Anonymous, NA and the like, and for ids that a spreadsheet rounded.
    """
    check_between("pad_ids", pad_ids, 0, MOST_DIGITS)
    names = table.column_names
    patients = _patient_column(table, column, source)
    study = next((name for name in columns_of("study_id", names) if name != column), "")
    _refuse_rounded(table, [patients, study, "" if on == "path" else column], source)
    ids = _id_columns(table, column)
    labels = _label_columns([name for name in names if name not in ids], column)
    rows: dict[str, LabelRow] = {}
    padded = blank = repeated = 0
    cells = zip(
        _keys(table, column, on),
        table.select(list(labels)).to_pylist(),
        _patients(table, "" if patients == column else patients, source),
        _studies(table, study),
        strict=True,
    )
    for key, record, patient, of_study in cells:
        if not key:
            blank += 1
            continue
        full = pad_id(key, pad_ids) if pad_ids else key
        padded += full != key
        repeated += full in rows
        found = {labels[name]: value for name, value in record.items()}
        row = LabelRow(found, full if patients == column else patient, of_study)
        first = rows.setdefault(full, row)
        if (first.labels, first.patient) != (row.labels, row.patient):
            raise BadCohort(f"{source}: {column} {full} has two rows that contradict each other")
        if first.study != row.study:
            rows[full] = replace(row, study="")  # of several studies, none is meant
    texts = (
        (padded, f"ids of {source.name} were filled up to {pad_ids} digits"),
        (blank, f"rows of {source.name} have no {column}, and are left out"),
        (repeated, f"rows of {source.name} repeat another one, and count once"),
    )
    notes = [f"{count} {text}" for count, text in texts if count]
    return LabelTable(
        rows,
        patients if patients != column else "",
        (*notes, *_not_used(names, ids, {column, patients, study})),
        "" if patients else _likely(table, column),
        study,
    )


def _patient_column(table: pa.Table, column: str, source: Path) -> str:
    """Return the column that names patients, "" without one: another one than that of the join.

    Raises BadCohort if two of them sort the rows into different patients.
    """
    found = columns_of("patient_id", table.column_names)
    others = [name for name in found if name != column] or list(found)
    for name in others[1:]:
        check_same_patients(table, others[0], name, source)
    return others[0] if others else ""


def _refuse_rounded(table: pa.Table, columns: list[str], source: Path) -> None:
    """Raise BadCohort for ids whose last digits a spreadsheet took away."""
    for name in filter(None, columns):
        rounded = rounded_ids(_cells(table, name))
        if rounded:
            raise BadCohort(
                f"{source}: column {name} has {name_some(rounded)}: a spreadsheet took the last "
                "digits away, and several ids may have become one. Format the column as text in "
                "the spreadsheet, type or import the ids again, and export again"
            )


def _id_columns(table: pa.Table, column: str) -> list[str]:
    """Return columns of ids that have no known meaning."""
    return [
        name
        for name, cells in _other_columns(table, column).items()
        if is_label(name) and has_ids(name, cells)
    ]


def _likely(table: pa.Table, column: str) -> str:
    """Return the column that may name patients, in a table without a column that does."""
    return likely_patients(_other_columns(table, column))


def _other_columns(table: pa.Table, column: str) -> dict[str, list[str | None]]:
    """Return the cells of the columns that aren't the join's, and have no other usual meaning."""
    names = table.column_names
    known = {name for role in OTHER_NAMES for name in columns_of(role, names)} | {column}
    plain = {plain_name(name) for name in KNOWN}
    return {
        name: table.column(name).to_pylist()
        for name in names
        if name not in known and plain_name(name) not in plain
    }


def _label_columns(names: list[str], column: str) -> dict[str, str]:
    """Return the columns to keep, each with its name in a cohort."""
    fixed = {
        name for role in (*LEFT_OUT, "patient_id", "study_id") for name in columns_of(role, names)
    }
    known = {plain_name(name): name for name in KNOWN}
    return {
        name: known.get(plain_name(name), name)
        for name in names
        if name not in fixed and name != column
    }


def _patients(table: pa.Table, name: str, source: Path) -> list[str]:
    """Return the patient of each row, "" where it names none.

    Raises BadCohort if rows have one word for whoever it is: they would be one patient.
    """
    cells = _cells(table, name)
    nobody = find_nobody(filter(None, cells))
    several = [f"{word} in {count} rows" for word, count in nobody.items() if count > 1]
    if several:
        raise BadCohort(
            f"{source}: column {name} has {name_some(several)}, which is nobody's name, and would "
            "make them one patient. Fill in whose they are, or give each patient an id of its own; "
            "a blank cell leaves it to the header of the scan"
        )
    return ["" if cell in nobody else cell for cell in cells]


def _studies(table: pa.Table, name: str) -> list[str]:
    """Return the study of each row, "" where it names none: NA in many rows is not one study."""
    cells = _cells(table, name)
    nobody = find_nobody(filter(None, cells))
    return ["" if cell in nobody else cell for cell in cells]


def _cells(table: pa.Table, name: str) -> list[str]:
    """Return a column's cells, "" where blank or without the column."""
    if not name:
        return [""] * table.num_rows
    return [cell or "" for cell in table.column(name).to_pylist()]


def _not_used(names: list[str], ids: list[str], used: set[str]) -> list[str]:
    """Note the columns of identifiers that are not kept."""
    roles = (role for role in OTHER_NAMES if role != DATE)  # dates become days
    out = [name for role in roles for name in columns_of(role, names) if name not in used]
    return [f"columns left out, as identifiers: {', '.join([*out, *ids])}"] if out or ids else []


def _keys(table: pa.Table, column: str, on: str) -> list[str]:
    """Return the key of each row, "" where blank; the paths ./a/b and a\\b become a/b.

    A word such as unknown in several rows is no identifier.
    """
    cells = _cells(table, column)
    if on == "path":
        return [cell and PurePosixPath(cell.replace("\\", "/")).as_posix() for cell in cells]
    nobody = find_nobody(filter(None, cells))
    return ["" if nobody.get(cell, 0) > 1 else cell for cell in cells]
