"""Compressed DICOM transfer syntaxes, and the installed libraries that decode them."""

from dataclasses import dataclass
from types import MappingProxyType

from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

SYNTAXES = MappingProxyType(
    {
        "RLE": uid.RLELossless,
        "JPEG baseline, 8 bits": uid.JPEGBaseline8Bit,
        "JPEG lossless": uid.JPEGLossless,
        "JPEG lossless, first order": uid.JPEGLosslessSV1,
        "JPEG-LS lossless": uid.JPEGLSLossless,
        "JPEG-LS near lossless": uid.JPEGLSNearLossless,
        "JPEG 2000 lossless": uid.JPEG2000Lossless,
        "JPEG 2000": uid.JPEG2000,
        "HTJ2K lossless": uid.HTJ2KLossless,
        "HTJ2K": uid.HTJ2K,
    }
)


@dataclass(frozen=True)
class Codec:
    """A DICOM transfer syntax, the installed libraries that decode it, and others that could."""

    name: str
    syntax: str
    decoders: tuple[str, ...]
    others: tuple[str, ...]


def list_codecs() -> tuple[Codec, ...]:
    """List the libraries that decode each compressed transfer syntax, from pydicom."""
    found = []
    for name, syntax in SYNTAXES.items():
        decoder = get_decoder(syntax)
        able, others = decoder.available_plugins, decoder.missing_dependencies
        found.append(Codec(name, str(syntax), tuple(able), tuple(others)))
    return tuple(found)
