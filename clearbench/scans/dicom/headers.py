"""DICOM headers → CT slices with their positions, or the reason why a file isn't a CT slice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from clearbench.errors import UnreadableScan
from clearbench.scans.damage import TOO_LARGE, refused
from clearbench.scans.dicom.objects import (
    CT_IMAGE,
    NOTED_TYPES,
    image_type,
    is_cut_off,
    sop_class_of,
    why_not_ct,
    why_not_hu,
)
from clearbench.scans.dicom.opening import not_dicom, open_header
from clearbench.scans.dicom.records import Identity, LeftOut, Phase, Scale, Slice
from clearbench.scans.dicom.tags import BadTag, Tags, frame_tags
from clearbench.scans.notes import Note
from clearbench.scans.scanner_texts import as_read
from clearbench.scans.volume import ScanFacts

NO_CONTRAST = (
    "0", "0 ml", "-", "n", "na", "n/a", "no", "non", "none", "nil", "nein", "ohne", "sans",
    "native", "nativ", "plain", "w/o", "wo", "without", "off", "false", "no contrast",
    "non contrast", "noncontrast", "non-contrast", "without contrast", "w/o contrast",
    "wo contrast", "no iv contrast", "unenhanced", "no contrast given", "not given", "none given",
)  # fmt: skip
UNIT_TOLERANCE = 0.05  # of the length of an axis, and of the cosine between two
MOST_SLOPE, MOST_INTERCEPT = 1e4, 1e6
MOST_POSITION_MM = 1e5
NOTED_UNITS = {
    "HU_MOD": "its HU were modified (RescaleType HU_MOD)",
    "US": "its unit is not stated (RescaleType US)",
}


def read_slices(path: Path) -> tuple[Slice, ...] | LeftOut:
    """Read one file's header: its CT slices (several if multi-frame), or why it has none."""
    try:
        with refused("its header can't be read"):
            header = _header_of(path)
        if isinstance(header, LeftOut):
            return header
        with refused("a CT slice with a damaged header"):
            return _frames(path, header)
    except UnreadableScan as error:
        return LeftOut(path, str(error), damaged=True)
    except MemoryError:
        return LeftOut(path, TOO_LARGE, damaged=True)


def _header_of(path: Path) -> Dataset | LeftOut:
    """Read a header, or say what the file is instead of a DICOM file."""
    try:
        header = open_header(path)
    except InvalidDicomError:
        return not_dicom(path)
    if is_cut_off(header):
        return LeftOut(path, "its header is cut off or damaged", damaged=True)
    return header


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
    if several:
        _refuse_other_count(header)
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


def _refuse_other_count(header: Dataset) -> None:
    """Raise ValueError for an enhanced file that places more or fewer frames than it has."""
    groups, count = header.get("PerFrameFunctionalGroupsSequence"), header.get("NumberOfFrames")
    if not groups:
        raise ValueError("no PerFrameFunctionalGroupsSequence: its frames have no places")
    if count is None or int(count) != len(groups):
        shown = "missing" if count is None else count
        raise ValueError(f"NumberOfFrames is {shown}, but {len(groups)} frames have a place")


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
    phase = _phase(tags, optional)
    return Slice(
        path=path,
        frame=frame,
        sop_uid=tags.text("SOPInstanceUID"),
        identity=_identity(tags),
        shape=_shape(tags),
        pixel_mm=(down_mm, right_mm),
        row_axis=row_axis,
        column_axis=column_axis,
        position_mm=_position(tags),
        scale=_scale(tags),
        tilt_tag_deg=optional.number("GantryDetectorTilt") or 0.0,
        facts=_facts(tags, optional, path.name),
        phase=phase,
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


def _shape(tags: Tags) -> tuple[int, int]:
    """Return rows and columns; raises ValueError if there are none."""
    rows, columns = (int(tags.numbers(name, 1)[0]) for name in ("Rows", "Columns"))
    if min(rows, columns) < 1:
        raise ValueError(f"Rows × Columns is {rows} × {columns}: the image is empty")
    return rows, columns


def _position(tags: Tags) -> tuple[float, ...]:
    """Return the first voxel's centre; raises ValueError for a place that no scanner has."""
    found = tags.numbers("ImagePositionPatient", 3)
    if max(map(abs, found)) > MOST_POSITION_MM:
        text = " \\ ".join(f"{mm:g}" for mm in found)
        raise ValueError(f"ImagePositionPatient is {text} mm, which no scanner has")
    return found


def _scale(tags: Tags) -> Scale:
    """Read how stored values become HU; raises ValueError for a scale that no CT has."""
    slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
    if slope is not None and slope <= 0:
        raise ValueError(f"RescaleSlope is {slope:g}: it must be above 0")
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
        bits_stored=int(tags.number("BitsStored") or 16),
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
        issuer=tags.text("IssuerOfPatientID"),
    )


def _phase(tags: Tags, optional: "_Optional") -> Phase:
    """Read what tells slices apart that are at the same place."""

    def text(*names: str) -> str:
        return next(filter(None, map(optional.text, names)), "")

    # enhanced multi-frame files have the same facts per frame, under the first name
    return Phase(
        acquisition=text("FrameAcquisitionNumber", "AcquisitionNumber"),
        temporal=text("TemporalPositionIndex", "TemporalPositionIdentifier"),
        cardiac=text("NominalPercentageOfCardiacPhase"),
        stack=text("StackID"),
        image_type=image_type(tags),
        clock=text("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
    )


class _Optional:
    """Reads tags that a slice may lack; what can't be read is left blank, and noted."""

    def __init__(self, tags: Tags, file: str) -> None:
        self.tags, self.file = tags, file
        self.notes: list[Note] = []

    def number(self, name: str) -> float | None:
        """Return a number, or None with a note."""
        try:
            return self.tags.number(name)
        except BadTag as error:
            self._note(name, error)
            return None

    def text(self, name: str) -> str:
        """Return a text, or "" with a note."""
        try:
            return self.tags.text(name)
        except BadTag as error:
            self._note(name, error)
            return ""

    def _note(self, name: str, error: BadTag) -> None:
        """Note a tag that can't be read."""
        text = f"{error.plain}; it is left blank"
        self.notes.append(Note("header", text, self.file, name, error.written))


def _facts(tags: Tags, optional: _Optional, file: str) -> ScanFacts:
    """Read the technical tags that may predict a label, with notes on the ones in use."""
    facts = ScanFacts(
        thickness_mm=optional.number("SliceThickness"),
        kernel=as_read("kernel", optional.text("ConvolutionKernel")),
        contrast=_contrast(optional.text("ContrastBolusAgent")),
        manufacturer=as_read("manufacturer", optional.text("Manufacturer")),
        model=as_read("model", optional.text("ManufacturerModelName")),
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
