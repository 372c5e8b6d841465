"""A regular grid of voxels and its axes in space → a volume; segmentations are refused."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.hu import Pixels
from clearbench.scans.notes import Note
from clearbench.scans.volume import FLAT, ScanFacts, Volume, tilt_deg

SHEAR_LIMIT_DEG = 1.0
MOST_SIDE = 2**15
MOST_VOXELS = 2**33  # 16 GB; a whole body in 0.5 mm has 2 ** 32
LEAST_SPACING_MM = 0.05
MOST_SPACING_MM = 20.0
MOST_PLACE_MM = 1e5
EVEN_REGIONS = 0.5  # of a segmentation's voxels, more than this share have an equal neighbour


def spans_space(axes: NDArray[np.float64]) -> bool:
    """Return True if the columns [3, 3] are finite and have three different directions."""
    if not np.isfinite(axes).all():
        return False
    lengths = np.linalg.norm(axes, axis=0)
    # of unit axes, since in mm the determinant depends on the spacing
    return bool((lengths > 0).all()) and abs(float(np.linalg.det(axes / lengths))) > FLAT


def grid_volume(
    hu: Pixels, axes_lps_mm: NDArray[np.float64], origin_lps_mm: NDArray[np.float64]
) -> Volume:
    """Make a volume: the array axis nearest to feet-to-head comes first.

    `hu` [i, j, k]; `axes_lps_mm` [3, 3] has one column per array axis, a voxel's step in LPS mm;
    `origin_lps_mm` [3] is the centre of voxel (0, 0, 0).
    """
    lengths = np.linalg.norm(axes_lps_mm, axis=0)
    units = axes_lps_mm / lengths
    stack = int(np.abs(units[2]).argmax())
    order = [stack, *(axis for axis in range(3) if axis != stack)]
    # transposed and flipped arrays are views; `upright` copies the voxels once
    hu, units, lengths = hu.transpose(order), units[:, order], lengths[order]
    origin = origin_lps_mm
    if units[2, 0] < 0:
        origin = origin + units[:, 0] * lengths[0] * (hu.shape[0] - 1)
        hu, units = hu[::-1], units * np.array([-1.0, 1.0, 1.0])
    positions = lengths[0] * np.arange(hu.shape[0])
    normal = np.cross(units[:, 1], units[:, 2])
    # np.sign(0) is 0, which would make the normal vanish
    normal = normal * (np.sign(normal[2]) or 1.0) / np.linalg.norm(normal)
    return Volume(
        hu=hu,
        directions=units.T,
        positions_mm=positions,
        pixel_mm=(float(lengths[1]), float(lengths[2])),
        origin_mm=origin,
        normal_mm=origin @ normal + positions * float(units[:, 0] @ normal),
        facts=_facts(tilt_deg(units.T)),
    )


def _facts(tilt: float) -> ScanFacts:
    """Return the gantry tilt of sheared axes, as converters write them for a tilted gantry."""
    if tilt <= SHEAR_LIMIT_DEG:
        return ScanFacts()
    note = Note("geometry", f"gantry tilt {tilt:.1f}°")
    return ScanFacts(gantry_tilt_deg=round(tilt, 1), notes=(note,))


def refuse_shape(shape: Sequence[int]) -> None:
    """Refuse a size that no CT has, before memory is asked for; raises UnreadableScan."""
    if min(shape) < 1:
        raise UnreadableScan(f"its header says a size of {_times(shape)}: the image is empty")
    if max(shape) > MOST_SIDE or math.prod(shape) > MOST_VOXELS:
        raise UnreadableScan(
            f"its header says a size of {_times(shape)} voxels, which no CT has; it is damaged"
        )


def _times(shape: Sequence[int]) -> str:
    """Write a size."""
    return " × ".join(f"{side:,}" if abs(side) < 10**12 else f"{side:.3g}" for side in shape)


def refuse_spacing(lengths_mm: NDArray[np.float64]) -> None:
    """Refuse voxels that no CT has; raises UnreadableScan with the spacing."""
    if lengths_mm.min() < LEAST_SPACING_MM or lengths_mm.max() > MOST_SPACING_MM:
        spacing = " × ".join(f"{mm:.4g}" for mm in lengths_mm)
        raise UnreadableScan(
            f"a spacing of {spacing} mm; a CT has {LEAST_SPACING_MM:g} to {MOST_SPACING_MM:g} mm: "
            "check the unit in its header"
        )


def refuse_place(first_mm: NDArray[np.float64]) -> None:
    """Refuse a first voxel where no scanner reaches, or nowhere; raises UnreadableScan."""
    if not (np.abs(first_mm) <= MOST_PLACE_MM).all():  # NaN is nowhere
        place = " \\ ".join(f"{mm + 0.0:g}" for mm in first_mm)
        raise UnreadableScan(f"its first voxel is at {place} mm, where no scanner reaches")


def refuse_labels(data: Pixels) -> None:
    """Refuse an empty image, and a segmentation: few whole numbers from 0, in even regions.

    In a CT, also in one without its background, noise makes neighbouring voxels differ.
    Raises UnreadableScan.
    """
    if data.size == 0:
        raise UnreadableScan("the image is empty")
    low, high = data.min(), data.max()
    if low < 0 or high > 1000 or not bool((data == np.rint(data)).all()):
        return
    # after the cheap tests, because np.unique sorts all voxels
    share = float((data == 0).mean())
    count = len(np.unique(data))
    if count <= 256 and share >= 0.2 and _equal_neighbours(data) > EVEN_REGIONS:
        raise UnreadableScan(
            f"looks like a segmentation, not HU: {count} whole numbers from 0 to {high}, "
            f"{share:.0%} of the voxels are 0; give the CT volume instead"
        )


def _equal_neighbours(data: Pixels) -> float:
    """Return how many voxels above 0 have the value of the next one along the first axis."""
    inside = (data[:-1] > 0) & (data[1:] > 0)
    return float((data[:-1] == data[1:])[inside].mean()) if inside.any() else 1.0
