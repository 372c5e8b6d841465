"""SQL results as text and files: CSV, JSON and Parquet, from Arrow."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from clearbench.cohort.formulas import guard_formulas
from clearbench.files import write_whole


def as_csv(table: pa.Table) -> str:
    """Return CSV text; lists (embeddings) are JSON text in their cell, and formulas are guarded."""
    # pyarrow's CSV writer refuses nested types
    columns = {name: _plain(table.column(name)) for name in table.column_names}
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(guard_formulas(pa.table(columns)), sink)
    return bytes(sink.getvalue()).decode()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return nested values as JSON text."""
    if not pa.types.is_nested(column.type):
        return column
    texts = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
    return pa.array(texts)


def as_json(table: pa.Table) -> str:
    """Return a JSON array of objects."""
    return json.dumps(table.to_pylist(), indent=1, default=str, ensure_ascii=False) + "\n"


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file, complete or not at all; raises StorageFull if the disk refuses."""
    write_whole(path, lambda draft: pyarrow.parquet.write_table(table, draft))
