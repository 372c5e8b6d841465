"""Tables on disk (CSV of any dialect, Parquet) ↔ Arrow tables of text."""

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from clearbench.errors import BadCohort, BadRequest

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet"})
BLANK = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


def is_table(path: Path) -> bool:
    """Tell a table of scans from a scan, by its suffix."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_table(path: Path) -> pa.Table:
    """Read CSV (delimiter and quoting are found out) or Parquet, every column as text.

    Blank cells are null. Raises BadCohort if the file is missing, empty or not such a table.
    """
    if not path.is_file():
        raise BadCohort(f"{path}: no such file")
    if path.suffix.lower() == ".parquet":
        source = "read_parquet(?)"
    else:
        source = "read_csv(?, all_varchar = true, header = true, normalize_names = false)"
    try:
        with duckdb.connect() as connection:
            table = connection.sql(f"SELECT * FROM {source}", params=[str(path)]).to_arrow_table()
    except duckdb.Error as error:
        raise BadCohort(f"{path}: not a readable table ({str(error).splitlines()[0]})") from error
    if table.num_rows == 0:
        raise BadCohort(f"{path}: the table has no rows")
    columns = [_as_text(table.column(name)) for name in table.column_names]
    return pa.table(dict(zip((n.strip() for n in table.column_names), columns, strict=True)))


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    """Turn any column to text; blanks and the usual words for "unknown" become null."""
    values = [None if value is None else _text(value) for value in column.to_pylist()]
    return pa.array([None if v is None or v.lower() in BLANK else v for v in values], pa.string())


def _text(value: object) -> str:
    """Write one cell; whole floats and booleans as numbers, so that 1.0 and true are 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def write_table(table: pa.Table, path: Path) -> Path:
    """Write CSV or Parquet, by the suffix of `path`, whole or not at all."""
    if not is_table(path):
        raise BadRequest(f"{path}: write a table as .csv or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    if path.suffix.lower() == ".parquet":
        pyarrow.parquet.write_table(table, draft)
    else:
        pyarrow.csv.write_csv(table, draft, pyarrow.csv.WriteOptions(quoting_style="needed"))
    draft.replace(path)
    return path
