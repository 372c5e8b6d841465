"""The pixel data of a DICOM file → stored values, with what is padding."""

import filecmp
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder

from clearbench.errors import UnreadableScan
from clearbench.scans.damage import damage_as_unreadable, refused, why
from clearbench.scans.dicom.codestreams import stated_size
from clearbench.scans.dicom.opening import open_whole
from clearbench.scans.dicom.records import Slice
from clearbench.scans.hu import TOP_HU, Pixels
from clearbench.scans.packed import refuse_bomb

KEPT_FILES = 2  # a comparison is of two slices
# JPEG of 12 bits, which the codecs for 8 bits try and give up
TWELVE_BITS = ("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")


@dataclass(frozen=True)
class Stored:
    """Pixel values as stored, [y, x] or [frames, y, x], and True where they are padding."""

    values: Pixels
    padding: NDArray[np.bool_]

    def frame(self, number: int | None) -> "Stored":
        """Return one frame, [y, x]; a file with a single frame has no frame axis."""
        if number is None or (number == 0 and self.values.ndim == 2):
            return self
        if self.values.ndim == 2 or number >= len(self.values):
            raise UnreadableScan(
                f"its header places frame {number + 1}, which its pixel data doesn't have"
            )
        return Stored(self.values[number], self.padding[number])


def decode(path: Path, where: str) -> Stored:
    """Decode one file's pixel data; a Modality LUT is applied."""
    with refused(f"{where} can't be read"):
        dataset = open_whole(path)
        _refuse_truncated(dataset, where)
        _refuse_high_bit(dataset, where)
    try:
        if _syntax(dataset).is_compressed and _is_decodable(_syntax(dataset)):
            _refuse_other_size(dataset, path, where)
        values: Pixels = dataset.pixel_array
    except UnreadableScan:
        raise
    except Exception as error:
        raise UnreadableScan(f"{where} can't be decoded: {_why(dataset, error)}") from error
    with refused(f"{where} has a PixelPaddingValue that can't be used"):
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


def _refuse_high_bit(dataset: Any, where: str) -> None:
    """Refuse values that aren't in the lowest bits: codecs take those, whatever the header says."""
    high, stored = dataset.get("HighBit"), int(dataset.BitsStored)
    if high is not None and int(high) != stored - 1:
        raise UnreadableScan(
            f"{where} has HighBit {high} with BitsStored {stored}, so where its values are is "
            f"unknown; HighBit {stored - 1} is usual: export it again"
        )


def _refuse_other_size(dataset: Any, path: Path, where: str) -> None:
    """Refuse compressed pixel data of another size than its header's, and bombs."""
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    shape = (int(dataset.Rows), int(dataset.Columns))
    refuse_bomb(path, shape[0] * shape[1] * frames * int(dataset.BitsAllocated) // 8)
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        found = stated_size(frame)
        if found is None:
            continue
        if (found.rows, found.columns) != shape or found.samples != 1:
            raise UnreadableScan(
                f"{where} has compressed pixels of {found.rows} × {found.columns} × "
                f"{found.samples}, but its header has {shape[0]} × {shape[1]} × 1"
            )
        if found.bits > int(dataset.BitsAllocated):
            raise UnreadableScan(
                f"{where} has compressed pixels of {found.bits} bits, but its header has "
                f"{dataset.BitsAllocated}"
            )


def _syntax(dataset: Any) -> Any:
    """Return the transfer syntax; Implicit VR Little Endian, DICOM's default, if there is none."""
    return dataset.file_meta.get("TransferSyntaxUID") or pydicom.uid.ImplicitVRLittleEndian


def _why(dataset: Any, error: Exception) -> str:
    """Return in plain words why pixel data can't be decoded."""
    syntax = _syntax(dataset)
    if syntax.is_compressed and isinstance(error, RuntimeError | NotImplementedError):
        if _is_decodable(syntax):
            return f"its {syntax.name} ({syntax}) is damaged, or of a kind that no codec here reads"
        return (
            f"no installed codec decodes {syntax.name} ({syntax}) in {dataset.BitsStored} bits; "
            "convert it to an uncompressed or lossless syntax"
        )
    return why(error)


def _is_decodable(syntax: Any) -> bool:
    """Tell whether an installed codec decodes whole data of a transfer syntax."""
    if syntax in TWELVE_BITS:
        return False
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


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
    number = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(value)
    # astype wraps round: 63,536 in the header is -2,000 in signed pixels
    return int(np.array(number).astype(dtype))


def have_same_pixels(one: Slice, other: Slice) -> bool:
    """Tell whether two slices have the same stored values; False if one can't be decoded."""
    return PixelComparison()(one, other)


class PixelComparison:
    """Compares slices as `have_same_pixels`, and decodes a multi-frame file only once."""

    def __init__(self) -> None:
        self._kept: dict[Path, Stored | None] = {}

    def __call__(self, one: Slice, other: Slice) -> bool:
        """Tell whether two slices have the same stored values; False if one can't be decoded."""
        try:
            # slices are compared while a folder is sorted, where a fault must cost no other scan
            with damage_as_unreadable():
                # shallow=True would compare only size and time; equal files need no decoding
                whole = one.frame == other.frame and one.path != other.path
                if whole and filecmp.cmp(one.path, other.path, shallow=False):
                    return True
                return np.array_equal(self._frame(one).values, self._frame(other).values)
        except UnreadableScan:
            return False

    def _frame(self, item: Slice) -> Stored:
        """Return the stored values of a slice; raises UnreadableScan."""
        if item.frame is None:
            return decode(item.path, item.path.name)
        if item.path not in self._kept:
            if len(self._kept) == KEPT_FILES:
                del self._kept[next(iter(self._kept))]
            self._kept[item.path] = None  # stays, if it can't be decoded
            self._kept[item.path] = decode(item.path, item.path.name)
        stored = self._kept[item.path]
        if stored is None:
            raise UnreadableScan(f"{item.path.name} can't be decoded")
        return stored.frame(item.frame)
