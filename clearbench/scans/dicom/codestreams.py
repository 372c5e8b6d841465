"""The size that compressed pixel data states of itself, read before a codec unpacks it.

A codec unpacks what the data says, not what the header says: another size gives a scrambled
picture, or fills the memory.
"""

from dataclasses import dataclass

J2K_START = b"\xff\x4f\xff\x51"
J2K_SEARCHED = 1024  # bytes; in a file of the JP2 kind, boxes come first
JPEG_START = b"\xff\xd8"
TABLES = (0xC4, 0xC8, 0xCC)  # among the markers of a frame, but no frames
JPEG_LS_FRAME = 0xF7
NO_LENGTH = (0x01, *range(0xD0, 0xD9))  # markers without a segment
SCAN = 0xDA
FRAME_BYTES = 8
SIZE_BYTES = 39


@dataclass(frozen=True)
class Stated:
    """Rows, columns, bits of a value and values of a pixel, as compressed data states them."""

    rows: int
    columns: int
    bits: int
    samples: int


def stated_size(frame: bytes) -> Stated | None:
    """Return what one compressed frame says of itself; None if it says nothing (RLE, damage)."""
    start = frame[:J2K_SEARCHED].find(J2K_START)
    if start >= 0:
        return _of_jpeg_2000(frame[start + len(J2K_START) :])
    return _of_jpeg(frame) if frame.startswith(JPEG_START) else None


def _of_jpeg_2000(after: bytes) -> Stated | None:
    """Read the size segment of JPEG 2000, after its marker."""
    if len(after) < SIZE_BYTES:
        return None
    right, bottom, left, top = (int.from_bytes(after[at : at + 4]) for at in range(4, 20, 4))
    samples, kind = int.from_bytes(after[36:38]), after[38]
    # the highest bit of the kind is the sign
    return Stated(bottom - top, right - left, (kind & 0x7F) + 1, samples)


def _of_jpeg(frame: bytes) -> Stated | None:
    """Read the frame header of JPEG or JPEG-LS, which is one of the first segments."""
    at = len(JPEG_START)
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # a filling byte
            at += 1
        elif marker in NO_LENGTH:
            at += 2
        elif marker == SCAN:
            return None
        elif marker == JPEG_LS_FRAME or (0xC0 <= marker <= 0xCF and marker not in TABLES):
            body = frame[at + 4 : at + 4 + FRAME_BYTES]
            if len(body) < FRAME_BYTES or not any(body[1:3]):  # 0 rows: they follow later
                return None
            rows, columns = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
            return Stated(rows, columns, body[0], body[5])
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    return None
