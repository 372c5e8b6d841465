"""Shared by the builders of public data sets: read a table's rows, make a cohort table."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.files import read_table
from clearbench.errors import BadCohort, suggestion

TableRow = dict[str, str | None]


def read_table_rows(path: Path, columns: Iterable[str], source_url: str) -> list[TableRow]:
    """Read a data set's table, every cell as text and blanks as None.

    Raises BadCohort for a missing file or column; its message ends with `source_url`, where the
    data can be downloaded.
    """
    if not path.is_file():
        raise BadCohort(f"{path}: no such file; get it from {source_url}")
    table = read_table(path)
    for name in columns:
        if name not in table.column_names:
            raise BadCohort(
                f"{path}: no column {name}{suggestion(name, table.column_names)} "
                f"(it has {', '.join(table.column_names)}; expected as in {source_url})"
            )
    rows: list[TableRow] = table.to_pylist()
    return rows


def only_file(root: Path, patterns: Sequence[str], title: str, source_url: str) -> Path:
    """Return the only file in `root` (not below) that fits a pattern, in upper or lower case.

    Raises BadCohort if no file fits, or several do.
    """
    found = sorted(
        file
        for file in root.iterdir()
        if any(Path(file.name.lower()).match(pattern) for pattern in patterns)
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadCohort(f"{root}: no {title} ({' or '.join(patterns)}); get it from {source_url}")
    names = ", ".join(file.name for file in found)
    raise BadCohort(
        f"{root}: several files may be the {title} ({names}); keep only one of them there"
    )


def whole(text: str | None) -> str | None:
    """Return 1.0 as 1: tools write whole numbers so when a column has gaps."""
    return None if text is None else text.removesuffix(".0")


def highest(values: Iterable[str | None]) -> str | None:
    """Return the largest known number, as a whole one; None if none is known."""
    known = [value for value in values if value is not None]
    return whole(max(known, key=float)) if known else None


def public_cohort_table(name: str, rows: Sequence[TableRow]) -> pa.Table:
    """Make the table of a public cohort; its columns are in the order of the first row."""
    columns = dict.fromkeys(column for row in rows for column in row)
    table = {"cohort": [name] * len(rows), "public": ["1"] * len(rows)}
    cells = table | {column: [row.get(column) for row in rows] for column in columns}
    head = ("scan_id", "patient_id", "path")
    ordered = dict.fromkeys((*head, *cells))
    return pa.table({column: pa.array(cells[column], pa.string()) for column in ordered})
