"""Parquet files of a store, read so that any damage is one sentence."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from clearbench.errors import BadStore
from clearbench.scans.damage import why

# A file of a few bytes may claim to have any number of rows or bytes.
MOST_BYTES = 2**34
MOST_ROWS, ROWS_PER_BYTE = 100_000, 64


def read_parquet(path: Path, way_out: str, columns: list[str] | None = None) -> pa.Table:
    """Return a table, or some columns of it; raises BadStore with the way out if it is damaged."""
    if not path.is_file():  # a folder would be read as a table of parts, and a pipe waited for
        raise damaged_parquet(path, "not a file", way_out)
    try:
        # one opened file: a path may also be a pattern, and its folders may be read as columns
        with path.open("rb") as file:
            opened = pyarrow.parquet.ParquetFile(file)
            groups = range(opened.metadata.num_row_groups)
            size = sum(opened.metadata.row_group(group).total_byte_size for group in groups)
            most = MOST_ROWS + ROWS_PER_BYTE * path.stat().st_size
            if size > MOST_BYTES or opened.metadata.num_rows > most:
                raise damaged_parquet(path, "more rows than a file of its size has", way_out)
            table = opened.read(columns=columns)
            table.validate(full=True)
            return table
    except BadStore:
        raise
    except PermissionError as error:
        raise BadStore(f"{path}: can't be read ({error.strerror}); its owner allows it") from error
    except OSError as error:
        reason = error.strerror or why(error)
        raise damaged_parquet(path, reason, way_out) from error
    except Exception as error:
        raise damaged_parquet(path, f"{type(error).__name__}: {why(error)}", way_out) from error


def damaged_parquet(path: Path, reason: str, way_out: str) -> BadStore:
    """Return the error for a damaged table, with the way out."""
    return BadStore(f"{path}: damaged ({reason}); {way_out[0].lower()}{way_out[1:]}")
