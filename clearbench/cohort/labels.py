"""Labels that come later, or change: joined to a cohort by scan or by patient."""

from pathlib import Path

import pyarrow as pa

from clearbench.cohort.table import KNOWN, Cohort, check_cohort
from clearbench.errors import BadCohort, suggestion


def update_labels(cohort: Cohort, news: pa.Table, source: Path) -> Cohort:
    """Return the cohort with the label columns of `news`, matched by scan_id, else patient_id.

    Columns of the same name are replaced where `news` has a row, and kept elsewhere.
    Raises BadCohort if no row matches, a row matches nothing, or two rows contradict each other.
    """
    key = next((name for name in ("scan_id", "patient_id") if name in news.column_names), None)
    if key is None:
        hint = suggestion("patient_id", news.column_names) or suggestion(
            "scan_id", news.column_names
        )
        raise BadCohort(f"{source}: no column scan_id or patient_id{hint}")
    places = _rows_by_key(news, key, source)
    keys = cohort.column(key)
    lost = sorted(set(places) - {str(k) for k in keys})
    if lost:
        raise BadCohort(
            f"{source}: {len(lost)} of {len(places)} {key} are not in cohort {cohort.name}: {', '.join(lost[:5])}"
        )
    table = cohort.table
    for name in (
        column for column in news.column_names if column not in KNOWN or column == "split"
    ):
        fresh = news.column(name).to_pylist()
        old = cohort.column(name) or [None] * table.num_rows
        values = [
            fresh[places[str(k)]] if str(k) in places else was
            for k, was in zip(keys, old, strict=True)
        ]
        column = pa.array(values, pa.string())
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return check_cohort(table, cohort.name, source)


def _rows_by_key(news: pa.Table, key: str, source: Path) -> dict[str, int]:
    """Return the row of each key; rows that repeat a key must agree."""
    rows: dict[str, int] = {}
    records = news.to_pylist()
    for number, record in enumerate(records):
        name = str(record[key])
        if name in rows and records[rows[name]] != record:
            raise BadCohort(f"{source}: {key} {name} has two rows that contradict each other")
        rows.setdefault(name, number)
    return rows
