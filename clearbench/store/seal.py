"""The seal of a feature file: the sha256 of all of its bytes, in HDF5's user block before them."""

import hashlib

SIZE = 512  # bytes; HDF5 leaves so many to others at the beginning of a file
HDF5 = b"\x89HDF\r\n\x1a\n"  # how a file without a user block begins


def sealed(image: bytes) -> bytes:
    """Return a file, which begins with an empty user block, with the seal of all that follows."""
    return _seal(image) + image[SIZE:]


def may_have_seal(image: bytes) -> bool:
    """Return False for a file of an older version: these have none."""
    return not image.startswith(HDF5)


def seal_holds(image: bytes) -> bool:
    """Return True if no bit of a sealed file has changed."""
    return image[:SIZE] == _seal(image)


def _seal(image: bytes) -> bytes:
    """Return the user block: one line of text, and zeros."""
    digest = hashlib.sha256(memoryview(image)[SIZE:]).hexdigest()
    return f"clearbench sha256 {digest}\n".encode().ljust(SIZE, b"\0")
