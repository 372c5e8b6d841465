"""NIfTI volumes: any axis order gives the same slices; labels and other shapes are refused."""

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    ornt_transform,
)
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.nifti import read_nifti
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.volume import Scan
from clearbench.scans.write import write_nifti

SPACING_MM = (5.0, 0.8, 0.7)
ALL_AXES = [
    "".join(codes[i] for i in order)
    for order in permutations(range(3))
    for codes in product("LR", "PA", "SI")
]


def save(path: Path, data: NDArray[np.generic], affine: NDArray[np.float64] | None = None) -> Path:
    """Save an array without changes."""
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def read(path: Path, *, resample: bool = False) -> Scan:
    """Read a scan as a user does."""
    return read_scan(ScanSource(path), resample=resample)


@pytest.mark.parametrize("axes", ALL_AXES)
def test_all_48_axis_orders_give_the_same_slices(
    tmp_path: Path, hu: NDArray[np.int16], axes: str
) -> None:
    path = tmp_path / "it.nii"
    write_nifti(path, hu, SPACING_MM, origin_lps_mm=(10.0, 20.0, 30.0))
    image = nibabel.load(path)
    change = ornt_transform(nibabel.io_orientation(image.affine), axcodes2ornt(tuple(axes)))
    turned = apply_orientation(np.asarray(image.dataobj), change)
    affine = image.affine @ inv_ornt_aff(change, image.shape)
    scan = read(save(tmp_path / f"{axes}.nii", turned, affine))
    assert "".join(nibabel.aff2axcodes(affine)) == axes
    np.testing.assert_array_equal(scan.pixels, hu)
    np.testing.assert_allclose(scan.z_mm, 30 + 5 * np.arange(4), rtol=1e-6)
    assert scan.spacing_mm == pytest.approx(SPACING_MM)
    assert scan.slice_index.tolist() == [0, 1, 2, 3]
    assert not scan.facts.problems


def test_scaled_values_are_hu(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.array([[[0, 10]]], np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -1000)
    nibabel.save(image, tmp_path / "a.nii.gz")
    raw = nibabel.load(tmp_path / "a.nii.gz")
    assert read(tmp_path / "a.nii.gz").pixels.ravel().tolist() == raw.get_fdata().ravel().tolist()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2), (4, 5, 6, 1, 3)])
def test_other_than_three_dimensions_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.int16))
    with pytest.raises(UnreadableScan, match=f"{len(shape)} dimensions .*a scan has three"):
        read(path)


def test_a_small_segmentation_is_refused_and_a_scan_from_zero_is_not(tmp_path: Path) -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[2:4] = 3
    with pytest.raises(UnreadableScan, match="looks like a segmentation, not HU: 2 whole numbers"):
        read(save(tmp_path / "seg.nii.gz", labels))
    positive = np.random.default_rng(0).integers(0, 900, (12, 12, 12)).astype(np.int16)
    assert len(read(save(tmp_path / "positive.nii", positive))) == 12


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(tmp_path: Path, value: float) -> None:
    data = np.full((2, 2, 2), -5.5, np.float32)
    data[0, 0, 0] = value
    with pytest.raises(UnreadableScan, match="1 of 8 pixels are NaN or infinite"):
        read(save(tmp_path / "a.nii", data))


def test_colours_are_refused(tmp_path: Path) -> None:
    rgb = np.zeros((2, 2, 2), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(UnreadableScan, match="not HU"):
        read(save(tmp_path / "a.nii", rgb))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_damaged_file_is_named_as_such(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"a{ending}"
    noise = np.random.default_rng(0).integers(-1000, 1000, (12, 12, 12)).astype(np.int16)
    write_nifti(path, noise, SPACING_MM)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableScan, match="not a readable NIfTI file"):
        read(path)


def test_garbage_within_a_compressed_file_is_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    noise = np.random.default_rng(0).integers(-1000, 1000, (12, 12, 12)).astype(np.int16)
    write_nifti(path, noise, SPACING_MM)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(UnreadableScan, match="not a readable NIfTI file"):
        read(path)


def test_an_affine_without_three_axes_is_refused(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    flat = np.diag([1.0, 1.0, 1.0, 1.0])
    flat[2, 2], flat[1, 2] = 0.0, 1.0
    image = nibabel.Nifti1Image(hu.T, None)
    image.header.set_sform(flat, code=1)
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    with pytest.raises(UnreadableScan, match="affine has no usable axes"):
        read(path)


def test_a_header_without_orientation_is_named(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    image = nibabel.Nifti1Image(hu.T, None)
    nibabel.save(image, tmp_path / "a.nii")
    assert "no orientation in its header" in read(tmp_path / "a.nii").facts.problems[0]


def test_a_sheared_affine_is_a_tilted_gantry(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    affine = np.diag([-0.7, -0.8, 5.0, 1.0])
    affine[1, 2] = 5.0 * np.tan(np.radians(15))
    scan = read(save(tmp_path / "a.nii", hu.T, affine))
    assert scan.facts.gantry_tilt_deg == pytest.approx(15)
    assert scan.facts.problems == ("gantry tilt 15.0°",)
    np.testing.assert_array_equal(scan.pixels, hu)


def test_an_oblique_volume_is_refused_unless_resampled(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    c, s = np.cos(np.radians(25)), np.sin(np.radians(25))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag([-1.0, -1.0, 1.0])
    path = save(tmp_path / "a.nii", hu.T, affine)
    with pytest.raises(UnreadableScan, match=r"turned 25° .*resample=True"):
        read(path)
    assert "resampled onto axial slices" in read(path, resample=True).facts.problems


def test_real_volumes_are_read_and_segmentations_refused(shared_data: Path) -> None:
    for name in ("example_ct_sm", "example_ct", "ct_brain_atlas_1mm"):
        scan = read(shared_data / "nifti" / f"{name}.nii.gz")
        assert scan.pixels.min() >= -1024
        assert scan.pixels.max() > 300
        assert np.all(np.diff(scan.z_mm) > 0)
    for name in ("example_seg", "example_seg_fast"):
        with pytest.raises(UnreadableScan, match="looks like a segmentation"):
            read(shared_data / "nifti" / f"{name}.nii.gz")


def test_a_real_body_is_upright(shared_data: Path) -> None:
    """Bone of the spine is behind the middle of the body, whatever axes the file has."""
    for name in ("example_ct", "pulmonary_report_models_ct_cropped"):
        scan = read(shared_data / "nifti" / f"{name}.nii.gz")
        body = np.nonzero(scan.pixels > -300)[1].mean()
        spine = np.nonzero(scan.pixels > 500)[1].mean()
        assert spine > body, name


def test_the_volume_keeps_its_stack_first(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    write_nifti(tmp_path / "a.nii", hu, SPACING_MM)
    made = read_nifti(tmp_path / "a.nii")
    assert made.hu.shape[0] == 4
    assert made.positions_mm.tolist() == [0, 5, 10, 15]
