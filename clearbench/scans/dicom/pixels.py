"""The pixel data of a series → one volume in HU."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom.headers import UNPARSED, Slice
from clearbench.scans.dicom.series import Series
from clearbench.scans.volume import AIR_HU, Pixels, Volume, clean_hu


@dataclass(frozen=True)
class Stored:
    """Pixel values as stored, [y, x] or [frames, y, x], and True where they are padding."""

    values: Pixels
    padding: NDArray[np.bool_]

    def frame(self, number: int | None) -> "Stored":
        """Return one frame, [y, x]; a file with a single frame has no frame axis."""
        if number is None or self.values.ndim == 2:
            return self
        return Stored(self.values[number], self.padding[number])


def read_volume(series: Series) -> Volume:
    """Decode every slice of a series and stack them in HU, feet to head.

    Raises UnreadableScan with the slice that is truncated or that no installed codec decodes.
    """
    first = series.slices[0]
    return Volume(
        hu=_stacked(series.slices),
        directions=series.directions,
        positions_mm=series.along_stack_mm,
        pixel_mm=first.pixel_mm,
        origin_mm=np.array(first.position_mm),
        normal_mm=series.normal_mm,
        facts=series.facts,
    )


def _stacked(slices: tuple[Slice, ...]) -> Pixels:
    """Decode slices [n, y, x] in HU; a multi-frame file is decoded only once."""
    files: dict[Path, Stored] = {}
    planes = []
    for number, item in enumerate(slices):
        where = f"slice {number + 1} of {len(slices)} ({item.path.name})"
        stored = files.get(item.path) or _decode(item.path, where)
        if item.frame is not None:
            files[item.path] = stored
        planes.append(_to_hu(stored.frame(item.frame), item, where))
    return np.stack(planes)


def _decode(path: Path, where: str) -> Stored:
    """Decode one file's pixel data."""
    try:
        dataset = pydicom.dcmread(path)
    except UNPARSED as error:
        raise UnreadableScan(f"{where} can't be read ({error})") from error
    _refuse_truncated(dataset, where)
    try:
        values: Pixels = dataset.pixel_array
    except UNPARSED as error:
        raise UnreadableScan(f"{where} can't be decoded: {_why(dataset, error)}") from error
    return Stored(values, _padding(dataset, values))


def _refuse_truncated(dataset: Any, where: str) -> None:
    """Refuse uncompressed pixel data that is shorter than its header requires."""
    if "PixelData" not in dataset:
        raise UnreadableScan(f"{where} has no pixel data; the file is cut off or damaged")
    if _syntax(dataset).is_compressed:
        return
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    expected = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.BitsAllocated) // 8
    found = len(dataset.PixelData)
    if found < expected:
        raise UnreadableScan(f"{where} is truncated (expected {expected:,} bytes, found {found:,})")


def _syntax(dataset: Any) -> Any:
    """Return the transfer syntax; Implicit VR Little Endian, DICOM's default, if there is none."""
    return dataset.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)


def _why(dataset: Any, error: Exception) -> str:
    """Return in plain words why pixel data can't be decoded."""
    syntax = _syntax(dataset)
    if syntax.is_compressed and isinstance(error, RuntimeError | NotImplementedError):
        return (
            f"no installed codec decodes {syntax.name} ({syntax}) in {dataset.BitsStored} bits; "
            "convert it to an uncompressed or lossless syntax"
        )
    return str(error).splitlines()[0]


def _padding(dataset: Any, values: Pixels) -> NDArray[np.bool_]:
    """Return True for pixels outside the reconstruction circle, by the header's padding value.

    Only a value at one end of the image's range is padding: some headers have 0, which is water.
    """
    if dataset.get("PixelPaddingValue") is None:
        return np.zeros(values.shape, bool)
    ends = [dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")]
    stored = [_as_stored(end, values.dtype) for end in ends if end is not None]
    low, high = min(stored), max(stored)
    if low > values.min() and high < values.max():
        return np.zeros(values.shape, bool)
    return (values >= low) & (values <= high)


def _as_stored(value: Any, dtype: np.dtype[Any]) -> int:
    """Return a padding value in the pixels' type; headers often have it as an unsigned number."""
    number = value if isinstance(value, int) else int.from_bytes(value[:2], "little")
    return int(np.array(number).astype(dtype))


def _to_hu(stored: Stored, item: Slice, where: str) -> Pixels:
    """Apply slope and intercept: integers if both are whole numbers; padding becomes air."""
    values = stored.values
    if values.shape != item.shape:
        raise UnreadableScan(f"{where} decodes to {values.shape}, but its header has {item.shape}")
    if float(item.slope).is_integer() and float(item.intercept).is_integer():
        hu: Pixels = values.astype(np.int32) * int(item.slope) + int(item.intercept)
    else:
        hu = values.astype(np.float32) * np.float32(item.slope) + np.float32(item.intercept)
    return clean_hu(np.where(stored.padding, AIR_HU, hu))
