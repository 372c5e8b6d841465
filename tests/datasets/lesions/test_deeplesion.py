"""DeepLesion's folder: 16-bit slices of a real chest CT, in the layout of the data set."""

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clearbench.datasets.lesions.deeplesion import is_deeplesion, read_deeplesion
from clearbench.datasets.lesions.slice_sets import SliceSet
from clearbench.errors import BadArgument, BadCohort, UnreadableScan
from clearbench.scans.images import read_hu_image
from clearbench.scans.slices import ScanSource, read_scan

FIRST, OTHER, VALIDATION, TEST = "000001_01_01", "000002_03_02", "000003_01_01", "000004_01_01"
SERIES = {FIRST: range(2, 6), OTHER: range(10, 13), VALIDATION: range(15, 17), TEST: range(20, 22)}
SPLITS = {FIRST: 1, OTHER: 1, VALIDATION: 2, TEST: 3}
LEFT, RIGHT = "40.5, 200.0, 80.25, 260.0", "300, 210, 350.5, 280"

Row = dict[str, Any]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def volume(shared_data: Path) -> NDArray[np.int16]:
    """The chest's slices, in HU [30, 512, 512]."""
    return read_scan(ScanSource(shared_data / "dicom" / "chest_siemens_b40f")).pixels


@pytest.fixture(scope="module")
def columns(shared_data: Path) -> list[str]:
    """The columns of the data set's own table."""
    with (shared_data / "metadata" / "DL_info_sample.csv").open(newline="") as file:
        return next(csv.reader(file))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, volume: NDArray[np.int16]) -> Path:
    """Images_png, written once: each patient is another part of the chest."""
    folder = tmp_path_factory.mktemp("deeplesion") / "Images_png"
    for series, indices in SERIES.items():
        (folder / series).mkdir(parents=True)
        for index in indices:
            plane = (volume[index].astype(np.int32) + 32768).astype(np.uint16)
            Image.fromarray(plane).save(folder / series / f"{index:03}.png", compress_level=1)
    return folder


@pytest.fixture
def write(tmp_path: Path, images: Path, columns: list[str]) -> Write:
    """Write a DeepLesion folder with these rows in its table."""

    def write(*rows: Row, names: Sequence[str] = ()) -> Path:
        shutil.copytree(images, tmp_path / "Images_png", dirs_exist_ok=True)
        with (tmp_path / "DL_info.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(names or columns)
            table.writerows([row.get(name, "") for name in columns] for row in rows)
        return tmp_path

    return write


def row(series: str, index: int, box: str = LEFT, lesion_type: int = -1, **other: Any) -> Row:
    """One lesion, as a row of the data set's table."""
    patient, study, number = (int(part) for part in series.split("_"))
    return {
        "File_name": f"{series}_{index:03}.png",
        "Patient_index": patient,
        "Study_index": study,
        "Series_ID": number,
        "Key_slice_index": index,
        "Measurement_coordinates": "50, 210, 70, 250, 45, 230, 75, 231",
        "Bounding_boxes": box,
        "Lesion_diameters_Pixel_": "44.7, 30.1",
        "Normalized_lesion_location": "0.3, 0.5, 0.5",
        "Coarse_lesion_type": lesion_type,
        "Possibly_noisy": 0,
        "Slice_range": f"{SERIES[series][0]}, {SERIES[series][-1]}",
        "Spacing_mm_px_": "0.646, 0.646, 8",
        "Image_size": "512, 512",
        "DICOM_windows": "-1350, 150",
        "Patient_gender": "F",
        "Patient_age": 62.0,
        "Train_Val_Test": SPLITS[series],
    } | other


GOOD = (
    row(FIRST, 3),
    row(FIRST, 4, LEFT),
    row(FIRST, 4, RIGHT),
    row(OTHER, 11, RIGHT),
    row(VALIDATION, 15, lesion_type=5),
    row(TEST, 20, lesion_type=1),
    row(TEST, 21, lesion_type=5),
    row(TEST, 21, RIGHT, lesion_type=4),
)


def boxes_by_file(slices: SliceSet) -> dict[str, list[list[float]]]:
    return {str(file): slices.boxes_of(i).tolist() for i, file in enumerate(slices.files)}


def numbers(box: str) -> list[float]:
    return [float(part) for part in box.split(",")]


def test_a_folder_is_known_by_its_table(write: Write, tmp_path: Path) -> None:
    assert not is_deeplesion(tmp_path)
    assert is_deeplesion(write(*GOOD))


def test_hu_come_back_exactly(write: Write, volume: NDArray[np.int16]) -> None:
    slices = read_deeplesion(write(*GOOD), "all")
    for file in slices.files:
        hu = read_hu_image(slices.root / str(file))
        assert hu.dtype == np.int16
        np.testing.assert_array_equal(hu, volume[int(Path(str(file)).stem)])


def test_every_png_of_a_training_series_is_a_slice_and_annotated_ones_have_boxes(
    write: Write,
) -> None:
    slices = read_deeplesion(write(*GOOD))
    left, right = numbers(LEFT), numbers(RIGHT)
    assert boxes_by_file(slices) == {
        f"{FIRST}/002.png": [],
        f"{FIRST}/003.png": [left],
        f"{FIRST}/004.png": [left, right],
        f"{FIRST}/005.png": [],
        f"{OTHER}/010.png": [],
        f"{OTHER}/011.png": [right],
        f"{OTHER}/012.png": [],
    }
    assert slices.lesion.tolist() == [False, True, True, False, False, True, False]
    assert [slices.patients[number] for number in slices.patient] == ["1"] * 4 + ["2"] * 3
    assert slices.name == "deeplesion"
    assert slices.problems == ()


def test_the_official_splits_hold_their_own_patients(write: Write) -> None:
    root = write(*GOOD)
    splits = {name: read_deeplesion(root, name) for name in ("train", "val", "test", "all")}
    patients = {name: set(slices.patients) for name, slices in splits.items()}
    assert patients == {
        "train": {"1", "2"},
        "val": {"3"},
        "test": {"4"},
        "all": {"1", "2", "3", "4"},
    }
    assert [len(slices) for slices in splits.values()] == [7, 2, 2, 11]


def test_types_are_labels_where_they_are_known_and_agree(write: Write) -> None:
    slices = read_deeplesion(write(*GOOD), "all")
    labels = {
        str(file): slices.labels[number]
        for file, number in zip(slices.files, slices.label, strict=True)
        if number >= 0
    }
    assert labels == {f"{VALIDATION}/015.png": "lung", f"{TEST}/020.png": "bone"}
    assert slices.labels == ("bone", "lung")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"Bounding_boxes": "600, 10, 650, 60"}, "outside the image of 512 × 512 px"),
        ({"Bounding_boxes": "80, 200, 40, 260"}, "x2 and y2 must be larger"),
        ({"Bounding_boxes": "1, 2, 3"}, "not readable (1, 2, 3 in an image of 512, 512)"),
        ({"Bounding_boxes": "a, b, c, d"}, "not readable"),
        ({"Bounding_boxes": ""}, "not readable"),
        ({"Bounding_boxes": "nan, 1, 2, 3"}, "not four numbers"),
        ({"Image_size": "512"}, "not readable"),
    ],
)
def test_a_bad_box_is_named_and_its_slice_left_out(write: Write, fault: Row, said: str) -> None:
    """The slice has a lesion, so it can't be a slice without one."""
    slices = read_deeplesion(write(*GOOD, row(FIRST, 5) | fault))
    [problem] = slices.problems
    assert problem.startswith(f"{FIRST}_005.png: box ")
    assert said in problem
    assert f"{FIRST}/005.png" not in slices.files
    assert len(slices) == 6
    assert slices.lesion.sum() == 3


@pytest.mark.parametrize("order", [1, -1])
def test_a_bad_box_next_to_a_good_one_is_left_out_alone(write: Write, order: int) -> None:
    rows = [row(FIRST, 3, RIGHT), row(FIRST, 3, "9, 9, 1, 1")]
    slices = read_deeplesion(write(*rows[::order]))
    assert boxes_by_file(slices)[f"{FIRST}/003.png"] == [numbers(RIGHT)]
    assert len(slices.problems) == 1


def test_a_missing_png_is_named_and_the_rest_kept(write: Write) -> None:
    root = write(*GOOD)
    (root / "Images_png" / FIRST / "003.png").unlink()
    shutil.rmtree(root / "Images_png" / OTHER)
    slices = read_deeplesion(root)
    assert slices.problems == (
        f"Images_png/{FIRST}/003.png: missing",
        f"Images_png/{OTHER}/011.png: missing",
    )
    assert slices.files.tolist() == [f"{FIRST}/{number}.png" for number in ("002", "004", "005")]
    assert slices.patients == ("1",)


def test_images_that_are_all_missing_are_named(write: Write) -> None:
    root = write(*GOOD)
    for series in SERIES:
        shutil.rmtree(root / "Images_png" / series)
    with pytest.raises(BadCohort, match=rf"no slice to train on.*{FIRST}/003.png: missing"):
        read_deeplesion(root)


def test_a_missing_folder_of_images_is_named(write: Write) -> None:
    root = write(*GOOD)
    shutil.rmtree(root / "Images_png")
    with pytest.raises(BadCohort, match=r"no folder Images_png next to DL_info.csv"):
        read_deeplesion(root)


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("Bounding_boxes", "bounding_box"),
        ("Coarse_lesion_type", "Coarse_lesion_typ"),
        ("File_name", "filename"),
        ("Train_Val_Test", "TrainValTest"),
    ],
)
def test_a_misspelt_column_is_offered(
    write: Write, columns: list[str], column: str, found: str
) -> None:
    names = [found if name == column else name for name in columns]
    with pytest.raises(BadCohort, match=rf"no column {column}; did you mean {found}\?"):
        read_deeplesion(write(*GOOD, names=names))


def test_a_missing_column_is_named_with_the_present_ones(write: Write, columns: list[str]) -> None:
    names = ["xyz" if name == "Image_size" else name for name in columns]
    with pytest.raises(BadCohort, match=r"no column Image_size \(it has .*xyz.*\)"):
        read_deeplesion(write(*GOOD, names=names))


def test_a_split_that_does_not_exist_is_named(write: Write) -> None:
    root = write(row(FIRST, 3))
    with pytest.raises(BadCohort, match=r"DL_info.csv: no row of the split test"):
        read_deeplesion(root, "test")
    with pytest.raises(BadArgument, match=r"split='tset': DeepLesion has train, val, test, or all"):
        read_deeplesion(root, "tset")


def test_every_row_of_its_own_table_is_understood(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "metadata" / "DL_info_sample.csv"
    shutil.copy(source, tmp_path / "DL_info.csv")
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for item in rows:
        series, _, name = item["File_name"].rpartition("_")
        (tmp_path / "Images_png" / series).mkdir(parents=True, exist_ok=True)
        (tmp_path / "Images_png" / series / name).touch()
    slices = read_deeplesion(tmp_path, "all")
    assert slices.problems == ()
    assert slices.lesion.all()
    boxes = sorted(numbers(item["Bounding_boxes"]) for item in rows)
    np.testing.assert_allclose(sorted(slices.boxes.tolist()), boxes, rtol=1e-6)
    assert slices.patients == tuple(sorted({item["Patient_index"] for item in rows}))


def test_padding_of_a_slice_is_air(tmp_path: Path) -> None:
    plane = np.array([[32768 - 3024, 32768 + 3071]], np.uint16)
    Image.fromarray(plane).save(tmp_path / "001.png")
    assert read_hu_image(tmp_path / "001.png").tolist() == [[-1024, 3071]]


def test_a_slice_that_is_not_a_16_bit_image_is_refused_by_name(tmp_path: Path) -> None:
    Image.new("L", (6, 4), 7).save(tmp_path / "8bit.png")
    (tmp_path / "text.png").write_bytes(b"not an image")
    for name, said in (
        ("8bit.png", "an 8-bit image; HU . 32768 needs 16 bits"),
        ("text.png", "not a readable image"),
        ("nowhere.png", "not a readable image"),
    ):
        with pytest.raises(UnreadableScan, match=rf"{name}.*{said}"):
            read_hu_image(tmp_path / name)


def test_a_lesion_of_another_split_is_not_a_slice_without_one(write: Write) -> None:
    slices = read_deeplesion(write(*GOOD, row(FIRST, 5, Train_Val_Test=2)))
    assert f"{FIRST}/005.png" not in slices.files


def test_numbers_as_pandas_writes_them_and_an_image_without_size(write: Write) -> None:
    root = write(*GOOD, row(FIRST, 5, Train_Val_Test="1.0"), row(FIRST, 4, Image_size="nan, 512"))
    (root / "Images_png" / FIRST / "._003.png").write_bytes(b"a Mac's")
    slices = read_deeplesion(root)
    assert f"{FIRST}/005.png" in slices.files
    assert not [name for name in slices.files if "._" in name]
    assert [problem for problem in slices.problems if "not readable" in problem]
