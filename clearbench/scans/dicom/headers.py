"""DICOM headers → CT slices with their place in space, or the reason why a file is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from clearbench.scans.volume import ScanFacts

# Values that break the standard a little are common and harmless here; those that matter are checked.
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


@dataclass(frozen=True)
class Identity:
    """Who and what a series is, in clear: it joins labels, and is never stored."""

    patient_id: str
    accession_number: str
    study_uid: str
    series_uid: str
    study_date: str


@dataclass(frozen=True)
class Slice:
    """One CT slice: where its pixels lie and where it lies in the patient (LPS mm).

    `frame` is None for a single-frame file. Pixel values × slope + intercept are HU.
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
    """A file that is no CT slice, and why; `damaged` if it should have been one."""

    path: Path
    reason: str
    damaged: bool = False


def read_slices(path: Path) -> tuple[Slice, ...] | LeftOut:
    """Read one file's header: its CT slices (several if multi-frame), or why it holds none."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
    except InvalidDicomError:
        return _not_dicom(path)
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, AttributeError) as error:
        return LeftOut(path, f"its header can't be read ({error})", damaged=True)
    reason = _why_not(header)
    if reason:
        return LeftOut(path, reason)
    try:
        return _frames(path, header)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return LeftOut(path, f"a CT slice without its geometry ({error})", damaged=True)


def _not_dicom(path: Path) -> LeftOut:
    """Tell an empty or damaged .dcm from a file that never was DICOM."""
    named_so = path.suffix.lower() in {".dcm", ".ima"}
    if path.stat().st_size == 0:
        return LeftOut(path, "an empty file", damaged=named_so)
    return LeftOut(path, "not a DICOM, NIfTI or image file", damaged=named_so)


def _why_not(header: Dataset) -> str:
    """Say why this object is no CT slice; empty if it is one."""
    sop_class = str(header.get("SOPClassUID", ""))
    modality = str(header.get("Modality", "") or "")
    if sop_class.startswith(SECONDARY_CAPTURE):
        return "a secondary capture"
    if modality == "SEG":
        return "a segmentation (SEG)"
    if sop_class not in (CT_IMAGE, *ENHANCED_CT):
        name = pydicom.uid.UID(sop_class).name if sop_class else "an unknown object"
        return f"not a CT image ({modality or 'no modality'}, {name})"
    if modality not in ("CT", ""):
        return f"not CT but {modality}"
    return _why_not_hu(header)


def _why_not_hu(header: Dataset) -> str:
    """Say why these pixels are no slice in HU; empty if they are."""
    kinds = [str(value).strip().upper() for value in header.get("ImageType", None) or []]
    found = [NOT_A_SLICE[kind] for kind in kinds if kind in NOT_A_SLICE]
    if found:
        return found[0]
    scale = str(header.get("RescaleType", "") or "HU").strip().upper()
    return "" if scale in ("HU", "HU_MOD", "US") else f"pixels in {scale}, not HU"


def _frames(path: Path, header: Dataset) -> tuple[Slice, ...]:
    """Make one record per slice of a single-frame or enhanced multi-frame file."""
    if str(header.SOPClassUID) == CT_IMAGE:
        return (_slice(path, None, header, [header]),)
    shared = header.SharedFunctionalGroupsSequence[0]
    groups = header.PerFrameFunctionalGroupsSequence
    return tuple(
        _slice(path, number, header, [*_items(group), *_items(shared), header])
        for number, group in enumerate(groups)
    )


def _items(group: Dataset) -> list[Dataset]:
    """Return the first item of each functional group."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def _slice(path: Path, frame: int | None, header: Dataset, places: Sequence[Dataset]) -> Slice:
    """Read one slice's facts, each from the first of `places` that has it."""

    def find(name: str, default: Any = None) -> Any:
        return next(
            (p[name].value for p in places if name in p and p[name].value not in (None, "")),
            default,
        )

    orientation = [
        float(value)
        for value in _needed(find("ImageOrientationPatient"), "ImageOrientationPatient", 6)
    ]
    spacing = _needed(find("PixelSpacing"), "PixelSpacing", 2)
    position = _needed(find("ImagePositionPatient"), "ImagePositionPatient", 3)
    return Slice(
        path=path,
        frame=frame,
        sop_uid=str(header.get("SOPInstanceUID", "")),
        identity=_identity(header, path),
        shape=(int(header.Rows), int(header.Columns)),
        pixel_mm=(float(spacing[0]), float(spacing[1])),
        row_axis=tuple(orientation[:3]),
        column_axis=tuple(orientation[3:]),
        position_mm=tuple(float(value) for value in position),
        slope=float(find("RescaleSlope", 1.0)),
        intercept=float(find("RescaleIntercept", 0.0)),
        tilt_tag_deg=float(find("GantryDetectorTilt", 0.0)),
        facts=_facts(find),
    )


def _needed(value: Any, name: str, count: int) -> Any:
    """Refuse a missing or short geometry value."""
    if value is None or len(value) != count:
        raise ValueError(f"no {name}")
    return value


def _identity(header: Dataset, path: Path) -> Identity:
    """Read the identifiers; a slice without a series UID belongs to its folder's series."""

    def text(name: str) -> str:
        return str(header.get(name, "") or "").strip()

    return Identity(
        patient_id=text("PatientID"),
        accession_number=text("AccessionNumber"),
        study_uid=text("StudyInstanceUID"),
        series_uid=text("SeriesInstanceUID") or f"folder:{path.parent}",
        study_date=text("StudyDate"),
    )


def _facts(find: Any) -> ScanFacts:
    """Read the technical tags that may predict a label."""
    kernel = find("ConvolutionKernel", "")
    agent = str(find("ContrastBolusAgent", "")).strip().lower()
    thickness, kvp = find("SliceThickness"), find("KVP")
    return ScanFacts(
        thickness_mm=None if thickness is None else float(thickness),
        kernel=str(kernel if isinstance(kernel, str) else "\\".join(map(str, kernel))).strip(),
        contrast="" if not agent else "no" if agent in ("none", "no") else "yes",
        manufacturer=str(find("Manufacturer", "")).strip(),
        model=str(find("ManufacturerModelName", "")).strip(),
        kvp=None if kvp is None else float(kvp),
    )
