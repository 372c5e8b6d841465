"""What in a DICOM header may tell who was scanned: names, ids, dates, UIDs, and free text."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from clearbench.scans.dicom.opening import open_all_tags
from clearbench.scans.scanner_texts import is_known

STANDARD_UID = "1.2.840.10008."  # of DICOM itself: kinds of objects and of encodings
TEXTS = frozenset({"AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
DATES = frozenset({"DA", "DT"})
KINDS = MappingProxyType(
    {
        "PatientID": "patient id",
        "OtherPatientIDs": "patient id",
        "IssuerOfPatientID": "institution",
        "AccessionNumber": "accession number",
        "StudyID": "study id",
        "InstitutionName": "institution",
        "InstitutionalDepartmentName": "institution",
        "InstitutionAddress": "address",
        "PatientAddress": "address",
        "PatientTelephoneNumbers": "phone number",
        "PatientBirthDate": "birth date",
        "MedicalRecordLocator": "patient id",
        "StationName": "station",
        "DeviceSerialNumber": "serial number",
    }
)
# Codes and settings of the machine: their words are in everybody's headers.
TECHNICAL = frozenset(
    {
        "CodeValue", "CodeMeaning", "CodingSchemeDesignator", "CodingSchemeVersion",
        "SoftwareVersions", "LongCodeValue", "ContextIdentifier", "MappingResource", "FilterType",
        "FilterMaterial",
        "ContrastBolusAgent", "ContrastBolusRoute", "ImplementationVersionName", "RescaleType",
        "WindowCenterWidthExplanation", "LossyImageCompressionMethod", "PositionReferenceIndicator",
        "TimezoneOffsetFromUTC", "DeidentificationMethod", "ExposureModulationType",
        "PrivateInformation", "SecondaryCaptureDeviceManufacturer",
    }
)  # fmt: skip
CHECKED = MappingProxyType(
    {
        "Manufacturer": "manufacturer",
        "ManufacturerModelName": "model",
        "ConvolutionKernel": "kernel",
    }
)
SOFTWARE = frozenset({"ImplementationClassUID"})


def header_identifiers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield kind and text of everything in a file's header that may tell who was scanned.

    Nothing for a file that is no DICOM file.
    """
    for element in _elements(path):
        if element.tag.is_private and element.VR not in ("PN", "UI", *DATES):
            continue
        kind = _kind(element.keyword, element.VR)
        for text in _texts(element.value) if kind else ():
            if _tells(element.keyword, kind, text):
                yield kind, text


def header_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield keyword and text of every element of a file's header; nothing if it is no DICOM file.

    Unlike the bytes of the file, these are inflated and in one character set.
    """
    for element in _elements(path):
        for text in _texts(element.value):
            yield element.keyword or "private", text


def _elements(path: Path) -> Iterator[Any]:
    """Yield every element of a header, also in sequences; an element that can't be parsed isn't."""
    try:
        header = open_all_tags(path)
    except Exception:  # noqa: BLE001  whatever a parser says of a stranger's file
        return
    yield from _of(getattr(header, "file_meta", Dataset()))
    yield from _of(header)


def _of(data_set: Dataset) -> Iterator[Any]:
    """Yield the elements of a data set and of its sequences."""
    for tag in list(data_set.keys()):
        try:
            element = data_set[tag]
            inner = element.value if element.VR == "SQ" else ()
        except Exception:  # noqa: BLE001  pydicom parses a value when it is asked for
            continue
        yield element
        for item in inner:
            yield from _of(item)


def _kind(keyword: str, representation: str) -> str:
    """Return what an element may tell; "" for nothing."""
    if representation == "PN":
        return "name"
    if representation == "UI":
        return "" if keyword in SOFTWARE else "UID"
    if representation in DATES:
        return KINDS.get(keyword, "date")
    if representation in TEXTS and keyword not in TECHNICAL:
        return KINDS.get(keyword, "free text")
    return ""


def _texts(value: object) -> Iterable[str]:
    """Return the texts of an element's value: one, several, or none."""
    if isinstance(value, Dataset | pydicom.Sequence) or value is None:
        return ()
    if isinstance(value, bytes):
        return (value.decode("latin-1").strip(" \0"),)
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return tuple(text for each in several if (text := str(each).strip()))


def _tells(keyword: str, kind: str, text: str) -> bool:
    """Tell whether a text is more than DICOM's own UIDs and the names of scanners."""
    if kind == "UID":
        return not text.startswith(STANDARD_UID)
    return not (keyword in CHECKED and is_known(CHECKED[keyword], text))
