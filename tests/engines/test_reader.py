import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from clearbench.engines.reader import KILLED, ReadTask, read_ahead, read_one
from clearbench.scans.hu import HuRules
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.thumbnail import take_sketch
from clearbench.scans.write import write_nifti
from clearbench.store.features import (
    ScanFeatures,
    file_image,
    map_features,
    read_facts,
    write_features,
)
from clearbench.store.folder import ScanKey, open_store


@dataclass(frozen=True)
class Killer:
    """Stands for a path whose reading kills its process, as the kernel does without memory."""

    name: str = "killer.nii"

    def exists(self) -> bool:
        os._exit(9)


def task(tmp_path: Path, number: int, path: object = None) -> ReadTask:
    file = tmp_path / f"{number}.nii"
    if path is None and not file.exists():
        write_nifti(file, np.full((2 + number, 8, 8), number - 500, np.int16), (5.0, 1.0, 1.0))
    source = ScanSource(path if path is not None else file)  # type: ignore[arg-type]
    return ReadTask(f"s{number}", f"p{number}", source, tmp_path / "none.h5")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_scan_comes_in_order(tmp_path: Path, workers: int) -> None:
    reads = list(read_ahead([task(tmp_path, number) for number in range(5)], workers))
    assert [read.task.scan_id for read in reads] == [f"s{number}" for number in range(5)]
    assert [len(read.scan or ()) for read in reads] == [2, 3, 4, 5, 6]


def test_a_reader_that_dies_fails_its_own_scan_only(tmp_path: Path) -> None:
    tasks = [task(tmp_path, 0), task(tmp_path, 1, Killer()), *(task(tmp_path, n) for n in (2, 3))]
    reads = list(read_ahead(tasks, 2))
    assert [read.status for read in reads] == ["read", "failed", "read", "read"]
    assert reads[1].reason == KILLED


def test_a_missing_path_fails_with_a_sentence(tmp_path: Path) -> None:
    read = read_one(task(tmp_path, 0, tmp_path / "gone.nii"))
    assert (read.status, read.reason) == ("failed", "the path does not exist")


def test_a_file_without_rights_fails_with_a_sentence(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    one = task(tmp_path, 0)
    one.source.path.chmod(0)
    read = read_one(one)
    assert read.status == "failed"
    assert "ermission denied" in read.reason


def test_reading_ahead_is_bounded(tmp_path: Path) -> None:
    asked: list[int] = []

    def tasks() -> object:
        for number in range(20):
            asked.append(number)
            yield task(tmp_path, number % 3)

    reads = read_ahead(tasks(), 2)  # type: ignore[arg-type]
    next(reads)
    assert len(asked) <= 2 + 2
    reads.close()  # type: ignore[attr-defined]


def test_the_sketch_is_of_the_whole_scan_however_few_slices_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "ramp.nii"
    hu = np.linspace(-900, 900, 24 * 40 * 40).reshape(24, 40, 40).astype(np.int16)
    write_nifti(file, hu, (1.0, 1.0, 1.0))
    every = task(tmp_path, 0, file)
    reads = [read_one(every), read_one(replace(every, spacing_mm=6.0))]
    assert [len(read.scan or ()) for read in reads] == [24, 5]
    whole = take_sketch(read_scan(ScanSource(file)))
    for read in reads:
        assert read.sketch is not None
        assert read.sketch.slices == 24
        np.testing.assert_array_equal(read.sketch.thumbnail, whole.thumbnail)
        np.testing.assert_array_equal(read.sketch.histogram, whole.histogram)


def test_features_of_older_rules_are_kept_if_the_pixels_are_the_same(tmp_path: Path) -> None:
    """One reading, then the file is up to date: its signature and its notes, not its features."""
    one = task(tmp_path, 0)
    first = read_one(one)
    assert first.scan is not None
    key = ScanKey("enc", "f" * 64, "c", "s0")
    features = np.arange(4, dtype=np.float32).reshape(2, 1, 2)
    scan = ScanFeatures(
        key=key,
        patient_id="p0",
        features=features,
        present=np.ones((2, 1), bool),
        z_mm=first.scan.z_mm,
        slice_index=first.scan.slice_index,
        source_signature="of older rules",
        pixels_signature=first.pixels_signature,
        about={
            "facts": {"problems": ["an old note"]},
            "precision": "float32",
            "views": [{"name": "lung"}],
        },
    )
    path = write_features(scan, open_store(tmp_path / "store", create=True))
    again = replace(one, done=path)
    assert read_one(again).status == "done"
    facts = read_facts(path)
    assert facts.source_signature == first.source_signature
    assert facts.about["facts"]["problems"] == []
    assert facts.about["precision"] == "float32"
    np.testing.assert_array_equal(map_features(facts), features)


@pytest.mark.parametrize("fault", ["flipped", "cut", "of another scan", "a pipe"])
def test_damaged_features_are_not_done(tmp_path: Path, fault: str) -> None:
    one = task(tmp_path, 0)
    first = read_one(one)
    assert first.scan is not None
    scan = ScanFeatures(
        key=ScanKey("enc", "f" * 64, "c", "s0"),
        patient_id="p0",
        features=np.zeros((2, 1, 2), np.float32),
        present=np.ones((2, 1), bool),
        z_mm=first.scan.z_mm,
        slice_index=first.scan.slice_index,
        source_signature=first.source_signature,
        pixels_signature=first.pixels_signature,
        about={"views": [{"name": "lung"}]},
    )
    store = open_store(tmp_path / "store", create=True)
    path = write_features(scan, store)
    again = replace(one, done=path)
    assert read_one(again).status == "done"
    good = path.read_bytes()
    if fault == "a pipe":
        path.unlink()
        os.mkfifo(path)
    elif fault == "of another scan":
        other = replace(scan, key=replace(scan.key, scan_id="s1"))
        path.write_bytes(file_image(other))
    else:
        path.write_bytes(good[:-1] + (bytes([good[-1] ^ 1]) if fault == "flipped" else b""))
    assert read_one(again).status == "read"
    assert write_features(scan, store) == path
    assert read_one(again).status == "done"


def test_a_folder_where_features_belong_fails_its_scan(tmp_path: Path) -> None:
    one = replace(task(tmp_path, 0), done=tmp_path / "s0.h5")
    one.done.mkdir()
    read = read_one(one)
    assert read.status == "failed"
    assert read.reason.endswith("s0.h5 is a folder where its features belong; remove it")


def test_what_the_user_says_of_values_is_part_of_the_source(tmp_path: Path) -> None:
    plain = task(tmp_path, 0)
    shifted = replace(plain, source=replace(plain.source, rules=HuRules(hu_offset=-24.0)))
    one, other = read_one(plain), read_one(shifted)
    assert one.scan is not None
    assert other.scan is not None
    np.testing.assert_array_equal(other.scan.pixels, one.scan.pixels - 24)
    assert one.source_signature != other.source_signature
    assert other.scan.facts.problems[0] == "-24 HU added (hu_offset)"
