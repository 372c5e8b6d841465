"""What is under a path: every scan that can be read, and every file left out, with the reason."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadRequest, UnreadableScan
from clearbench.processes import mapping
from clearbench.scans.damage import damage_as_unreadable
from clearbench.scans.dicom.grouping import group_series, is_dynamic
from clearbench.scans.dicom.headers import read_slices
from clearbench.scans.dicom.records import LeftOut, Slice
from clearbench.scans.dicom.scaling import check_scales
from clearbench.scans.dicom.series import order_series
from clearbench.scans.found import FoundScan, Inventory, by_path
from clearbench.scans.grid import grid_volume
from clearbench.scans.hu import NO_RULES, HuRules
from clearbench.scans.image_scans import image_folders, image_scan, one_image, stray_images
from clearbench.scans.images import IMAGE_SUFFIXES
from clearbench.scans.metaimage import is_metaimage, open_metaimage
from clearbench.scans.nifti import affine_mm, geometry_notes, open_nifti
from clearbench.scans.notes import Note, merge_notes
from clearbench.scans.npz import ASSUMED, AXES_LPS, SPACING_MM, is_npz, open_npz
from clearbench.scans.slices import (
    ScanSource,
    data_files,
    is_nifti,
    not_opened,
    read_scan,
    why_damaged,
    with_left_out,
)
from clearbench.scans.volume import slice_distance_mm, why_not_axial
from clearbench.scans.walk import walk

MANY_FILES = 2000  # from this number on, several processes read the headers
CHUNK = 500

OnRead = Callable[[int, int], None]


def find_scans(root: Path, *, workers: int = 1, on_read: OnRead | None = None) -> Inventory:
    """List the DICOM series, volume files (NIfTI, MetaImage, .npz) and image folders below `root`.

    Raises BadRequest if `root` does not exist.
    """
    if not root.exists():
        raise BadRequest(f"{root} does not exist")
    under = walk(root)
    files = under.files
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    volumes = [file for file in files if _volume_format(file)]
    voxels = {data for file in volumes for data in data_files(file)}
    rest = sorted(set(files) - {*images, *volumes, *voxels})
    read = _read_all(rest, workers, on_read)
    slices = [item for group in read if not isinstance(group, LeftOut) for item in group]
    stray = stray_images(images, {item.path.parent for item in slices})
    single = root.is_file()
    folders = () if single else image_folders(root, [file for file in images if file not in stray])
    none = [item for item in read if isinstance(item, LeftOut)]
    shut = not_opened(under)
    scans = [
        *(
            [_described(one_image, file, "image") for file in images]
            if single
            else [_described(image_scan, folder, "images") for folder in folders]
        ),
        *(_described(_volume_scan, file, _volume_format(file)) for file in volumes),
        *_dicom_scans(slices, [*none, *shut]),
    ]
    left_out = (*shut, *stray.values(), *none)
    return Inventory(root, tuple(sorted(scans, key=by_path)), left_out)


def _described(describe: Callable[[Path], FoundScan], path: Path, kind: str) -> FoundScan:
    """Describe one scan; whatever is wrong with it is that scan's error, and no other's."""
    try:
        with damage_as_unreadable():
            return describe(path)
    except UnreadableScan as error:
        return FoundScan(path=path, kind=kind, error=str(error))


def with_values_checked(inventory: Inventory, *, workers: int = 1) -> Inventory:
    """Read every scan whole, and add what its values show: notes, or why it can't be read."""
    wanted = [scan for scan in inventory.scans if not scan.error]
    several = workers if len(wanted) > 1 else 1
    with mapping(several) as run:
        # results come in the order of `wanted`
        checked = iter(run(_with_values_checked, wanted))
        scans = tuple(scan if scan.error else next(checked) for scan in inventory.scans)
    return replace(inventory, scans=scans)


def _with_values_checked(scan: FoundScan) -> FoundScan:
    """Read one scan, and add what its values show."""
    series = scan.identity.series_uid if scan.identity else ""
    try:
        read = read_scan(ScanSource(scan.path, series, HuRules(window=scan.window)))
    except UnreadableScan as error:
        return replace(scan, error=str(error))
    notes = merge_notes([*scan.facts.notes, *read.facts.notes])
    return replace(scan, facts=replace(scan.facts, notes=notes))


def _read_all(
    files: Sequence[Path], workers: int, on_read: OnRead | None
) -> list[tuple[Slice, ...] | LeftOut]:
    """Read every header, in several processes if there are many files."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    read: list[tuple[Slice, ...] | LeftOut] = []
    with mapping(workers if len(files) >= MANY_FILES else 1) as run:
        for part in run(_read_chunk, chunks):
            read += part
            if on_read is not None:
                on_read(len(read), len(files))
    return read


def _read_chunk(files: Iterable[Path]) -> list[tuple[Slice, ...] | LeftOut]:
    """Read some headers: the unit of work of one process."""
    return [read_slices(file) for file in files]


def _volume_format(file: Path) -> str:
    """Return a volume file's format, by its name; "" for other files."""
    if is_nifti(file):
        return "nifti"
    return "metaimage" if is_metaimage(file) else "npz" if is_npz(file) else ""


def _volume_scan(file: Path) -> FoundScan:
    """Describe a file of one volume by its header."""
    kind = _volume_format(file)
    grid = _grid(file, kind)
    affine = np.eye(4)
    # nibabel's axis codes are for RAS, and our axes are in LPS
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ grid.axes_lps_mm
    codes = nibabel.aff2axcodes(affine)
    order = [next(i for i, code in enumerate(codes) if code in ends) for ends in ("SI", "AP", "LR")]
    lengths = np.linalg.norm(grid.axes_lps_mm, axis=0)
    # one number seen as a whole volume: geometry needs no memory for voxels
    placed = grid_volume(np.broadcast_to(np.int16(0), grid.shape), grid.axes_lps_mm, np.zeros(3))
    tilted = placed.facts.gantry_tilt_deg is not None
    return FoundScan(
        path=file,
        kind=kind,
        shape=tuple(grid.shape[axis] for axis in order),
        spacing_mm=tuple(float(lengths[axis]) for axis in order),
        orientation="".join(codes),
        facts=placed.facts.with_notes(*grid.notes),
        error=why_not_axial(placed.directions, tilted=tilted),
    )


@dataclass(frozen=True)
class _Grid:
    """A volume's shape, its voxel steps [3, 3] (one column per axis, LPS mm), and notes."""

    shape: tuple[int, ...]
    axes_lps_mm: NDArray[np.float64]
    notes: tuple[Note, ...] = ()


def _grid(file: Path, kind: str) -> _Grid:
    """Read the geometry of a volume from its header."""
    if kind == "metaimage":
        header = open_metaimage(file)
        return _Grid(header.shape_xyz, header.axes_lps_mm)
    if kind == "npz":
        return _Grid(open_npz(file).shape, AXES_LPS * SPACING_MM, (ASSUMED,))
    image = open_nifti(file)
    axes = np.diag([-1.0, -1.0, 1.0]) @ affine_mm(image)[:3, :3]
    return _Grid(tuple(int(size) for size in image.shape[:3]), axes, geometry_notes(image, file))


def _dicom_scans(slices: Sequence[Slice], none: Sequence[LeftOut]) -> list[FoundScan]:
    """Describe the scans in some slices; the parts of one series have the path of all of it."""
    groups = [with_left_out(group, none) for group in group_series(slices)]
    series: dict[tuple[str, str, str], list[Slice]] = defaultdict(list)
    for group in groups:
        series[_series_key(group)].extend(group)
    return [_dicom_scan(group, _common_path(series[_series_key(group)]), none) for group in groups]


def _series_key(slices: Sequence[Slice]) -> tuple[str, str, str]:
    """Return what all slices of one series have in common."""
    identity = slices[0].identity
    name = identity.series_instance_uid or str(slices[0].path.parent)
    return identity.patient_id, identity.study_uid, name


def _dicom_scan(slices: tuple[Slice, ...], path: Path, none: Sequence[LeftOut]) -> FoundScan:
    """Describe one scan by its headers; `none` are the files without a slice."""
    identity = slices[0].identity
    damaged = why_damaged([item for item in none if item.path.is_relative_to(path)])
    try:
        with damage_as_unreadable():
            series = order_series(slices)
            _, notes = check_scales(series.slices, NO_RULES)
    except UnreadableScan as error:
        return FoundScan(path=path, kind="dicom", identity=identity, error=damaged or str(error))
    tilted = series.facts.gantry_tilt_deg is not None
    return FoundScan(
        path=path,
        kind="dicom",
        shape=(len(series.slices), *series.slices[0].shape),
        spacing_mm=(slice_distance_mm(series.along_stack_mm), *series.slices[0].pixel_mm),
        orientation=series.orientation,
        identity=identity,
        facts=series.facts.with_notes(*notes),
        dynamic=is_dynamic(slices),
        error=damaged or why_not_axial(series.directions, tilted=tilted),
    )


def _common_path(slices: Sequence[Slice]) -> Path:
    """Return a series' only file, or the deepest folder that has all of its files."""
    files = {item.path for item in slices}
    if len(files) == 1:
        return next(iter(files))
    return Path(commonpath([file.parent for file in files]))
