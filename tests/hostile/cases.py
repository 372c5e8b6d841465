"""A malformed input: what it is called, and how it is written."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """One malformed input: `write` puts it into an empty folder.

    name     format/what is wrong, e.g. "nifti/dim is negative"
    refused  whether it has to be refused, or has to be read; None: either will do
    """

    name: str
    write: Callable[[Path], object]
    refused: bool | None = None

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


def refused(cases: Iterable[Case]) -> Iterator[Case]:
    """Yield the cases as such that have to be refused."""
    for case in cases:
        yield replace(case, refused=True)


def holes(name: str, size: int) -> Callable[[Path], object]:
    """Return a function that writes a file of zeros that takes no space on the disk."""

    def write(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return write


def no_files(kind: str, name: str) -> Iterator[Case]:
    """Yield what is no regular file, under the name of one."""

    def listen(folder: Path) -> None:
        # a socket's address is short, so it is bound from inside the folder
        here = Path.cwd()
        os.chdir(folder)
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(name)
        finally:
            os.chdir(here)

    writes: dict[str, Callable[[Path], object]] = {
        "a pipe": lambda folder: os.mkfifo(folder / name),
        "a socket": listen,
        "a folder": lambda folder: (folder / name).mkdir(),
        "a link to /dev/zero": lambda folder: (folder / name).symlink_to("/dev/zero"),
        "a link to /dev/tty": lambda folder: (folder / name).symlink_to("/dev/tty"),
        "a link to nothing": lambda folder: (folder / name).symlink_to("none"),
        "a link to itself": lambda folder: (folder / name).symlink_to(name),
        "a link to its folder": lambda folder: (folder / name).symlink_to("."),
        "no bytes": put(name, b""),
        "2 TB of zeros": holes(name, 2**41),
    }
    for what, write in writes.items():
        yield Case(f"{kind}/{what}", write, refused=True)


def random_damage(
    kind: str, name: str, good: bytes, header: int, seeds: Iterable[int]
) -> Iterator[Case]:
    """Yield a case for every seed of random damage: bits, bytes, pieces and their order."""
    for seed in seeds:
        yield Case(f"{kind}/seed {seed}", put(name, randomly_damaged(good, header, seed)))


def randomly_damaged(good: bytes, header: int, seed: int) -> bytes:
    """Return a file damaged at up to four places, mostly in its header."""
    rng = np.random.default_rng([seed, len(good), header])
    content = bytearray(good)
    for _ in range(rng.integers(1, 5)):
        end = max(1, min(header if rng.random() < 0.8 else len(content), len(content)))
        at, length = int(rng.integers(0, end)), int(rng.integers(1, 17))
        piece = bytes(content[at : at + length])
        fault = rng.integers(0, 7)
        if fault == 0 and piece:
            content[at] ^= 1 << int(rng.integers(0, 8))
        elif fault == 1:
            content[at : at + length] = rng.bytes(length)
        elif fault == 2:
            del content[at : at + length]
        elif fault == 3:
            content[at:at] = piece * int(rng.integers(1, 5))
        elif fault == 4:
            content[at : at + length] = bytes([int(rng.choice([0, 1, 127, 128, 255]))]) * length
        elif fault == 5:
            content[at:at] = rng.bytes(length)
        else:
            del content[at:]
    return bytes(content)


def damaged(kind: str, name: str, good: bytes, header: int, seed: int = 0) -> Iterator[Case]:
    """Yield a case for every way in which a file is damaged."""
    for fault, content in damaged_bytes(good, header, seed):
        yield Case(f"{kind}/{fault}", put(name, content))


def damaged_bytes(good: bytes, header: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield a good file cut off, lengthened, overwritten, and with bits flipped in its header."""
    rng, header = np.random.default_rng([seed, len(good)]), min(header, len(good))
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
