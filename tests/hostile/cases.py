"""A malformed input: what it is called, and how it is written."""

from collections.abc import Callable, Iterator
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


def damaged(kind: str, name: str, good: bytes, header: int, seed: int = 0) -> Iterator[Case]:
    """Yield a good file cut off, lengthened, overwritten, and with bits flipped in its header."""
    rng = np.random.default_rng([seed, *kind.encode()])
    for part in (0, 1, 4, header // 2, header, (header + len(good)) // 2, len(good) - 1):
        yield Case(f"{kind}/cut after {part} bytes", put(name, good[:part]))
    for some in (b"\0" * 1000, b"\xff" * 3):
        yield Case(f"{kind}/{len(some)} bytes more", put(name, good + some))
    for byte in (0, 255):
        spoiled = bytes([byte]) * header + good[header:]
        yield Case(f"{kind}/header of bytes {byte}", put(name, spoiled))
    yield Case(f"{kind}/noise", put(name, rng.bytes(len(good))))
    for bit in rng.choice(8 * header, min(12, 8 * header), replace=False).tolist():
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        yield Case(f"{kind}/bit {bit} flipped", put(name, bytes(flipped)))
    for start in rng.choice(header, 4, replace=False).tolist():
        noisy = good[:start] + rng.bytes(16) + good[start + 16 :]
        yield Case(f"{kind}/noise from byte {start}", put(name, noisy))
