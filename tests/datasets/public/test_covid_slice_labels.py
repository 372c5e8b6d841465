"""COVID-CT-MD's slice labels count from the head; they are taken where that can be believed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.table import check_cohort
from clearbench.datasets.public.covid_ct_md import build
from clearbench.datasets.public.covid_slice_labels import (
    LOBES,
    PatientLabels,
    mark_cells,
    read_slice_labels,
)
from clearbench.errors import BadCohort
from clearbench.evaluation.task.card import find_task
from clearbench.evaluation.task.marks import read_marks
from clearbench.scans.slices import ScanSource, read_scan

Layout = Callable[[str], Path]
WIDTH = 6  # the scans have 4 slices
HEADER = "Label Index,Diagnosis,Relative Path,Folder/ID"
P001, CAP001 = "{},COVID-19,./COVID-19/,P001", "{},CAP,./CAP/,cap001"
LLL, LUL, RUL = 0, 1, 4
HEAD, FEET = 0, 3  # label indices of the first and last slice


def write_labels(
    folder: Path,
    marks: dict[int, list[tuple[int, int]]],
    *,
    index: tuple[str, ...] = (P001.format(0), CAP001.format(1)),
    rows: int = 2,
    version: str = "-updated-1",
) -> None:
    """Write marks, (label index, lobe) of each row, as they are published."""
    lobes = np.zeros((rows, WIDTH, 5))
    for row, some in marks.items():
        for place in some:
            lobes[row][place] = 1
    np.save(folder / f"Slice-level-labels{version}.npy", lobes.any(axis=2).astype(float))
    np.save(folder / f"Lobe-level-labels{version}.npy", lobes)
    (folder / "Index.csv").write_text("\n".join((HEADER, *index, "")))


def cells(root: Path, column: str = "key_slices") -> dict[str, str | None]:
    """Return one column of the built cohort by patient; {} if it isn't there."""
    table = build(root).table
    if column not in table.column_names:
        return {}
    return dict(zip(table["patient_id"].to_pylist(), table[column].to_pylist(), strict=True))


@pytest.fixture
def root(layout: Layout) -> Path:
    return layout("covid-ct-md")


def test_a_mark_at_the_head_is_the_slice_that_is_highest_in_the_body(root: Path) -> None:
    write_labels(root, {0: [(HEAD, RUL), (2, LLL)], 1: [(FEET, LLL)]})
    assert cells(root) == {"P001": "1 3", "cap001": "0", "normal001": None}
    scan = read_scan(ScanSource(root / "COVID-19 Cases" / "P001"))
    heights = dict(zip(scan.slice_index.tolist(), scan.z_mm.tolist(), strict=True))
    assert heights[3] == max(heights.values())
    assert heights[0] == min(heights.values())


def test_lobes_are_labels_with_slices_of_their_own(root: Path) -> None:
    write_labels(root, {0: [(HEAD, RUL), (1, RUL), (FEET, LLL)]})
    assert cells(root, "right_upper_lobe") == {"P001": "1", "cap001": "0", "normal001": None}
    assert cells(root, "key_slices_right_upper_lobe")["P001"] == "2 3"
    assert cells(root, "key_slices_left_lower_lobe")["P001"] == "0"
    assert cells(root, "left_upper_lobe")["P001"] == "0"


def test_the_published_task_finds_the_marks_of_the_diagnosis(root: Path) -> None:
    write_labels(root, {0: [(HEAD, RUL), (FEET, LLL)]})
    cohort = check_cohort(build(root).table, "", root / "c.csv")
    marks = read_marks(cohort, find_task("covid-ct-md-diagnosis").card)
    assert dict(zip(cohort.column("patient_id"), marks, strict=True))["P001"] == (0, 3)


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(0, 5))
def test_indices_are_turned_round_whatever_fills_the_row_up(marked: list[bool], more: int) -> None:
    slices = np.array([*marked, *[False] * more])
    text = mark_cells(PatientLabels(slices), len(marked))["key_slices"] or ""
    turned = marked[::-1]
    assert list(map(int, text.split())) == [i for i, found in enumerate(turned) if found]


def test_a_folder_whose_lobes_show_another_direction_gets_no_marks_and_a_note(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LLL), (FEET, RUL)], 1: [(FEET, LUL)]})
    assert cells(root) == {}
    (note,) = build(root).notes
    assert "left out, index 0 should be at the head" in note
    assert "upper lobes have a mean index of 3 and lower lobes of 0" in note


def test_one_patient_with_another_direction_is_left_out_by_name(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL), (FEET, LLL), (2, LLL)], 1: [(HEAD, LLL), (1, RUL)]})
    found = build(root)
    assert cells(root) == {"P001": "0 1 3", "cap001": None, "normal001": None}
    assert found.missing == (
        "cap001: its slice labels are left out, upper lobes are marked below the lower ones, so "
        "the direction is in doubt",
    )


def test_labels_without_lobes_are_taken_with_a_note(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL)]})
    (root / "Lobe-level-labels-updated-1.npy").unlink()
    assert cells(root)["P001"] == "3"
    assert "it isn't checked that index 0 is at the head" in build(root).notes[0]


def test_labels_of_more_slices_than_the_scan_has_are_left_out_by_name(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL), (4, LLL)], 1: [(HEAD, LUL)]})
    assert cells(root) == {"P001": None, "cap001": "3", "normal001": None}
    assert build(root).missing == (
        "P001: its slice labels are left out, 4 slices, but labels mark a later one",
    )


def test_a_scan_of_more_slices_than_labels_or_fewer_than_files_is_left_out(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL)], 1: [(HEAD, LUL)]})
    for kind in ("Slice", "Lobe"):
        path = root / f"{kind}-level-labels-updated-1.npy"
        np.save(path, np.load(path)[:, :3])
    first = next((root / "COVID-19 Cases" / "P001").iterdir())
    first.with_name("again.dcm").write_bytes(first.read_bytes())
    assert build(root).missing == (
        "P001: its slice labels are left out, 5 files, but 4 slices in the scan",
        "cap001: its slice labels are left out, 4 slices, but labels of 3",
    )


def test_arrays_with_and_without_the_row_that_the_index_skips(root: Path) -> None:
    index = (P001.format(42), CAP001.format(44))
    write_labels(root, {0: [(HEAD, LUL)], 1: [(1, LUL)]}, index=index)
    assert cells(root)["cap001"] == "2"
    write_labels(root, {42: [(HEAD, LUL)], 43: [(3, LUL)], 44: [(1, LUL)]}, index=index, rows=45)
    assert cells(root)["cap001"] == "2"
    write_labels(root, {}, index=index, rows=44)
    with pytest.raises(
        BadCohort, match=r"44 rows, but .* has 2 patients, with label indices up to 44"
    ):
        build(root)


def test_corrected_labels_go_before_the_first_ones(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL)]}, version="")
    assert "before the authors' corrections of P001 and P006" in build(root).notes[0]
    assert cells(root)["P001"] == "3"
    write_labels(root, {0: [(1, LUL)]})
    assert cells(root)["P001"] == "2"


def test_the_first_version_of_the_index_is_read_too(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL)]}, version="")
    (root / "Index.csv").write_text(
        "Label Index,Diagnosis,Path,Folder\n0,COVID-19,./COVID-19 subjects/,P001\n"
        "1,CAP,./Cap subjects/,p001\n"
    )
    (root / "Slice-level-labels.npy").rename(root / "Slice_level_labels.npy")
    found = build(root)
    assert cells(root) == {"P001": "3", "cap001": None, "normal001": None}
    assert "1 of 2 patients with slice labels have no scan here" in found.notes


def test_labels_of_one_class_are_not_those_of_another(root: Path) -> None:
    write_labels(root, {0: [(HEAD, LUL)]}, index=("0,CAP,./CAP/,P001", "1,CAP,./CAP/,cap001"))
    assert cells(root)["P001"] is None


def test_without_files_of_labels_no_slice_is_marked(root: Path) -> None:
    assert read_slice_labels([root]).notes == (
        "no Index.csv or Slice-level-labels.npy in covid-ct-md, so no slice is marked",
    )
    assert cells(root) == {}


def pickled(path: Path) -> None:
    np.save(path, np.array([{"code": 1}], dtype=object), allow_pickle=True)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:90])


def flat(path: Path) -> None:
    np.save(path, np.zeros(WIDTH))


def graded(path: Path) -> None:
    np.save(path, np.full((2, WIDTH), 2))


@pytest.mark.parametrize("harm", [pickled, cut, flat, graded])
def test_a_file_that_has_no_such_labels_is_refused_with_the_way_out(
    root: Path, harm: Callable[[Path], None]
) -> None:
    write_labels(root, {0: [(HEAD, LUL)]})
    harm(root / "Slice-level-labels-updated-1.npy")
    with pytest.raises(BadCohort, match=r"2 axes with 0 and 1 .*take it away to build the cohort"):
        build(root)


def test_arrays_that_do_not_belong_together_are_refused(root: Path) -> None:
    write_labels(root, {})
    np.save(root / "Lobe-level-labels-updated-1.npy", np.zeros((2, WIDTH + 1, len(LOBES))))
    with pytest.raises(BadCohort, match=r"\[2, 7, 5\] don't fit Slice-level-labels-updated-1.npy"):
        build(root)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("a,COVID-19,./,P001", "line 2: Label Index a is not a number"),
        ("0,COVID-19,./,P001\n0,CAP,./,cap001", "line 3: Label Index 0 is there twice"),
    ],
)
def test_an_index_that_can_not_be_right_is_refused(root: Path, index: str, words: str) -> None:
    write_labels(root, {}, index=(index,))
    with pytest.raises(BadCohort, match=words):
        build(root)
