"""Reading one scan, as a user does: what is found under a path, and what is refused, and how."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.errors import UnreadableScan
from clearbench.scans.slices import (
    ScanSource,
    pixels_signature,
    read_scan,
    source_signature,
    take_every,
)
from clearbench.scans.volume import Scan
from clearbench.scans.walk import walk
from clearbench.scans.write import seeded_uid
from clearbench.store.folder import open_store

WriteCT = Callable[..., list[Path]]


@pytest.fixture
def series(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> list[Path]:
    """The files of one written series, feet to head."""
    return write_ct(tmp_path / "ct", hu)


def read(path: Path, **options: bool) -> Scan:
    """Read a scan that is alone under its path."""
    return read_scan(ScanSource(path), **options)


def move(files: list[Path], edit: Callable[[pydicom.FileDataset, int], None]) -> None:
    """Change the headers of a series."""
    for index, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        edit(dataset, index)
        dataset.save_as(path)


def test_a_series_is_read_in_hu(series: list[Path], hu: NDArray[np.int16]) -> None:
    scan = read(series[0].parent)
    np.testing.assert_array_equal(scan.pixels, hu)
    assert scan.z_mm.tolist() == [0, 5, 10, 15]
    assert scan.spacing_mm == (5.0, 0.8, 0.7)
    assert scan.facts.kernel == "B30f"
    assert scan.facts.problems == ()


def test_neither_file_names_nor_instance_numbers_order_slices(
    series: list[Path], hu: NDArray[np.int16]
) -> None:
    folder = series[0].parent
    for index, path in enumerate(series):
        path.rename(folder / f"{(index * 3) % 4}.dcm")
    shuffled = [folder / f"{(index * 3) % 4}.dcm" for index in range(4)]

    def misnumber(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.InstanceNumber = (7, 1, 9, 2)[index]
        dataset.SliceLocation = -index

    move(shuffled, misnumber)
    np.testing.assert_array_equal(read(folder).pixels, hu)


@pytest.mark.parametrize("flips", [(1, -1), (-1, 1), (-1, -1)])
def test_in_plane_flips_are_undone(
    series: list[Path], hu: NDArray[np.int16], flips: tuple[int, int]
) -> None:
    """A patient on the belly, or feet first, becomes one on the back."""
    down, right = flips

    def flip(dataset: pydicom.FileDataset, _: int) -> None:
        x, y, z = (float(mm) for mm in dataset.ImagePositionPatient)
        corner = (x if right > 0 else -x, y if down > 0 else -y, z)
        dataset.ImagePositionPatient = list(corner)
        dataset.ImageOrientationPatient = [right, 0, 0, 0, down, 0]
        dataset.PixelData = np.ascontiguousarray(dataset.pixel_array[::down, ::right]).tobytes()

    move(series, flip)
    scan = read(series[0].parent)
    np.testing.assert_array_equal(scan.pixels, hu)
    assert scan.z_mm.tolist() == [0, 5, 10, 15]


def test_a_coronal_series_is_refused_and_resampled(tmp_path: Path, write_ct: WriteCT) -> None:
    axial = np.random.default_rng(0).integers(-1000, 1500, (5, 4, 6)).astype(np.int16)

    def stand_up(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [0, index, 4]

    coronal = np.ascontiguousarray(axial.transpose(1, 0, 2)[:, ::-1])
    write_ct(tmp_path / "c", coronal, (1.0, 1.0, 1.0), edit=stand_up)
    with pytest.raises(UnreadableScan, match=r"is coronal: .*turned 90° .*resample=True"):
        read(tmp_path / "c")
    scan = read(tmp_path / "c", resample=True)
    np.testing.assert_allclose(scan.pixels, axial, atol=0.01)
    np.testing.assert_allclose(scan.z_mm, np.arange(5))


def test_an_oblique_series_is_refused_with_its_angle(series: list[Path]) -> None:
    c, s = float(np.cos(np.radians(30))), float(np.sin(np.radians(30)))

    def lean(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, c, -s]
        dataset.ImagePositionPatient = [0, 5 * index * s, 5 * index * c]

    move(series, lean)
    with pytest.raises(UnreadableScan, match=r"is oblique: .*turned 30° .*resample=True"):
        read(series[0].parent)
    scan = read(series[0].parent, resample=True)
    assert "resampled onto axial slices" in scan.facts.problems
    assert np.diff(scan.z_mm) == pytest.approx(5.0)


def test_one_slice_is_a_scan(series: list[Path], hu: NDArray[np.int16]) -> None:
    scan = read(series[2])
    np.testing.assert_array_equal(scan.pixels, hu[2:3])
    assert np.isnan(scan.spacing_mm[0])
    assert scan.facts.problems == ("a single slice",)
    assert take_every(scan, 2.0) is scan


def test_a_missing_slice_and_a_copy_are_recorded(tmp_path: Path, write_ct: WriteCT) -> None:
    files = write_ct(tmp_path, np.zeros((6, 2, 2), np.int16))
    files[2].unlink()
    shutil.copy(files[4], files[4].with_name("copy.dcm"))
    scan = read(tmp_path)
    assert len(scan) == 5
    assert scan.facts.problems == (
        "1 file is a copy of another slice (copy.dcm)",
        "1 slice missing (gaps of up to 10.00 mm, usually 5.00)",
    )


def test_localisers_and_captures_next_to_the_slices_are_left_out(
    series: list[Path], hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    folder = series[0].parent

    def scout(dataset: pydicom.FileDataset, _: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write_ct(folder, hu[:1, :2], edit=scout, series="scout")
    (folder / "README.txt").write_text("hello")
    np.testing.assert_array_equal(read(folder).pixels, hu)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file; repair or remove it"),
        (b"garbage" * 100, "not a DICOM"),
        (None, "cut off or damaged|damaged header"),
    ],
)
def test_a_damaged_file_among_the_slices_fails_the_scan(
    series: list[Path], content: bytes | None, words: str
) -> None:
    """Without an error, the scan lacks a slice."""
    whole = series[1].read_bytes()
    series[1].write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UnreadableScan, match=words) as caught:
        read(series[0].parent)
    assert series[1].name in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads it all")
def test_a_file_without_permission_fails_the_scan(series: list[Path]) -> None:
    series[1].chmod(0)
    with pytest.raises(UnreadableScan, match="Permission denied"):
        read(series[0].parent)


def test_two_series_in_one_folder_need_a_name(
    series: list[Path], hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    folder = series[0].parent
    write_ct(folder, hu[:3] + np.int16(1), series="other")
    with pytest.raises(UnreadableScan, match="2 CT series in one folder; name one in a series_id"):
        read(folder)
    assert len(read_scan(ScanSource(folder, seeded_uid("other")))) == 3
    with pytest.raises(UnreadableScan, match=r"none of the 2 CT series is 1\.2\.3"):
        read_scan(ScanSource(folder, "1.2.3"))


def test_a_pseudonym_finds_its_series_again(
    series: list[Path], hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    folder = series[0].parent
    write_ct(folder, hu[:3], series="other")
    names = Pseudonyms(b"s" * 32)
    source = ScanSource(folder, names.series(seeded_uid("other")))
    assert len(read_scan(source, pseudonym=names.series)) == 3
    with pytest.raises(UnreadableScan, match="none of the 2"):
        read_scan(source, pseudonym=Pseudonyms(b"t" * 32).series)


def test_a_preview_next_to_a_named_series_is_not_a_scan(
    series: list[Path], hu: NDArray[np.int16]
) -> None:
    folder = series[0].parent
    Image.new("L", (4, 4)).save(folder / "preview.jpg")
    np.testing.assert_array_equal(read_scan(ScanSource(folder, seeded_uid("series"))).pixels, hu)


def test_a_series_folder_called_bone_is_not_a_window(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path / "head" / "bone", hu)
    np.testing.assert_array_equal(read(tmp_path / "head").pixels, hu)


def test_a_path_without_a_scan_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UnreadableScan, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UnreadableScan, match="an empty folder"):
        read(tmp_path)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(UnreadableScan, match=r"no CT series: not a DICOM.* \(2 of 2 files\)"):
        read(tmp_path)


def test_hidden_files_are_not_looked_at(series: list[Path], hu: NDArray[np.int16]) -> None:
    folder = series[0].parent
    (folder / ".DS_Store").write_bytes(b"")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "a.dcm").write_bytes(b"")
    np.testing.assert_array_equal(read(folder).pixels, hu)


def test_a_store_among_the_scans_is_not_looked_at(series: list[Path], tmp_path: Path) -> None:
    """Embedding "." with the store inside neither lists the store's files nor changes the scan."""
    before = source_signature(tmp_path)
    store = open_store(tmp_path / "clearbench-store", create=True)
    store.features.mkdir()
    (store.features / "scan.h5").write_bytes(b"features")
    assert walk(tmp_path).files == tuple(sorted(series))
    assert source_signature(tmp_path) == before


def test_linked_folders_are_read_once(series: list[Path], tmp_path: Path) -> None:
    """A cohort may be a folder of links to a share; a link back up does no harm."""
    links = tmp_path / "links"
    links.mkdir()
    (links / "patient").symlink_to(series[0].parent, target_is_directory=True)
    (links / "up").symlink_to(links, target_is_directory=True)
    assert len(walk(links).files) == len(series)


def test_signatures_tell_changes_and_not_copies(series: list[Path], tmp_path: Path) -> None:
    folder, copy = series[0].parent, tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert source_signature(folder) == source_signature(folder)
    assert pixels_signature(read(folder)) == pixels_signature(read(copy))
    before = source_signature(copy)
    move([next(copy.iterdir())], lambda dataset, _: setattr(dataset, "RescaleIntercept", -1000))
    assert source_signature(copy) != before
    assert pixels_signature(read(folder)) != pixels_signature(read(copy))


def test_slices_are_taken_every_so_many_millimetres(tmp_path: Path, write_ct: WriteCT) -> None:
    hu = np.arange(11, dtype=np.int16).repeat(4).reshape(11, 2, 2)
    write_ct(tmp_path, hu, (2.0, 1.0, 1.0))
    scan = read(tmp_path)
    assert take_every(scan, None) is scan
    assert take_every(scan, 5.0).slice_index.tolist() == [0, 2, 5, 7, 10]
    assert take_every(scan, 4.0).z_mm.tolist() == [0, 4, 8, 12, 16, 20]
    assert take_every(scan, 0.5).slice_index.tolist() == list(range(11))
    taken = take_every(scan, 8.0)
    assert taken.pixels[:, 0, 0].tolist() == taken.slice_index.tolist() == [0, 4, 8]
    assert len(taken.present) == 3


def test_images_without_places_can_t_be_taken_by_millimetres(tmp_path: Path) -> None:
    (tmp_path / "brain").mkdir()
    for number in range(3):
        Image.new("L", (4, 4)).save(tmp_path / "brain" / f"{number}.png")
    with pytest.raises(UnreadableScan, match=r"every 5 mm is wanted.*positions are unknown"):
        take_every(read(tmp_path), 5.0)


def test_the_real_chest_is_whole(shared_data: Path) -> None:
    scan = read(shared_data / "dicom" / "chest_siemens_b40f")
    assert scan.facts.problems == ()
    np.testing.assert_allclose(np.diff(scan.z_mm), 8.0)
    assert scan.spacing_mm == pytest.approx((8.0, 0.646484, 0.646484), abs=1e-4)


def test_files_of_a_series_that_are_not_taken_are_noted(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    """Half a series in another unit must not become a thinner scan without a word."""

    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        if index % 2:
            dataset.RescaleType = "Z_EFF"

    files = write_ct(tmp_path, hu, edit=edit)
    scan = read(tmp_path)
    assert len(scan) == 2
    names = f"{files[1].name}, {files[3].name}"
    (note,) = [n for n in scan.facts.notes if n.kind == "files"]
    assert note.text == "left out of its series, 2 × pixels in Z_EFF, not HU"
    assert sorted(note.file.split(", ")) == sorted(names.split(", "))


@pytest.mark.parametrize("name", ["BitsAllocated", "Rows", "RescaleSlope", "RescaleIntercept"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_number_that_no_file_should_have_fails_its_own_scan(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, name: str
) -> None:
    for value in (0, 60_000):
        folder = tmp_path / f"{value}"
        write_ct(folder, hu, edit=lambda dataset, _, v=value: setattr(dataset, name, v))
        with contextlib.suppress(UnreadableScan):
            read(folder)
