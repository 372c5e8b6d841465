"""Bombs: small files that unpack to far more than a CT ever does are refused before that."""

import zlib
from pathlib import Path

from clearbench.bounded import size_text
from clearbench.errors import UnreadableScan

ALLOWED = 2**26  # bytes that any file may unpack to
MOST_TIMES = 200  # noise makes a CT's voxels shrink by 2 to 20; zeros shrink by 1,000
PART = 2**20
MEMBER = b"\x1f\x8b\x08"  # how each part of a .gz begins; other bytes say so once in 16 million
MOST_MEMBERS, LEAST_MEMBER_BYTES = 10_000, 1000  # bgzip makes one of each 65,280 bytes


def refuse_bomb(path: Path, unpacked: int) -> None:
    """Raise UnreadableScan if a file would unpack to far more bytes than a CT does."""
    if unpacked > max(ALLOWED, MOST_TIMES * path.stat().st_size):
        raise UnreadableScan(
            f"it would unpack to {size_text(unpacked)}, more than {MOST_TIMES} times "
            "its size, which no CT does; if it is right, save it unpacked"
        )


def refuse_deflated_bomb(path: Path, start: int) -> None:
    """Raise UnreadableScan if a raw deflate stream from byte `start` on unpacks to far too much."""
    most = max(ALLOWED, MOST_TIMES * path.stat().st_size)
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(start)
        while part := (unpacker.unconsumed_tail or file.read(PART)):
            total += len(unpacker.decompress(part, PART))
            if total > most:
                refuse_bomb(path, total)
            if unpacker.eof:
                return


def refuse_members(path: Path, *, whole: bool) -> None:
    """Raise UnreadableScan if a .gz has far more parts than any program writes.

    Each takes time, even an empty one. Without `whole` only the first MiB is read, for a header.
    """
    found, last = 0, b""
    with path.open("rb") as file:
        while part := file.read(PART):
            found += (last + part).count(MEMBER)
            last = part[-len(MEMBER) + 1 :]
            if not whole:
                break
        most = MOST_MEMBERS + file.tell() // LEAST_MEMBER_BYTES
    if found > most:
        raise UnreadableScan(
            f"it has more than {most:,} parts (gzip members), which no program writes; "
            "save it again"
        )
