"""A cohort as it may leave the house: the columns that a task needs, ids numbered anew.

Numbers follow the ids' order, so that whatever sorts by id goes on as before. Unlike pseudonyms
under a store's secret they can't be looked up in its key table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from clearbench.cohort.table import Cohort

WITHHELD = "withheld"  # stands where the path of a scan stood


@dataclass(frozen=True)
class Names:
    """The ids of one cohort → the names that stand for them; a group is a site, for instance."""

    patients: Mapping[str, str]
    scans: Mapping[str, str]
    studies: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)


def numbered(ids: Iterable[str | None], kind: str) -> dict[str, str]:
    """Return kind-0001, kind-0002, … for ids, in their order."""
    known = sorted({one for one in ids if one is not None})
    width = max(4, len(str(len(known))))
    return {one: f"{kind}-{number:0{width}}" for number, one in enumerate(known, start=1)}


def make_names(cohort: Cohort, group: str = "") -> Names:
    """Return new names for a private cohort's ids and groups; a public one's stay as they are."""
    columns = {
        "patient": cohort.column("patient_id"),
        "scan": cohort.column("scan_id"),
        "study": cohort.column("study_id"),
        "group": cohort.column(group) if group else [],
    }
    if cohort.public:
        return Names(*({v: v for v in values if v is not None} for values in columns.values()))
    return Names(*(numbered(values, kind) for kind, values in columns.items()))


def renamed_table(
    cohort: Cohort, names: Names, columns: Sequence[str], scans: frozenset[str], group: str = ""
) -> pa.Table:
    """Return the rows of some scans under their new names: ids and `columns`, paths withheld."""
    maps = {
        "scan_id": names.scans,
        "patient_id": names.patients,
        "study_id": names.studies,
        **({group: names.groups} if group else {}),
    }
    there = [row for row, scan in enumerate(cohort.column("scan_id")) if scan in scans]
    wanted = dict.fromkeys(["scan_id", "patient_id", *columns])
    cells = {
        name: [_renamed(cohort.column(name)[row], maps.get(name)) for row in there]
        for name in wanted
        if cohort.column(name)
    }
    facts = {"path": WITHHELD, "cohort": cohort.name, "public": str(int(cohort.public))}
    cells |= {name: [value] * len(there) for name, value in facts.items()}
    return pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()})


def _renamed(value: str | None, names: Mapping[str, str] | None) -> str | None:
    """Return a cell's new name, if its column is renamed."""
    return value if value is None or names is None else names[value]
