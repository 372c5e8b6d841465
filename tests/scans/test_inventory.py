"""What is under a path: scans, other files, and faults that reading would find."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from clearbench.cores import default_workers
from clearbench.errors import BadRequest, UnreadableScan
from clearbench.scans import inventory
from clearbench.scans.inventory import FoundScan, find_scans, with_values_checked
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.write import write_nifti

WriteCT = Callable[..., list[Path]]


def only(root: Path) -> FoundScan:
    """The only scan of a folder."""
    (scan,) = find_scans(root).scans
    return scan


def test_all_kinds_of_scans_are_found_in_path_order(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path / "a" / "ct", hu)
    write_nifti(tmp_path / "b" / "x.nii.gz", hu, (5.0, 0.8, 0.7))
    for window in ("brain", "bone"):
        (tmp_path / "c" / window).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "c" / window / "1.png")
    (tmp_path / "notes.txt").write_text("hello")
    found = find_scans(tmp_path)
    assert [(scan.kind, scan.path.relative_to(tmp_path).as_posix()) for scan in found.scans] == [
        ("dicom", "a/ct"),
        ("nifti", "b/x.nii.gz"),
        ("images", "c"),
    ]
    dicom, nifti, images = found.scans
    assert dicom.shape == nifti.shape == (4, 6, 5)
    assert dicom.spacing_mm == (5.0, 0.8, 0.7)
    assert nifti.spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    assert (dicom.orientation, nifti.orientation) == ("axial", "LPS")
    assert images.windows == ("bone", "brain")
    assert [scan.error for scan in found.scans] == ["", "", ""]
    assert found.reasons() == {"not a DICOM, NIfTI or image file": 1}


def test_series_of_one_folder_are_separate(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path, hu, series="a")
    write_ct(tmp_path, hu[:2], series="b")
    assert sorted(scan.shape[0] for scan in find_scans(tmp_path).scans) == [2, 4]


def test_what_reading_would_refuse_is_named_before(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    def stand_up(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [0, 3 * index, 0]

    write_ct(tmp_path / "coronal", hu, edit=stand_up)
    assert only(tmp_path / "coronal").error.startswith("the series is coronal: its axes are turned")
    (tmp_path / "png").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "png" / "1.png")
    assert only(tmp_path / "png").error.startswith("8-bit images of an unknown window")
    (tmp_path / "bad.nii").write_bytes(b"garbage")
    assert only(tmp_path / "bad.nii").error.startswith("not a readable NIfTI file")
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]]
    nibabel.save(nibabel.Nifti1Image(hu.T, turn), tmp_path / "turned.nii")
    assert "is oblique: its axes are turned 23°" in only(tmp_path / "turned.nii").error
    write_ct(tmp_path / "cut", hu, series="cut")[1].write_bytes(b"")
    assert "an empty file; repair or remove it" in only(tmp_path / "cut").error
    refused = find_scans(tmp_path).scans
    assert len(refused) == 5
    for scan in refused:
        with pytest.raises(UnreadableScan) as error:
            read_scan(ScanSource(scan.path))
        assert scan.error == str(error.value)


def test_a_series_that_can_t_be_stacked_is_listed_with_its_error(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path, hu)
    for path in write_ct(tmp_path / "more", hu + 1):
        path.rename(tmp_path / f"again-{path.name}")
    (tmp_path / "more").rmdir()
    assert "4 slices are at the place of another one" in only(tmp_path).error


def test_a_series_and_its_copy_are_one_scan_and_another_folder_another(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path / "a", hu)
    write_ct(tmp_path / "copy", hu)
    scan = only(tmp_path)
    assert scan.shape[0] == 4
    assert scan.facts.problems[0].startswith("4 files are copies of other slices")
    write_ct(tmp_path / "other", hu + 1)
    shutil.rmtree(tmp_path / "copy")
    assert len(find_scans(tmp_path).scans) == 2


def test_a_preview_next_to_slices_is_left_out(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path, hu)
    Image.new("L", (4, 4)).save(tmp_path / "preview.jpg")
    found = find_scans(tmp_path)
    assert [scan.kind for scan in found.scans] == ["dicom"]
    assert found.reasons() == {"an image next to DICOM slices": 1}


def test_one_file_is_a_root_too(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> None:
    files = write_ct(tmp_path / "ct", hu)
    assert only(files[0]).shape == (1, 6, 5)
    assert only(files[0]).path == files[0]
    Image.new("L", (4, 4)).save(tmp_path / "1.png")
    [image] = find_scans(tmp_path / "1.png").scans
    assert (image.kind, image.shape) == ("image", (1,))
    assert "8-bit images of an unknown window" in image.error


def test_windows_of_unequal_length_are_named(tmp_path: Path) -> None:
    for window, count in (("brain", 2), ("bone", 1)):
        (tmp_path / window).mkdir()
        for number in range(count):
            Image.new("L", (4, 4)).save(tmp_path / window / f"{number}.png")
    assert only(tmp_path).shape == (2,)
    assert only(tmp_path).facts.problems == ("windows of unequal length",)


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="does not exist"):
        find_scans(tmp_path / "nowhere")
    assert find_scans(tmp_path).scans == ()


def test_several_processes_find_the_same(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ct(tmp_path, hu)
    heard: list[tuple[int, int]] = []
    alone = find_scans(tmp_path, on_read=lambda *seen: heard.append(seen))
    monkeypatch.setattr(inventory, "MANY_FILES", 2)
    assert find_scans(tmp_path, workers=2) == alone
    assert heard == [(4, 4)]
    assert default_workers() >= 1


def test_real_folders_are_found(shared_data: Path) -> None:
    found = find_scans(shared_data / "dicom")
    places = {scan.path.relative_to(shared_data).as_posix(): scan for scan in found.scans}
    chest, head = places["dicom/chest_siemens_b40f"], places["dicom/head_ge_gantry_tilt"]
    assert chest.shape == (30, 512, 512)
    assert (chest.facts.kernel, chest.facts.manufacturer) == ("B40f", "SIEMENS")
    assert head.facts.gantry_tilt_deg == 18.5
    assert found.reasons() == {"a segmentation (SEG)": 6, "a perfusion map, not HU (PERFUSION)": 2}


def test_a_folder_that_can_not_be_opened_is_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may open everything, so the system's refusal is simulated."""
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    [left] = find_scans(tmp_path).left_out
    assert left.path.name == "shut"
    assert left.reason == "can't be opened (Permission denied)"


def test_links_whose_files_are_missing_are_listed_and_the_series_is_incomplete(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    files = write_ct(tmp_path / "annex", hu)
    folder = tmp_path / "clone" / "one"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file)
    (tmp_path / "clone" / "gone.nii.gz").symlink_to(tmp_path / "annex" / "gone.nii.gz")
    assert find_scans(tmp_path / "clone").scans[0].error == ""
    files[-1].unlink()
    found = find_scans(tmp_path / "clone")
    assert found.reasons() == {"a link whose file is missing": 2}
    (only_one,) = found.scans
    assert f"{files[-1].name}: a link whose file is missing" in only_one.error
    with pytest.raises(UnreadableScan) as refused:
        read_scan(ScanSource(folder))
    assert str(refused.value) == only_one.error


@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "explicit"])
def test_dicom_without_its_prefix_is_read(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, implicit: bool
) -> None:
    """Some exports leave out the 128 bytes, the letters DICM and the file meta header."""
    for number, path in enumerate(write_ct(tmp_path / "whole", hu)):
        dataset = pydicom.dcmread(path)
        bare = pydicom.Dataset({key: value for key, value in dataset.items()})
        target = tmp_path / "bare" / f"IM{number:04d}"
        target.parent.mkdir(exist_ok=True)
        bare.save_as(target, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    scan = read_scan(ScanSource(tmp_path / "bare"))
    np.testing.assert_array_equal(scan.pixels, read_scan(ScanSource(tmp_path / "whole")).pixels)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.nrrd", "NRRD, which is not read: save it as .nii.gz"),
        ("a.hdr", "a header and image pair"),
        ("a.zip", "an archive: unpack it"),
    ],
)
def test_other_formats_are_named_with_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"NRRD0004 or anything else, of some length")
    (reason,) = find_scans(tmp_path).reasons()
    assert reason.startswith(words)


def test_values_are_checked_when_asked_for(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(1000, 1100, (12, 12, 12)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(raw, np.diag([-1.0, -1.0, 3.0, 1.0])), tmp_path / "raw.nii")
    (fine,) = find_scans(tmp_path).scans
    assert fine.error == ""
    for workers in (1, 2):
        (checked,) = with_values_checked(find_scans(tmp_path), workers=workers).scans
        assert "the offset of -1024 (or -1000) is missing" in checked.error


def test_a_name_that_is_not_utf_8_costs_no_series_beside_it(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    """Unless the file may be one of its slices."""
    files = write_ct(tmp_path, hu)
    latin = os.fsdecode("Müller.nii".encode("latin-1"))
    (tmp_path / latin).write_bytes(b"x")
    [scan] = find_scans(tmp_path).scans
    assert not scan.error
    assert read_scan(ScanSource(tmp_path, scan.identity.series_uid if scan.identity else ""))
    files[0].rename(tmp_path / os.fsdecode("Müller.dcm".encode("latin-1")))
    [scan] = find_scans(tmp_path).scans
    assert "its name is not UTF-8 (M\\udcfcller.dcm): rename it" in scan.error
