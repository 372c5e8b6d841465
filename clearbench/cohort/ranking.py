"""The best rows of one table by SQL that a user typed, with nothing else in its reach."""

import duckdb
import pyarrow as pa

from clearbench.errors import BadQuery

ALONE = {"enable_external_access": "false"}


def best_series(table: pa.Table, where: str, order: str) -> dict[str, tuple[str, ...]]:
    """Return for every study_id the scan_ids that come first by `order` where `where` holds.

    Rows with an `error` are left aside. Equals come with most slices first, then by scan_id.
    Raises BadQuery if DuckDB refuses a part, or if it reaches for anything but this table.
    """
    try:
        with duckdb.connect(config=ALONE) as connection:
            return {study: tuple(ids) for study, ids in _ranked(connection, table, where, order)}
    except duckdb.Error as error:
        columns = ", ".join(table.column_names)
        raise BadQuery(f"--pick: {str(error).splitlines()[0]}. Columns: {columns}") from error


def _ranked(
    connection: duckdb.DuckDBPyConnection, table: pa.Table, where: str, order: str
) -> list[tuple[str, list[str]]]:
    """Rank within each study; `where` and `order` are parsed alone, so neither ends the query."""
    series = connection.from_arrow(table).filter("coalesce(error, '') = ''").filter(where)
    series.order(order)
    place = f"rank() OVER (PARTITION BY study_id ORDER BY {order}\n) AS place"
    best = series.project(f"study_id, scan_id, n_slices, {place}").filter("place = 1")
    ids = "list(scan_id ORDER BY n_slices DESC, scan_id)"
    rows: list[tuple[str, list[str]]] = (
        best.aggregate(f"study_id, {ids}", "study_id").order("study_id").fetchall()
    )
    return rows
