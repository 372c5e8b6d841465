"""The user's table of labels, and which of its rows belongs to which scan."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from clearbench.cohort.files import read_table
from clearbench.cohort.ids import pad_id, plain_id, with_nearest
from clearbench.cohort.table import REQUIRED, plain_name
from clearbench.datasets.series import KEYS, NamedScan
from clearbench.errors import BadCohort, suggestion

IDENTIFIERS = frozenset(map(plain_name, (*KEYS, *REQUIRED, "study_id", "series_id")))

Labels = dict[str, str | None]


def read_label_table(
    path: Path, on: str, pad_ids: int = 0
) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Read the label rows by the value of column `on`, with notes; equal rows count once.

    `pad_ids` fills up ids that are whole numbers with zeros to so many digits, as spreadsheets take
    leading zeros away. Other identifiers are left out, so that the cohort has no identifiers in
    clear. Raises BadCohort without the column, or for rows that contradict each other.
    """
    table = read_table(path)
    names = table.column_names
    if on not in names:
        raise BadCohort(
            f"{path}: no column {on}{suggestion(on, names) or '.'} It has {', '.join(names)}"
        )
    labels = [name for name in names if plain_name(name) not in IDENTIFIERS]
    rows: dict[str, Labels] = {}
    padded = blank = repeated = 0
    for cell, record in zip(table[on].to_pylist(), table.select(labels).to_pylist(), strict=True):
        if cell is None:
            blank += 1
            continue
        key = _key(cell, on)
        full = pad_id(key, pad_ids) if pad_ids else key
        padded += full != key
        repeated += full in rows
        if rows.setdefault(full, record) != record:
            raise BadCohort(f"{path}: {on} {full} has two rows that contradict each other")
    texts = (
        (padded, f"ids of {path.name} were filled up to {pad_ids} digits"),
        (blank, f"rows of {path.name} have no {on}, and are left out"),
        (repeated, f"rows of {path.name} repeat another one, and count once"),
    )
    return rows, tuple(f"{count} {text}" for count, text in texts if count)


def _key(cell: str, on: str) -> str:
    """Return a label's key; the paths ./a/b and a\\b become a/b."""
    return PurePosixPath(cell.replace("\\", "/")).as_posix() if on == "path" else cell


def unmatched(keys: Sequence[str], on: str, scans: Sequence[NamedScan]) -> tuple[str, ...]:
    """Return label ids without a chosen scan: each with the nearest id that a scan has."""
    known = list(dict.fromkeys(item.keys[on] for item in scans if item.keys[on]))
    there = set(known)
    texts = zip(keys, with_nearest(keys, known), strict=True)
    return tuple(f"{key} (its scan was not taken)" if key in there else text for key, text in texts)


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
    example = next((item.keys[on] for item in scans if item.keys[on]), "")
    if not example:
        return (
            f"no scan has a {on}, so nothing can be joined on it; files without DICOM headers are "
            "joined on their paths (--on path)"
        )
    first = next(iter(wanted), "nothing")
    zeros = example != first and plain_id(example) == plain_id(first) and example.isdigit()
    hint = f"; fill up their zeros with --pad-ids {len(example)}" if zeros else ""
    return (
        f"no {on} in this table matches a scan; the scans have e.g. {example!r}, "
        f"the labels {first!r}{hint}"
    )
