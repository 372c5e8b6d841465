"""A cohort's lesion table: scan_id, slice_index and a box, one row per lesion and slice."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from clearbench.cohort.files import read_table
from clearbench.datasets.slice_sets import Box
from clearbench.errors import BadCohort, suggestion

LESIONS_FILE = "lesions.csv"
COLUMNS = ("scan_id", "slice_index", "x1", "y1", "x2", "y2")
LABEL = "site"


@dataclass(frozen=True)
class Lesion:
    """One box in one slice, in px of the slice as clearbench reads it."""

    box: Box
    label: str = ""


def read_lesions(
    path: Path, scan_ids: Collection[str]
) -> tuple[dict[tuple[str, int], list[Lesion]], tuple[str, ...]]:
    """Return the lesions by scan and slice index, and what is wrong with rows left out.

    An optional column `site` labels them (for the k-NN probe). Raises BadCohort for a wrong
    column, or if no row belongs to these scans.
    """
    table = read_table(path)
    for name in COLUMNS:
        if name not in table.column_names:
            raise BadCohort(
                f"{path}: no column {name}{suggestion(name, table.column_names) or '.'} "
                f"A lesion table has {', '.join(COLUMNS)}, and {LABEL} if you like"
            )
    found: dict[tuple[str, int], list[Lesion]] = defaultdict(list)
    problems, strange = [], 0
    for number, row in enumerate(table.to_pylist(), start=2):
        try:
            x1, y1, x2, y2 = (float(row[name]) for name in COLUMNS[2:])
            index = int(row["slice_index"])
        except (TypeError, ValueError):
            problems.append(f"{path.name}, line {number}: slice_index and box need numbers")
            continue
        strange += row["scan_id"] not in scan_ids
        found[str(row["scan_id"]), index].append(Lesion((x1, y1, x2, y2), row.get(LABEL) or ""))
    if strange and strange + len(problems) == table.num_rows:
        raise BadCohort(f"{path}: none of its scan_id is in the cohort")
    return found, tuple(problems)
