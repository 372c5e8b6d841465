"""A cohort's scans as stacks of HU: only the side asked for, read once, faults named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clearbench.cohort.files import write_table
from clearbench.cohort.pseudonyms import open_pseudonyms
from clearbench.datasets.lesions.slice_sets import SliceSet
from clearbench.datasets.own.folder import build_folder
from clearbench.datasets.synthetic import write_cohort
from clearbench.errors import BadCohort, BadRequest, UnknownName
from clearbench.pretraining.data import read_slice
from clearbench.pretraining.stacks import DataRequest, find_slices
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.write import seeded_uid, write_nifti

WriteCT = Callable[..., list[Path]]
HEADER = "scan_id,patient_id,path,split"
SCANS = ("s1,p1,one,train", "s2,p2,two.nii.gz,train", "s3,p3,three,test")
LESIONS = ("s1,0,1,1,3,4,lung", "s2,3,0,0,2,2,bone", "s2,3,1,1,4,4,bone", "s3,1,0,0,2,2,lung")

Find = Callable[..., SliceSet]


@pytest.fixture
def root(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Path:
    """Two patients to train on, one to test; every scan has HU of its own."""
    folder = tmp_path / "cohort"
    write_ct(folder / "one", hu)
    write_nifti(folder / "two.nii.gz", hu - 1, (5.0, 0.8, 0.7))
    write_ct(folder / "three", hu - 2)
    write_rows(folder / "cohort.csv", HEADER, *SCANS)
    write_lesions(folder, *LESIONS)
    return folder


@pytest.fixture
def find(root: Path, tmp_path: Path) -> Find:
    """Find the cohort's slices in this process, as `pretrain` does."""

    def find(**facts: Any) -> SliceSet:
        request = replace(DataRequest(root, workers=0), **facts)
        return find_slices(request, tmp_path / "cache")

    return find


def write_rows(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


def write_lesions(folder: Path, *lines: str) -> None:
    write_rows(folder / "lesions.csv", "scan_id,slice_index,x1,y1,x2,y2,site", *lines)


def pixels(slices: SliceSet) -> NDArray[np.int16]:
    """The HU of all slices, in order [n, y, x]."""
    return np.stack([read_slice(slices, i) for i in range(len(slices))])


def stacks(folder: Path) -> dict[str, int]:
    """Files below a folder, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_stacks_hold_the_scans_own_hu(root: Path, find: Find) -> None:
    slices = find()
    scans = [read_scan(ScanSource(root / name)) for name in ("one", "two.nii.gz")]
    np.testing.assert_array_equal(pixels(slices), np.concatenate([scan.pixels for scan in scans]))
    assert pixels(slices).dtype == np.int16
    assert slices.problems == ()


def test_boxes_and_sites_are_those_of_the_table(find: Find) -> None:
    slices = find()
    assert slices.lesion.tolist() == [True, False, False, False, False, False, False, True]
    assert slices.boxes_of(0).tolist() == [[1, 1, 3, 4]]
    assert slices.boxes_of(7).tolist() == [[0, 0, 2, 2], [1, 1, 4, 4]]
    assert slices.labels == ("bone", "lung")
    assert slices.label.tolist() == [1, *[-1] * 6, 0]
    assert [slices.patients[number] for number in slices.patient] == ["p1"] * 4 + ["p2"] * 4


def test_a_test_patient_is_never_read(root: Path, find: Find, tmp_path: Path) -> None:
    """Not even a damaged scan of the other side is noticed."""
    for file in (root / "three").iterdir():
        file.write_bytes(b"damaged")
    slices = find()
    assert slices.patients == ("p1", "p2")
    assert slices.problems == ()
    assert not [name for name in stacks(tmp_path / "cache") if name.startswith("s3")]


@pytest.mark.parametrize(
    ("split", "patients"),
    [("", ("p1", "p2")), ("train", ("p1", "p2")), ("test", ("p3",)), ("all", ("p1", "p2", "p3"))],
)
def test_a_split_can_be_named(find: Find, split: str, patients: tuple[str, ...]) -> None:
    assert find(split=split).patients == patients


def test_an_unknown_split_offers_the_known_ones(find: Find) -> None:
    with pytest.raises(
        UnknownName, match=r'called "trian"; did you mean train\?.*test, train, all'
    ):
        find(split="trian")


def test_a_scan_on_neither_side_is_left_out(root: Path, find: Find) -> None:
    write_rows(root / "cohort.csv", HEADER, SCANS[0], "s2,p2,two.nii.gz,")
    assert find().patients == ("p1",)


def test_a_cohort_without_a_split_is_taken_whole(root: Path, find: Find) -> None:
    write_rows(root / "cohort.csv", "scan_id,patient_id,path", "s1,p1,one", "s3,p3,three")
    assert find().patients == ("p1", "p3")


def test_a_second_call_reads_nothing_anew(root: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    request, cache = DataRequest(root, workers=0), tmp_path / "cache"
    first = find_slices(request, cache, lambda *facts: heard.append(facts))
    assert heard == [(1, 2), (2, 2)]
    before = stacks(cache)
    again = find_slices(request, cache, lambda *facts: heard.append(facts))
    assert len(heard) == 2
    assert stacks(cache) == before
    assert again.files.tolist() == first.files.tolist()
    np.testing.assert_array_equal(pixels(again), pixels(first))


def test_reader_processes_find_the_same_slices(root: Path, find: Find, tmp_path: Path) -> None:
    apart = find_slices(DataRequest(root, workers=1), tmp_path / "apart")
    here = find()
    assert apart.files.tolist() == here.files.tolist()
    np.testing.assert_array_equal(pixels(apart), pixels(here))


def test_only_a_changed_source_is_read_anew(
    root: Path, find: Find, hu: NDArray[np.int16], tmp_path: Path
) -> None:
    find()
    before = stacks(tmp_path / "cache")
    write_nifti(root / "two.nii.gz", hu[:3] + 5, (5.0, 0.8, 0.7))
    write_lesions(root, LESIONS[0])
    slices = find()
    after = stacks(tmp_path / "cache")
    np.testing.assert_array_equal(pixels(slices), np.concatenate([hu, hu[:3] + 5]))
    assert {name: after.get(name) for name in before} == before
    assert {name[:2] for name in set(after) - set(before)} == {"s2"}


def test_lesions_may_change_without_reading_a_scan(root: Path, find: Find, tmp_path: Path) -> None:
    find()
    before = stacks(tmp_path / "cache")
    write_lesions(root, "s1,2,1,1,3,4,lung")
    assert np.flatnonzero(find().lesion).tolist() == [2]
    assert stacks(tmp_path / "cache") == before


def test_fractions_of_hu_are_rounded(root: Path, find: Find, hu: NDArray[np.int16]) -> None:
    image = nibabel.Nifti1Image(hu.T.astype(np.float32) + 0.4, np.diag([-0.7, -0.8, 5.0, 1.0]))
    nibabel.save(image, root / "two.nii.gz")
    np.testing.assert_array_equal(pixels(find())[4:], hu)


def test_slices_of_a_folder_of_images_go_by_the_numbers_in_their_names(
    root: Path, find: Find
) -> None:
    (root / "png").mkdir()
    for number in (7, 30, 101):
        plane = np.full((6, 5), 32768 + number, np.uint16)
        Image.fromarray(plane).save(root / "png" / f"{number}.png")
    write_rows(root / "cohort.csv", HEADER, "s1,p1,png,train")
    write_lesions(root, "s1,30,1,1,3,4,lung", "s1,1,1,1,3,4,lung")
    slices = find()
    [lesion] = np.flatnonzero(slices.lesion)
    assert (read_slice(slices, int(lesion)) == 30).all()
    assert slices.problems == ("s1: a lesion in slice 1, but the scan has no such slice",)


def test_a_lesion_in_no_slice_is_named_and_the_rest_kept(root: Path, find: Find) -> None:
    write_lesions(root, *LESIONS, "s1,4,1,1,3,4,lung", "s1,-1,1,1,3,4,lung")
    slices = find()
    assert set(slices.problems) == {
        "s1: a lesion in slice 4, but the scan has no such slice",
        "s1: a lesion in slice -1, but the scan has no such slice",
    }
    assert len(slices) == 8
    assert slices.lesion.sum() == 2


def test_a_box_outside_is_named_and_its_slice_is_none_without_a_lesion(
    root: Path, find: Find
) -> None:
    """Slices are 5 px wide and 6 px high."""
    write_lesions(root, "s1,1,5,0,7,2,lung", "s1,2,0,5,2,7,lung", "s1,3,2,2,1,1,lung")
    slices = find()
    assert len(slices.problems) == 2
    assert "s1, slice 1: box outside the image of 5 × 6 px" in slices.problems[0]
    assert "s1, slice 3: box x2 and y2 must be larger than x1 and y1" in slices.problems[1]
    assert slices.rows.tolist() == [0, 2, 0, 1, 2, 3]
    assert slices.lesion.tolist() == [False, True, False, False, False, False]


def test_a_bad_box_beside_a_good_one_costs_only_itself(root: Path, find: Find) -> None:
    write_lesions(root, "s1,1,9,9,12,12,bone", "s1,1,1,1,2,2,lung")
    slices = find()
    assert slices.boxes_of(1).tolist() == [[1, 1, 2, 2]]
    assert slices.labels == ("lung",)
    assert len(slices.problems) == 1


def test_sites_that_disagree_in_a_slice_are_no_label(root: Path, find: Find) -> None:
    write_lesions(root, "s1,1,0,0,2,2,bone", "s1,1,1,1,2,2,lung", "s1,2,1,1,2,2,lung")
    assert find().label.tolist() == [-1, -1, 0, -1, -1, -1, -1, -1]


def test_damaged_missing_and_windowed_scans_are_named_and_the_rest_kept(
    root: Path, find: Find, tmp_path: Path
) -> None:
    (root / "cut.nii.gz").write_bytes((root / "two.nii.gz").read_bytes()[:-40])
    (root / "grey" / "brain").mkdir(parents=True)
    Image.new("L", (5, 6), 9).save(root / "grey" / "brain" / "1.png")
    bad = ("s4,p4,cut.nii.gz,train", "s5,p5,nowhere,train", "s6,p6,grey,train")
    write_rows(root / "cohort.csv", HEADER, *bad, *SCANS)
    for _ in range(2):
        slices = find()
        cut, nowhere, grey = slices.problems
        assert cut.startswith("s4: ")
        assert nowhere == "s5: the path does not exist"
        assert grey == "s6: its images are already windowed, but LeCL needs HU"
        assert slices.patients == ("p1", "p2")
        assert len(slices) == 8
    assert {name[:2] for name in stacks(tmp_path / "cache")} == {"s1", "s2"}


def test_a_cohort_of_nothing_readable_says_why(root: Path, find: Find) -> None:
    write_rows(root / "cohort.csv", HEADER, "s1,p1,nowhere,train")
    (root / "lesions.csv").unlink()
    with pytest.raises(BadCohort, match=r"no slice to train on \(s1: the path does not exist\)"):
        find()


def test_lesions_may_lie_elsewhere_or_be_none(root: Path, find: Find, tmp_path: Path) -> None:
    (root / "lesions.csv").unlink()
    assert not find().lesion.any()
    write_lesions(tmp_path, "s1,0,1,1,3,4,lung")
    assert find(lesions=tmp_path / "lesions.csv").lesion.sum() == 1


def test_a_lesion_table_that_is_named_must_be_there(find: Find, tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match=r"boxes.csv: no such file"):
        find(lesions=tmp_path / "boxes.csv")


def test_a_wrong_column_of_lesions_is_named(root: Path, find: Find) -> None:
    write_rows(root / "lesions.csv", "scan,slice_index,x1,y1,x2,y2", "s1,0,1,1,3,4")
    with pytest.raises(BadCohort, match=r"lesions.csv: no column scan_id; did you mean scan\?"):
        find()


def test_a_wrong_column_of_the_cohort_is_named(root: Path, find: Find) -> None:
    write_rows(root / "cohort.csv", "scan_id,patientsid,path", "s1,p1,one")
    with pytest.raises(BadCohort, match=r"no column patient_id; did you mean patientsid\?"):
        find()


def test_a_table_can_be_named_itself(root: Path, find: Find) -> None:
    (root / "cohort.csv").rename(root / "mine.csv")
    slices = find(root=root / "mine.csv")
    assert len(slices) == 8
    assert slices.name == "mine"
    assert slices.lesion.sum() == 2


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_a_folder_without_a_table_says_what_to_give(tmp_path: Path, place: str) -> None:
    with pytest.raises(BadRequest, match=r"no DL_info.csv .* and no cohort.csv; give a"):
        find_slices(DataRequest(tmp_path / place), tmp_path / "cache")


def test_a_deeplesion_folder_is_read_as_one(tmp_path: Path) -> None:
    series = tmp_path / "Images_png" / "000007_01_01"
    series.mkdir(parents=True)
    for number in (1, 2):
        Image.fromarray(np.full((8, 8), 32808, np.uint16)).save(series / f"{number:03}.png")
    columns = "File_name,Patient_index,Bounding_boxes,Coarse_lesion_type,Image_size,Train_Val_Test"
    for split, side in ((1, ""), (3, "test")):
        lesion = f'000007_01_01_002.png,7,"1, 1, 4, 4",5,"8, 8",{split}'
        write_rows(tmp_path / "DL_info.csv", columns, lesion)
        slices = find_slices(DataRequest(tmp_path, split=side), tmp_path / "cache")
        assert slices.lesion.tolist() == [False, True]
        assert (pixels(slices) == 40).all()
        by_table = find_slices(
            DataRequest(tmp_path / "DL_info.csv", split=side), tmp_path / "cache"
        )
        assert by_table.files.tolist() == slices.files.tolist()
    assert not (tmp_path / "cache").exists()


def test_the_synthetic_cohort_has_sound_lesions(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "made", patients=4, seed=7)
    slices = find_slices(DataRequest(table, split="all", workers=0), tmp_path / "cache")
    assert slices.problems == ()
    assert slices.name == "synthetic"
    assert 0 < slices.lesion.sum() < len(slices)
    for index in np.flatnonzero(slices.lesion):
        height, width = read_slice(slices, int(index)).shape
        assert (slices.boxes_of(int(index)) <= [width, height, width, height]).all()


def test_a_cohort_that_clearbench_built_can_be_trained_on(root: Path, tmp_path: Path) -> None:
    """Its series ids are pseudonyms under the secret of the store it was built with."""
    (tmp_path / "labels.csv").write_text("PatientID,x\np1,1\n")
    store = tmp_path / "store"
    target = tmp_path / "own" / "cohort.csv"
    found, names = find_scans(root / "one"), open_pseudonyms(store)
    built = build_folder(found, tmp_path / "labels.csv", "PatientID", target, names=names)
    write_table(built.table, target)
    request = DataRequest(target, store=store, workers=0)
    assert len(find_slices(request, tmp_path / "cache")) == 4
    with pytest.raises(BadCohort, match="pseudonyms of another store"):
        find_slices(replace(request, store=tmp_path / "other"), tmp_path / "cache")


def test_another_series_of_the_same_folder_is_read_anew(
    root: Path, find: Find, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(root / "one", hu - 9, series="other")
    write_lesions(root, "s1,0,1,1,3,4,lung")
    for name, expected in (("series", hu), ("other", hu - 9)):
        row = f"s1,p1,one,{seeded_uid(name)}"
        write_rows(root / "cohort.csv", "scan_id,patient_id,path,series_id", row)
        np.testing.assert_array_equal(pixels(find()), expected)


def test_a_box_without_numbers_leaves_its_slice_out(root: Path, find: Find) -> None:
    write_lesions(root, "s1,1,1,1,x,4,lung", "s2,3,0,0,2,2,bone")
    slices = find()
    assert slices.rows.tolist() == [0, 2, 3, 0, 1, 2, 3]
    assert slices.problems == ("s1, slice 1: box not four numbers",)


def test_a_lesion_of_an_unknown_scan_is_named(root: Path, find: Find) -> None:
    write_lesions(root, *LESIONS, "S1,2,1,1,3,4,lung")
    [problem] = find().problems
    assert problem == "lesions.csv, line 6: no scan S1"


def test_training_scans_may_all_be_without_a_lesion(root: Path, find: Find) -> None:
    write_lesions(root, LESIONS[3])
    assert not find().lesion.any()


@pytest.mark.parametrize("name", ["s1-*.npy", "s1-*.index.npy"])
@pytest.mark.parametrize("part", [0, 3, 100, -1])
def test_a_damaged_stack_is_read_again(find: Find, tmp_path: Path, name: str, part: int) -> None:
    expected = pixels(find())
    cache = tmp_path / "cache"
    damaged = [path for path in cache.glob(name) if name.count(".") == path.name.count(".")]
    damaged[0].write_bytes(damaged[0].read_bytes()[:part])
    again = find()
    np.testing.assert_array_equal(pixels(again), expected)
    assert again.problems == ()


def test_an_index_of_another_stack_is_no_index(find: Find, tmp_path: Path) -> None:
    expected = pixels(find())
    index = next((tmp_path / "cache").glob("s1-*.index.npy"))
    np.save(index, np.zeros(4, np.int64))
    np.testing.assert_array_equal(pixels(find()), expected)
