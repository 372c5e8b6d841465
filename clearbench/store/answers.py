"""SQL results as text and files: CSV, JSON and Parquet, from Arrow."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from clearbench.cohort.formulas import guard_formulas
from clearbench.errors import BadRequest
from clearbench.files import write_output
from clearbench.store.catalogue.cells import as_json_cells, as_text, is_plain

LONGEST_CELL = 500  # characters on a screen
ROWS = 8192  # of a piece of text
ENDLESS = {
    pa.date32(): (-(2**31) + 1, 2**31 - 1),
    **{pa.timestamp(unit): (-(2**63) + 1, 2**63 - 1) for unit in ("s", "ms", "us", "ns")},
}  # the numbers that stand for -infinity and infinity


def as_csv(table: pa.Table) -> Iterator[str]:
    """Yield CSV text in pieces; nested values are JSON in their cell, and formulas are guarded."""
    header = True
    for piece in _pieces(table):
        sink = pa.BufferOutputStream()
        plain = guard_formulas(as_text(piece, nested_as_json=True))
        options = pyarrow.csv.WriteOptions(include_header=header)
        pyarrow.csv.write_csv(plain, sink, options)
        yield bytes(sink.getvalue()).decode()
        header = False


def as_json(table: pa.Table) -> Iterator[str]:
    """Yield a JSON array of objects in pieces, a line per row.

    Numbers that aren't finite, which JSON lacks, are the texts "NaN", "Infinity" and "-Infinity".
    """
    keys = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    yield "["
    before = "\n "
    for piece in _pieces(table) if table.num_rows else ():
        columns = [column.to_pylist() for column in as_json_cells(piece).columns]
        for cells in zip(*columns, strict=True):
            pairs = zip(keys, cells, strict=True)
            yield before + "{" + ", ".join(f"{key}: {_finite(cell)}" for key, cell in pairs) + "}"
            before = ",\n "
    yield "\n]\n" if table.num_rows else "]\n"


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table in pieces of some rows, at least one."""
    for start in range(0, max(table.num_rows, 1), ROWS):
        yield table.slice(start, ROWS)


def _finite(cell: str | None) -> str:
    """Return a cell's JSON, in which numbers that aren't finite are text."""
    if cell is None:
        return "null"
    if "NaN" not in cell and "Infinity" not in cell:
        return cell
    try:
        return json.dumps(json.loads(cell, parse_constant=str), ensure_ascii=False)
    except RecursionError:
        return json.dumps(cell)


def for_screen(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as a person reads them: long texts are cut, and their length is said."""
    shown = [
        column if _is_list_of_plain(column.type) else text
        for column, text in zip(
            table.columns, as_text(table, nested_as_json=False).columns, strict=True
        )
    ]
    rows: list[dict[str, Any]] = pa.table(shown, table.column_names).to_pylist()
    return [{name: _cut(value) for name, value in row.items()} for row in rows]


def _is_list_of_plain(kind: pa.DataType) -> bool:
    """Return True for a list of numbers, truth values or text, such as an embedding."""
    lists = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and is_plain(kind.value_type))


def _cut(value: Any) -> Any:
    """Return a value; of a long text the beginning, and how long it is."""
    if isinstance(value, list):
        return [_cut(item) for item in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)  # a sum
    if isinstance(value, str) and len(value) > LONGEST_CELL:
        return f"{value[:LONGEST_CELL]}… ({len(value):,} characters)"
    return value


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file, complete or not at all, or stream it into a pipe.

    Raises StorageFull if the disk refuses, BadRequest for a date without end, which Parquet lacks.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        if _is_endless(column):
            raise BadRequest(
                f'column "{name}" has a date without end (infinity), which Parquet lacks; '
                f'write "{name}"::VARCHAR, or --format csv'
            )
    write_output(path, lambda draft: pyarrow.parquet.write_table(table, draft))


def _is_endless(column: pa.ChunkedArray) -> bool:
    """Return True if a column has a date or time that DuckDB calls infinity."""
    kind = column.type
    if pa.types.is_nested(kind):
        return any(_is_endless(inner) for inner in _inside(column))
    bare = pa.timestamp(kind.unit) if pa.types.is_timestamp(kind) else kind
    if bare not in ENDLESS:
        return False
    numbers = column.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64())
    return bool(pc.any(pc.is_in(numbers, pa.array(ENDLESS[bare], numbers.type))).as_py())


def _inside(column: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    """Return the values inside of lists, structs or maps, as columns of their own."""
    kind = column.type
    if pa.types.is_struct(kind):
        return list(column.flatten())
    if pa.types.is_map(kind):
        keys = pa.chunked_array([chunk.keys for chunk in column.chunks], kind.key_type)
        return [keys, pa.chunked_array([chunk.items for chunk in column.chunks], kind.item_type)]
    return [pa.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type)]
