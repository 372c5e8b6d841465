"""Every real scan reads as it always did, to the last bit, and with these notes."""

from pathlib import Path

import pytest

from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, pixels_signature, read_scan

# The beginning of the hash of pixels and positions, and the notes.
COPY = "is a copy of another slice"
KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "dicom/chest_siemens_b40f": ("8249ea7c6e15c8bb", ()),
    "dicom/head_ge_gantry_tilt": (
        "78360197e905be44",
        (
            "SliceThickness differs between slices (4.0, 7.0)",
            "gantry tilt 18.5°",
            "uneven slice distance, 1.14 to 7.38 mm",
        ),
    ),
    "dicom/small": (
        "053af9781747da61",
        (f"1 file {COPY} (CT_small.dcm)", "a single slice"),
    ),
    "dicom/small/dcmqi": ("3398c1daa4c6aa8c", ()),
    "dicom/small/lungmask": ("37ee8f40e3460e8c", ()),
    "dicom/small/pydicom": (
        "3716d8194177292a",
        (f"1 file {COPY} (693_UNCR.dcm)", "a single slice"),
    ),
    "dicom/small/pydicom/explicit_VR-UN.dcm": ("2432528adc066ace", ("a single slice",)),
    "nifti/aorta_report_test_result_models_ct_cropped.nii.gz": ("d86ec4e5d157004c", ()),
    "nifti/ct_brain_atlas_1mm.nii.gz": (
        "bbca5bd2604e0bb6",
        ("hardly any air: 0.0% of the voxels are near -1000 HU; check that the values are HU",),
    ),
    "nifti/example_ct.nii.gz": ("bbe515906da58449", ()),
    "nifti/example_ct_sm.nii.gz": ("f4f0e2c031eb6ff4", ()),
    "nifti/pulmonary_report_models_ct_cropped.nii.gz": ("6e3a107e39d7c999", ()),
}


@pytest.mark.parametrize("folder", ["dicom", "nifti"])
def test_a_real_scan_reads_as_before(shared_data: Path, folder: str) -> None:
    found = {}
    for scan in find_scans(shared_data / folder).scans:
        place = scan.path.relative_to(shared_data).as_posix()
        if place in KNOWN:
            series = scan.identity.series_uid if scan.identity else ""
            read = read_scan(ScanSource(scan.path, series))
            found[place] = (pixels_signature(read)[:16], read.facts.problems)
    assert found == {place: known for place, known in KNOWN.items() if place.startswith(folder)}
