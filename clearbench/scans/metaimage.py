"""MetaImage files (.mhd with a separate data file, .mha) → volumes, by their header's geometry.

The format is MetaIO's: a text header of `key = value` lines that ends with ElementDataFile, then
voxels, x fastest. TransformMatrix has three numbers per axis, Offset is the centre of the first
voxel, both in LPS mm, as ITK writes and reads them.
"""

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan, plain_text
from clearbench.scans.grid import (
    grid_volume,
    refuse_labels,
    refuse_place,
    refuse_shape,
    refuse_spacing,
    spans_space,
)
from clearbench.scans.hu import NO_RULES, HuRules, Pixels, checked_hu
from clearbench.scans.packed import refuse_bomb
from clearbench.scans.volume import Volume
from clearbench.scans.walk import is_file

SUFFIXES = (".mhd", ".mha")
LAST_KEY = "ElementDataFile"
LONGEST_NAME = 255
QUOTED = 60  # letters of a value in a sentence
HEADER_LIMIT = 65_536  # bytes; a usual header has a few hundred
TYPES = {
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2"},
    # a MET_LONG has 4 bytes in every file, whatever C's long has here
    **{"MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4"},
    **{"MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
SYNONYMS = {
    **{"Orientation": "TransformMatrix", "Rotation": "TransformMatrix"},
    **{"Origin": "Offset", "Position": "Offset"},
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}

USED = frozenset(
    {
        *("NDims", "ElementNumberOfChannels", "BinaryData", "BinaryDataByteOrderMSB", "DimSize"),
        *("TransformMatrix", "Offset", "ElementSpacing", "ElementType", "CompressedData"),
        *("HeaderSize", LAST_KEY),
    }
)
CHANNELS = {"ElementNumberOfChannels": "1"}
FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


@dataclass(frozen=True)
class MetaHeader:
    """The fields of a MetaImage header that reading needs.

    axes_lps_mm    [3, 3] a voxel's step, one column per axis
    origin_lps_mm  [3] the first voxel's centre
    data, start    the file of the voxels, and the byte where they begin
    """

    shape_xyz: tuple[int, ...]
    axes_lps_mm: NDArray[np.float64]
    origin_lps_mm: NDArray[np.float64]
    dtype: np.dtype[np.generic]
    compressed: bool
    data: Path
    start: int


def is_metaimage(path: Path) -> bool:
    """Return True for MetaImage, by file name."""
    return path.suffix.lower() in SUFFIXES


def read_metaimage(path: Path, rules: HuRules = NO_RULES) -> Volume:
    """Read a three-dimensional MetaImage in HU, with the axes of its header.

    Raises UnreadableScan if it is damaged or incomplete, isn't one volume of numbers, or holds
    labels or other values instead of HU.
    """
    header = open_metaimage(path)
    values = _voxels(header)
    refuse_labels(values)
    hu, notes = checked_hu(values, rules)
    return grid_volume(hu, header.axes_lps_mm, header.origin_lps_mm).with_notes(*notes)


def open_metaimage(path: Path) -> MetaHeader:
    """Read a header; raises UnreadableScan if it is damaged or not supported."""
    fields, start = _fields(path)
    if fields.get("NDims") != "3" or fields.get("ElementNumberOfChannels", "1") != "1":
        raise UnreadableScan(
            f"{_quoted({'NDims': 'no'} | fields, 'NDims')} dimensions with "
            f"{_quoted(CHANNELS | fields, 'ElementNumberOfChannels')} channels; a scan has three "
            "with one"
        )
    if _flag(fields, "BinaryData", True) is False:
        raise UnreadableScan("its voxels are written as text; save it as binary data")
    sizes = _numbers(fields, "DimSize", 3)
    if not all(map(float.is_integer, sizes)):
        raise UnreadableScan(f"its DimSize is {_quoted(fields, 'DimSize')}, not whole numbers")
    shape = tuple(map(int, sizes))
    refuse_shape(shape)
    origin = np.array(_numbers(fields, "Offset", 3, (0.0, 0.0, 0.0)))
    refuse_place(origin)
    data, start = _data_file(path, fields, start)
    return MetaHeader(
        shape_xyz=shape,
        axes_lps_mm=_axes(fields),
        origin_lps_mm=origin,
        dtype=_dtype(fields),
        compressed=_flag(fields, "CompressedData", False),
        data=data,
        start=start,
    )


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the header's values by key, and the byte after the header."""
    with path.open("rb") as file:
        head = file.read(HEADER_LIMIT)
    fields: dict[str, str] = {}
    end = 0
    for line in head.splitlines(keepends=True):
        end += len(line)
        # latin-1 decodes every byte, also voxels that follow a damaged header
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            break
        name = SYNONYMS.get(key.strip(), key.strip())
        if fields.setdefault(name, value.strip()) != value.strip() and name in USED:
            raise UnreadableScan(
                f"its header says {name} twice ({_quoted(fields, name)}; "
                f"{plain_text(value.strip()[:QUOTED])}); find "
                "out which is right, and leave the other out"
            )
        if name == LAST_KEY:
            return fields, end
    raise UnreadableScan(f"not a readable MetaImage file (no line {LAST_KEY} in its header)")


def _quoted(fields: dict[str, str], key: str) -> str:
    """Return what a header says, as a sentence quotes it: any bytes may stand there."""
    return plain_text(fields.get(key, "missing")[:QUOTED])


def _flag(fields: dict[str, str], key: str, default: bool) -> bool:
    """Read one True or False; raises UnreadableScan for another word."""
    word = fields.get(key, str(default)).lower()
    if word not in FLAGS:
        raise UnreadableScan(f"its {key} is {fields[key][:60]!r}, neither True nor False")
    return FLAGS[word]


def _numbers(
    fields: dict[str, str], key: str, count: int, default: tuple[float, ...] = ()
) -> tuple[float, ...]:
    """Read `count` finite numbers; raises UnreadableScan with the key."""
    try:
        found = tuple(float(text) for text in fields[key].split()) if key in fields else default
    except ValueError:
        found = ()
    if len(found) != count or not all(math.isfinite(number) for number in found):
        raise UnreadableScan(f"its header has no usable {key} ({_quoted(fields, key)})")
    return found


def _axes(fields: dict[str, str]) -> NDArray[np.float64]:
    """Return the step of a voxel along each axis, as columns in LPS mm."""
    spacing = _numbers(fields, "ElementSpacing", 3)
    matrix = _numbers(fields, "TransformMatrix", 9, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    axes: NDArray[np.float64] = np.array(matrix).reshape(3, 3).T * np.array(spacing)
    if min(spacing) <= 0 or not spans_space(axes):
        raise UnreadableScan("its header has no usable axes (TransformMatrix, ElementSpacing)")
    refuse_spacing(np.linalg.norm(axes, axis=0))
    return axes


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    """Return the voxels' type in the file's byte order."""
    name = fields.get("ElementType", "missing")
    if name not in TYPES:
        raise UnreadableScan(f"its ElementType is {plain_text(name[:QUOTED])}, not HU")
    order = ">" if _flag(fields, "BinaryDataByteOrderMSB", False) else "<"
    return np.dtype(order + TYPES[name])


def _data_file(path: Path, fields: dict[str, str], start: int) -> tuple[Path, int]:
    """Return the file of the voxels and the byte where they begin."""
    # any byte is a letter so far, but names of files are UTF-8
    name = fields[LAST_KEY].encode("latin-1").decode("utf-8", "surrogateescape")
    if name.upper() == "LOCAL":
        return path, start
    if name.upper().startswith("LIST") or "%" in name:
        raise UnreadableScan("its voxels are in one file per slice; save it as one volume")
    skipped = int(_numbers(fields, "HeaderSize", 1, (0.0,))[0])
    if skipped < 0:  # -1 means: count back from the end of the file
        raise UnreadableScan("its HeaderSize is negative; save it without HeaderSize")
    if os.sep in name or name in ("", ".", "..") or "\0" in name or len(name) > LONGEST_NAME:
        # a header from elsewhere must not make us read any file of this machine
        raise UnreadableScan(
            f"its voxels are said to be in {name[:60]!r}, which is no file next to the header"
        )
    return path.parent / name, skipped


def _voxels(header: MetaHeader) -> Pixels:
    """Read the voxels [x, y, z]; raises UnreadableScan if there are too few or too many."""
    expected = math.prod(header.shape_xyz) * header.dtype.itemsize
    if not is_file(header.data):
        raise UnreadableScan(f"its data file {plain_text(header.data.name)} is missing")
    if header.compressed:
        refuse_bomb(header.data, expected)
    content = _content(header, expected)
    if header.compressed:
        content = _unpacked(content, header.data.name, expected)
    if len(content) != expected:
        raise UnreadableScan(
            f"{header.data.name} holds {len(content):,} bytes of voxels, expected {expected:,}"
        )
    return np.frombuffer(content, header.dtype).reshape(header.shape_xyz, order="F")


def _content(header: MetaHeader, expected: int) -> bytes:
    """Read the bytes from the start of the voxels on; of plain voxels one more than expected."""
    with header.data.open("rb") as file:
        file.seek(header.start)
        return file.read() if header.compressed else file.read(expected + 1)


def _unpacked(content: bytes, name: str, expected: int) -> bytes:
    """Undo zlib's compression, up to the size in the header, and check the checksum."""
    unpacker = zlib.decompressobj()
    try:
        # one byte more shows that a file is too long, without unpacking all of a zip bomb
        voxels = unpacker.decompress(content, expected + 1)
    except zlib.error as error:
        raise UnreadableScan(f"{name} is damaged ({error})") from error
    # zlib is at its end only after the checksum
    if len(voxels) == expected and not unpacker.eof:
        raise UnreadableScan(f"{name} is cut off: its checksum is incomplete")
    return voxels
