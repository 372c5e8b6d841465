"""RAD-ChestCT's volumes (.npz): HU without geometry; the geometry is the same for all of them.

The authors' code (github.com/rachellea/ct-volume-preprocessing) writes one array `ct`: int16, HU
clipped to ±1000, resampled to 0.8 mm, axes from head to feet, anterior to posterior, patient's
right to left. The position in the scanner is not kept: z_mm begins at 0.
"""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.npy import read_header
from clearbench.scans.damage import refused
from clearbench.scans.grid import grid_volume, refuse_shape
from clearbench.scans.hu import NO_RULES, HuRules, Pixels, checked_hu
from clearbench.scans.notes import Note
from clearbench.scans.packed import refuse_bomb
from clearbench.scans.volume import Volume

SUFFIX = ".npz"
ARRAY = "ct"
SPACING_MM = 0.8
LIMIT_HU = 1000
MOST_HEADER = 2**16  # bytes before the voxels
AXES = "IPL"  # the array's axes run towards Inferior, Posterior, Left
AXES_LPS = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
UNREADABLE = "not a readable .npz file"
ASSUMED = Note("geometry", "no geometry in its file; taken as RAD-ChestCT's: head first, 0.8 mm")


@dataclass(frozen=True)
class NpzHeader:
    """The names of an archive's arrays; shape (head to feet first) and type of the first one."""

    names: tuple[str, ...]
    shape: tuple[int, ...] = ()
    dtype: np.dtype[np.generic] | None = None


def is_npz(path: Path) -> bool:
    """Return True for numpy's archives, by file name."""
    return path.suffix.lower() == SUFFIX


def open_npz(path: Path) -> NpzHeader:
    """Read the array's header without its voxels.

    Raises UnreadableScan if the file is damaged or isn't a volume of RAD-ChestCT.
    """
    header = _header(path)
    if header.names != (f"{ARRAY}.npy",):
        raise UnreadableScan(
            f"holds {', '.join(header.names[:5]) or 'nothing'}; "
            f"RAD-ChestCT's volumes hold one array called {ARRAY}"
        )
    if len(header.shape) != 3 or header.dtype != np.int16 or 0 in header.shape:
        raise UnreadableScan(
            f"its array is {header.dtype} of shape {header.shape}; "
            "a volume is int16 of three dimensions"
        )
    refuse_shape(header.shape)
    return header


def _header(path: Path) -> NpzHeader:
    """Read the header of an archive's first array."""
    with refused(UNREADABLE), zipfile.ZipFile(path) as archive:
        names = tuple(archive.namelist())
        if not names or not names[0].endswith(".npy"):
            return NpzHeader(names)
        with archive.open(names[0]) as file:
            shape, _, dtype = read_header(file)
    return NpzHeader(names, shape, dtype)


def read_npz(path: Path, rules: HuRules = NO_RULES) -> Volume:
    """Read one of RAD-ChestCT's volumes in HU.

    Raises UnreadableScan if it is damaged, has another layout, or has HU beyond ±1000: then it
    isn't a volume of RAD-ChestCT.
    """
    header = open_npz(path)
    _refuse_size(path, header)
    hu = _array(path)
    low, high = int(hu.min()), int(hu.max())
    if low < -LIMIT_HU or high > LIMIT_HU:
        raise UnreadableScan(
            f"holds {low} to {high}; RAD-ChestCT's volumes are clipped to ±{LIMIT_HU} HU, "
            "and the axes of other .npz files are unknown: save it as NIfTI"
        )
    hu, notes = checked_hu(hu, rules)
    volume = grid_volume(hu, AXES_LPS * SPACING_MM, _first_voxel_mm(hu.shape))
    return volume.with_notes(ASSUMED, *notes)


def _refuse_size(path: Path, header: NpzHeader) -> None:
    """Refuse an archive that unpacks to another size than its header's, or to far too much."""
    with zipfile.ZipFile(path) as archive:
        found = archive.getinfo(f"{ARRAY}.npy").file_size
    expected = 2 * math.prod(header.shape)
    if not expected < found < expected + MOST_HEADER:
        raise UnreadableScan(
            f"holds {found:,} bytes; {expected:,} would be the voxels of its header"
        )
    refuse_bomb(path, found)


def _array(path: Path) -> Pixels:
    """Unpack the voxels."""
    # np.load takes a file that doesn't begin as an archive for a pickle, and advises to open it
    with (
        refused(UNREADABLE),
        zipfile.ZipFile(path) as archive,
        archive.open(f"{ARRAY}.npy") as file,
    ):
        voxels: Pixels = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # the checksum is compared at the end
    return voxels


def _first_voxel_mm(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the position of the first (highest) slice, so that the lowest one is at z = 0."""
    return np.array([0.0, 0.0, SPACING_MM * (shape[0] - 1)])
