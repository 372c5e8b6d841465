"""Ids that a spreadsheet changed are recognised, and never changed in silence."""

import pytest

from clearbench.cohort.ids import pad_id, plain_id, spelled_differently, with_nearest


@pytest.mark.parametrize(
    ("key", "padded"),
    [
        ("12", "0012"),
        ("12.0", "0012"),
        ("0012", "0012"),
        ("12345", "12345"),
        ("P7", "P7"),
        ("1.5", "1.5"),
        ("", ""),
    ],
)
def test_whole_numbers_are_filled_up_and_nothing_else(key: str, padded: str) -> None:
    assert pad_id(key, 4) == padded


def test_what_a_spreadsheet_changes_is_left_out_of_a_plain_id() -> None:
    assert {plain_id(key) for key in ("0012", "12", "12.0", " 12 ")} == {"12"}
    assert plain_id("P 07") == plain_id("p07")
    assert plain_id("0") == "0"


def test_the_nearest_id_has_the_same_digits() -> None:
    known = ["0012", "MRN-17", "P7"]
    assert with_nearest(["12.0", "MRN17", "MRN-18", "p7"], known) == [
        "12.0 (nearest: 0012)",
        "MRN17 (nearest: MRN-17)",
        "MRN-18",
        "p7 (nearest: P7)",
    ]


def test_spellings_of_one_id_are_told_together() -> None:
    assert spelled_differently(["0012", "12", "P7", "7", "12", "p7"]) == ["0012 = 12", "P7 = p7"]
    assert spelled_differently(["1", "10", "100"]) == []
