"""Any path → one scan's axial slices, and signatures that change when its source changes."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from clearbench.errors import UnreadableScan, name_some
from clearbench.scans.damage import damage_as_unreadable
from clearbench.scans.dicom.grouping import group_series
from clearbench.scans.dicom.headers import read_slices
from clearbench.scans.dicom.opening import DICOM_SUFFIXES
from clearbench.scans.dicom.pixels import read_volume
from clearbench.scans.dicom.records import Identity, LeftOut, Slice
from clearbench.scans.dicom.series import order_series
from clearbench.scans.hu import NO_RULES, HuRules
from clearbench.scans.images import (
    IMAGE_SUFFIXES,
    image_files,
    read_image,
    read_image_folder,
    window_folders,
)
from clearbench.scans.metaimage import is_metaimage, open_metaimage, read_metaimage
from clearbench.scans.nifti import read_nifti
from clearbench.scans.notes import Note
from clearbench.scans.npz import is_npz, read_npz
from clearbench.scans.scanner_texts import with_keys
from clearbench.scans.volume import Scan, Volume, upright
from clearbench.scans.walk import NO_FILE, Walked, is_file, walk, why_unnamed

# raise it when the same files may give other pixels or facts, or be refused
READING_RULES = 5


@dataclass(frozen=True)
class ScanSource:
    """Where one scan is: a file or folder, and the DICOM series in it (UID or pseudonym).

    `rules` are the user's, for its values.
    """

    path: Path
    series: str = ""
    rules: HuRules = NO_RULES


def read_scan(
    source: ScanSource,
    *,
    pseudonym: Callable[[str], str] | None = None,
    other: Callable[[str], str] | None = None,
    resample: bool = False,
) -> Scan:
    """Read one scan as axial slices, feet to head, row 0 anterior, column 0 the patient's right.

    `pseudonym` turns a SeriesInstanceUID into its pseudonym, which `source.series` may be. `other`
    keys the tokens of a kernel, manufacturer or model that isn't known; without it, these are
    "other". Raises UnreadableScan with the fault and its file.
    """
    with damage_as_unreadable():
        if not source.path.exists():
            raise UnreadableScan(f"{source.path} does not exist")
        scan = _read(source, pseudonym, resample)
        return replace(scan, facts=with_keys(scan.facts, other))


def _read(source: ScanSource, pseudonym: Callable[[str], str] | None, resample: bool) -> Scan:
    """Read one scan of any kind; see read_scan."""
    path = source.path
    volume = _volume_file(path, source.rules)
    if volume is not None:
        return upright(volume, resample=resample)
    if is_image(path):
        return read_image(path, source.rules)
    if path.is_dir() and not source.series and holds_images(path):
        return read_image_folder(path, source.rules)
    slices = _pick_series(path, source.series, pseudonym)
    return upright(read_volume(order_series(slices), source.rules), resample=resample)


def _volume_file(path: Path, rules: HuRules) -> Volume | None:
    """Read a file that holds one volume (NIfTI, MetaImage, .npz); None for anything else."""
    if is_nifti(path):
        return read_nifti(path, rules)
    if is_metaimage(path):
        return read_metaimage(path, rules)
    return read_npz(path, rules) if is_npz(path) else None


def is_nifti(path: Path) -> bool:
    """Return True for NIfTI, by file name."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def is_image(path: Path) -> bool:
    """Return True for a PNG or JPEG file, by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES and is_file(path)


def holds_images(folder: Path) -> bool:
    """Return True if a folder is a scan of PNG or JPEG slices."""
    return bool(window_folders(folder) or image_files(folder))


def _pick_series(
    path: Path, series: str, pseudonym: Callable[[str], str] | None
) -> tuple[Slice, ...]:
    """Return the slices of one series; `series` may be empty if there is only one."""
    slices, left_out = _headers(path, source_signature(path))
    damaged = why_damaged(left_out)
    if damaged:
        raise UnreadableScan(damaged)
    groups = [with_left_out(group, left_out) for group in group_series(slices)]
    if not groups:
        raise UnreadableScan(_no_series(left_out))
    if not series:
        if len(groups) > 1:
            raise UnreadableScan(
                f"{len(groups)} CT series in one folder; name one in a series_id column "
                "(`clearbench cohort build folder` writes it)"
            )
        return groups[0]
    names = _names(groups)
    names |= {pseudonym(uid): group for uid, group in list(names.items())} if pseudonym else {}
    if series not in names:
        parts = _parts_of(series, [group[0].identity for group in groups], pseudonym)
        if parts:
            kinds = name_some(
                [one.part.replace("-", " ") or "a patient or study of its own" for one in parts]
            )
            ids = [one.series_uid if one.part else one.full_name for one in parts]
            listed = name_some([pseudonym(uid) if pseudonym else uid for uid in ids])
            raise UnreadableScan(
                f"this series is {len(parts)} scans ({kinds}), with series_id {listed}; build the "
                "cohort again, or name the one that is meant"
            )
        hint = "; if the cohort was built with another store, name that store" if pseudonym else ""
        raise UnreadableScan(f"none of the {len(groups)} CT series is {series}{hint}")
    return names[series]


def _parts_of(
    series: str, identities: Sequence[Identity], pseudonym: Callable[[str], str] | None
) -> list[Identity]:
    """Return the scans of a series that is several, by its UID or its pseudonym."""
    named = [(one, one.series_instance_uid) for one in identities]
    return [one for one, uid in named if series in (uid, pseudonym(uid) if pseudonym else uid)]


def _names(groups: Sequence[tuple[Slice, ...]]) -> dict[str, tuple[Slice, ...]]:
    """Return the scans of a folder by name; a series UID that several have names none of them."""
    short = Counter(group[0].identity.series_uid for group in groups)
    names = {group[0].identity.full_name: group for group in groups}
    return names | {
        group[0].identity.series_uid: group
        for group in groups
        if short[group[0].identity.series_uid] == 1
    }


def with_left_out(slices: tuple[Slice, ...], left_out: Sequence[LeftOut]) -> tuple[Slice, ...]:
    """Note on a scan's slices which files of their series are not taken, and why."""
    series = slices[0].identity.series_instance_uid
    names: dict[str, list[str]] = defaultdict(list)
    for item in left_out:
        if series and item.series_uid == series:
            names[item.reason].append(item.path.name)
    notes = [
        Note("files", f"left out of its series, {len(some)} × {reason}", name_some(some))
        for reason, some in names.items()
    ]
    return tuple(replace(item, facts=item.facts.with_notes(*notes)) for item in slices)


def why_damaged(left_out: Sequence[LeftOut]) -> str:
    """Return the first damaged file and its reason; "" if none is damaged."""
    damaged = [item for item in left_out if item.damaged]
    if not damaged:
        return ""
    more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
    return f"{damaged[0].path.name}: {damaged[0].reason}{more}; repair or remove it"


def not_opened(under: Walked) -> tuple[LeftOut, ...]:
    """Describe the entries that are not opened, and why."""
    return (
        *(
            LeftOut(path, f"can't be opened ({why})", damaged=_may_be_dicom(path))
            for path, why in under.closed
        ),
        *(LeftOut(path, why_unnamed(path), damaged=_may_be_dicom(path)) for path in under.unnamed),
        *(LeftOut(path, NO_FILE) for path in under.odd),
        *map(missing_file, under.broken),
    )


def missing_file(link: Path) -> LeftOut:
    """Describe a link whose file is missing; damaged, if its name may be that of a DICOM file."""
    return LeftOut(link, "a link whose file is missing", damaged=_may_be_dicom(link))


def _may_be_dicom(path: Path) -> bool:
    """Tell whether a file that isn't opened may be a slice of a series, by its name."""
    return path.suffix.lower() in ("", *DICOM_SUFFIXES) or path.suffix[1:].isdigit()


def _no_series(left_out: tuple[LeftOut, ...]) -> str:
    """Return why a folder has no CT series: the most common reason."""
    if not left_out:
        return "an empty folder"
    reasons = [item.reason for item in left_out]
    common = max(set(reasons), key=lambda reason: (reasons.count(reason), reason))
    return f"no CT series: {common} ({reasons.count(common)} of {len(reasons)} files)"


# two are enough, because scans are read in the order of their paths
@lru_cache(maxsize=2)
def _headers(path: Path, _signature: str) -> tuple[tuple[Slice, ...], tuple[LeftOut, ...]]:
    """Read the headers under a path; cached, as several series may share one folder.

    `_signature` is part of the cache's key: a changed folder is read again.
    """
    under = walk(path)
    found = [read_slices(file) for file in under.files]
    slices = tuple(item for group in found if not isinstance(group, LeftOut) for item in group)
    left_out = [item for item in found if isinstance(item, LeftOut)]
    return slices, (*left_out, *not_opened(under))


def data_files(path: Path) -> list[Path]:
    """Return the separate file of a MetaImage header's voxels; none for other scans."""
    if not is_metaimage(path):
        return []
    try:
        with damage_as_unreadable():
            data = open_metaimage(path).data
    except UnreadableScan:
        return []
    return [data] if data != path and is_file(data) else []


def source_signature(path: Path) -> str:
    """Hash the names, sizes and times of a source's files: fast, but a copy has another hash.

    The rules of reading count too: after they changed, a scan is read and its pixels are compared.
    """
    rows = [f"rules of reading: {READING_RULES}"]
    for file in [*walk(path).files, *data_files(path)]:
        facts = file.stat()
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        # \0 can't be in a file name, so different files never give one text
        rows.append(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def pixels_signature(scan: Scan) -> str:
    """Hash the pixels and positions that were read: a copy has the same hash."""
    total = hashlib.sha256()
    header = (
        scan.pixels.shape,
        scan.pixels.dtype.str,
        scan.windows,
        np.round(scan.z_mm, 2).tolist(),
    )
    total.update(repr(header).encode())
    # the buffer itself is hashed, without a copy as bytes
    total.update(np.ascontiguousarray(scan.pixels).data)
    return total.hexdigest()


def take_every(scan: Scan, spacing_mm: float | None) -> Scan:
    """Return one slice every `spacing_mm`, the nearest one, from the lowest slice up; None: all.

    Raises UnreadableScan if the slices' positions are unknown.
    """
    if spacing_mm is None or len(scan) == 1:
        return scan
    if np.isnan(scan.z_mm).any():
        raise UnreadableScan(
            f"one slice every {spacing_mm:g} mm is wanted, but its slice positions are unknown"
        )
    # half a step beyond the last slice, because arange leaves its end out
    steps = np.arange(scan.z_mm[0], scan.z_mm[-1] + spacing_mm / 2, spacing_mm)
    # two steps may have the same nearest slice
    chosen = np.unique(np.abs(scan.z_mm[None, :] - steps[:, None]).argmin(axis=1))
    return replace(
        scan,
        pixels=scan.pixels[chosen],
        z_mm=scan.z_mm[chosen],
        slice_index=scan.slice_index[chosen],
        present=scan.present[chosen],
    )
