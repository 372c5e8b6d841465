"""A split whose patients are on two sides is refused, or repaired without losing a row."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.datasets.public.published_split import SIDES, SplitRow, check_split
from clearbench.errors import BadCohort

ROWS = st.lists(
    st.builds(SplitRow, st.sampled_from(["a", "b", "c"]), st.sampled_from(SIDES)), min_size=1
)


def rows(**sides: str) -> list[SplitRow]:
    return [SplitRow(owner, side) for owner, text in sides.items() for side in text.split()]


def test_a_clean_split_is_taken_as_it_is() -> None:
    split = check_split(rows(a="train train", b="test"), "s.csv")
    assert split.side == {"a": "train", "b": "test"}
    assert split.moved == ""


def test_patients_on_two_sides_are_counted_and_named() -> None:
    mixed = rows(a="train test", b="test", c="val test val")
    said = r"s\.csv: 2 patients are on two sides of the split: a \(test and train\), c \(test and"
    with pytest.raises(BadCohort, match=said + r".*--repair-split"):
        check_split(mixed, "s.csv")


def test_repair_follows_the_most_rows_and_ties_go_to_train() -> None:
    mixed = rows(a="train test", b="test test train", c="test val", d="test")
    split = check_split(mixed, "s.csv", owner="scan", repair=True)
    assert split.side == {"a": "train", "b": "test", "c": "val", "d": "test"}
    assert "3 scans are on two sides" in split.moved
    assert split.moved.endswith("moved 3 of 8 rows")


@given(ROWS)
def test_repair_keeps_every_owner_on_a_side_that_it_had(found: list[SplitRow]) -> None:
    split = check_split(found, "s.csv", repair=True)
    assert set(split.side) == {row.owner for row in found}
    counts = Counter((row.owner, row.side) for row in found)
    for owner, side in split.side.items():
        assert counts[owner, side] == max(counts[owner, other] for other in SIDES)
