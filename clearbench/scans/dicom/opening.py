"""Opening a file as DICOM, also without its prefix; other files are called by what they are."""

from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from clearbench.scans.dicom.records import LeftOut
from clearbench.scans.dicom.tags import READ
from clearbench.scans.packed import refuse_deflated_bomb

DICOM_SUFFIXES = (".dcm", ".ima")
FIRST_ELEMENT_BYTES = 8
HEAD_BYTES = 1024
GROUP_LENGTH_AT, FIRST_OTHER_AT = 140, 144  # bytes from the start of a file with its prefix
PAIR = "a header and image pair (Analyze or NIfTI), which is not read: save it as .nii.gz"
ARCHIVE = "an archive: unpack it"
OTHER_FORMATS = {
    **dict.fromkeys((".nrrd", ".nhdr"), "NRRD, which is not read: save it as .nii.gz"),
    **dict.fromkeys((".hdr", ".img"), PAIR),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".gz"), ARCHIVE),
}


def open_header(path: Path) -> Dataset:
    """Read the tags in use; raises what pydicom raises."""
    # pixels are most of a file, and every parsed tag costs time
    return _open(path, stop_before_pixels=True, specific_tags=list(READ))


def open_all_tags(path: Path) -> Dataset:
    """Read every tag but the pixel data; raises what pydicom raises."""
    return _open(path, stop_before_pixels=True)


def open_whole(path: Path) -> Dataset:
    """Read a file with its pixel data; raises what pydicom raises."""
    return _open(path)


def _open(path: Path, **how: Any) -> Dataset:
    """Read a file; one without the DICOM prefix is tried if it begins like a data set."""
    try:
        with path.open("rb") as file:
            _refuse_bomb(file, path)
            return pydicom.dcmread(file, **how)
    except InvalidDicomError:
        if not begins_like_dicom(path):
            raise
    found = pydicom.dcmread(path, force=True, **how)
    # pydicom found the encoding by itself, but decodes no pixels without this tag
    if "TransferSyntaxUID" not in found.file_meta:
        implicit, little = found.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        found.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
    return found


def _refuse_bomb(file: BinaryIO, path: Path) -> None:
    """Refuse a deflated file that unpacks to far too much: pydicom unpacks all of it at once."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() not in head:
        return
    # the first element says how long the others of group 2 are; the deflated part follows them
    length = int.from_bytes(head[GROUP_LENGTH_AT:FIRST_OTHER_AT], "little")
    refuse_deflated_bomb(path, FIRST_OTHER_AT + length)


def begins_like_dicom(path: Path) -> bool:
    """Tell whether a file without the DICOM prefix begins with an element of group 2 or 8."""
    with path.open("rb") as file:
        head = file.read(FIRST_ELEMENT_BYTES)
    if len(head) < FIRST_ELEMENT_BYTES:
        return False
    groups = {int.from_bytes(head[:2], order) for order in ("little", "big")}
    # The element's number is small in both groups, so its high byte is 0 in most files; what
    # follows is two letters (the type) or a length of at most 16 bits.
    typed = head[4:6].isalpha() and head[4:6].isupper()
    short = int.from_bytes(head[4:8], "little") < 2**16 or int.from_bytes(head[4:8], "big") < 2**16
    return bool(groups & {0x0002, 0x0008}) and (typed or short)


def not_dicom(path: Path) -> LeftOut:
    """Describe a file without a DICOM header: it is damaged if its suffix is .dcm or .ima."""
    suffix = path.suffix.lower()
    if suffix in OTHER_FORMATS:
        return LeftOut(path, OTHER_FORMATS[suffix])
    dicom_name = suffix in DICOM_SUFFIXES
    if path.stat().st_size == 0:
        return LeftOut(path, "an empty file", damaged=dicom_name)
    return LeftOut(path, "not a DICOM, NIfTI or image file", damaged=dicom_name)
