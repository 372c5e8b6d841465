"""Slices as columns: their patients, their boxes, and the choice of a part of them."""

from pathlib import Path

import numpy as np
import pytest

from clearbench.datasets.lesions.slice_sets import (
    UNKNOWN,
    SliceRow,
    SliceSet,
    slice_set,
    taken,
    thinned,
    why_no_box,
)
from clearbench.errors import BadCohort

FIRST = (1.0, 2.0, 3.0, 4.0)
SECOND = (5.0, 6.0, 7.0, 8.0)
ROWS = (
    SliceRow("zoe", "a.png"),
    SliceRow("abe", "b.png", boxes=(FIRST, SECOND), label="lung"),
    SliceRow("zoe", "c.npy", row=3, boxes=(SECOND,), label="bone"),
    SliceRow("kim", "c.npy", row=4),
)


@pytest.fixture
def slices(tmp_path: Path) -> SliceSet:
    return slice_set("made", tmp_path, ROWS, ["one was left out"])


@pytest.fixture
def many(tmp_path: Path) -> SliceSet:
    """100 slices of 10 patients; every tenth has a lesion."""
    rows = (
        SliceRow(f"p{i // 10}", f"{i}.png", boxes=(FIRST,) if i % 10 == 0 else ())
        for i in range(100)
    )
    return slice_set("made", tmp_path, rows)


def as_rows(slices: SliceSet) -> set[tuple[str, int, str, str, tuple[tuple[float, ...], ...]]]:
    """All facts of a set, slice by slice."""
    return {
        (
            str(slices.files[i]),
            int(slices.rows[i]),
            slices.patients[slices.patient[i]],
            slices.labels[slices.label[i]] if slices.label[i] != UNKNOWN else "",
            tuple(map(tuple, slices.boxes_of(i).tolist())),
        )
        for i in range(len(slices))
    }


def test_columns_have_the_facts_of_the_rows(slices: SliceSet) -> None:
    assert as_rows(slices) == {(r.file, r.row, r.patient, r.label, r.boxes) for r in ROWS}
    assert slices.files.tolist() == [row.file for row in ROWS]
    assert slices.lesion.tolist() == [False, True, True, False]
    assert slices.patients == ("abe", "kim", "zoe")
    assert slices.labels == ("bone", "lung")
    assert slices.label.tolist() == [UNKNOWN, 1, 0, UNKNOWN]
    assert slices.problems == ("one was left out",)


def test_slices_without_any_box_are_a_set_too(tmp_path: Path) -> None:
    plain = slice_set("made", tmp_path, [SliceRow("p", "a.png")])
    assert plain.boxes.shape == plain.boxes_of(0).shape == (0, 4)
    assert not plain.lesion.any()
    assert plain.labels == ()


def test_the_error_for_an_empty_set_names_what_was_left_out(tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match=r"no slice to train on$"):
        slice_set("made", tmp_path, [])
    problems = [f"scan s{i} is damaged" for i in range(7)]
    with pytest.raises(BadCohort, match=r"s0 is damaged; .*s4 is damaged; and 2 more\)") as caught:
        slice_set("made", tmp_path, [], problems)
    assert "s5" not in str(caught.value)


def test_taking_some_keeps_their_boxes_and_drops_other_patients(slices: SliceSet) -> None:
    part = taken(slices, np.array([2, 1]))
    assert part.files.tolist() == ["c.npy", "b.png"]
    assert part.patients == ("abe", "zoe")
    assert as_rows(part) == {(r.file, r.row, r.patient, r.label, r.boxes) for r in ROWS[1:3]}
    assert part.boxes.tolist() == [list(SECOND), list(FIRST), list(SECOND)]


def test_taking_slices_without_boxes_leaves_none(slices: SliceSet) -> None:
    part = taken(slices, np.array([0, 3]))
    assert part.boxes.shape == (0, 4)
    assert part.lesion.tolist() == [False, False]
    assert part.patients == ("kim", "zoe")


@pytest.mark.parametrize(("others", "kept"), [(None, 100), (0, 10), (0.5, 15), (3, 40), (50, 100)])
def test_thinning_keeps_every_lesion_and_so_many_others(
    many: SliceSet, others: float | None, kept: int
) -> None:
    part = thinned(many, others, seed=0)
    assert len(part) == kept
    assert part.lesion.sum() == 10
    assert as_rows(part) <= as_rows(many)


def test_thinning_is_drawn_once_by_the_seed(many: SliceSet) -> None:
    first = thinned(many, 2, seed=3).files.tolist()
    assert first == thinned(many, 2, seed=3).files.tolist()
    assert first != thinned(many, 2, seed=4).files.tolist()


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((0, 0, 6, 4), ""),
        ((-3, -3, 1, 1), ""),
        ((5, 3, 50, 50), ""),
        ((3, 1, 2, 2), "must be larger than x1 and y1 (3, 1, 2, 2)"),
        ((1, 3, 2, 3), "must be larger than x1 and y1"),
        ((6, 0, 8, 2), "outside the image of 6 × 4 px (6, 0, 8, 2)"),
        ((0, 4, 2, 6), "outside"),
        ((-5, 0, 0, 2), "outside"),
        ((0, -5, 2, 0), "outside"),
        ((0, 0, float("nan"), 2), "not four numbers"),
        ((0, 0, float("inf"), 2), "not four numbers"),
    ],
)
def test_a_box_must_meet_an_image_of_6_by_4(box: tuple[float, ...], fault: str) -> None:
    reason = why_no_box(box, width=6, height=4)
    assert fault in reason
    assert bool(reason) == bool(fault)


def test_thinning_a_set_without_lesions_keeps_it(tmp_path: Path) -> None:
    plain = slice_set("made", tmp_path, [SliceRow("p", f"{i}.png") for i in range(5)])
    assert len(thinned(plain, 3, seed=0)) == 5
