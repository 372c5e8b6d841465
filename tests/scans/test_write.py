"""Written series and NIfTI files contain the volume, with the same bytes every time."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series, write_nifti

SPACING_MM = (5.0, 0.8, 0.7)
HEADER = DicomHeader(
    patient_id="p1",
    study_uid=seeded_uid("study"),
    series_uid=seeded_uid("series"),
    accession_number="a1",
    thickness_mm=5.0,
    kernel="soft",
    contrast=True,
    manufacturer="ACME",
    model="One",
    kvp=120.0,
    series_description="test",
)


@pytest.fixture
def hu() -> NDArray[np.int16]:
    """A volume [6, 5, 4] in which every voxel differs, from the lowest HU to bone."""
    return np.linspace(-1024, 3000, 6 * 5 * 4).astype(np.int16).reshape(6, 5, 4)


def by_position(folder: Path) -> list[pydicom.FileDataset]:
    """The slices of a folder, feet to head."""
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    return sorted(slices, key=lambda dataset: float(dataset.ImagePositionPatient[2]))


def contents(folder: Path) -> dict[str, bytes]:
    """Names and bytes of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_series_gives_its_hu_back(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    """Stored numbers, rescaled and sorted by position, are the volume."""
    write_dicom_series(tmp_path, hu, SPACING_MM, header=HEADER)
    read = [
        d.pixel_array.astype(float) * d.RescaleSlope + d.RescaleIntercept
        for d in by_position(tmp_path)
    ]
    np.testing.assert_array_equal(np.stack(read), hu)


@pytest.mark.parametrize("lowest", [-32768, -2048, 0])
def test_any_int16_fits(tmp_path: Path, lowest: int) -> None:
    """Values far below air, or none below water, come back unchanged."""
    hu = np.array([lowest, 32767, 0, 5], dtype=np.int16).reshape(1, 2, 2)
    write_dicom_series(tmp_path, hu, SPACING_MM, header=HEADER)
    (dataset,) = by_position(tmp_path)
    read = dataset.pixel_array.astype(float) + float(dataset.RescaleIntercept)
    np.testing.assert_array_equal(read, hu[0])


def test_positions_ascend_with_the_slice(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    """Slices are one spacing apart along z and are centred in the plane."""
    write_dicom_series(tmp_path, hu, SPACING_MM, header=HEADER)
    slices = by_position(tmp_path)
    positions = np.array([d.ImagePositionPatient for d in slices], dtype=float)
    np.testing.assert_allclose(positions[:, 2], 5.0 * np.arange(6))
    np.testing.assert_allclose(positions[0, :2], (-1.05, -1.6))
    assert [float(mm) for mm in slices[0].PixelSpacing] == [0.8, 0.7]
    assert list(slices[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]


def test_names_do_not_tell_the_order(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    """A reader that sorts by file name gets the slices wrong."""
    write_dicom_series(tmp_path, hu, SPACING_MM, header=HEADER)
    named = [pydicom.dcmread(path) for path in sorted(tmp_path.iterdir())]
    z_mm = [float(d.ImagePositionPatient[2]) for d in named]
    assert z_mm not in (sorted(z_mm), sorted(z_mm, reverse=True))


def test_tags_say_how_the_scan_was_made(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    """Header fields are in their tags; the file format is valid."""
    write_dicom_series(tmp_path, hu, SPACING_MM, header=HEADER)
    for dataset in by_position(tmp_path):
        assert dataset.SOPClassUID == pydicom.uid.CTImageStorage
        assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert dataset.SOPInstanceUID.is_valid
        assert (dataset.PatientID, dataset.AccessionNumber) == ("p1", "a1")
        assert (dataset.ConvolutionKernel, dataset.SliceThickness) == ("soft", 5)
        assert dataset.ContrastBolusAgent


def test_no_contrast_no_agent(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    """The agent's tag is absent when none was given."""
    write_dicom_series(tmp_path, hu, SPACING_MM, header=replace(HEADER, contrast=False))
    assert "ContrastBolusAgent" not in by_position(tmp_path)[0]


def test_a_series_is_written_twice_with_the_same_bytes(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    """Same volume and header, same names and bytes."""
    write_dicom_series(tmp_path / "a", hu, SPACING_MM, header=HEADER)
    write_dicom_series(tmp_path / "b", hu, SPACING_MM, header=HEADER)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_gives_hu_and_world_back(tmp_path: Path, hu: NDArray[np.int16], ending: str) -> None:
    """Array (x, y, z); the affine maps to RAS+, so LPS coordinates change sign twice."""
    path = tmp_path / f"scan{ending}"
    write_nifti(path, hu, SPACING_MM, origin_lps_mm=(10.0, 20.0, 30.0))
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, hu)
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    corner = image.affine @ (3, 4, 5, 1)
    np.testing.assert_allclose(corner[:3], (-10 - 3 * 0.7, -20 - 4 * 0.8, 30 + 5 * 5.0), rtol=1e-6)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_is_written_twice_with_the_same_bytes(
    tmp_path: Path, hu: NDArray[np.int16], ending: str
) -> None:
    """Neither the time nor the file's name is in the bytes."""
    write_nifti(tmp_path / f"a{ending}", hu, SPACING_MM)
    write_nifti(tmp_path / f"b{ending}", hu, SPACING_MM)
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_other_arrays_and_endings_are_refused(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    """Wrong type, shape, spacing or file ending: ValueError, and nothing is written."""
    with pytest.raises(ValueError, match="int16"):
        write_nifti(tmp_path / "a.nii", hu.astype(np.float32), SPACING_MM)
    with pytest.raises(ValueError, match="shape"):
        write_dicom_series(tmp_path / "s", hu[0], SPACING_MM, header=HEADER)
    with pytest.raises(ValueError, match="positive"):
        write_nifti(tmp_path / "a.nii", hu, (5.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="ends in"):
        write_nifti(tmp_path / "a.img", hu, SPACING_MM)
    assert not list(tmp_path.iterdir())


def test_uids_depend_on_all_words() -> None:
    """Words are not simply joined, and a UID has at most 64 characters."""
    assert seeded_uid("ab", "c") != seeded_uid("a", "bc")
    assert len(seeded_uid("x")) <= 64
