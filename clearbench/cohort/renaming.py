"""A cohort that may be given away: only the columns that a task needs, with new ids.

The new ids are numbers in the order of the old ids, so that sorting by id gives the same order.
Unlike pseudonyms, they aren't in the store's key table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from clearbench.cohort.table import Cohort

WITHHELD = "withheld"  # in place of a scan's path


@dataclass(frozen=True)
class Names:
    """The ids of one cohort → their new names; a group is, for instance, a site."""

    patients: Mapping[str, str]
    scans: Mapping[str, str]
    studies: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)


def numbered(ids: Iterable[str | None], prefix: str) -> dict[str, str]:
    """Return each id's new name, prefix-0001, prefix-0002, …, in the order of the ids."""
    known = sorted({old for old in ids if old is not None})
    # zeros in front, so that text sorts like numbers
    width = max(4, len(str(len(known))))
    return {old: f"{prefix}-{number:0{width}}" for number, old in enumerate(known, start=1)}


def make_names(cohort: Cohort, group: str = "") -> Names:
    """Return new names for a private cohort's ids and groups; a public cohort keeps its own."""
    columns = {
        "patient": cohort.column("patient_id"),
        "scan": cohort.column("scan_id"),
        "study": cohort.column("study_id"),
        "group": cohort.column(group) if group else [],
    }
    if cohort.public:
        return Names(*({v: v for v in values if v is not None} for values in columns.values()))
    return Names(*(numbered(values, prefix) for prefix, values in columns.items()))


def renamed_table(
    cohort: Cohort, names: Names, columns: Sequence[str], scans: frozenset[str], group: str = ""
) -> pa.Table:
    """Return the rows of `scans` with their new names: ids and `columns`, without paths."""
    maps = {
        "scan_id": names.scans,
        "patient_id": names.patients,
        "study_id": names.studies,
        **({group: names.groups} if group else {}),
    }
    kept = [row for row, scan in enumerate(cohort.column("scan_id")) if scan in scans]
    wanted = dict.fromkeys(["scan_id", "patient_id", *columns])
    cells = {
        name: [_renamed(cohort.column(name)[row], maps.get(name)) for row in kept]
        for name in wanted
        if cohort.column(name)
    }
    facts = {"path": WITHHELD, "cohort": cohort.name, "public": str(int(cohort.public))}
    cells |= {name: [value] * len(kept) for name, value in facts.items()}
    return pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()})


def _renamed(value: str | None, names: Mapping[str, str] | None) -> str | None:
    """Return a cell's new name; the cell itself if its column isn't renamed."""
    return value if value is None or names is None else names[value]
