"""Answers of SQL: a table on the screen, or CSV, JSON and Parquet."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from clearbench.display.console import save_text, show_rows, warn
from clearbench.errors import BadRequest

FORMATS = ("table", "csv", "json", "parquet")
MOST_ROWS = 50


def show_answer(table: pa.Table, fmt: str, target: Path | None) -> None:
    """Print or write the rows of a query.

    Raises BadRequest for another format, or Parquet without a file.
    """
    if fmt not in FORMATS:
        raise BadRequest(f"--format {fmt}: {', '.join(FORMATS)}")
    if fmt == "parquet":
        _parquet(table, target)
    elif fmt == "table" and target is None:
        _screen(table)
    else:
        text = _json(table) if fmt == "json" else _csv(table)
        save_text(text, target) if target else sys.stdout.write(text)


def _screen(table: pa.Table) -> None:
    """Print the first rows, and how many more there are."""
    show_rows(table.slice(0, MOST_ROWS).to_pylist())
    if table.num_rows > MOST_ROWS:
        warn(f"… {table.num_rows - MOST_ROWS:,} more rows; --format csv, json or parquet gives all")
    elif not table.num_rows:
        warn(f"no rows ({', '.join(table.column_names)})")


def _parquet(table: pa.Table, target: Path | None) -> None:
    """Write Parquet whole."""
    if target is None:
        raise BadRequest("--format parquet needs a file: -o FILE.parquet")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.tmp")
    pyarrow.parquet.write_table(table, draft)
    draft.replace(target)
    warn(f"written: {target} ({table.num_rows:,} rows)")


def _csv(table: pa.Table) -> str:
    """Write CSV; lists (embeddings) as JSON text in their cell."""
    columns = {name: _plain(table.column(name)) for name in table.column_names}
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(pa.table(columns), sink)
    return bytes(sink.getvalue()).decode()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Turn nested values to JSON text."""
    if pa.types.is_nested(column.type):
        return pa.array(
            [
                None if value is None else json.dumps(value, default=str)
                for value in column.to_pylist()
            ]
        )
    return column


def _json(table: pa.Table) -> str:
    """Write a JSON array of objects."""
    return json.dumps(table.to_pylist(), indent=1, default=str, ensure_ascii=False) + "\n"
