"""DeepLesion's series become scans with the sites of their typed lesions."""

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearbench.datasets.lesions.deeplesion import read_deeplesion
from clearbench.datasets.public.deeplesion_cohort import SITES, build, read_typed_split
from clearbench.errors import BadCohort
from clearbench.scans.slices import ScanSource, read_scan

Layout = Callable[[str], Path]


def write_split(folder: Path, **sides: list[str]) -> Path:
    """Write the community's split files; a row is a volume and a type counted from 0."""
    folder.mkdir()
    for side, rows in sides.items():
        lines = ["Volume_fn,Coarse_lesion_type", *rows]
        (folder / f"deeplesion_typed_{side}.csv").write_text("\n".join(lines))
    return folder


def test_a_typed_lesion_labels_its_series_and_all_else_is_unknown(layout: Layout) -> None:
    rows = {row["scan_id"]: row for row in build(layout("deeplesion")).table.to_pylist()}
    untyped, lung, two = (rows[f"deeplesion-{s}"] for s in (
        "000001_01_01", "000002_01_01", "000003_02_01"))  # fmt: skip
    assert [untyped[site] for site in SITES] == [None] * 8
    assert [site for site in SITES if lung[site]] == ["lung"]
    assert [site for site in SITES if two[site]] == ["bone", "soft_tissue"]
    assert {two[site] for site in SITES} == {"1", None}
    assert [row["split"] for row in (untyped, lung, two)] == ["train", "val", "test"]
    assert [row["typed_split"] for row in (untyped, lung, two)] == [None, "train", "test"]
    assert (two["patient_id"], two["study_id"]) == ("3", "000003_02")


def test_key_slices_are_the_slice_indices_of_annotated_images(layout: Layout) -> None:
    root = layout("deeplesion")
    row = build(root).table.to_pylist()[-1]
    scan = read_scan(ScanSource(root / row["path"]))
    assert row["key_slices"] == "99 100"
    keys = [int(number) for number in row["key_slices"].split()]
    chosen = [scan.pixels[list(scan.slice_index).index(key)].max() for key in keys]
    assert chosen == [99, 100]  # each image of this folder holds its own number


def test_in_its_own_table_kidneys_come_before_livers_feet_to_head(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "metadata" / "DL_info_sample.csv"
    shutil.copy(source, tmp_path / "DL_info.csv")
    with source.open(newline="") as file:
        lesions = [row for row in csv.DictReader(file) if row["File_name"].startswith("000016_")]
    for row in lesions:  # an image holds the type of its lesion: 4 liver, 6 kidney
        series, _, name = row["File_name"].rpartition("_")
        (tmp_path / "Images_png" / series).mkdir(parents=True, exist_ok=True)
        plane = np.full((8, 8), 32768 + int(row["Coarse_lesion_type"]), np.uint16)
        Image.fromarray(plane).save(tmp_path / "Images_png" / series / name)
    scans = [
        read_scan(ScanSource(tmp_path / path)) for path in build(tmp_path).table["path"].to_pylist()
    ]
    assert [scan.pixels[:, 0, 0].tolist() for scan in scans] == [[6, 6, 4], [6, 6, 6, 4]]


def test_patients_are_those_of_pretraining(layout: Layout) -> None:
    root = layout("deeplesion")
    assert build(root).table["patient_id"].to_pylist() == list(
        read_deeplesion(root, "all").patients
    )


def test_what_is_not_there_is_named(layout: Layout) -> None:
    root = layout("deeplesion")
    shutil.rmtree(root / "Images_png" / "000002_01_01")
    (root / "Images_png" / "000003_02_01" / "100.png").unlink()
    (root / "Images_png" / "000008_01_01").mkdir()
    found = build(root)
    assert found.missing == (
        "Images_png/000002_01_01: in DL_info.csv, but no folder",
        "Images_png/000008_01_01: no row in DL_info.csv, left out",
        "Images_png/000003_02_01/100.png: annotated, but missing",
    )
    assert found.table["key_slices"].to_pylist() == ["6", "99"]


def test_images_without_one_known_series_are_refused(layout: Layout) -> None:
    root = layout("deeplesion")
    shutil.rmtree(root / "Images_png")
    (root / "Images_png" / "other").mkdir(parents=True)
    with pytest.raises(BadCohort, match=r"expected e\.g\. Images_png/000001_01_01/006\.png"):
        build(root)


def test_the_community_s_sides_replace_ours_and_types_are_compared(
    layout: Layout, tmp_path: Path
) -> None:
    splits = write_split(
        tmp_path / "splits",
        train=["000002_01_01_010-012.nii.gz,4"],
        test=["000003_02_01_098-102.nii.gz,0", "000003_02_01_098-102.nii.gz,2"],
        val=["000007_01_01_001-002.nii.gz,1"],
    )
    found = build(layout("deeplesion"), splits=splits)
    assert found.table["typed_split"].to_pylist() == [None, "train", "test"]
    assert found.notes == (
        "1 types of the split files are not in DL_info.csv (first: 000003_02_01, mediastinum); "
        "labels are those of DL_info.csv",
    )


def test_a_patient_on_two_sides_is_refused_and_repaired_when_asked(
    layout: Layout, tmp_path: Path
) -> None:
    splits = write_split(
        tmp_path / "splits",
        train=["000002_01_01_010-012.nii.gz,4"],
        val=["000003_02_01_098-102.nii.gz,0"],
        test=["000003_02_01_098-102.nii.gz,6", "000003_02_01_098-102.nii.gz,6"],
    )
    root = layout("deeplesion")
    with pytest.raises(BadCohort, match=r"1 patient is on two sides .*: 3 \(test and val\)"):
        build(root, splits=splits)
    found = build(root, splits=splits, repair_split=True)
    assert found.table["typed_split"].to_pylist() == [None, "train", "test"]
    assert "moved 1 of 4 rows" in found.notes[0]


def test_the_real_split_files_share_291_patients_and_can_be_repaired(shared_data: Path) -> None:
    folder = shared_data / "metadata"
    with pytest.raises(BadCohort, match="291 patients are on two sides"):
        read_typed_split(folder)
    typed = read_typed_split(folder, repair=True)
    assert Counter(typed.split.side.values()).total() == 1041
    assert Counter(typed.split.side.values())["train"] == 553
    assert typed.split.moved.endswith("of 5051 rows")


def test_its_own_table_gives_labels_by_type(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "metadata" / "DL_info_sample.csv", tmp_path / "DL_info.csv")
    images = tmp_path / "Images_png"
    (images / "000001_01_01").mkdir(parents=True)
    (images / "000001_01_01" / "109.png").touch()
    found = build(tmp_path)
    (row,) = found.table.to_pylist()
    assert (row["mediastinum"], row["bone"], row["key_slices"]) == ("1", None, "109")
    assert (row["split"], row["typed_split"], row["patient_id"]) == ("test", "test", "1")
    assert all(text.endswith("in DL_info.csv, but no folder") for text in found.missing)
