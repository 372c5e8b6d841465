"""The copies that a task's guard found, as a table next to its results."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from clearbench.evaluation.guards.copies import Copy
from clearbench.files import write_whole
from clearbench.store.result_columns import COPIES


def write_copies(copies: Sequence[Copy], task: str, test_cohort: str, folder: Path) -> Path | None:
    """Write the copies of one task below a folder of results; None, and no file, without copies."""
    name = f"copies--{test_cohort}.parquet" if test_cohort else "copies.parquet"
    path = folder / task / name
    if not copies:
        path.unlink(missing_ok=True)  # of an earlier evaluation
        return None
    rows = [{"task": task, "test_cohort": test_cohort, **asdict(copy)} for copy in copies]
    table = pa.Table.from_pylist(rows, schema=COPIES)
    write_whole(path, partial(pyarrow.parquet.write_table, table, compression="zstd"))
    return path
