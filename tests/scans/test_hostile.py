"""Whatever stands in the headers, a scan is read, refused or left out, and nothing is silent."""

import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearbench.errors import UnreadableScan
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series

SLICES = 5
RNG = np.random.default_rng(0)
HU = RNG.integers(-1000, 1000, (SLICES, 20, 16)).astype(np.int16)
HEADER = DicomHeader(
    "p", seeded_uid("study"), seeded_uid("series"), "a", 3.0, "B30f", False, "M", "O", 120.0, "d"
)
TAGS = [
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "Rows",
    "Columns",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "NumberOfFrames",
    "SliceThickness",
    "KVP",
    "GantryDetectorTilt",
    "ImageType",
    "ConvolutionKernel",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyDate",
    "Modality",
    "ContrastBolusAgent",
    "SamplesPerPixel",
    "NominalPercentageOfCardiacPhase",
    "PixelPaddingValue",
    "AcquisitionTime",
    "PatientBirthDate",
]
VALUES = (
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e308",
    "1,5",
    "abc",
    "1\\2",
    "999999999999",
    0,
    7,
    -3,
    None,
)


def spoil(path: Path, tags: list[tuple[str, object]]) -> bool:
    """Put values into a file's header, None for no such tag; False if no file can hold them."""
    dataset = pydicom.dcmread(path)
    try:
        for name, value in tags:
            if value is None:
                dataset.pop(name, None)
            else:
                setattr(dataset, name, value)
        draft = path.with_suffix(".draft")
        dataset.save_as(draft)
    except (ArithmeticError, AttributeError, OSError, TypeError, ValueError):
        path.with_suffix(".draft").unlink(missing_ok=True)
        return False
    draft.replace(path)
    return True


@pytest.mark.filterwarnings("ignore")  # pydicom warns of each value
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(VALUES)), min_size=1, max_size=3),
    st.sets(st.integers(0, SLICES - 1), min_size=1),
)
def test_hostile_headers_are_read_refused_or_noted(
    tags: list[tuple[str, object]], chosen: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dicom_series(Path(folder), HU, (3.0, 0.8, 0.7), header=HEADER)
        files = sorted(Path(folder).iterdir())
        for number in chosen:
            spoil(files[number], tags)
        series = {
            str(pydicom.dcmread(file, stop_before_pixels=True).get("SeriesInstanceUID", ""))
            for file in files
        }
        for found in find_scans(Path(folder)).scans:
            name = found.identity.series_uid if found.identity else ""
            try:
                scan = read_scan(ScanSource(found.path, name))
            except UnreadableScan:
                continue
            assert not found.error
            assert np.isfinite(scan.pixels).all()
            whole = scan.pixels.shape == HU.shape and np.array_equal(scan.pixels, HU)
            assert whole or scan.facts.notes or len(series) > 1
