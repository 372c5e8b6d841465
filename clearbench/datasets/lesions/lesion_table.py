"""A cohort's lesion table: scan_id, slice_index and a box, one row per lesion and slice."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from clearbench.cohort.files import read_table
from clearbench.datasets.lesions.slice_sets import Box
from clearbench.errors import BadCohort, suggestion

LESIONS_FILE = "lesions.csv"
COLUMNS = ("scan_id", "slice_index", "x1", "y1", "x2", "y2")
LABEL = "site"


@dataclass(frozen=True)
class Lesion:
    """One box in one slice, in px of the slice in clearbench's orientation."""

    box: Box
    label: str = ""


Lesions = dict[str, dict[int, list[Lesion]]]  # by scan_id and slice index


def read_lesions(path: Path, scan_ids: Collection[str]) -> tuple[Lesions, tuple[str, ...]]:
    """Return the lesions by scan and slice index, and why rows were left out.

    `scan_ids` are all scans of the cohort. An optional column `site` labels lesions (for the k-NN
    probe). A box without numbers is kept, so that its slice doesn't count as one without a lesion.
    Raises BadCohort for a wrong column, or if no row belongs to the cohort.
    """
    table = read_table(path)
    for name in COLUMNS:
        if name not in table.column_names:
            raise BadCohort(
                f"{path}: no column {name}{suggestion(name, table.column_names) or '.'} "
                f"A lesion table has {', '.join(COLUMNS)}, and optionally {LABEL}"
            )
    found: Lesions = defaultdict(lambda: defaultdict(list))
    problems = []
    # line 1 has the names of the columns
    for number, row in enumerate(table.to_pylist(), start=2):
        index = number_in(row["slice_index"])
        if row["scan_id"] not in scan_ids:
            problems.append(f"{path.name}, line {number}: no scan {row['scan_id'] or '(blank)'}")
        elif not index.is_integer():
            problems.append(f"{path.name}, line {number}: slice_index isn't a whole number")
        else:
            x1, y1, x2, y2 = (number_in(row[name]) for name in COLUMNS[2:])
            lesion = Lesion((x1, y1, x2, y2), row.get(LABEL) or "")
            found[row["scan_id"]][int(index)].append(lesion)
    if not found:
        raise BadCohort(f"{path}: no row is a lesion of this cohort ({problems[0]})")
    return found, tuple(problems)


def number_in(text: str | None) -> float:
    """Read one number; NaN if the text isn't one."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
