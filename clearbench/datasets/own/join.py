"""Which row of the user's table of labels belongs to which scan."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from clearbench.cohort.columns import columns_of, plain_name
from clearbench.cohort.ids import plain_id, with_nearest
from clearbench.datasets.own.label_table import LabelRow
from clearbench.datasets.series import NamedScan
from clearbench.errors import BadCohort, suggestion
from clearbench.scans.images import IMAGE_SUFFIXES

SUFFIX = re.compile(
    rf"(\.nii(\.gz)?|\.dcm|\.mh[ad]|\.npz|{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})$"
)


def join_column(columns: Sequence[str], on: str, known: bool, source: Path) -> tuple[str, str]:
    """Return the identifier to join on, and the column of the table that has it.

    If no scan has the identifier (`known`), and the table has a column of paths, paths are joined.
    The column may have another usual name. Raises BadCohort without such a column.
    """
    paths = columns_of("path", columns)
    if on != "path" and not known and paths:
        return "path", paths[0]
    role = {"PatientID": "patient_id", "path": "path"}.get(on)
    others = columns_of(role, columns) if role else _spelt(on, columns)
    if on not in columns and not others:
        raise BadCohort(
            f"{source}: no column {on}{suggestion(on, columns) or '.'} It has {', '.join(columns)}"
        )
    return on, on if on in columns else others[0]


def _spelt(on: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are called `on` up to case and underscores."""
    return tuple(name for name in columns if plain_name(name) == plain_name(on))


def unmatched(keys: Sequence[str], on: str, scans: Sequence[NamedScan]) -> tuple[str, ...]:
    """Return label ids without a chosen scan: each with the nearest id that a scan has."""
    known = list(dict.fromkeys(item.keys[on] for item in scans if item.keys[on]))
    there = set(known)
    texts = zip(keys, with_nearest(keys, known), strict=True)
    return tuple(f"{key} (its scan was not taken)" if key in there else text for key, text in texts)


def match_labels(
    scans: list[NamedScan], on: str, wanted: Iterable[str], root: Path, source: Path
) -> dict[str, str]:
    """Return the label key of every scan by scan_id; "" if no label belongs to the scan.

    A path is relative to `root`, the folder of the scans, or to that of the table, `source`, or is
    absolute. It may lack its suffix, and may be only a file name if one scan alone has that name.
    Raises BadCohort for a name that several scans have.
    """
    keys = set(wanted)
    if on != "path":
        return {s.scan_id: s.keys[on] if s.keys[on] in keys else "" for s in scans}
    found = {
        s.scan_id: next((n for n in _path_names(s, root, source) if n in keys), "") for s in scans
    }
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


def _path_names(item: NamedScan, root: Path, source: Path) -> tuple[str, ...]:
    """Return the names that a label may use for a scan's path, the surest first."""
    place = item.keys["path"]
    whole = root / place
    near = os.path.relpath(whole, source.parent)
    full = [str(whole), str(whole.absolute()), str(whole.resolve())]
    names = [place, near, *full, PurePosixPath(place).name]
    return tuple(dict.fromkeys([name for each in names for name in (each, SUFFIX.sub("", each))]))


def names_image(keys: Iterable[str], root: Path, source: Path) -> frozenset[Path]:
    """Return the image files that keys of a table name, relative to `root` or to `source`."""
    images = [key for key in keys if Path(key).suffix.lower() in IMAGE_SUFFIXES]
    places = [folder / key for key in images for folder in (root, source.parent)]
    return frozenset(place.resolve() for place in places if place.is_file())


def nothing_matches(scans: list[NamedScan], on: str, wanted: dict[str, LabelRow]) -> str:
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
