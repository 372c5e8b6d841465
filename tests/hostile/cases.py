"""A malformed input: what it is called, and how it is written."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """One malformed input: `write` puts it into an empty folder.

    name  format/what is wrong, e.g. "nifti/dim is negative"
    """

    name: str
    write: Callable[[Path], object]

    @property
    def folder(self) -> str:
        """Return a name for the case's folder."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


def put(name: str, content: bytes) -> Callable[[Path], object]:
    """Return a function that writes one file."""
    return lambda folder: (folder / name).write_bytes(content)


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write several files into a folder."""
    for name, content in files.items():
        (folder / name).write_bytes(content)


def damaged(kind: str, name: str, good: bytes, header: int, seed: int = 0) -> Iterator[Case]:
    """Yield a case for every way in which a file is damaged."""
    for fault, content in damaged_bytes(good, header, seed):
        yield Case(f"{kind}/{fault}", put(name, content))


def damaged_bytes(good: bytes, header: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield a good file cut off, lengthened, overwritten, and with bits flipped in its header."""
    rng = np.random.default_rng([seed, len(good)])
    for part in (0, 1, 4, header // 2, header, (header + len(good)) // 2, len(good) - 1):
        yield f"cut after {part} bytes", good[:part]
    for some in (b"\0" * 1000, b"\xff" * 3):
        yield f"{len(some)} bytes more", good + some
    for byte in (0, 255):
        yield f"header of bytes {byte}", bytes([byte]) * header + good[header:]
    yield "noise", rng.bytes(len(good))
    for bit in rng.choice(8 * header, min(12, 8 * header), replace=False).tolist():
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} flipped", bytes(flipped)
    for start in rng.choice(header, 4, replace=False).tolist():
        yield f"noise from byte {start}", good[:start] + rng.bytes(16) + good[start + 16 :]
