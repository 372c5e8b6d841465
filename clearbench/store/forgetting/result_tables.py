"""The tables next to results: whose rows they have, and the same without the rows of some."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from clearbench.bounded import read_text
from clearbench.files import everything_below, remove_linked, write_behind
from clearbench.scans.damage import why
from clearbench.store.forgetting.mentions import is_telling
from clearbench.store.parquet_files import damaged_parquet, read_parquet
from clearbench.store.result_columns import RESULT_KEY, UNIT

AGAIN = "remove it and evaluate again"
OWNER = (*UNIT, "scan_id")
ID_WORDS = ("scan", "patient", "unit", "study", "series")  # in names of columns of ids
NOT_IDS = frozenset({*RESULT_KEY, "label", "view"})


@dataclass(frozen=True)
class OwnedRow:
    """The ids in some rows of a result's table: its cohort, patient, unit, and scan if any."""

    cohort: str
    patient_id: str
    unit: str
    scan_id: str


def files_below(folders: Iterable[Path], suffix: str) -> list[Path]:
    """Return the files of a suffix below some folders, without drafts."""
    found = {path for folder in folders for path in everything_below(folder)}
    named = (path for path in found if path.name.endswith(suffix) and path.name[0] != ".")
    return sorted(filter(Path.is_file, named))


def facts_beside(table: Path) -> dict[str, Any]:
    """Return the result that a table belongs to, as JSON; {} if there is none that can be read."""
    stem = table.name.removesuffix(table.suffix).rpartition(".")[0]
    return read_facts_of(table.with_name(f"{stem}.json")) if stem else {}


def read_facts_of(path: Path) -> dict[str, Any]:
    """Return a result as JSON; {} for a file that isn't one."""
    try:
        facts = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) and "encoder" in facts and "task" in facts else {}


def cohorts_of(facts: dict[str, Any]) -> tuple[str, ...]:
    """Return the cohorts of a result: the task's, and that of an external test."""
    names = (facts.get("cohort"), facts.get("test_cohort"))
    return tuple(str(name) for name in names if name)


def owned_rows(path: Path) -> Iterator[OwnedRow]:
    """Yield whose rows a table has; nothing for one without patients. Raises BadStore."""
    table = read_parquet(path, AGAIN)
    columns = [name for name in OWNER if name in table.column_names]
    if "patient_id" not in columns:
        return
    plain = [*cohorts_of(facts_beside(path)), ""][0]
    for row in _different(table, columns, path):
        # with two cohorts, the cohort stands before the ids of patients and units
        cohort, _, patient = str(row["patient_id"]).rpartition("/")
        unit = str(row.get("unit") or "").removeprefix(f"{cohort}/")
        yield OwnedRow(cohort or plain, patient, unit, str(row.get("scan_id") or ""))


def _different(table: pa.Table, columns: list[str], path: Path) -> list[dict[str, Any]]:
    """Return the different rows of some columns; raises BadStore if they can't be compared."""
    try:
        different = table.select(columns).group_by(columns).aggregate([])
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise damaged_parquet(path, f"its ids: {why(error)}", AGAIN) from error
    for field in different.schema:
        if not (pa.types.is_string(field.type) or pa.types.is_null(field.type)):
            raise damaged_parquet(path, f"its ids: {field.name} is no text", AGAIN)
    rows: list[dict[str, Any]] = different.to_pylist()
    return rows


def rows_with(table: pa.Table, cells: Collection[str]) -> Any:
    """Tell for each row whether a column of ids has one of some cells [rows]."""
    wanted = pa.array(sorted(cells), pa.string())
    hits = [
        pc.fill_null(pc.is_in(table.column(field.name), value_set=wanted), False)
        for field in table.schema
        if pa.types.is_string(field.type) and field.name not in NOT_IDS
    ]
    return reduce(pc.or_, hits, pa.chunked_array([pa.array([False] * table.num_rows, pa.bool_())]))


def keep_rows(path: Path, cells: Collection[str]) -> None:
    """Write a table again without the rows that have one of some cells; no table without rows."""
    if path.suffix == ".csv":
        _keep_csv_rows(path, cells)
        return
    table = read_parquet(path, AGAIN)
    kept = table.filter(pc.invert(rows_with(table, cells)))
    if kept.num_rows:
        # a link that is replaced would leave the rows where it led to
        write_behind(
            path, lambda draft: pyarrow.parquet.write_table(kept, draft, compression="zstd")
        )
    else:
        remove_linked(path)


def count_rows(path: Path, cells: Collection[str]) -> int:
    """Return how many rows of a table have one of some cells; raises BadStore if damaged."""
    if path.suffix == ".csv":
        header, rows = _csv(path)
        return sum(_has(header, row, cells) for row in rows)
    return int(pc.sum(rows_with(read_parquet(path, AGAIN), cells)).as_py() or 0)


def _csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a CSV file; empty ones if it isn't text."""
    try:
        rows = list(csv.reader(io.StringIO(read_text(path), newline="")))
    except (ValueError, csv.Error):
        rows = []
    return (rows[0], rows[1:]) if rows else ([], [])


def _has(header: Sequence[str], row: Sequence[str], cells: Collection[str]) -> bool:
    """Tell whether a row has one of some cells; a short one only in a column of ids."""
    named = zip(header, row, strict=False)
    return any(
        cell in cells and (is_telling(cell) or any(word in name for word in ID_WORDS))
        for name, cell in named
    )


def _keep_csv_rows(path: Path, cells: Collection[str]) -> None:
    """Write a CSV file again without some rows; no file if only the header would be left."""
    header, rows = _csv(path)
    kept = [row for row in rows if not _has(header, row, cells)]
    if not kept:
        remove_linked(path)
        return
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *kept])
    write_behind(path, lambda draft: draft.write_text(text.getvalue(), encoding="utf-8"))
