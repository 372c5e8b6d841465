"""A regular grid of voxels and its axes in space → a volume; segmentations are refused."""

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.volume import FLAT, Pixels, ScanFacts, Volume, tilt_deg

SHEAR_LIMIT_DEG = 1.0


def spans_space(axes: NDArray[np.float64]) -> bool:
    """Return True if the columns [3, 3] are finite and have three different directions."""
    if not np.isfinite(axes).all():
        return False
    lengths = np.linalg.norm(axes, axis=0)
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
    hu, units, lengths = hu.transpose(order), units[:, order], lengths[order]
    origin = origin_lps_mm
    if units[2, 0] < 0:
        origin = origin + units[:, 0] * lengths[0] * (hu.shape[0] - 1)
        hu, units = hu[::-1], units * np.array([-1.0, 1.0, 1.0])
    positions = lengths[0] * np.arange(hu.shape[0])
    normal = np.cross(units[:, 1], units[:, 2])
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
    return ScanFacts(gantry_tilt_deg=round(tilt, 1)).with_problems(f"gantry tilt {tilt:.1f}°")


def refuse_labels(data: Pixels) -> None:
    """Refuse an empty image, and a segmentation: few whole numbers from 0, many of them 0.

    Raises UnreadableScan.
    """
    if data.size == 0:
        raise UnreadableScan("the image is empty")
    low, high = data.min(), data.max()
    if low < 0 or high > 1000 or not bool((data == np.rint(data)).all()):
        return
    share = float((data == 0).mean())
    count = len(np.unique(data))
    if count <= 256 and share >= 0.2:
        raise UnreadableScan(
            f"looks like a segmentation, not HU: {count} whole numbers from 0 to {high}, "
            f"{share:.0%} of the voxels are 0; give the CT volume instead"
        )
