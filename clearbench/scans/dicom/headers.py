"""DICOM headers → CT slices with their positions, or the reason why a file isn't a CT slice."""

import struct
import zlib
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from clearbench.scans.volume import ScanFacts

# Small faults against the standard are common and harmless here; the values in use are checked.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
NOT_A_SLICE = {
    "LOCALIZER": "a localiser",
    "PERFUSION": "a perfusion map, not HU",
    "MIP": "a maximum intensity projection",
    "MINIP": "a minimum intensity projection",
    "PROJECTION IMAGE": "a projection",
    "SCREEN SAVE": "a screen capture",
    "DOSE_INFO": "a dose report",
}
TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "PatientID", "AccessionNumber",
    "StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "SliceThickness", "ConvolutionKernel",
    "ContrastBolusAgent", "Manufacturer", "ManufacturerModelName", "KVP", "GantryDetectorTilt",
    "ImageOrientationPatient", "ImagePositionPatient", "Rows", "Columns", "PixelSpacing",
    "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "RescaleType", "BitsAllocated",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip

# What pydicom raises for damaged files: almost anything.
UNPARSED = (
    AttributeError,
    BytesLengthException,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Identity:
    """The identifiers of a series in clear: labels are joined on them; they are never stored."""

    patient_id: str
    accession_number: str
    study_uid: str
    series_uid: str
    study_date: str


@dataclass(frozen=True)
class Slice:
    """One CT slice: where its pixels are, and its position in the patient (LPS mm).

    `frame` is None for a single-frame file. Pixel value × slope + intercept is HU.
    """

    path: Path
    frame: int | None
    sop_uid: str
    identity: Identity
    shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    row_axis: tuple[float, ...]
    column_axis: tuple[float, ...]
    position_mm: tuple[float, ...]
    slope: float
    intercept: float
    tilt_tag_deg: float
    facts: ScanFacts


@dataclass(frozen=True)
class LeftOut:
    """A file that isn't a CT slice, and why; `damaged` if it should be one."""

    path: Path
    reason: str
    damaged: bool = False


def read_slices(path: Path) -> tuple[Slice, ...] | LeftOut:
    """Read one file's header: its CT slices (several if multi-frame), or why it has none."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
    except InvalidDicomError:
        return _not_dicom(path)
    except UNPARSED as error:
        return LeftOut(path, f"its header can't be read ({error})", damaged=True)
    try:
        if _is_cut_off(header):
            return LeftOut(path, "its header is cut off or damaged", damaged=True)
        return _frames(path, header)
    except UNPARSED as error:
        return LeftOut(path, f"a CT slice with a damaged header ({error})", damaged=True)


def _not_dicom(path: Path) -> LeftOut:
    """Describe a file without a DICOM header: it is damaged if its suffix is .dcm or .ima."""
    dicom_name = path.suffix.lower() in {".dcm", ".ima"}
    if path.stat().st_size == 0:
        return LeftOut(path, "an empty file", damaged=dicom_name)
    return LeftOut(path, "not a DICOM, NIfTI or image file", damaged=dicom_name)


def _why_not(header: Dataset) -> str:
    """Return why this object isn't a CT slice; "" if it is one."""
    sop_class = _sop_class(header)
    modality = str(header.get("Modality", "") or "")
    if sop_class.startswith(SECONDARY_CAPTURE):
        return "a secondary capture"
    if modality == "SEG":
        return "a segmentation (SEG)"
    if sop_class not in (CT_IMAGE, *ENHANCED_CT):
        return f"not a CT image ({modality or 'no modality'}, {pydicom.uid.UID(sop_class).name})"
    return "" if modality in ("CT", "") else f"{modality}, not CT"


def _is_cut_off(header: Dataset) -> bool:
    """Return True if a header ends before its SOP class, or within it."""
    sop_class = pydicom.uid.UID(_sop_class(header))
    return not sop_class or ("Modality" not in header and sop_class.name == sop_class)


def _sop_class(header: Dataset) -> str:
    """Return the SOP class; in a file that is cut off, only the file meta header may have it."""
    meta = getattr(header, "file_meta", Dataset())
    return str(meta.get("MediaStorageSOPClassUID", "") or header.get("SOPClassUID", "") or "")


def _frames(path: Path, header: Dataset) -> tuple[Slice, ...] | LeftOut:
    """Return the slices of a single-frame or enhanced multi-frame file, or why it has none."""
    reason = _why_not(header)
    if reason:
        return LeftOut(path, reason)
    several = _sop_class(header) != CT_IMAGE
    tags = [Tags(found) for found in _frame_data_sets(header)] if several else [Tags([header])]
    reasons = [reason for reason in map(_why_not_hu, tags) if reason]
    if reasons:
        return LeftOut(path, reasons[0])
    return tuple(
        _slice(path, number if several else None, frame) for number, frame in enumerate(tags)
    )


def _frame_data_sets(header: Dataset) -> Iterator[list[Dataset]]:
    """Yield the data sets in which a frame's tags may be: its own, the shared ones, the header."""
    shared = _items(header.SharedFunctionalGroupsSequence[0])
    for group in header.PerFrameFunctionalGroupsSequence:
        yield [*_items(group), *shared, header]


def _items(group: Dataset) -> list[Dataset]:
    """Return the first item of each functional group."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


@dataclass(frozen=True)
class Tags:
    """The tags of one slice; each comes from the first of `data_sets` that has it."""

    data_sets: Sequence[Dataset]

    def value(self, name: str, default: Any = None) -> Any:
        """Return a tag's value; `default` if it is absent or empty."""
        found = (tags[name].value for tags in self.data_sets if name in tags)
        return next((value for value in found if value not in (None, "")), default)

    def text(self, name: str) -> str:
        """Return a tag as text without spaces around it; "" if absent."""
        value = self.value(name, "")
        return (value if isinstance(value, str) else "\\".join(map(str, _listed(value)))).strip()

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return a tag as a number; its first value if it has several."""
        value = self.value(name, default)
        return None if value is None else float(_listed(value)[0])

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """Return a tag of `count` numbers; raises ValueError if it has another number of them."""
        values = _listed(self.value(name, ()))
        if len(values) != count:
            raise ValueError(f"no {name}")
        return tuple(float(value) for value in values)


def _listed(value: Any) -> Sequence[Any]:
    """Return a tag's values as a list, also for a single value."""
    return value if isinstance(value, MutableSequence | tuple) else [value]


def _why_not_hu(tags: Tags) -> str:
    """Return why these pixels aren't a slice in HU; "" if they are."""
    types = [str(value).strip().upper() for value in _listed(tags.value("ImageType", ()))]
    found = [NOT_A_SLICE[name] for name in types if name in NOT_A_SLICE]
    if found:
        return found[0]
    scale = tags.text("RescaleType").upper()  # US: unspecified, HU_MOD: changed but still HU
    return "" if scale in ("", "HU", "HU_MOD", "US") else f"pixels in {scale}, not HU"


def _slice(path: Path, frame: int | None, tags: Tags) -> Slice:
    """Read one slice's position, scale and facts."""
    orientation = tags.numbers("ImageOrientationPatient", 6)
    down_mm, right_mm = tags.numbers("PixelSpacing", 2)
    return Slice(
        path=path,
        frame=frame,
        sop_uid=tags.text("SOPInstanceUID"),
        identity=_identity(tags),
        shape=(int(tags.numbers("Rows", 1)[0]), int(tags.numbers("Columns", 1)[0])),
        pixel_mm=(down_mm, right_mm),
        row_axis=orientation[:3],
        column_axis=orientation[3:],
        position_mm=tags.numbers("ImagePositionPatient", 3),
        slope=tags.number("RescaleSlope", 1.0) or 1.0,
        intercept=tags.number("RescaleIntercept") or 0.0,
        tilt_tag_deg=tags.number("GantryDetectorTilt") or 0.0,
        facts=_facts(tags),
    )


def _identity(tags: Tags) -> Identity:
    """Read the identifiers; "" where the header has none."""
    return Identity(
        patient_id=tags.text("PatientID"),
        accession_number=tags.text("AccessionNumber"),
        study_uid=tags.text("StudyInstanceUID"),
        series_uid=tags.text("SeriesInstanceUID"),
        study_date=tags.text("StudyDate"),
    )


def _facts(tags: Tags) -> ScanFacts:
    """Read the technical tags that may predict a label."""
    agent = tags.text("ContrastBolusAgent").lower()
    return ScanFacts(
        thickness_mm=tags.number("SliceThickness"),
        kernel=tags.text("ConvolutionKernel"),
        contrast="" if not agent else "no" if agent in ("none", "no") else "yes",
        manufacturer=tags.text("Manufacturer"),
        model=tags.text("ManufacturerModelName"),
        kvp=tags.number("KVP"),
    )
