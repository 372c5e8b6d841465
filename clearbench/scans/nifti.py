"""NIfTI files (.nii, .nii.gz) → volumes, placed by their affine."""

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
from clearbench.scans.grid import grid_volume, refuse_labels, spans_space
from clearbench.scans.volume import Pixels, Volume, clean_hu

DAMAGED = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


def read_nifti(path: Path) -> Volume:
    """Read a three-dimensional NIfTI file in HU, with the axes of its affine.

    Raises UnreadableScan if it is damaged, doesn't have three dimensions or a usable affine, or
    holds labels instead of HU.
    """
    image = open_nifti(path)
    try:
        data = np.asanyarray(_checked(image, path).dataobj)
    except DAMAGED as error:
        raise UnreadableScan(f"not a readable NIfTI file ({error})") from error
    if data.dtype.kind not in "iuf":
        raise UnreadableScan(f"its values are {data.dtype}, not HU")
    refuse_labels(data)
    volume = _volume(clean_hu(data), np.asarray(image.affine, dtype=np.float64))
    return replace(volume, facts=volume.facts.with_problems(unoriented(image)))


def _checked(image: Any, path: Path) -> Any:
    """Unpack a compressed file to its end: nibabel never reads the checksum, which is there."""
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
    if not spans_space(image.affine[:3, :3]):
        raise UnreadableScan("its affine has no usable axes; set qform or sform")
    return image


def unoriented(image: Any) -> str:
    """Return the problem of a header that doesn't state its axes; "" if it does."""
    codes = [image.header.get(code, 1) for code in ("qform_code", "sform_code")]
    if any(codes):
        return ""
    axes = "".join(nibabel.aff2axcodes(image.affine))
    return f"no orientation in its header (qform and sform codes are 0); taken as {axes}"


def _volume(hu: Pixels, affine: NDArray[np.float64]) -> Volume:
    """Place the voxels by their affine, which maps to RAS mm."""
    to_lps = np.diag([-1.0, -1.0, 1.0])
    return grid_volume(hu, to_lps @ affine[:3, :3], to_lps @ affine[:3, 3])
