"""A series' pixel data → one volume in HU."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom.headers import Slice
from clearbench.scans.dicom.series import Series
from clearbench.scans.volume import Pixels, Volume, clean_hu

UNDECODED = (
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_volume(series: Series) -> Volume:
    """Decode every slice of a series and stack them in HU, feet to head.

    Raises UnreadableScan naming the slice that is truncated or that no codec here decodes.
    """
    files: dict[Path, Any] = {}
    planes = []
    for number, item in enumerate(series.slices):
        if item.frame is None:
            pixels = _decode(item, number, len(series.slices))
        else:
            if item.path not in files:
                files[item.path] = _decode(item, number, len(series.slices))
            pixels = (
                files[item.path][item.frame] if files[item.path].ndim == 3 else files[item.path]
            )
        planes.append(_to_hu(pixels, item))
    first = series.slices[0]
    return Volume(
        hu=np.stack(planes),
        directions=series.directions,
        positions_mm=series.along_stack_mm,
        pixel_mm=first.pixel_mm,
        origin_mm=np.array(first.position_mm),
        normal_mm=series.normal_mm,
        facts=series.facts,
    )


def _decode(item: Slice, number: int, count: int) -> Pixels:
    """Decode one file's pixel data, [y, x] or [frames, y, x], as stored values."""
    where = f"slice {number + 1} of {count} ({item.path.name})"
    try:
        dataset = pydicom.dcmread(item.path)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise UnreadableScan(f"{where} can't be read ({error})") from error
    syntax = dataset.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    _refuse_truncated(dataset, syntax, where)
    try:
        pixels: Pixels = dataset.pixel_array
    except UNDECODED as error:
        raise UnreadableScan(f"{where} can't be decoded: {_why(syntax, error)}") from error
    return pixels


def _refuse_truncated(dataset: Any, syntax: Any, where: str) -> None:
    """Refuse uncompressed pixel data that is shorter than the header says."""
    if "PixelData" not in dataset:
        raise UnreadableScan(f"{where} holds no pixel data; the file is cut off or damaged")
    if syntax.is_compressed:
        return
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    expected = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.BitsAllocated) // 8
    found = len(dataset.PixelData)
    if found < expected:
        raise UnreadableScan(f"{where} is truncated (expected {expected:,} bytes, found {found:,})")


def _why(syntax: Any, error: Exception) -> str:
    """Say in our words why pixel data can't be decoded."""
    if syntax.is_compressed and isinstance(error, RuntimeError | NotImplementedError):
        return f"no codec here decodes {syntax.name} ({syntax}) in {'12 bits' if '12' in str(error) else 'this form'}; convert it to an uncompressed or lossless syntax"
    return str(error).splitlines()[0]


def _to_hu(pixels: Pixels, item: Slice) -> Pixels:
    """Apply slope and intercept; whole numbers stay whole."""
    if pixels.shape[-2:] != item.shape:
        raise UnreadableScan(
            f"{item.path.name} decodes to {pixels.shape}, its header says {item.shape}"
        )
    if float(item.slope).is_integer() and float(item.intercept).is_integer():
        return clean_hu(pixels.astype(np.int32) * int(item.slope) + int(item.intercept))
    return clean_hu(pixels.astype(np.float32) * np.float32(item.slope) + np.float32(item.intercept))
