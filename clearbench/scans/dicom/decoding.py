"""The pixel data of a DICOM file → stored values, with what is padding."""

import filecmp
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.damage import refused, why
from clearbench.scans.dicom.opening import open_whole
from clearbench.scans.dicom.records import Slice
from clearbench.scans.hu import TOP_HU, Pixels


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


def decode(path: Path, where: str) -> Stored:
    """Decode one file's pixel data; a Modality LUT is applied."""
    with refused(f"{where} can't be read"):
        dataset = open_whole(path)
        _refuse_truncated(dataset, where)
    try:
        values: Pixels = dataset.pixel_array
    except Exception as error:
        raise UnreadableScan(f"{where} can't be decoded: {_why(dataset, error)}") from error
    padding = _padding(dataset, values)
    if "ModalityLUTSequence" in dataset:
        with refused(f"{where} has a Modality LUT that can't be used"):
            values = _through_table(values, dataset)
    return Stored(values, padding)


def _through_table(values: Pixels, dataset: Any) -> Pixels:
    """Apply a Modality LUT (DICOM PS3.3 C.11.1.1); entries without a sign are two's complement."""
    table = dataset.ModalityLUTSequence[0]
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    data = table.LUTData
    # pydicom gives bytes where the header says OW, and numbers where it says US
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8 if bits == 8 else np.uint16)
    # the count has 16 bits: 0 stands for 65,536
    entries = np.asarray(data, np.int32)[: count or 2**16]
    entries = np.where(entries > TOP_HU, entries - 2**16, entries)
    if values.dtype.kind == "i" and first > TOP_HU:
        first -= 2**16
    # values outside the table take its first or last entry, as the standard says
    found: Pixels = entries[np.clip(values.astype(np.int32) - first, 0, len(entries) - 1)]
    return found


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
    return why(error)


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
    # in implicit VR the type is ambiguous (US or SS), and pydicom leaves it as bytes
    number = value if isinstance(value, int) else int.from_bytes(value[:2], "little")
    # astype wraps round: 63,536 in the header is -2,000 in signed pixels
    return int(np.array(number).astype(dtype))


def have_same_pixels(one: Slice, other: Slice) -> bool:
    """Tell whether two slices have the same stored values; False if one can't be decoded."""
    try:
        # shallow=True would compare only size and time; equal files need no decoding
        if one.frame == other.frame and filecmp.cmp(one.path, other.path, shallow=False):
            return True
        first, second = (
            decode(item.path, item.path.name).frame(item.frame) for item in (one, other)
        )
    except (UnreadableScan, OSError):
        return False
    return np.array_equal(first.values, second.values)
