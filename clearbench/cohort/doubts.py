"""What is not sure in a cohort table: notes for the user, who can use the cohort all the same."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from clearbench import technical
from clearbench.bounded import exists, is_file
from clearbench.cohort.columns import PLACES, SITES, is_label, named_columns
from clearbench.cohort.ids import group_spellings
from clearbench.errors import name_some, suggestion


def find_doubts(table: pa.Table, paths: Sequence[Path]) -> list[str]:
    """Return the notes on a checked table of scans at `paths`."""
    return [
        *_near_names(table),
        *_sites(table),
        *_spellings(table),
        *_shared_files(table, paths),
        *_missing_files(paths),
    ]


def _spellings(table: pa.Table) -> list[str]:
    """Note patients who may be one person under two spellings of an id."""
    return spelling_notes([str(name) for name in table.column("patient_id").to_pylist()])


def spelling_notes(
    patients: Sequence[str], shown: Callable[[str], str] = str, what: str = "patient_id"
) -> list[str]:
    """Note patients who may be one person under two spellings of an id, each as `shown`."""
    several = [" = ".join(map(shown, names)) for names in group_spellings(patients)]
    text = (
        f"{what} differs only in zeros, dashes, case or .0, and counts as several patients; if "
        "they are one, write the id in one way in a column patient_id"
    )
    return [f"{text}: {name_some(several)}"] if several else []


def _near_names(table: pa.Table) -> list[str]:
    """Note labels whose names look like a misspelt known column."""
    near = [
        (name, suggestion(name, PLACES + technical.NAMES, cutoff=0.85))
        for name in table.column_names
        if is_label(name)
    ]
    return [f"column {name} is taken as a label{hint}" for name, hint in near if hint]


def _sites(table: pa.Table) -> list[str]:
    """Note a label that may be the site of each scan, where no column is called so."""
    names = table.column_names
    found = [] if "site" in names else named_columns(SITES, list(filter(is_label, names)))
    return [
        f"column {name} is taken as a label; if it is the site of each scan, call it site"
        for name in found
    ]


def _shared_files(table: pa.Table, paths: Sequence[Path]) -> list[str]:
    """Note files that are in rows of several patients, or in rows whose labels differ."""
    columns = ["patient_id", *filter(is_label, table.column_names)]
    rows: dict[tuple[Path, str | None], list[tuple[str | None, ...]]] = defaultdict(list)
    places = zip(paths, _series(table), strict=True)
    cells = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    for place, row in zip(places, cells, strict=True):
        rows[place].append(row)
    people, labels = [], []
    for (path, _), some in rows.items():
        if len(some) > 1 and is_file(path):
            several = [len(set(values) - {None}) > 1 for values in zip(*some, strict=True)]
            people += [path.name] if several[0] else []
            labels += [path.name] if any(several[1:]) and not several[0] else []
    notes = [f"one file is the scan of several patients: {name_some(people)}"] if people else []
    if labels:
        notes.append(
            f"rows of one file have different labels, and the highest counts: {name_some(labels)}"
        )
    return notes


def _series(table: pa.Table) -> list[str | None]:
    """Return the series of each row, None without one."""
    named = "series_id" in table.column_names
    return table.column("series_id").to_pylist() if named else [None] * table.num_rows


def _missing_files(paths: Sequence[Path]) -> list[str]:
    """Note paths that do not exist; only those scans will fail."""
    missing = [str(path) for path in paths if not exists(path)]
    return (
        [f"{len(missing)} of {len(paths)} paths do not exist: {name_some(missing)}"]
        if missing
        else []
    )
