"""One CT slice as its header describes it: what it is of, where it is, how its values become HU."""

from dataclasses import dataclass, replace
from pathlib import Path

from clearbench.scans.volume import ScanFacts


@dataclass(frozen=True)
class Identity:
    """The identifiers of a scan in clear: labels are joined on them; they are never stored.

    series_uid  names the scan in its study: the SeriesInstanceUID, and after it the part, where
                one series is several scans
    issuer      who issued the PatientID: two hospitals may each have a patient 0001
    part        which part of its series a scan is, such as acquisition-2; "" if it is all of it
    """

    patient_id: str
    accession_number: str
    study_uid: str
    series_uid: str
    study_date: str
    birth_date: str = ""
    sex: str = ""
    issuer: str = ""
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
    bits_stored: int = 16


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
