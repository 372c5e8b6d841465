"""The user's table of labels, and which of its rows belongs to which scan."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from clearbench.cohort.files import read_table
from clearbench.cohort.table import REQUIRED, plain_name
from clearbench.datasets.series import KEYS, NamedScan
from clearbench.errors import BadCohort, suggestion

IDENTIFIERS = frozenset(map(plain_name, (*KEYS, *REQUIRED, "study_id", "series_id")))

Labels = dict[str, str | None]


def read_label_table(path: Path, on: str) -> dict[str, Labels]:
    """Read the label rows by the value of column `on`; rows with the same value must agree.

    Other identifiers are left out, so that the cohort has no identifiers in clear. Raises BadCohort
    without the column, or for rows that contradict each other.
    """
    table = read_table(path)
    names = table.column_names
    if on not in names:
        raise BadCohort(
            f"{path}: no column {on}{suggestion(on, names) or '.'} It has {', '.join(names)}"
        )
    labels = [name for name in names if plain_name(name) not in IDENTIFIERS]
    rows: dict[str, Labels] = {}
    for key, record in zip(table[on].to_pylist(), table.select(labels).to_pylist(), strict=True):
        if key is None:
            continue
        if rows.setdefault(_key(key, on), record) != record:
            raise BadCohort(f"{path}: {on} {key} has two rows that contradict each other")
    return rows


def _key(cell: str, on: str) -> str:
    """Return a label's key; the paths ./a/b and a\\b become a/b."""
    return PurePosixPath(cell.replace("\\", "/")).as_posix() if on == "path" else cell


def match_labels(scans: list[NamedScan], on: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the label key of every scan by scan_id; "" if no label belongs to the scan.

    A path may lack its suffix, and may be only a file name if one scan alone has that name.
    Raises BadCohort for a name that several scans have.
    """
    keys = set(wanted)
    if on != "path":
        return {s.scan_id: s.keys[on] if s.keys[on] in keys else "" for s in scans}
    found = {s.scan_id: next((n for n in _path_names(s) if n in keys), "") for s in scans}
    fits: dict[str, list[str]] = defaultdict(list)
    for item in scans:
        fits[found[item.scan_id]].append(item.place)
    several = [key for key, places in fits.items() if key and len(set(places)) > 1]
    if several:
        places = ", ".join(fits[several[0]][:3])
        raise BadCohort(
            f"path {several[0]} fits {len(fits[several[0]])} scans ({places}); add its folder"
        )
    return found


def _path_names(item: NamedScan) -> tuple[str, ...]:
    """Return the names that a label may use for a scan's path, the longest first."""
    place = item.keys["path"]
    stem = re.sub(r"(\.nii(\.gz)?|\.dcm|\.mh[ad]|\.npz)$", "", place)
    return place, stem, PurePosixPath(place).name, PurePosixPath(stem).name


def nothing_matches(scans: list[NamedScan], on: str, wanted: dict[str, Labels]) -> str:
    """Return the error text, with examples, when no label fits a chosen scan."""
    example = next((item.keys[on] for item in scans if item.keys[on]), "nothing")
    return (
        f"no {on} in this table matches a scan; the scans have e.g. {example!r}, "
        f"the labels {next(iter(wanted), 'nothing')!r}"
    )
