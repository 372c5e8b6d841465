"""The tags of one slice, from its frame, the shared groups or the header, with faults by name."""

import math
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

# Small faults against the standard are common and harmless here; the values in use are checked.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE

READ = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "PatientID", "PatientBirthDate",
    "PatientSex", "IssuerOfPatientID", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID",
    "StudyDate", "AcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime",
    "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase", "SliceThickness",
    "ConvolutionKernel", "ContrastBolusAgent", "Manufacturer", "ManufacturerModelName", "KVP",
    "GantryDetectorTilt",
    "ImageOrientationPatient", "ImagePositionPatient", "Rows", "Columns", "PixelSpacing",
    "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "BitsAllocated", "BitsStored", "PixelRepresentation", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip


SHARED = "SharedFunctionalGroupsSequence"
# of DICOM PS3.3 A.38.1.4 and A.70.3, those that hold a tag in use
FUNCTIONAL_GROUPS = (
    "PixelMeasuresSequence", "FrameContentSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "CardiacSynchronizationSequence", "ContrastBolusUsageSequence",
    "TemporalPositionSequence", "PixelValueTransformationSequence", "CTImageFrameTypeSequence",
    "CTAcquisitionTypeSequence", "CTAcquisitionDetailsSequence", "CTTableDynamicsSequence",
    "CTPositionSequence", "CTGeometrySequence", "CTReconstructionSequence", "CTExposureSequence",
    "CTXRayDetailsSequence", "FrameAnatomySequence",
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)  # fmt: skip


class BadTag(ValueError):
    """A tag has no value of its kind; `plain` says so without the text that is there instead."""

    def __init__(self, name: str, written: str, reason: str) -> None:
        super().__init__(f"{name} is {written!r}, {reason}")
        self.plain, self.written = f"{name} is {reason}", written


@dataclass(frozen=True)
class Tags:
    """The tags of one slice; each comes from the first of `data_sets` that has it."""

    data_sets: Sequence[Dataset]
    _found: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str, default: Any = None) -> Any:
        """Return a tag's value; `default` if it is absent or empty.

        Raises ValueError with the tag's name if its text is not of its type.
        """
        if name not in self._found:
            try:
                self._found[name] = self._first(_tag_of(name))
            except Exception as error:  # pydicom parses a value when it is asked for
                raise BadTag(name, self._as_written(name), "not a number") from error
        value = self._found[name]
        return default if value is None else value

    def _first(self, tag: BaseTag) -> Any:
        """Return the first value that isn't empty; None if there is none."""
        for tags in self.data_sets:
            if tag in tags:
                value = tags[tag].value
                if value not in (None, ""):
                    return value
        return None

    def _as_written(self, name: str) -> str:
        """Return a tag's text as it is in the file."""
        tag = _tag_of(name)
        data_set = next((tags for tags in self.data_sets if tag in tags), None)
        if data_set is None:
            return ""
        # the raw element: the usual access would parse the value again, and fail again
        raw = data_set.get_item(tag)
        value = getattr(raw, "value", "")
        if isinstance(value, MutableSequence | tuple):
            return "\\".join(map(str, value))
        # latin-1 decodes every byte
        return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else str(value)

    def text(self, name: str) -> str:
        """Return a tag as text without spaces around it; "" if absent."""
        value = self.value(name, "")
        return (value if isinstance(value, str) else "\\".join(map(str, _listed(value)))).strip()

    def words(self, name: str) -> tuple[str, ...]:
        """Return a tag's values as words in upper case; () if absent."""
        return tuple(str(value).strip().upper() for value in _listed(self.value(name, ())))

    def number(self, name: str) -> float | None:
        """Return a tag as a finite number, its first value if it has several; None if absent.

        Raises ValueError with the tag's name if it is something else.
        """
        value = self.value(name)
        return None if value is None else self._finite(name, _listed(value)[:1])[0]

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """Return a tag of `count` finite numbers; raises ValueError with its name otherwise."""
        values = _listed(self.value(name, ()))
        if not values:
            raise ValueError(f"no {name}")
        found = self._finite(name, values)
        if len(found) != count:
            raise ValueError(f"{name} has {len(found)} values, not {count}")
        return found

    def _finite(self, name: str, values: Sequence[Any]) -> tuple[float, ...]:
        """Return values as finite numbers; raises ValueError with the tag and its text."""
        try:
            found = tuple(float(value) for value in values)
        except (TypeError, ValueError) as error:
            raise BadTag(name, self._as_written(name), "not a number") from error
        if not all(map(math.isfinite, found)):
            raise BadTag(name, self._as_written(name), "not a finite number")
        return found

    def has(self, name: str) -> bool:
        """Tell whether a tag is there, and not empty."""
        return self.value(name) is not None


@cache
def _tag_of(name: str) -> BaseTag:
    """Return the tag of a keyword; looking it up for every slice costs a fifth of reading it."""
    return Tag(name)


def _listed(value: Any) -> Sequence[Any]:
    """Return a tag's values as a list, also for a single value."""
    # pydicom's MultiValue is a MutableSequence, but not a list
    return value if isinstance(value, MutableSequence | tuple) else [value]


def frame_tags(header: Dataset) -> Iterator[Tags]:
    """Yield the tags of every frame: its own, the shared ones, the header's."""
    shared = [item for group in header.get(SHARED) or () for item in _items(group)]
    for group in header.PerFrameFunctionalGroupsSequence:
        yield Tags([*_items(group), *shared, header])


def _items(group: Dataset) -> list[Dataset]:
    """Return the first item of each functional group that describes the frame itself.

    Others, such as private ones and references, hold the tags of other images.
    """
    found = (group.get(name) for name in FUNCTIONAL_GROUPS)
    return [items[0] for items in found if isinstance(items, MutableSequence) and items]
