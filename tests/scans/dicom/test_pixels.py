"""Stored values become HU, whatever their sign, scale, frame order or transfer syntax."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom import decoding
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series

WriteCT = Callable[..., list[Path]]
CORNERSTONE = Path("dicom/small/cornerstone3d")


def read(path: Path) -> NDArray[np.generic]:
    """The HU of a scan, as a user reads it."""
    return read_scan(ScanSource(path)).pixels


def store(dataset: pydicom.FileDataset, values: NDArray[np.generic], **tags: object) -> None:
    """Put other stored values into a slice."""
    dataset.PixelRepresentation = int(np.issubdtype(values.dtype, np.signedinteger))
    dataset.PixelData = values.tobytes()
    padding = tags.pop("PixelPaddingValue", None)
    if isinstance(padding, int):
        dataset.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
    for name, value in tags.items():
        setattr(dataset, name, value)


@pytest.fixture
def stored(tmp_path: Path, write_ct: WriteCT) -> Callable[..., Path]:
    """Write one slice [1, 3] of stored values."""

    def write(values: list[int], kind: type = np.uint16, **tags: object) -> Path:
        array = np.array([values], kind)

        def edit(dataset: pydicom.FileDataset, _: int) -> None:
            store(dataset, array, **tags)

        folder = tmp_path / f"scan{len(list(tmp_path.iterdir()))}"
        write_ct(folder, np.zeros((1, *array.shape), np.int16), edit=edit)
        return folder

    return write


def test_signed_and_unsigned_values_give_the_same_hu(stored: Callable[..., Path]) -> None:
    unsigned = read(stored([24, 1024, 3024], np.uint16, RescaleIntercept=-1024))
    signed = read(stored([-1000, 0, 2000], np.int16, RescaleIntercept=0))
    assert unsigned.ravel().tolist() == signed.ravel().tolist() == [-1000, 0, 2000]
    assert signed.dtype == np.int16


def test_a_slope_of_fractions_is_applied(stored: Callable[..., Path]) -> None:
    hu = read(stored([0, 1, 1001], RescaleSlope=1.5, RescaleIntercept=-1000.25))
    np.testing.assert_allclose(hu.ravel(), [-1000.25, -998.75, 501.25])
    assert hu.dtype == np.float32


def test_a_whole_slope_keeps_whole_numbers(stored: Callable[..., Path]) -> None:
    hu = read(stored([0, 1, 500], RescaleSlope=2, RescaleIntercept=-1000))
    assert hu.ravel().tolist() == [-1000, -998, 0]


@pytest.mark.parametrize(
    ("kind", "values", "intercept", "padding"),
    [
        (np.int16, [-2000, 0, 700], -1024, -2000),
        (np.int16, [-2000, 0, 700], 0, 63536),  # -2000, written without its sign
        (np.uint16, [65535, 1024, 1724], -1024, 65535),
        (np.uint16, [0, 1024, 1724], -24, 0),
    ],
)
def test_padding_becomes_air(
    stored: Callable[..., Path], kind: type, values: list[int], intercept: int, padding: int
) -> None:
    hu = read(stored(values, kind, RescaleIntercept=intercept, PixelPaddingValue=padding))
    assert hu.ravel().tolist() == [-1024, values[1] + intercept, values[2] + intercept]


def test_a_padding_value_amidst_the_others_is_water(stored: Callable[..., Path]) -> None:
    hu = read(stored([-1000, 0, 700], np.int16, RescaleIntercept=0, PixelPaddingValue=0))
    assert hu.ravel().tolist() == [-1000, 0, 700]


def test_bits_beyond_those_stored_are_ignored(stored: Callable[..., Path]) -> None:
    """An overlay in the upper four bits of a 12-bit image."""
    values = [24 | 0x8000, 1024 | 0x1000, 3024]
    hu = read(stored(values, BitsStored=12, HighBit=11))
    assert hu.ravel().tolist() == [-1000, 0, 2000]


def test_values_at_the_top_of_their_bits_are_refused(stored: Callable[..., Path]) -> None:
    """Codecs take the lowest bits, so such values would be 16 times too large."""
    values = [24 << 4, 1024 << 4, 3024 << 4]
    with pytest.raises(UnreadableScan, match="HighBit 15 with BitsStored 12"):
        read(stored(values, BitsStored=12, HighBit=15))


@pytest.mark.parametrize(
    ("kind", "value"), [("LO", "abc"), ("US", [5, 6000]), ("DS", "nan"), ("FD", 1e308)]
)
def test_a_padding_that_is_no_number_costs_only_its_scan(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, kind: str, value: object
) -> None:
    """Slices at one place are compared while the folder is sorted, before any scan is read."""

    def edit(dataset: pydicom.FileDataset, _: int, number: int) -> None:
        dataset.AcquisitionTime, dataset.SOPInstanceUID = f"10000{number}", seeded_uid(str(number))
        dataset.PixelData = bytes([number]) * len(dataset.PixelData)
        dataset.add_new("PixelPaddingValue", kind, value)

    for number in range(3):
        write_ct(tmp_path / f"{number}", hu, edit=partial(edit, number=number))
    write_ct(tmp_path / "good", hu, patient_id="good", series="good")
    *bad, good = sorted(find_scans(tmp_path).scans, key=lambda scan: scan.path.name == "good")
    np.testing.assert_array_equal(read(good.path), hu)
    assert bad
    for scan in bad:
        assert scan.identity is not None
        with pytest.raises(UnreadableScan, match="PixelPaddingValue that can't be used"):
            read_scan(ScanSource(scan.path, scan.identity.series_uid))


def test_slices_may_have_scales_of_their_own(tmp_path: Path, write_ct: WriteCT) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        store(dataset, np.full((2, 2), 100, np.uint16), RescaleIntercept=-1000 + index)

    write_ct(tmp_path, np.zeros((3, 2, 2), np.int16), edit=edit)
    assert read(tmp_path)[:, 0, 0].tolist() == [-900, -899, -898]


def test_pixel_data_cut_short_is_named_with_its_bytes(tmp_path: Path, write_ct: WriteCT) -> None:
    files = write_ct(tmp_path, np.zeros((3, 8, 8), np.int16))
    content = files[1].read_bytes()
    dataset = pydicom.dcmread(files[1])
    dataset.PixelData = dataset.PixelData[:40]
    dataset.save_as(files[1])
    with pytest.raises(UnreadableScan, match=r"slice 2 of 3 .*truncated \(expected 128 bytes, fou"):
        read(tmp_path)
    files[1].write_bytes(content[:-100])
    with pytest.raises(UnreadableScan, match="slice 2 of 3"):
        read(tmp_path)


def test_a_slice_without_pixel_data_is_named(tmp_path: Path, write_ct: WriteCT) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        if index == 0:
            del dataset.PixelData

    write_ct(tmp_path, np.zeros((2, 4, 4), np.int16), edit=edit)
    with pytest.raises(UnreadableScan, match=r"slice 1 of 2 .*has no pixel data"):
        read(tmp_path)


Edit = Callable[[Dataset, int], object]


def write_enhanced(
    path: Path,
    hu: NDArray[np.int16],
    order: list[int],
    edit: Edit = lambda *_: None,
    **tags: object,
) -> None:
    """Write a volume as one enhanced CT, its frames in another order; `edit` changes each frame."""
    source = path.parent / "single"
    header = DicomHeader(
        "p", seeded_uid("st"), seeded_uid("se"), "a", 5.0, "B30f", False, "M", "O", 120.0, "d"
    )
    write_dicom_series(source, hu[:1], (5.0, 0.8, 0.7), header=header)
    dataset = pydicom.dcmread(next(source.iterdir()))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, name)
    for name in ("RescaleSlope", "RescaleIntercept", "RescaleType", "KVP", "ConvolutionKernel"):
        delattr(dataset, name)
    dataset.NumberOfFrames = len(order)
    dataset.PixelData = (hu[order].astype(np.int32) + 1024).astype("<u2").tobytes()
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=[0.8, 0.7], SliceThickness=5.0)])
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    shared.CTReconstructionSequence = Sequence([_item(ConvolutionKernel="FC08")])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = [_frame(place, {"RescaleType": "HU", **tags}) for place in order]
    for number, frame in enumerate(frames):
        edit(frame, number)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.save_as(path)


def _frame(place: int, scale: dict[str, object]) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=[0, 0, 5.0 * place])])
    frame.PixelValueTransformationSequence = Sequence(
        [_item(RescaleSlope=1, RescaleIntercept=-1024, **scale)]
    )
    return frame


def _item(**tags: object) -> Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def test_frames_of_an_enhanced_ct_are_ordered_by_position(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    write_enhanced(tmp_path / "e.dcm", hu, order=[2, 0, 3, 1])
    scan = read_scan(ScanSource(tmp_path / "e.dcm"))
    np.testing.assert_array_equal(scan.pixels, hu)
    assert scan.z_mm.tolist() == [0, 5, 10, 15]
    assert scan.spacing_mm == (5.0, 0.8, 0.7)
    assert scan.facts.kernel == "FC08"
    assert scan.facts.thickness_mm == 5.0
    assert scan.facts.problems == ()


def test_an_enhanced_ct_of_one_frame_is_read(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    write_enhanced(tmp_path / "e.dcm", hu, order=[0])
    np.testing.assert_array_equal(read(tmp_path / "e.dcm"), hu[:1])


@pytest.mark.parametrize("count", [1, 3, 6, None])
def test_other_frames_than_places_are_refused(
    tmp_path: Path, hu: NDArray[np.int16], count: int | None
) -> None:
    """Else one picture would be at four places, or some of the pictures nowhere."""
    write_enhanced(tmp_path / "e.dcm", hu, order=[0, 1, 2, 3])
    dataset = pydicom.dcmread(tmp_path / "e.dcm")
    dataset.NumberOfFrames = count
    dataset.save_as(tmp_path / "e.dcm")
    words = f"NumberOfFrames is {count or 'missing'}, but 4 frames have a place"
    with pytest.raises(UnreadableScan, match=words):
        read(tmp_path / "e.dcm")


@pytest.mark.parametrize("name", ["DerivationImageSequence", "private"])
def test_tags_of_other_images_are_not_a_frame_s(
    tmp_path: Path, hu: NDArray[np.int16], name: str
) -> None:
    def edit(frame: Dataset, number: int) -> None:
        place = [0, 0, -number]
        other = _item(RescaleSlope=3, RescaleIntercept=5, ImagePositionPatient=place)
        if name == "private":
            frame.private_block(0x0019, "OTHER", create=True).add_new(1, "SQ", Sequence([other]))
        else:
            setattr(frame, name, Sequence([other]))

    write_enhanced(tmp_path / "e.dcm", hu, [0, 1, 2, 3], edit)
    scan = read_scan(ScanSource(tmp_path / "e.dcm"))
    np.testing.assert_array_equal(scan.pixels, hu)
    assert scan.z_mm.tolist() == [0, 5, 10, 15]


def test_an_enhanced_ct_without_shared_groups_has_them_in_its_frames(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    def edit(frame: Dataset, _: int) -> None:
        frame.PixelMeasuresSequence = Sequence([_item(PixelSpacing=[0.8, 0.7])])
        frame.PlaneOrientationSequence = Sequence(
            [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
        )

    write_enhanced(tmp_path / "e.dcm", hu, [0, 1, 2, 3], edit)
    dataset = pydicom.dcmread(tmp_path / "e.dcm")
    del dataset.SharedFunctionalGroupsSequence
    dataset.save_as(tmp_path / "e.dcm")
    np.testing.assert_array_equal(read(tmp_path / "e.dcm"), hu)


def test_an_enhanced_ct_of_other_units_is_left_out(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    write_enhanced(tmp_path / "e.dcm", hu, order=[0, 1], RescaleType="Z_EFF")
    with pytest.raises(UnreadableScan, match="pixels in Z_EFF, not HU"):
        read(tmp_path / "e.dcm")


@pytest.mark.parametrize(("tag", "part"), [("TemporalPositionIndex", "time"), ("StackID", "stack")])
def test_the_scans_of_one_enhanced_file_are_told_apart(
    tmp_path: Path, hu: NDArray[np.int16], tag: str, part: str
) -> None:
    def edit(frame: Dataset, number: int) -> None:
        value = str(number % 2 + 1) if tag == "StackID" else number % 2 + 1
        frame.FrameContentSequence = Sequence([_item(**{tag: value})])
        place = 5.0 * (number // 2)
        frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=[0, 0, place])])

    write_enhanced(tmp_path / "e.dcm", hu, [0, 1, 2, 3], edit)
    with pytest.raises(UnreadableScan, match="2 CT series in one folder"):
        read(tmp_path / "e.dcm")
    found = find_scans(tmp_path / "e.dcm").scans
    assert [scan.identity.part for scan in found if scan.identity] == [f"{part}-1", f"{part}-2"]
    for number, scan in enumerate(found):
        assert scan.identity is not None
        pixels = read_scan(ScanSource(scan.path, scan.identity.series_uid)).pixels
        np.testing.assert_array_equal(pixels, hu[number::2])


def test_frames_that_are_maps_are_left_out_of_a_mixed_file(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    def edit(frame: Dataset, number: int) -> None:
        kind = "NONE" if number < 2 else "STD_DEVIATION"
        words = ["ORIGINAL", "PRIMARY", "VOLUME", kind]
        frame.CTImageFrameTypeSequence = Sequence([_item(FrameType=words)])

    write_enhanced(tmp_path / "e.dcm", hu, [0, 1, 2, 3], edit)
    scan = read_scan(ScanSource(tmp_path / "e.dcm"))
    np.testing.assert_array_equal(scan.pixels, hu[:2])
    assert scan.facts.problems == (
        "2 frames are left out: a map of standard deviations (STD_DEVIATION) (e.dcm)",
    )


def test_the_real_chest_has_hu_of_known_tissue(shared_data: Path) -> None:
    hu = read(shared_data / "dicom" / "chest_siemens_b40f")
    assert hu.shape == (30, 512, 512)
    assert -1010 < np.median(hu[:, 20:40, 246:266]) < -950  # air before the chest
    soft = hu[(hu > -20) & (hu < 100)]
    assert 0 <= np.median(soft) <= 80
    assert 0.005 < (hu > 300).mean() < 0.05


def test_the_real_head_has_brain_bone_and_air(shared_data: Path) -> None:
    hu = read(shared_data / "dicom" / "head_ge_gantry_tilt")
    middle = hu[16, 206:306, 206:306]
    assert 0 < np.median(middle) < 80
    assert np.median(hu[:, 60:80, 60:80]) < -950
    assert (hu[16] > 300).mean() > 0.01


EXACT = ["", ".1", ".2", ".1.99", ".5", ".4.57", ".4.70", ".4.80", ".4.90"]
LOSSY_HU = {".4.81": 1, ".4.91": 5, ".4.50": 65}  # the last one keeps 8 of 12 bits


def of_syntax(shared_data: Path, ending: str) -> Path:
    """The one slice in a transfer syntax."""
    (path,) = (shared_data / CORNERSTONE).glob(f"CTImage.dcm_*_1.2.840.10008.1.2{ending}.dcm")
    return path


@pytest.fixture
def plain(shared_data: Path) -> NDArray[np.generic]:
    """The slice, uncompressed."""
    return read(shared_data / CORNERSTONE / "CTImage.dcm")


@pytest.mark.parametrize("ending", EXACT)
def test_lossless_syntaxes_give_the_same_hu(
    shared_data: Path, plain: NDArray[np.generic], ending: str
) -> None:
    np.testing.assert_array_equal(read(of_syntax(shared_data, ending)), plain)


@pytest.mark.parametrize(("ending", "within_hu"), LOSSY_HU.items())
def test_lossy_syntaxes_give_nearly_the_same_hu(
    shared_data: Path, plain: NDArray[np.generic], ending: str, within_hu: int
) -> None:
    off = np.abs(read(of_syntax(shared_data, ending)).astype(float) - plain)
    assert off.max() <= within_hu


@pytest.mark.parametrize("ending", [".4.51", ".4.53", ".4.55"])
def test_twelve_bit_jpeg_is_named_as_undecodable(shared_data: Path, ending: str) -> None:
    words = rf"no installed codec decodes JPEG .*{ending[1:]}\) in 1[26] bits; convert it"
    with pytest.raises(UnreadableScan, match=words):
        read(of_syntax(shared_data, ending))


def test_every_syntax_of_the_real_slice_is_tested(shared_data: Path) -> None:
    files = set((shared_data / CORNERSTONE).glob("CTImage.dcm_*.dcm"))
    tested = [*EXACT, *LOSSY_HU, ".4.51", ".4.53", ".4.55"]
    assert {of_syntax(shared_data, ending) for ending in tested} == files


def test_many_frames_at_one_place_are_decoded_once(
    tmp_path: Path, hu: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(frame: Dataset, number: int) -> None:
        frame.PlanePositionSequence = Sequence(
            [_item(ImagePositionPatient=[0, 0, 5.0 * (number % 4)])]
        )

    write_enhanced(tmp_path / "e.dcm", hu, [0, 1, 2, 3] * 20, edit)
    opened = []
    whole = decoding.open_whole
    monkeypatch.setattr(decoding, "open_whole", lambda path: opened.append(path) or whole(path))
    np.testing.assert_array_equal(read(tmp_path / "e.dcm"), hu)
    assert len(opened) == 2  # to compare its frames, and to read them
