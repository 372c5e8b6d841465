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


def two_forms(
    path: Path, hu: NDArray[np.int16], sform: NDArray[np.float64], qform: NDArray[np.float64]
) -> Path:
    """Write a file whose sform and qform are both valid."""
    image = nibabel.Nifti1Image(hu.T, None)
    image.set_qform(qform, 1)
    image.set_sform(sform, 1)
    nibabel.save(image, path)
    return path


GOOD = np.diag([-1.0, -1.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("sform", "words"),
    [
        (np.diag([1.0, -1.0, 3.0, 1.0]), "its sform says axes RPS, its qform LPS"),
        (np.diag([-1.0, -1.0, -3.0, 1.0]), "its sform says axes LPI, its qform LPS"),
        (np.diag([-1.0, -1.0, 5.0, 1.0]), "a spacing of 1 × 1 × 5, its qform 1 × 1 × 3"),
    ],
    ids=["left and right", "feet and head", "spacing"],
)
def test_two_forms_that_contradict_each_other_are_refused(
    tmp_path: Path, hu: NDArray[np.int16], sform: NDArray[np.float64], words: str
) -> None:
    path = two_forms(tmp_path / "a.nii", hu, sform, GOOD)
    with pytest.raises(UnreadableScan, match=words) as refused:
        read(path)
    assert "save the file with that one alone" in str(refused.value)


def test_two_forms_that_differ_a_little_are_noted(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    moved = GOOD.copy()
    moved[:3, 3] = (0.0, 0.0, 40.0)
    scan = read(two_forms(tmp_path / "a.nii", hu, moved, GOOD))
    assert scan.facts.problems == ("its sform and qform are 40 mm apart; the sform is taken",)
    assert read(two_forms(tmp_path / "b.nii", hu, GOOD, GOOD)).facts.problems == ()


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1.0)])
def test_the_unit_of_the_header_counts(
    tmp_path: Path, hu: NDArray[np.int16], unit: str, factor: float
) -> None:
    image = nibabel.Nifti1Image(hu.T, GOOD * [[factor], [factor], [factor], [1.0]])
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    scan = read(tmp_path / "a.nii")
    assert scan.spacing_mm == pytest.approx((3.0, 1.0, 1.0), rel=1e-4)
    assert len(scan.facts.problems) == (unit != "mm")


@pytest.mark.parametrize("mm", [3000.0, 0.003], ids=["metres as mm", "µm as mm"])
def test_a_spacing_that_no_ct_has_is_refused(
    tmp_path: Path, hu: NDArray[np.int16], mm: float
) -> None:
    with pytest.raises(UnreadableScan, match=r"a CT has 0\.05 to 20 mm: check the unit"):
        read(save(tmp_path / "a.nii", hu.T, np.diag([-mm, -mm, mm, 1.0])))


def test_one_time_point_is_a_volume(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    scan = read(save(tmp_path / "a.nii", hu.T[..., None], GOOD))
    np.testing.assert_array_equal(scan.pixels, hu)
    assert scan.facts.problems == ("a volume with one time point",)


def test_a_head_without_its_background_is_no_segmentation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    brain = np.zeros((20, 20, 20), np.int16)
    brain[5:15, 5:15, 5:15] = rng.integers(10, 60, (10, 10, 10))
    scan = read(save(tmp_path / "a.nii", brain, GOOD))
    assert scan.pixels.max() < 60
    assert "hardly any air" in scan.facts.problems[0]


def test_a_sform_against_pixdim_is_refused(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    image = nibabel.Nifti1Image(hu.T, GOOD)
    image.set_qform(None, 0)
    image.set_sform(GOOD, 1)
    content = bytearray(image.to_bytes())
    content[88:92] = np.float32(0.6).tobytes()  # pixdim[3]
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(UnreadableScan, match=r"a spacing of 1 × 1 × 3, its pixdim 1 × 1 × 0\.6"):
        read(tmp_path / "a.nii")


FIELDS = {
    "vox_offset": (108, 0.0),
    "scl_slope": (112, np.inf),
    "srow_x[3]": (292, np.nan),
    "srow_z[3]": (324, 1e30),
}  # the byte, and a value that can't be


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("vox_offset", "its vox_offset is 0, but its header has 348 bytes"),
        ("scl_slope", "its scl_slope is inf: the values are not HU"),
        ("srow_x[3]", r"first voxel is at nan \\ 0 \\ 0 mm, where no scanner reaches"),
        ("srow_z[3]", r"first voxel is at 0 \\ 0 \\ 1e\+30 mm"),
    ],
)
def test_a_field_that_would_be_taken_in_silence_is_refused(
    tmp_path: Path, hu: NDArray[np.int16], field: str, words: str
) -> None:
    path = two_forms(tmp_path / "a.nii", hu, GOOD, GOOD)
    content, (at, value) = bytearray(path.read_bytes()), FIELDS[field]
    content[at : at + 4] = np.float32(value).tobytes()
    path.write_bytes(content)
    with pytest.raises(UnreadableScan, match=words):
        read(path)


def test_values_beyond_32_bits_are_cut_off_and_noted(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(0, 300, (12, 12, 12))
    data[5] = 1e300
    scan = read(save(tmp_path / "a.nii", data, GOOD))
    assert scan.pixels.max() == 32767
    assert any("cut off at 32767 HU" in text for text in scan.facts.problems)
