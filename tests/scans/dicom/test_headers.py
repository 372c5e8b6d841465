"""Which files are CT slices, and why the others aren't."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearbench.scans.dicom.headers import read_slices
from clearbench.scans.dicom.records import LeftOut

WriteCT = Callable[..., list[Path]]
NOISY = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns, then reads it


@pytest.fixture
def one(tmp_path: Path, write_ct: WriteCT) -> Callable[..., Path]:
    """Write one slice with the given tags; None removes a tag."""

    def write(**tags: object) -> Path:
        def edit(dataset: pydicom.FileDataset, _: int) -> None:
            for name, value in tags.items():
                if value is None:
                    delattr(dataset, name)
                else:
                    setattr(dataset, name, value)
            if "SOPClassUID" in tags:
                dataset.file_meta.MediaStorageSOPClassUID = tags["SOPClassUID"]

        return write_ct(tmp_path / "one", np.zeros((1, 2, 2), np.int16), edit=edit)[0]

    return write


@pytest.fixture
def whole(one: Callable[..., Path]) -> bytes:
    """The bytes of one slice."""
    return one().read_bytes()


def left_out(path: Path) -> LeftOut:
    """The file as one that is left out."""
    found = read_slices(path)
    assert isinstance(found, LeftOut)
    return found


def test_a_slice_has_its_position_and_technique(one: Callable[..., Path]) -> None:
    path = one(
        ContrastBolusAgent="Omnipaque",
        ConvolutionKernel=["Br40d", "3"],
        GantryDetectorTilt=-12.5,
        StudyDate="20200131",
    )
    (item,) = read_slices(path)
    assert item.shape == (2, 2)
    assert item.pixel_mm == (0.8, 0.7)
    assert item.frame is None
    assert item.facts.contrast == "yes"
    assert item.facts.kernel == "Br40d\\3"
    assert item.facts.thickness_mm == 5.0
    assert item.tilt_tag_deg == -12.5
    assert (item.identity.patient_id, item.identity.study_date) == ("p1", "20200131")


@pytest.mark.parametrize("agent", ["NONE", "No"])
def test_an_agent_called_none_is_none(one: Callable[..., Path], agent: str) -> None:
    (item,) = read_slices(one(ContrastBolusAgent=agent))
    assert item.facts.contrast == "no"


def test_a_missing_modality_is_not_a_fault(one: Callable[..., Path], shared_data: Path) -> None:
    assert len(read_slices(one(Modality=None))) == 1
    for name in ("0.dcm", "1.dcm"):
        path = shared_data / "dicom" / "small" / "lungmask" / name
        assert "Modality" not in pydicom.dcmread(path, stop_before_pixels=True)
        assert len(read_slices(path)) == 1


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "a maximum intensity projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PERFUSION"]}, "a perfusion map, not HU (PERFUSION)"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "a secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, "MR Image Storage"),
        ({"Modality": "PT"}, "PT, not CT"),
        ({"RescaleType": "US"}, ""),
        ({"RescaleType": "Z_EFF"}, "pixels in Z_EFF, not HU"),
    ],
)
def test_a_file_without_a_slice_in_hu_is_left_out_with_its_reason(
    one: Callable[..., Path], tags: dict[str, object], reason: str
) -> None:
    found = read_slices(one(**tags))
    if not reason:
        assert isinstance(found, tuple)
        return
    assert isinstance(found, LeftOut)
    assert reason in found.reason
    assert not found.damaged


@pytest.mark.parametrize(
    "tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"]
)
def test_a_slice_without_its_geometry_is_damaged(one: Callable[..., Path], tag: str) -> None:
    found = left_out(one(**{tag: None}))
    assert f"no {tag}" in found.reason
    assert found.damaged


@pytest.mark.parametrize(
    ("name", "content", "reason", "damaged"),
    [
        ("a.dcm", b"", "an empty file", True),
        ("a.dcm", b"garbage" * 99, "not a DICOM", True),
        ("a.dcm", b"\0" * 128 + b"DICM", "cut off or damaged", True),
        ("notes.txt", b"hello", "not a DICOM", False),
        ("LOCK", b"", "an empty file", False),
    ],
)
def test_a_file_that_claims_to_be_dicom_is_damaged(
    tmp_path: Path, name: str, content: bytes, reason: str, damaged: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    found = left_out(tmp_path / name)
    assert reason in found.reason
    assert found.damaged is damaged


@NOISY
def test_a_header_cut_off_anywhere_is_never_left_out_in_silence(one: Callable[..., Path]) -> None:
    """Otherwise a folder loses a slice without an error."""
    path = one()
    whole = path.read_bytes()
    pixels = whole.rindex(b"\xe0\x7f\x10\x00")
    for length in range(0, pixels, 7):
        path.write_bytes(whole[:length])
        found = read_slices(path)
        if isinstance(found, LeftOut):
            assert found.damaged, (length, found)


@NOISY
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_bytes_changed_at_random_are_refused_or_read_and_never_crash(
    data: st.DataObject, whole: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "changed.dcm"
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    assert isinstance(read_slices(path), tuple | LeftOut)


def test_real_segmentations_and_perfusion_maps_are_left_out(shared_data: Path) -> None:
    small = shared_data / "dicom" / "small"
    for path in sorted(small.glob("highdicom/seg_*.dcm")):
        assert left_out(path).reason == "a segmentation (SEG)"
    assert left_out(small / "pydicom" / "liver.dcm").reason == "a segmentation (SEG)"
    perfusion = left_out(small / "pydicom" / "eCT_Supplemental.dcm")
    assert perfusion.reason == "a perfusion map, not HU (PERFUSION)"


def test_an_enhanced_ct_without_functional_groups_is_damaged(one: Callable[..., Path]) -> None:
    found = left_out(one(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1"))
    assert "damaged header" in found.reason
    assert found.damaged


@pytest.mark.parametrize(
    ("agent", "contrast"),
    [("No contrast", "no"), ("W/O", "no"), ("0", "no"), ("None.", "no"), ("Omnipaque 350", "yes")],
)
def test_an_agent_that_is_none_is_no_contrast(
    one: Callable[..., Path], agent: str, contrast: str
) -> None:
    (item,) = read_slices(one(ContrastBolusAgent=agent))
    assert item.facts.contrast == contrast


@pytest.mark.parametrize("name", ["SliceThickness", "KVP", "GantryDetectorTilt"])
@NOISY
def test_an_optional_number_that_can_t_be_read_is_blank_and_noted(
    one: Callable[..., Path], name: str
) -> None:
    path = one(**{name: "2.500000001"})
    path.write_bytes(path.read_bytes().replace(b"2.500000001", b"2,500000001"))
    (item,) = read_slices(path)
    (note,) = item.facts.notes
    assert note.text == f"{name} is not a number; it is left blank"
    assert note.sentence == f"{note.text} ('2,500000001')"
    assert (note.kind, note.file, note.tag) == ("header", path.name, name)
    assert item.tilt_tag_deg == 0.0


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PixelSpacing": [0, 0]}, r"PixelSpacing is 0 \\ 0, not above 0"),
        ({"PixelSpacing": [-1, 1]}, r"PixelSpacing is -1 \\ 1, not above 0"),
        ({"ImageOrientationPatient": [0] * 6}, "not two axes at right angles"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two axes at right angles"),
        ({"ImagePositionPatient": ["nan", "0", "0"]}, "ImagePositionPatient is"),
        ({"PixelSpacing": ["inf", "1"]}, "PixelSpacing is"),
        ({"RescaleSlope": 0}, "RescaleSlope is 0: it must be above 0"),
        ({"NumberOfFrames": 8}, "several frames without a position for each"),
    ],
)
@NOISY
def test_impossible_geometry_is_refused_by_name(
    one: Callable[..., Path], tags: dict[str, object], words: str
) -> None:
    found = left_out(one(**tags))
    assert found.damaged
    assert re.search(words, found.reason)


@pytest.mark.parametrize(
    "term",
    [
        "MINIMUM",
        "MAXIMUM",
        "STD_DEVIATION",
        "SUBTRACTION",
        "TTP",
        "MTT",
        "MAT_SPECIFIC",
        "EFF_ATOMIC_NUM",
        "ELECTRON_DENSITY",
        "RCBF",
        "MIN_IP",
        "IODINE",
    ],
)
def test_maps_and_combined_images_are_left_out_with_their_term(
    one: Callable[..., Path], term: str
) -> None:
    found = left_out(one(ImageType=["DERIVED", "PRIMARY", "AXIAL", term], RescaleType="US"))
    assert not found.damaged
    assert f"({term})" in found.reason


def test_virtual_images_in_hu_are_noted(one: Callable[..., Path]) -> None:
    (item,) = read_slices(one(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"]))
    assert item.facts.problems == ("a material is removed (virtual non-contrast) (MAT_REMOVED)",)


def test_a_derived_picture_without_a_position_costs_nothing_else(one: Callable[..., Path]) -> None:
    path = one(ImageType=["DERIVED", "SECONDARY", "3D"], ImagePositionPatient=None)
    found = left_out(path)
    assert (found.reason, found.damaged) == ("a derived CT image without a position", False)
