"""Parquet files of a store, read so that any damage is one sentence."""

from pathlib import Path

import pyarrow as pa

from clearbench import parquet
from clearbench.errors import BadStore
from clearbench.scans.damage import why


def read_parquet(path: Path, way_out: str, columns: list[str] | None = None) -> pa.Table:
    """Return a table, or some columns of it; raises BadStore with the way out if it is damaged."""
    try:
        return parquet.read_parquet(path, columns)
    except PermissionError as error:
        raise BadStore(f"{path}: can't be read ({error.strerror}); its owner allows it") from error
    except OSError as error:
        raise damaged_parquet(path, error.strerror or why(error), way_out) from error
    except ValueError as error:
        raise damaged_parquet(path, why(error), way_out) from error


def damaged_parquet(path: Path, reason: str, way_out: str) -> BadStore:
    """Return the error for a damaged table, with the way out."""
    return BadStore(f"{path}: damaged ({reason}); {way_out[0].lower()}{way_out[1:]}")
