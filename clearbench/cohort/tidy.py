"""A user's table of scans → the same table as a cohort has it, with a note on each change."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from clearbench import technical
from clearbench.cohort.columns import DATE, columns_of, is_label
from clearbench.cohort.commas import read_commas
from clearbench.cohort.days import days_since_first, read_dates
from clearbench.cohort.files import UNSURE, is_index
from clearbench.cohort.personal import why_personal
from clearbench.errors import BadCohort, counted

Tidied = tuple[pa.Table, list[str]]


def tidy(table: pa.Table, source: Path) -> Tidied:
    """Return a table of scans as a cohort has it, and notes.

    Raises BadCohort if two columns name patients differently, if a date or a comma can't be read,
    or if several columns may have the paths.
    """
    steps: tuple[Callable[[pa.Table, Path], Tidied], ...] = (
        without_index,
        without_headers,
        _usual_names,
        _one_patient_column,
        _days_for_dates,
        _without_personal,
        _unknown_words,
        _decimal_points,
        _each_row_once,
    )
    notes: list[str] = []
    for step in steps:
        table, more = step(table, source)
        notes += more
    return table, notes


def without_index(table: pa.Table, _: Path) -> Tidied:
    """Leave out columns without a name that only number the rows, as pandas writes its index."""
    out = [name for name in table.column_names if is_index(name, table.column(name).to_pylist())]
    notes = [f"column {name} is left out: it has no name and numbers the rows" for name in out]
    return table.drop_columns(out), notes


def without_headers(table: pa.Table, _: Path) -> Tidied:
    """Leave out rows that repeat the names of the columns, as joined tables have them."""
    names = tuple(table.column_names)
    if not names or names[0] not in table.column(0).to_pylist():
        return table, []
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    kept = [tuple(map(str, row)) != names for row in rows]
    count = kept.count(False)
    text = f"{counted(count, 'row')} left out: the names of the columns again"
    return table.filter(pa.array(kept)), [text] if count else []


def _usual_names(table: pa.Table, source: Path) -> Tidied:
    """Call the columns of paths and of scans' ids path and scan_id."""
    notes = []
    for role in ("scan_id", "path"):
        names = table.column_names
        found = columns_of(role, names)
        if not found or role in names:
            continue
        if len(found) > 1:
            raise BadCohort(
                f"{source}: columns {', '.join(found)} may each be {role}; call one of them {role}"
            )
        table = table.rename_columns([role if name == found[0] else name for name in names])
        notes.append(f"column {found[0]} is taken as {role}")
    return table, notes


def _one_patient_column(table: pa.Table, source: Path) -> Tidied:
    """Call the column of patients patient_id, and leave out others that say the same."""
    found = columns_of("patient_id", table.column_names)
    if not found:
        return table, []
    notes = []
    if found[0] != "patient_id":
        names = ["patient_id" if name == found[0] else name for name in table.column_names]
        table = table.rename_columns(names)
        notes.append(f"column {found[0]} is taken as patient_id")
    for name in found[1:]:
        check_same_patients(table, "patient_id", name, source)
        table = table.drop_columns([name])
        notes.append(f"column {name} names the same patients as {found[0]}, and is left out")
    return table, notes


def check_same_patients(table: pa.Table, one: str, other: str, source: Path) -> None:
    """Raise BadCohort if two columns sort the rows into different patients."""
    pairs = set(zip(table.column(one).to_pylist(), table.column(other).to_pylist(), strict=True))
    filled = {pair for pair in pairs if pair[1] is not None}
    firsts, seconds = ({pair[side] for pair in filled} for side in (0, 1))
    if not len(firsts) == len(seconds) == len(filled):
        raise BadCohort(
            f"{source}: columns {one} and {other} sort the rows into different patients "
            f"({len(firsts)} and {len(seconds)}); remove the one that is wrong"
        )


def _days_for_dates(table: pa.Table, source: Path) -> Tidied:
    """Turn dates of studies into days since each patient's first one; dates are not kept."""
    found = columns_of(DATE, table.column_names)
    if not found or "patient_id" not in table.column_names:
        return table, []
    notes = [f"column {name}: dates are not kept" for name in found]
    if "day" not in table.column_names:
        patients = [str(name) for name in table.column("patient_id").to_pylist()]
        dates = read_dates(table.column(found[0]).to_pylist(), f"{source}, column {found[0]}")
        days = pa.array(days_since_first(patients, dates), pa.string())
        table = table.append_column("day", days)
        notes[0] = f"column {found[0]} became day, days since the patient's first date"
    return table.drop_columns(list(found)), notes


def _without_personal(table: pa.Table, _: Path) -> Tidied:
    """Leave out columns that would show who a person is."""
    patients = (
        table.column("patient_id").to_pylist()
        if "patient_id" in table.column_names
        else [str(row) for row in range(table.num_rows)]
    )
    reasons = {
        name: why_personal(name, table.column(name).to_pylist(), patients)
        for name in filter(is_label, table.column_names)
    }
    out = {name: reason for name, reason in reasons.items() if reason}
    notes = [f"column {name} is left out: {reason}" for name, reason in out.items()]
    return table.drop_columns(list(out)), notes


def _decimal_points(table: pa.Table, source: Path) -> Tidied:
    """Read decimal commas as points, and leave out those of thousands."""
    return read_commas(table, _may_be_number, source)


def _may_be_number(column: str) -> bool:
    """Return True for columns that may hold numbers, but not for ids and lists of slices."""
    numbers = [each.name for each in technical.TECHNICAL if each.number]
    return is_label(column) or column in (*numbers, "day", "hu_offset")


def _unknown_words(table: pa.Table, _: Path) -> Tidied:
    """Read None, NA and n/a as unknown, except in labels, where they may be a class."""
    notes = []
    for index, name in enumerate(table.column_names):
        cells = table.column(name).to_pylist()
        words = [cell for cell in cells if cell is not None and cell.lower() in UNSURE]
        if words and is_label(name):
            rows = counted(len(words), "row")
            notes.append(
                f"column {name}: {', '.join(sorted(set(words)))} ({rows}) counts as unknown, "
                "unless a task's card has it as a class"
            )
        elif words:
            known = [None if cell is None or cell.lower() in UNSURE else cell for cell in cells]
            table = table.set_column(index, name, pa.array(known, pa.string()))
    return table, notes


def _each_row_once(table: pa.Table, _: Path) -> Tidied:
    """Drop rows that repeat another one whole."""
    rows = table.to_pylist()
    first = dict.fromkeys(tuple(row.values()) for row in rows)
    repeated = len(rows) - len(first)
    if not repeated:
        return table, []
    table = pa.Table.from_pylist(
        [dict(zip(table.column_names, row, strict=True)) for row in first], schema=table.schema
    )
    if repeated == 1:
        return table, ["1 row repeats another one, and counts once"]
    return table, [f"{repeated} rows repeat others, and count once"]
