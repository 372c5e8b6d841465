"""What builders of public data sets share: tables with checked columns in, cohort rows out."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.files import read_table
from clearbench.errors import BadCohort, suggestion

Row = dict[str, str | None]


def read_rows(path: Path, columns: Iterable[str], whence: str) -> list[Row]:
    """Read a data set's table, every cell as text and blanks as None.

    Raises BadCohort, which ends in `whence` (where to get the data), for a missing file or column.
    """
    if not path.is_file():
        raise BadCohort(f"{path}: no such file; get it from {whence}")
    table = read_table(path)
    for name in columns:
        if name not in table.column_names:
            raise BadCohort(
                f"{path}: no column {name}{suggestion(name, table.column_names)} "
                f"(it has {', '.join(table.column_names)}; expected as in {whence})"
            )
    rows: list[Row] = table.to_pylist()
    return rows


def only_file(root: Path, patterns: Sequence[str], what: str, whence: str) -> Path:
    """Return the one file right in `root` that fits a pattern; letters' case does not matter.

    Raises BadCohort, naming what is missing or which files compete.
    """
    found = sorted(
        file
        for file in root.iterdir()
        if any(Path(file.name.lower()).match(pattern) for pattern in patterns)
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadCohort(f"{root}: no {what} ({' or '.join(patterns)}); get it from {whence}")
    names = ", ".join(file.name for file in found)
    raise BadCohort(f"{root}: several files may be the {what} ({names}); leave one of them there")


def whole(text: str | None) -> str | None:
    """Write 1.0 as 1, as a column with gaps may hold it."""
    return None if text is None else text.removesuffix(".0")


def highest(values: Iterable[str | None]) -> str | None:
    """Return the largest known number, as a whole one; None if none is known."""
    known = [value for value in values if value is not None]
    return whole(max(known, key=float)) if known else None


def cohort_table(name: str, rows: Sequence[Row]) -> pa.Table:
    """Make the table of a public cohort; its columns stand in the order of the first row."""
    columns = dict.fromkeys(column for row in rows for column in row)
    table = {"cohort": [name] * len(rows), "public": ["1"] * len(rows)}
    cells = table | {column: [row.get(column) for row in rows] for column in columns}
    head = ("scan_id", "patient_id", "path")
    ordered = dict.fromkeys((*head, *cells))
    return pa.table({column: pa.array(cells[column], pa.string()) for column in ordered})
