"""Arrays of numbers in .npy files: refused unless a file has just the bytes of its array.

A header of a few bytes may claim more numbers than any machine has room for.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from clearbench.bounded import open_bytes, size_text

MOST_MB = 4096
MOST_SIDE = 2**40  # of an axis; numpy fails beyond 2^63, even without numbers
NUMBERS = "biuf"  # kinds of types: bool, integers, floats


@dataclass(frozen=True)
class NpyHeader:
    """The shape and type of an array, its order, and where in the file its numbers begin."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    fortran_order: bool
    start: int


def read_npy(path: Path, most_mb: float = MOST_MB) -> NDArray[Any]:
    """Return the numbers in a .npy file.

    Raises OSError for what is no file or can't be opened, ValueError for a damaged or too large
    one, and for anything but numbers.
    """
    with open_bytes(path, most_mb) as file:
        _check(file)
        file.seek(0)
        # a pickle can run code
        found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return found


def read_npy_row(path: Path, row: int) -> NDArray[Any]:
    """Return one row of a .npy file's array, without the others; raises as `read_npy`."""
    with open_bytes(path, math.inf) as file:
        header = _check(file)
        if header.fortran_order or not 0 <= row < (header.shape or (0,))[0]:
            raise ValueError(f"it has no row {row} of its own; its shape is {list(header.shape)}")
        size = math.prod(header.shape[1:]) * header.dtype.itemsize
        file.seek(header.start + row * size)
        content = file.read(size)
    return np.frombuffer(content, header.dtype).reshape(header.shape[1:])


def check_npy(path: Path) -> NpyHeader:
    """Return the header of a .npy file's array; raises as `read_npy`."""
    with open_bytes(path, math.inf) as file:
        return _check(file)


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, "np.dtype[Any]"]:
    """Return the shape of an array, whether it is in Fortran's order, and its type.

    Raises whatever numpy raises for a header that is none.
    """
    later = np.lib.format.read_magic(file) != (1, 0)
    read: Any = np.lib.format.read_array_header_2_0 if later else FIRST_VERSION
    shape, fortran_order, dtype = read(file)
    return tuple(int(size) for size in shape), fortran_order, dtype


def _check(file: BinaryIO) -> NpyHeader:
    """Return a header, if the rest of the file is its array."""
    try:
        shape, fortran_order, dtype = read_header(file)
    # as numpy may raise anything
    except Exception as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ValueError(f"no header of a .npy file ({first[:100]})") from error
    if dtype.kind not in NUMBERS:
        raise ValueError(f"it holds {str(dtype)[:50]}, not numbers")
    start = file.tell()
    found, wanted = file.seek(0, 2) - start, math.prod(shape) * dtype.itemsize
    if any(not 0 <= size <= MOST_SIDE for size in shape) or found != wanted:
        raise ValueError(
            f"it has {size_text(found)} of numbers; its header says {str(list(shape))[:50]} "
            f"of {dtype}"
        )
    return NpyHeader(shape, dtype, fortran_order, start)


FIRST_VERSION: Any = np.lib.format.read_array_header_1_0
