"""Which row of the user's table of labels belongs to which scan."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from clearbench.cohort.columns import (
    ACCESSIONS,
    OTHER_NAMES,
    STUDY_UIDS,
    columns_of,
    named_columns,
)
from clearbench.cohort.ids import lacks_zeros, with_nearest
from clearbench.datasets.own.label_table import LabelRow
from clearbench.datasets.series import NamedScan
from clearbench.errors import BadCohort, suggestion
from clearbench.scans.found import FoundScan
from clearbench.scans.image_scans import images_of
from clearbench.scans.images import IMAGE_SUFFIXES

SUFFIX = re.compile(
    rf"(\.nii(\.gz)?|\.dcm|\.mh[ad]|\.npz|{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})$",
    re.IGNORECASE,
)
# Plain names of columns that hold an identifier, next to its own.
USUAL_NAMES = MappingProxyType(
    {
        "AccessionNumber": (*ACCESSIONS, "acc"),  # which may be a label elsewhere
        "StudyInstanceUID": (*STUDY_UIDS, "studyid"),
        "SeriesInstanceUID": OTHER_NAMES["series_id"],
    }
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
    others = columns_of(role, columns) if role else named_columns(USUAL_NAMES[on], columns)
    if on not in columns and not others:
        raise BadCohort(
            f"{source}: no column {on}{suggestion(on, columns) or '.'} It has {', '.join(columns)}"
        )
    return on, on if on in columns else others[0]


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
    names = {s.scan_id: _path_names(s.keys["path"], root, source) for s in scans}
    found = {scan: next((n for n in some if n in keys), "") for scan, some in names.items()}
    # in other letters, a path means a scan only if it means none as it is
    folded = _folded(keys - set(found.values()))
    for scan, some in names.items():
        found[scan] = found[scan] or next(filter(None, (folded.get(_fold(n)) for n in some)), "")
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


def _fold(path: str) -> str:
    """Return a path as it is the same in capital and in small letters."""
    return path.casefold()


def _folded(keys: Iterable[str]) -> dict[str, str]:
    """Return keys by their folded form; without those that only differ in capital letters."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        groups[_fold(key)].append(key)
    return {fold: some[0] for fold, some in groups.items() if len(some) == 1}


def _path_names(place: str, root: Path, source: Path) -> tuple[str, ...]:
    """Return the names that a label may use for a scan's path, the surest first."""
    names = [*_full_names(place, root, source), PurePosixPath(place).name]
    return tuple(dict.fromkeys([name for each in names for name in (each, SUFFIX.sub("", each))]))


def _full_names(place: str, root: Path, source: Path) -> tuple[str, ...]:
    """Return a scan's path below `root`, from the folder of `source`, and absolute."""
    whole = root / place
    near = os.path.relpath(whole, source.parent)
    return place, near, str(whole), str(whole.absolute()), str(whole.resolve())


def named_images(
    keys: Iterable[str], root: Path, source: Path, scans: Sequence[FoundScan]
) -> frozenset[Path]:
    """Return the images in folders of images that keys name, as `match_labels` reads them.

    A key that names the whole folder means that folder; a file name that images of several folders
    have means none of them.
    """
    places = {scan.path.relative_to(root).as_posix() for scan in scans}
    whole = {_fold(name) for place in places for name in _path_names(place, root, source)}
    wanted = {_fold(key) for key in keys} - whole
    found: set[Path] = set()
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in [image for scan in scans for image in images_of(scan)] if wanted else ():
        if _forms(_full_names(image.relative_to(root).as_posix(), root, source)) & wanted:
            found.add(image)
        for name in _forms([image.name]) & wanted:
            by_name[name].append(image)
    return frozenset(found.union(*(some for some in by_name.values() if len(some) == 1)))


def _forms(names: Iterable[str]) -> set[str]:
    """Return names with and without their suffixes, folded."""
    return {_fold(text) for name in names for text in (name, SUFFIX.sub("", name))}


def nothing_matches(scans: list[NamedScan], on: str, wanted: dict[str, LabelRow]) -> str:
    """Return the error text, with examples, when no label fits a chosen scan."""
    example = next((item.keys[on] for item in scans if item.keys[on]), "")
    if not example:
        return (
            f"no scan has a {on}, so nothing can be joined on it; files without DICOM headers are "
            "joined on their paths (--on path)"
        )
    first = next(iter(wanted), "nothing")
    zeros = lacks_zeros(first, example)
    hint = f"; fill up their zeros with --pad-ids {len(example)}" if zeros else ""
    return (
        f"no {on} in this table matches a scan; the scans have e.g. {example!r}, "
        f"the labels {first!r}{hint}"
    )
