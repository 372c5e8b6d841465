"""Parquet from elsewhere: refused by its size before it is unpacked.

A file of a few kB may count a thousand million rows of one word, or repeat a word of a megabyte.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from clearbench.bounded import MB, open_bytes, size_text

MOST_FILE_MB, MOST_MB = 4096, 4096  # of the file, and of what is unpacked
MOST_COLUMNS = 5000
MOST_VALUES = 200_000_000
# Columns of one value take no room in a file, ids and scores do: in files that are no bombs a byte
# holds a few values at most.
VALUES_PER_BYTE, FREE_VALUES = 30, 2_000_000


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns, if it isn't far too large.

    Texts are plain, also those that the file has as a dictionary. Raises OSError for what is no
    file or can't be opened, ValueError for a damaged or too large one.
    """
    with open_bytes(path, MOST_FILE_MB) as file:
        try:
            found = pyarrow.parquet.ParquetFile(file)
            _check_size(found.metadata, path.stat().st_size)
            # as dictionaries, words that repeat are held once
            texts = [each.name for each in found.schema_arrow if _is_text(each.type)]
            found = pyarrow.parquet.ParquetFile(file, read_dictionary=texts)
            table = _unfolded(found.read(columns))
            table.validate(full=True)  # else damaged texts are seen only when they are used
            return table
        except _TooLarge:
            raise
        # whatever the library raises for a damaged file
        except Exception as error:
            first = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise ValueError(first) from error


class _TooLarge(ValueError):
    """A table is far too large."""


def _check_size(facts: pyarrow.parquet.FileMetaData, size: int) -> None:
    """Refuse more columns, values or bytes than a table of this size of file has."""
    groups = range(facts.num_row_groups)
    unpacked = sum(max(facts.row_group(group).total_byte_size, 0) for group in groups)
    rows, columns = facts.num_rows, facts.num_columns
    if columns > MOST_COLUMNS:
        raise _TooLarge(f"{columns:,} columns; a table has at most {MOST_COLUMNS:,}")
    most = min(MOST_VALUES, FREE_VALUES + VALUES_PER_BYTE * size)
    if rows < 0 or rows * max(columns, 1) > most:
        raise _TooLarge(f"{rows:,} rows in {size:,} bytes; it would fill the memory")
    if unpacked > MOST_MB * MB:
        raise _TooLarge(
            f"it would unpack to {size_text(unpacked)}, more than {size_text(MOST_MB * MB)}"
        )


def _is_text(kind: pa.DataType) -> bool:
    """Tell whether a type is text or bytes."""
    names = ("string", "large_string", "binary", "large_binary")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in names)


def _unfolded(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries; refuses one whose words would fill the memory."""
    if not any(pa.types.is_dictionary(field.type) for field in table.schema):
        return table
    # all at once: to set one column of thousands copies the list of all
    columns = [
        _plain(column, field.name)
        for column, field in zip(table.columns, table.schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, table.column_names, metadata=table.schema.metadata)


def _plain(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column without a dictionary; refuses one whose words would fill the memory."""
    if not pa.types.is_dictionary(column.type):
        return column
    kind = column.type.value_type
    if _is_text(kind):
        letters = sum(map(_letters, column.chunks))
        if letters > MOST_MB * MB / 4:
            raise _TooLarge(f"column {name[:50]} would unpack to {size_text(letters)}")
    return column.cast(kind)


def _letters(chunk: pa.DictionaryArray) -> int:
    """Return the bytes of a dictionary's words, each as often as it occurs."""
    lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
    return pc.sum(lengths.cast(pa.int64())).as_py() or 0
