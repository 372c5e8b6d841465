"""Ids that a spreadsheet changed are recognised, and never changed in silence."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.ids import (
    find_nobody,
    is_nobody,
    lacks_zeros,
    pad_id,
    plain_id,
    rounded_ids,
    spelled_differently,
    with_nearest,
)


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
    assert spelled_differently(["P-001", "P001", "sub_02", "SUB-2"]) == [
        "P-001 = P001",
        "sub_02 = SUB-2",
    ]


WORDS = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
NUMBERS = st.integers(0, 10**6)
PARTS = st.lists(WORDS | NUMBERS, min_size=1, max_size=4)


def write(parts: list[str | int], zeros: int, sign: str, capital: bool) -> str:
    """One spelling of an id of words and numbers: numbers are always apart."""
    texts = [f"{part:0{zeros}}" if isinstance(part, int) else part for part in parts]
    text = texts[0]
    for before, after in pairwise(texts):
        between = sign or ("-" if before[-1].isdigit() and after[0].isdigit() else "")
        text += between + after
    return text.upper() if capital else text


STYLES = st.tuples(st.integers(1, 6), st.sampled_from(["", "-", "_", "."]), st.booleans())


@given(PARTS, STYLES, STYLES)
def test_zeros_signs_and_case_are_no_other_id(
    parts: list[str | int], one: tuple[int, str, bool], other: tuple[int, str, bool]
) -> None:
    spellings = {write(parts, *one), write(parts, *other)}
    if not any(re.fullmatch(r"\d+\.0+", text) for text in spellings):  # 12.0 is 12
        assert len({plain_id(text) for text in spellings}) == 1


@given(PARTS, PARTS, STYLES)
def test_other_numbers_are_another_id(
    one: list[str | int], other: list[str | int], style: tuple[int, str, bool]
) -> None:
    numbers = [[part for part in some if isinstance(part, int)] for some in (one, other)]
    texts = write(one, *style), write(other, *style)
    if numbers[0] != numbers[1] and not any(re.fullmatch(r"\d+\.0+", text) for text in texts):
        assert plain_id(texts[0]) != plain_id(texts[1])


@given(st.text(max_size=12))
def test_a_plain_id_stays_plain(text: str) -> None:
    assert plain_id(plain_id(text)) == plain_id(text)


@given(st.sampled_from(["P", "sub-", "A-1-", "CASE_", ""]), st.integers(0, 5), st.integers(1, 400))
def test_counted_patients_are_no_spellings_of_each_other(
    prefix: str, width: int, count: int
) -> None:
    assert spelled_differently([f"{prefix}{n:0{width}}" for n in range(count)]) == []


def test_zeros_can_be_filled_up_where_all_are_digits() -> None:
    assert lacks_zeros("12", "0012")
    assert lacks_zeros("12.0", "0012")
    assert not lacks_zeros("P1", "P01")
    assert not lacks_zeros("0012", "0012")


@pytest.mark.parametrize(
    "word",
    ["NA", "None", "n/a", "N.A.", "unknown", "Anonymous", "de-identified", "no id", "0", "000",
     "0.0", "-", "--", "?", "xxx", "Unbekannt", "匿名"],
)  # fmt: skip
def test_what_names_nobody(word: str) -> None:
    assert is_nobody(word)
    assert find_nobody(["P1", word, word, "P2"]) == {word: 2}


def test_ids_that_count_from_zero_and_single_letters_are_somebody() -> None:
    assert find_nobody(["0", "0", "1", "1", "2"]) == {}
    assert find_nobody(["x", "x", "y", "z"]) == {}
    assert find_nobody(["0"] * 20 + ["1", "2"]) == {"0": 20}, "a 0 for everybody else"
    assert not any(map(is_nobody, ["P0", "10", "x1", "Ana", "None-1", "7"]))


def test_ids_that_a_spreadsheet_rounded() -> None:
    assert rounded_ids(["1.23457E+11", "1,2E+11", "1E+05", "1.2e+11"]) != []
    assert rounded_ids(["1.23457E+11", "P1", "1.23457E+11"]) == ["1.23457E+11"]
    assert rounded_ids(["12E3", "1.5", "E+11", "3-E+4", "123456789012"]) == []
