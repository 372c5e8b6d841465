"""The texts in an HDF5 file without a seal: HDF5 reads damaged ones for ever, or takes 4 GB.

HDF5 keeps texts as numbered objects in heaps, and where a text is used, its length, the address of
the heap and the number of the object (HDF5 File Format Specification, III.E and VIII.B).
"""

import struct
from collections.abc import Iterator

BEGIN = b"GCOL\x01\0\0\0"
HEAD = 16  # bytes before the objects, and before the content of each


def texts_are_sound(content: bytes) -> bool:
    """Tell whether the heaps of a file can be walked through, and hold what is said of them."""
    return all(
        (lengths := _lengths(content, start)) is not None and _fit(content, start, lengths)
        for start in _places(content, BEGIN)
    )


def _places(content: bytes, part: bytes) -> Iterator[int]:
    """Yield where a part begins in some content."""
    start = content.find(part)
    while start >= 0:
        yield start
        start = content.find(part, start + 1)


def _lengths(content: bytes, start: int) -> dict[int, int] | None:
    """Return the length of each object of a heap by its number; None for a damaged heap."""
    found: dict[int, int] = {}
    size = int.from_bytes(content[start + 8 : start + HEAD], "little")
    place, end = start + HEAD, start + size
    while end <= len(content) and place + HEAD <= end:
        number, _, _, length = struct.unpack_from("<HHIQ", content, place)
        # number 0 is the free rest, whose length has its head in it
        step = HEAD + -(-length // 8) * 8 if number else length
        if step < HEAD or place + step > end:
            return None
        found[number] = length
        place += step
    # a rest that is too short for a head has none
    return found if 0 <= end - place < HEAD else None


def _fit(content: bytes, start: int, lengths: dict[int, int]) -> bool:
    """Tell whether every text that is said to be in a heap is there, and not longer."""
    for place in _places(content, start.to_bytes(8, "little")):
        length = int.from_bytes(content[max(0, place - 4) : place], "little")
        number = int.from_bytes(content[place + 8 : place + 12], "little")
        if length > lengths.get(number, 0):
            return False
    return True
