"""DICOM headers → CT slices with their positions, or the reason why a file isn't a CT slice."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from clearbench.scans.dicom.objects import (
    CT_IMAGE,
    NOTED_TYPES,
    image_type,
    is_cut_off,
    sop_class_of,
    why_not_ct,
    why_not_hu,
)
from clearbench.scans.dicom.tags import READ, UNPARSED, Tags, frame_tags
from clearbench.scans.notes import Note
from clearbench.scans.volume import ScanFacts

NO_CONTRAST = (
    "0", "0 ml", "-", "n", "na", "n/a", "no", "non", "none", "nil", "nein", "ohne", "sans",
    "native", "nativ", "plain", "w/o", "wo", "without", "off", "false", "no contrast",
    "non contrast", "noncontrast", "non-contrast", "without contrast", "w/o contrast",
    "wo contrast", "no iv contrast", "unenhanced", "no contrast given", "not given", "none given",
)  # fmt: skip
UNIT_TOLERANCE = 0.05  # of the length of an axis, and of the cosine between two
MOST_SLOPE, MOST_INTERCEPT = 1e4, 1e6
DICOM_SUFFIXES = (".dcm", ".ima")
MOST_GROUP_BYTES = 8
NOTED_UNITS = {
    "HU_MOD": "its HU were modified (RescaleType HU_MOD)",
    "US": "its unit is not stated (RescaleType US)",
}
PAIR = "a header and image pair (Analyze or NIfTI), which is not read: save it as .nii.gz"
ARCHIVE = "an archive: unpack it"
OTHER_FORMATS = {
    **dict.fromkeys((".nrrd", ".nhdr"), "NRRD, which is not read: save it as .nii.gz"),
    **dict.fromkeys((".hdr", ".img"), PAIR),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".gz"), ARCHIVE),
}


@dataclass(frozen=True)
class Identity:
    """The identifiers of a scan in clear: labels are joined on them; they are never stored.

    series_uid  names the scan in its study: the SeriesInstanceUID, and after it the part, where
                one series is several scans
    part        which part of its series a scan is, such as acquisition-2; "" if it is all of it
    """

    patient_id: str
    accession_number: str
    study_uid: str
    series_uid: str
    study_date: str
    birth_date: str = ""
    sex: str = ""
    part: str = ""

    @property
    def series_instance_uid(self) -> str:
        """Return the SeriesInstanceUID as it is in the header."""
        return self.series_uid.removesuffix(f".{self.part}") if self.part else self.series_uid

    @property
    def full_name(self) -> str:
        """Return a name that differs even where patients or studies share a SeriesInstanceUID."""
        return ".".join(filter(None, (self.series_uid, self.patient_id, self.study_uid)))

    def of_part(self, part: str) -> "Identity":
        """Return the identity of a part of the series."""
        name = f"{self.series_instance_uid}.{part}"
        return replace(self, series_uid=name, part=part)


@dataclass(frozen=True)
class Scale:
    """How stored values become HU: by slope and intercept, or by a table (a Modality LUT).

    explicit  the header says so; else the values are taken as they are
    unsigned  stored values can't be negative, so without a scale they aren't HU
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: bool = False
    explicit: bool = True
    unsigned: bool = False
    bits: int = 16


@dataclass(frozen=True)
class Phase:
    """What tells slices apart that are at the same place: all "" in most series."""

    acquisition: str = ""
    temporal: str = ""
    cardiac: str = ""
    stack: str = ""
    image_type: tuple[str, ...] = ()
    clock: str = ""


@dataclass(frozen=True)
class Slice:
    """One CT slice: where its pixels are, and its position in the patient (LPS mm).

    `frame` is None for a single-frame file.
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
    scale: Scale
    tilt_tag_deg: float
    facts: ScanFacts
    phase: Phase = Phase()


@dataclass(frozen=True)
class LeftOut:
    """A file that isn't a CT slice, and why; `damaged` if it should be one.

    `series_uid` is its series, if it is a CT image that isn't taken.
    """

    path: Path
    reason: str
    damaged: bool = False
    series_uid: str = ""


def read_slices(path: Path) -> tuple[Slice, ...] | LeftOut:
    """Read one file's header: its CT slices (several if multi-frame), or why it has none."""
    try:
        header = open_header(path)
    except InvalidDicomError:
        return _not_dicom(path)
    except UNPARSED as error:
        return LeftOut(path, f"its header can't be read ({error})", damaged=True)
    try:
        if is_cut_off(header):
            return LeftOut(path, "its header is cut off or damaged", damaged=True)
        return _frames(path, header)
    except UNPARSED as error:
        return LeftOut(path, f"a CT slice with a damaged header ({error})", damaged=True)


def open_header(path: Path) -> Dataset:
    """Read the tags in use; raises what pydicom raises."""
    # pixels are most of a file, and every parsed tag costs time
    return _open(path, stop_before_pixels=True, specific_tags=list(READ))


def open_whole(path: Path) -> Dataset:
    """Read a file with its pixel data; raises what pydicom raises."""
    return _open(path)


def _open(path: Path, **how: Any) -> Dataset:
    """Read a file; one without the DICOM prefix is tried if it begins like a data set."""
    try:
        return pydicom.dcmread(path, **how)
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


def begins_like_dicom(path: Path) -> bool:
    """Tell whether a file without the DICOM prefix begins with an element of group 2 or 8."""
    with path.open("rb") as file:
        head = file.read(MOST_GROUP_BYTES)
    if len(head) < MOST_GROUP_BYTES:
        return False
    groups = {int.from_bytes(head[:2], order) for order in ("little", "big")}
    # The element's number is small in both groups, so its high byte is 0 in most files; what
    # follows is two letters (the type) or a length of at most 16 bits.
    typed = head[4:6].isalpha() and head[4:6].isupper()
    short = int.from_bytes(head[4:8], "little") < 2**16 or int.from_bytes(head[4:8], "big") < 2**16
    return bool(groups & {0x0002, 0x0008}) and (typed or short)


def _not_dicom(path: Path) -> LeftOut:
    """Describe a file without a DICOM header: it is damaged if its suffix is .dcm or .ima."""
    suffix = path.suffix.lower()
    if suffix in OTHER_FORMATS:
        return LeftOut(path, OTHER_FORMATS[suffix])
    dicom_name = suffix in DICOM_SUFFIXES
    if path.stat().st_size == 0:
        return LeftOut(path, "an empty file", damaged=dicom_name)
    return LeftOut(path, "not a DICOM, NIfTI or image file", damaged=dicom_name)


def _frames(path: Path, header: Dataset) -> tuple[Slice, ...] | LeftOut:
    """Return the slices of a single-frame or enhanced multi-frame file, or why it has none."""
    series_uid = Tags([header]).text("SeriesInstanceUID")
    reason = why_not_ct(header)
    if reason:
        return LeftOut(path, reason, series_uid=series_uid)
    several = sop_class_of(header) != CT_IMAGE
    if not several and int(header.get("NumberOfFrames", 1) or 1) > 1:
        return LeftOut(
            path, "a CT image of several frames without a position for each", damaged=True
        )
    frames = list(frame_tags(header)) if several else [Tags([header])]
    reasons = [why_not_hu(tags) for tags in frames]
    if all(reasons):
        return LeftOut(path, reasons[0], series_uid=series_uid)
    if not several and _is_placeless(frames[0]):
        return LeftOut(path, "a derived CT image without a position", series_uid=series_uid)
    slices = [
        _slice(path, number if several else None, tags)
        for number, (tags, unfit) in enumerate(zip(frames, reasons, strict=True))
        if not unfit
    ]
    gone = Counter(reason for reason in reasons if reason)
    notes = tuple(
        Note("files", f"{count} frames are left out: {reason}", path.name)
        for reason, count in gone.items()
    )
    return tuple(replace(item, facts=item.facts.with_notes(*notes)) for item in slices)


def _is_placeless(tags: Tags) -> bool:
    """Tell whether an object has no place in the patient, and says that it is derived."""
    placed = tags.has("ImagePositionPatient") and tags.has("ImageOrientationPatient")
    return not placed and bool({"DERIVED", "SECONDARY"} & set(tags.words("ImageType")[:2]))


def _slice(path: Path, frame: int | None, tags: Tags) -> Slice:
    """Read one slice's position, scale and facts; raises ValueError with the tag at fault."""
    row_axis, column_axis = _orientation(tags)
    down_mm, right_mm = tags.numbers("PixelSpacing", 2)
    if min(down_mm, right_mm) <= 0:
        raise ValueError(f"PixelSpacing is {down_mm:g} \\ {right_mm:g}, not above 0")
    optional = _Optional(tags, path.name)
    return Slice(
        path=path,
        frame=frame,
        sop_uid=tags.text("SOPInstanceUID"),
        identity=_identity(tags),
        shape=(int(tags.numbers("Rows", 1)[0]), int(tags.numbers("Columns", 1)[0])),
        pixel_mm=(down_mm, right_mm),
        row_axis=row_axis,
        column_axis=column_axis,
        position_mm=tags.numbers("ImagePositionPatient", 3),
        scale=_scale(tags),
        tilt_tag_deg=optional.number("GantryDetectorTilt") or 0.0,
        facts=_facts(tags, optional, path.name),
        phase=_phase(tags),
    )


def _orientation(tags: Tags) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the axes along a row and down a column; raises ValueError if they are no axes."""
    found = tags.numbers("ImageOrientationPatient", 6)
    row, column = np.array(found[:3]), np.array(found[3:])
    lengths = (float(np.linalg.norm(row)), float(np.linalg.norm(column)))
    unit = max(abs(length - 1) for length in lengths) < UNIT_TOLERANCE
    if not unit or abs(float(row @ column)) > UNIT_TOLERANCE:
        raise ValueError(f"ImageOrientationPatient is {found}: not two axes at right angles")
    return found[:3], found[3:]


def _scale(tags: Tags) -> Scale:
    """Read how stored values become HU; raises ValueError for a slope of 0."""
    slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
    if slope == 0:
        raise ValueError("RescaleSlope is 0: every pixel would have one value")
    for name, number, most in (
        ("RescaleSlope", slope, MOST_SLOPE),
        ("RescaleIntercept", intercept, MOST_INTERCEPT),
    ):
        if number is not None and abs(number) > most:
            raise ValueError(f"{name} is {number:g}, which no CT has")
    table = tags.has("ModalityLUTSequence")
    return Scale(
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        table=table,
        # a slope alone doesn't say where 0 HU is
        explicit=table or intercept is not None,
        # absent counts as unsigned, the cautious side: without a scale it is refused
        unsigned=(tags.number("PixelRepresentation") or 0) == 0,
        bits=int(tags.number("BitsAllocated") or 16),
    )


def _identity(tags: Tags) -> Identity:
    """Read the identifiers; "" where the header has none."""
    return Identity(
        patient_id=tags.text("PatientID"),
        accession_number=tags.text("AccessionNumber"),
        study_uid=tags.text("StudyInstanceUID"),
        series_uid=tags.text("SeriesInstanceUID"),
        study_date=tags.text("StudyDate"),
        birth_date=tags.text("PatientBirthDate"),
        sex=tags.text("PatientSex"),
    )


def _phase(tags: Tags) -> Phase:
    """Read what tells slices apart that are at the same place."""

    def text(*names: str) -> str:
        return next(filter(None, map(_quiet(tags), names)), "")

    # enhanced multi-frame files have the same facts per frame, under the first name
    return Phase(
        acquisition=text("FrameAcquisitionNumber", "AcquisitionNumber"),
        temporal=text("TemporalPositionIndex", "TemporalPositionIdentifier"),
        cardiac=text("NominalPercentageOfCardiacPhase"),
        stack=text("StackID"),
        image_type=image_type(tags),
        clock=text("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
    )


def _quiet(tags: Tags) -> Callable[[str], str]:
    """Return a reader of optional texts: what can't be read is absent."""

    def read(name: str) -> str:
        try:
            return tags.text(name)
        except ValueError:
            return ""

    return read


class _Optional:
    """Reads tags that a slice may lack; what can't be read is left blank, and noted."""

    def __init__(self, tags: Tags, file: str) -> None:
        self.tags, self.file = tags, file
        self.notes: list[Note] = []

    def number(self, name: str) -> float | None:
        """Return a number, or None with a note."""
        try:
            return self.tags.number(name)
        except ValueError as error:
            self._note(name, error)
            return None

    def text(self, name: str) -> str:
        """Return a text, or "" with a note."""
        try:
            return self.tags.text(name)
        except ValueError as error:
            self._note(name, error)
            return ""

    def _note(self, name: str, error: ValueError) -> None:
        """Note a tag that can't be read."""
        self.notes.append(Note("header", f"{error}; it is left blank", self.file, name))


def _facts(tags: Tags, optional: _Optional, file: str) -> ScanFacts:
    """Read the technical tags that may predict a label, with notes on the ones in use."""
    facts = ScanFacts(
        thickness_mm=optional.number("SliceThickness"),
        kernel=optional.text("ConvolutionKernel"),
        contrast=_contrast(optional.text("ContrastBolusAgent")),
        manufacturer=optional.text("Manufacturer"),
        model=optional.text("ManufacturerModelName"),
        kvp=optional.number("KVP"),
    )
    kind = tags.text("RescaleType").upper()
    noted = [
        Note("values", f"{NOTED_TYPES[term]} ({term})", file, "ImageType")
        for term in image_type(tags)
        if term in NOTED_TYPES
    ]
    if tags.has("RescaleIntercept") and not tags.has("RescaleSlope"):
        noted.append(
            Note("values", "no RescaleSlope in the header; 1 is taken", file, "RescaleSlope")
        )
    if kind in NOTED_UNITS:
        noted.append(Note("values", NOTED_UNITS[kind], file, "RescaleType"))
    return facts.with_notes(*optional.notes, *noted)


def _contrast(agent: str) -> str:
    """Return yes, no, or "" without an agent; "No contrast", "W/O" and "0" are no agents."""
    if not agent:
        return ""
    return "no" if agent.lower().strip(" .") in NO_CONTRAST else "yes"
