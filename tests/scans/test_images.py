"""Image folders: windowed 8-bit slices in named sub-folders, or 16-bit HU."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearbench.errors import UnreadableScan
from clearbench.scans.hu import HuRules
from clearbench.scans.image_scans import one_image, with_window
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.volume import Scan


def grey(path: Path, value: int = 7, size: tuple[int, int] = (6, 4)) -> None:
    """Save one 8-bit image of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)


def deep(path: Path, hu: int, size: tuple[int, int] = (6, 4)) -> None:
    """Save one 16-bit image of one HU, as DeepLesion does."""
    values = np.full(size[::-1], hu + 32768, np.uint16)
    Image.fromarray(values).save(path)


def read(folder: Path) -> Scan:
    """Read a scan as a user does."""
    return read_scan(ScanSource(folder))


def test_windows_are_channels_and_a_lacking_slice_is_kept(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        grey(tmp_path / "Brain" / f"{number}.png", number)
    for number in (1, 10):
        grey(tmp_path / "bone" / f"{number}.png", 100 + number)
    scan = read(tmp_path)
    assert scan.windows == ("bone", "brain")
    assert scan.pixels.shape == (3, 2, 4, 6)
    assert scan.pixels.dtype == np.uint8
    assert scan.pixels[:, :, 0, 0].tolist() == [[101, 1], [0, 2], [110, 10]]
    assert scan.present.tolist() == [[True, True], [False, True], [True, True]]
    assert scan.slice_index.tolist() == [1, 2, 10]
    assert np.isnan(scan.z_mm).all()
    assert scan.facts.problems == ("slice 2 lacks its bone window",)


def test_sixteen_bits_are_hu_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number, hu in ((2, 40), (10, 300), (1, -1000)):
        deep(tmp_path / f"{number}.png", hu)
    scan = read(tmp_path)
    assert scan.pixels[:, 0, 0].tolist() == [-1000, 40, 300]
    assert scan.slice_index.tolist() == [1, 2, 10]
    assert scan.windows == ()
    assert scan.present.all()


def test_a_series_of_deeplesion_is_turned_round_and_keeps_its_numbers(tmp_path: Path) -> None:
    """Its image 1 is the one nearest to the head."""
    folder = tmp_path / "000016_02_01"
    folder.mkdir()
    for number, hu in ((9, 40), (10, 300), (11, -1000)):
        deep(folder / f"{number:03}.png", hu)
    scan = read(folder)
    assert scan.pixels[:, 0, 0].tolist() == [-1000, 300, 40]
    assert scan.slice_index.tolist() == [11, 10, 9]


def test_padding_of_sixteen_bits_is_air(tmp_path: Path) -> None:
    deep(tmp_path / "1.png", -3024)
    assert (read(tmp_path).pixels == -1024).all()


def test_names_without_numbers_are_counted(tmp_path: Path) -> None:
    for name in ("b", "a"):
        deep(tmp_path / f"{name}.png", 0)
    assert read(tmp_path).slice_index.tolist() == [0, 1]


def test_eight_bits_without_a_window_are_refused(tmp_path: Path) -> None:
    grey(tmp_path / "1.png")
    with pytest.raises(UnreadableScan, match=r"8-bit images of an unknown window.*brain"):
        read(tmp_path)


def test_images_of_mixed_size_are_refused_by_name(tmp_path: Path) -> None:
    grey(tmp_path / "brain" / "1.png")
    grey(tmp_path / "brain" / "2.png", size=(8, 8))
    with pytest.raises(UnreadableScan, match=r"brain/2.png is \(8, 8\).*not \(4, 6\)"):
        read(tmp_path)
    deep(tmp_path / "hu1.png", 0)
    (tmp_path / "hu").mkdir()
    deep(tmp_path / "hu" / "1.png", 0)
    deep(tmp_path / "hu" / "2.png", 0, size=(8, 8))
    with pytest.raises(UnreadableScan, match=r"2.png is \(8, 8\).*unlike 1.png"):
        read(tmp_path / "hu")


def test_depths_are_not_mixed(tmp_path: Path) -> None:
    deep(tmp_path / "1.png", 0)
    grey(tmp_path / "2.png")
    with pytest.raises(UnreadableScan, match=r"2.png is .* uint8, unlike 1.png"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    deep(tmp_path / "1.png", 0, size=(64, 64))
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UnreadableScan, match=r"2.png: not a readable image"):
        read(tmp_path)


def test_a_folder_named_after_a_window_may_hold_anything_else(tmp_path: Path) -> None:
    """An empty folder "lung", or a DICOM series called so, is not a window."""
    (tmp_path / "lung").mkdir()
    deep(tmp_path / "1.png", 5)
    assert read(tmp_path).windows == ()


def test_a_colour_jpeg_is_read_as_grey(tmp_path: Path) -> None:
    (tmp_path / "brain").mkdir()
    Image.new("RGB", (6, 4), (90, 90, 90)).save(tmp_path / "brain" / "1.jpg")
    assert abs(int(read(tmp_path).pixels[0, 0, 0, 0]) - 90) <= 1


def test_patient_084_keeps_the_slice_that_lacks_bone(shared_data: Path) -> None:
    scan = read(shared_data / "ct-ich" / "084")
    assert len(scan) == 36
    assert scan.slice_index[-1] == 36
    assert dict(zip(scan.windows, scan.present[-1].tolist(), strict=True)) == {
        "bone": False,
        "brain": True,
    }
    assert scan.present[:-1].all()
    assert scan.facts.problems == ("slice 36 lacks its bone window",)


def test_one_image_is_a_scan_in_its_window(tmp_path: Path) -> None:
    grey(tmp_path / "IM0012.png", 7)
    scan = read_scan(ScanSource(tmp_path / "IM0012.png", rules=HuRules(window="lung")))
    assert scan.windows == ("lung",)
    assert scan.pixels.shape == (1, 1, 4, 6)
    assert scan.slice_index.tolist() == [0]
    with pytest.raises(UnreadableScan, match="unknown window; name it"):
        read_scan(ScanSource(tmp_path / "IM0012.png"))


def test_one_deep_image_has_hu_and_no_window(tmp_path: Path) -> None:
    deep(tmp_path / "a.png", 40)
    assert read_scan(ScanSource(tmp_path / "a.png")).pixels.tolist() == [[[40] * 6] * 4]
    with pytest.raises(UnreadableScan, match="leave the window out"):
        read_scan(ScanSource(tmp_path / "a.png", rules=HuRules(window="lung")))


def test_a_folder_of_greys_in_a_named_window(tmp_path: Path) -> None:
    for number in (1, 2):
        grey(tmp_path / f"{number}.png", number)
    scan = read_scan(ScanSource(tmp_path, rules=HuRules(window="soft=-100:200")))
    assert scan.windows == ("soft",)
    assert scan.pixels[:, 0, 0, 0].tolist() == [1, 2]


def test_sizes_are_compared_before_anything_is_embedded(tmp_path: Path) -> None:
    grey(tmp_path / "lung" / "1.png")
    grey(tmp_path / "lung" / "2.png", size=(5, 5))
    [scan] = find_scans(tmp_path).scans
    assert "2.png has 8 bits of (5, 5), unlike 8 bits of (4, 6) of 1.png" in scan.error
    assert "give each its row in a table" in scan.error


@pytest.mark.parametrize("window", ["lung", "Lung", "lung window", " LUNG Window "])
def test_a_window_is_known_by_its_usual_spellings(tmp_path: Path, window: str) -> None:
    grey(tmp_path / "1.png")
    found = with_window(one_image(tmp_path / "1.png"), window)
    assert (found.error, found.windows) == ("", ("lung",))


def test_an_unknown_window_is_quoted(tmp_path: Path) -> None:
    grey(tmp_path / "1.png")
    found = with_window(one_image(tmp_path / "1.png"), "W1500 L-600")
    assert found.error.startswith("no window is called 'W1500 L-600': one of brain, subdural")
    deep(tmp_path / "2.png", 40)
    assert with_window(one_image(tmp_path / "2.png"), "W1500 L-600").error == ""


def test_a_time_of_day_in_a_name_is_no_number_of_a_slice(tmp_path: Path) -> None:
    for second in (56, 57):
        deep(tmp_path / f"202401011234{second}.png", second)
    scan = read(tmp_path)
    assert scan.slice_index.tolist() == [0, 1]
    assert scan.pixels[:, 0, 0].tolist() == [56, 57]


def test_two_folders_of_one_window_are_refused(tmp_path: Path) -> None:
    grey(tmp_path / "lung" / "1.png")
    grey(tmp_path / "Lung" / "1.png")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system doesn't tell their names apart")
    words = "Lung and lung are folders of one window"
    with pytest.raises(UnreadableScan, match=words):
        read(tmp_path)
    (found,) = find_scans(tmp_path).scans
    assert words in found.error


def test_two_images_of_one_slice_are_refused(tmp_path: Path) -> None:
    grey(tmp_path / "lung" / "1.png")
    grey(tmp_path / "lung" / "1.jpg")
    with pytest.raises(UnreadableScan, match=r"lung has 1\.jpg and 1\.png, which are one slice"):
        read(tmp_path)


def test_images_next_to_folders_of_windows_are_noted(tmp_path: Path) -> None:
    grey(tmp_path / "lung" / "1.png")
    deep(tmp_path / "2.png", 40)
    words = ("1 image next to the windows' folders left out",)
    assert read(tmp_path).facts.problems == words
    (found,) = find_scans(tmp_path).scans
    assert found.facts.problems == words
