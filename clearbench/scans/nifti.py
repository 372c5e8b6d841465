"""NIfTI files (.nii, .nii.gz) → volumes, through their affine."""

import gzip
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.volume import Pixels, ScanFacts, Volume, clean_hu, tilt_deg

SHEAR_LIMIT_DEG = 1.0
FLAT = 0.01  # volume of the box of three unit axes, below which they lie in a plane
DAMAGED = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


def read_nifti(path: Path) -> Volume:
    """Read a three-dimensional NIfTI file in HU, with axes as its affine tells.

    Raises UnreadableScan if it is damaged, has other than three dimensions, no usable affine,
    or holds labels instead of HU.
    """
    image = open_nifti(path)
    try:
        data = np.asanyarray(_checked(image, path).dataobj)
    except DAMAGED as error:
        raise UnreadableScan(f"not a readable NIfTI file ({error})") from error
    if data.dtype.kind not in "iuf":
        raise UnreadableScan(f"its values are {data.dtype}, not HU")
    _refuse_labels(data)
    volume = _volume(clean_hu(data), np.asarray(image.affine, dtype=np.float64))
    return replace(volume, facts=volume.facts.with_problems(unoriented(image)))


def _checked(image: Any, path: Path) -> Any:
    """Unpack a compressed file to its end, where its checksum is, which nibabel never reads."""
    if not path.name.lower().endswith(".gz"):
        return image
    return type(image).from_bytes(gzip.decompress(path.read_bytes()))


def open_nifti(path: Path) -> Any:
    """Read a file's header; raises UnreadableScan if it is damaged or not of three dimensions."""
    try:
        image = nibabel.load(path)
    except DAMAGED as error:
        raise UnreadableScan(f"not a readable NIfTI file ({error})") from error
    shape = tuple(int(size) for size in image.shape)
    if len(shape) != 3:
        raise UnreadableScan(f"{len(shape)} dimensions {shape}; a scan has three (x, y, z)")
    if not _spans_space(image.affine[:3, :3]):
        raise UnreadableScan("its affine has no usable axes; set qform or sform")
    return image


def _spans_space(axes: NDArray[np.float64]) -> bool:
    """Tell whether the columns are finite and point three ways."""
    if not np.isfinite(axes).all():
        return False
    lengths = np.linalg.norm(axes, axis=0)
    return bool((lengths > 0).all()) and abs(float(np.linalg.det(axes / lengths))) > FLAT


def unoriented(image: Any) -> str:
    """Say that a header leaves open which way its axes run; empty if it doesn't."""
    codes = [image.header.get(code, 1) for code in ("qform_code", "sform_code")]
    if any(codes):
        return ""
    axes = "".join(nibabel.aff2axcodes(image.affine))
    return f"no orientation in its header (qform and sform codes are 0); taken as {axes}"


def _volume(hu: Pixels, affine: NDArray[np.float64]) -> Volume:
    """Put the axis nearest to feet-to-head first, in LPS millimetres."""
    to_lps = np.diag([-1.0, -1.0, 1.0])
    columns = to_lps @ affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    units = columns / lengths
    stack = int(np.abs(units[2]).argmax())
    order = [stack, *(axis for axis in range(3) if axis != stack)]
    hu, units, lengths = hu.transpose(order), units[:, order], lengths[order]
    origin = to_lps @ affine[:3, 3]
    if units[2, 0] < 0:
        origin = origin + units[:, 0] * lengths[0] * (hu.shape[0] - 1)
        hu, units = hu[::-1], units * np.array([-1.0, 1.0, 1.0])
    positions = lengths[0] * np.arange(hu.shape[0])
    normal = np.cross(units[:, 1], units[:, 2])
    normal = normal * (np.sign(normal[2]) or 1.0) / np.linalg.norm(normal)
    tilt = tilt_deg(units.T)
    return Volume(
        hu=hu,
        directions=units.T,
        positions_mm=positions,
        pixel_mm=(float(lengths[1]), float(lengths[2])),
        origin_mm=origin,
        normal_mm=origin @ normal + positions * float(units[:, 0] @ normal),
        facts=_facts(tilt),
    )


def _facts(tilt: float) -> ScanFacts:
    """Tell a sheared affine, as converters write it for a tilted gantry."""
    if tilt <= SHEAR_LIMIT_DEG:
        return ScanFacts()
    return ScanFacts(gantry_tilt_deg=round(tilt, 1)).with_problems(f"gantry tilt {tilt:.1f}°")


def _refuse_labels(data: Pixels) -> None:
    """Refuse a segmentation: whole numbers from 0, few of them, mostly background."""
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
            f"{share:.0%} of them 0"
        )
