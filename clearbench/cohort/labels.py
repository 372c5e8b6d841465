"""Labels that come later, or change: joined to a cohort by scan or by patient."""

from pathlib import Path

import pyarrow as pa

from clearbench.cohort.table import REQUIRED, Cohort, check_cohort
from clearbench.errors import BadCohort, suggestion

FIXED = (*REQUIRED, "cohort", "public", "study_id", "series_id")  # what a scan is, not its labels

Row = dict[str, str | None]


def update_labels(cohort: Cohort, news: pa.Table, source: Path) -> Cohort:
    """Return the cohort with the columns of `news`, matched by scan_id, else patient_id.

    Columns of the same name are replaced where `news` has a row, and kept elsewhere; ids and
    paths stay as they were. Raises BadCohort if a row matches no scan, or two rows contradict
    each other.
    """
    key = label_key(news, source)
    columns = [name for name in news.column_names if name not in FIXED]
    rows = _rows_by_key(news.select([key, *columns]), key, source)
    lost = sorted(set(rows) - set(cohort.column(key)))
    if lost:
        raise BadCohort(
            f"{source}: {len(lost)} of {len(rows)} {key} are not in cohort {cohort.name}: "
            f"{', '.join(lost[:5])}"
        )
    table = cohort.table
    for name in columns:
        table = _with_column(table, name, _updated(cohort, key, name, rows))
    return check_cohort(table, cohort.name, source)


def label_key(news: pa.Table, source: Path) -> str:
    """Return the column that says whose labels these are; raises BadCohort without one."""
    key = next((name for name in ("scan_id", "patient_id") if name in news.column_names), None)
    if key is None:
        names = news.column_names
        hint = suggestion("patient_id", names) or suggestion("scan_id", names)
        raise BadCohort(f"{source}: no column scan_id or patient_id{hint}")
    return key


def _rows_by_key(news: pa.Table, key: str, source: Path) -> dict[str, Row]:
    """Return the row of each key; rows that repeat a key must agree."""
    rows: dict[str, Row] = {}
    for record in news.to_pylist():
        name = record[key]
        if name is None:
            raise BadCohort(f"{source}: {key} is blank in a row with labels")
        if rows.setdefault(name, record) != record:
            raise BadCohort(f"{source}: {key} {name} has two rows that contradict each other")
    return rows


def _updated(cohort: Cohort, key: str, name: str, rows: dict[str, Row]) -> list[str | None]:
    """Return one column with the new values where there is a row for the key."""
    old = cohort.column(name) or [None] * cohort.table.num_rows
    return [
        rows[who][name] if who in rows else was
        for who, was in zip(cohort.column(key), old, strict=True)
    ]


def _with_column(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    """Replace a column in its place, or append a new one."""
    column = pa.array(values, pa.string())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
