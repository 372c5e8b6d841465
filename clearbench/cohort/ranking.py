"""Rank the rows of one table by a user's SQL, which can read nothing but this table."""

import duckdb
import pyarrow as pa

from clearbench.errors import BadQuery

MOST_S = 10
# Else the SQL could read files or Python's variables, load code, spill rows, or never end.
ALONE = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "temp_directory": "",
    # a table of series is small: its ranks take a second
    "max_execution_time": f"{MOST_S * 1000}",  # milliseconds
    "memory_limit": "1GB",
}


def best_series(table: pa.Table, where: str, order: str) -> dict[str, tuple[str, ...]]:
    """Return the first scan_ids of every study_id by `order`, of the rows that meet `where`.

    Rows with an `error` are left out. Equal rows are sorted by most slices, then by scan_id.
    Raises BadQuery if DuckDB refuses a part, or if a part reads anything but this table.
    """
    try:
        with duckdb.connect(config=ALONE) as connection:
            return {study: tuple(ids) for study, ids in _ranked(connection, table, where, order)}
    except duckdb.InterruptException as error:
        raise BadQuery(
            f"pick: stopped after {MOST_S} s; rank by columns, without a query in it"
        ) from error
    except duckdb.Error as error:
        columns = ", ".join(table.column_names)
        raise BadQuery(f"pick: {str(error).splitlines()[0]}. Columns: {columns}") from error


def _ranked(
    connection: duckdb.DuckDBPyConnection, table: pa.Table, where: str, order: str
) -> list[tuple[str, list[str]]]:
    """Return each study_id with its first-ranked scan_ids, most slices first."""
    series = connection.from_arrow(table).filter("coalesce(error, '') = ''").filter(where)
    series.order(order)  # DuckDB parses it alone here and refuses text that closes a bracket below
    # the line break ends a SQL comment in `order`
    place = f"rank() OVER (PARTITION BY study_id ORDER BY {order}\n) AS place"
    best = series.project(f"study_id, scan_id, n_slices, {place}").filter("place = 1")
    ids = "list(scan_id ORDER BY n_slices DESC, scan_id)"
    rows: list[tuple[str, list[str]]] = (
        best.aggregate(f"study_id, {ids}", "study_id").order("study_id").fetchall()
    )
    return rows


def deciding_keys(table: pa.Table, where: str, order: str) -> dict[str, str]:
    """Return which key of `order` left one row of each study_id that has several.

    "n_slices" if only the number of slices did, "" if nothing did.
    """
    keys = split_keys(order)
    decided: dict[str, str] = {}
    with duckdb.connect(config=ALONE) as connection:
        # in a window, ORDER BY 1 is a constant: all rows of a study are equal
        left = {study for study, ids in _ranked(connection, table, where, "1") if len(ids) > 1}
        for count, key in enumerate([*keys, "n_slices DESC"], start=1):
            some = ", ".join([*keys, "n_slices DESC"][:count])
            ranked = dict(_ranked(connection, table, where, some))
            now = {study for study in left if len(ranked[study]) == 1}
            decided |= dict.fromkeys(now, key.removesuffix(" DESC") if count > len(keys) else key)
            left -= now
    return decided | dict.fromkeys(left, "")


def split_keys(order: str) -> list[str]:
    """Split a list of SQL keys at its commas, but not inside of brackets or quotes."""
    keys, depth, quote = [""], 0, ""
    for letter in order:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth and not quote:
            keys.append("")
        else:
            keys[-1] += letter
    return [key.strip() for key in keys]
