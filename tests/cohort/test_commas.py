"""A comma of decimals, of thousands or of a list: where it can't be known, it is asked."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.commas import read_commas
from clearbench.errors import BadCohort


def read(**columns: str) -> tuple[list[list[str]], list[str]]:
    """Read columns of cells that have a space between them; returns the cells and the notes."""
    count = max(len(text.split()) for text in columns.values())
    cells = {name: (text.split() * count)[:count] for name, text in columns.items()}
    table, notes = read_commas(pa.table(cells), lambda _: True, Path("mine.csv"))
    return [table.column(name).to_pylist() for name in columns], notes


@pytest.mark.parametrize(
    ("cells", "becomes"),
    [
        ("1,5 2 -0,75", "1.5 2 -0.75"),
        ("0,125 1,250", "0.125 1.250"),
        ("1,5", "1.5"),
        ("40,5 41,5", "40.5 41.5"),
        ("2,1 1,2 3,9", "2.1 1.2 3.9"),
        ("0,0 1,0", "0.0 1.0"),
        ("1,101 1,1", "1.101 1.1"),
    ],
)
def test_decimal_commas_are_points(cells: str, becomes: str) -> None:
    assert read(v=cells) == ([becomes.split()], ["column v: decimal commas are read as points"])


@pytest.mark.parametrize(
    ("cells", "becomes"),
    [("1,234,567 12", "1234567 12"), ("1,101 5.5", "1101 5.5"), ("1,101.5", "1101.5")],
)
def test_thousands_that_are_sure_are_whole(cells: str, becomes: str) -> None:
    assert read(v=cells) == ([becomes.split()], ["column v: commas of thousands are left out"])


@pytest.mark.parametrize("cells", ["1,101 500 503", "-2,000", "12,345 1,000"])
def test_three_digits_after_every_comma_are_asked(cells: str) -> None:
    with pytest.raises(
        BadCohort, match=r"mine\.csv: column v: the comma of .* of thousands; write"
    ):
        read(v=cells)


def test_another_column_shows_what_commas_are() -> None:
    [os, age], notes = read(os="1,101 500", age="40,5 41")
    assert (os, age) == (["1.101", "500"], ["40.5", "41"])
    assert len(notes) == 2
    with pytest.raises(BadCohort, match="column os"):
        read(os="1,101 500 503", lobes="1 1,2 3,4")


def test_lists_of_codes_stay() -> None:
    [lobes], notes = read(lobes="1 1,2 3,4 5")
    assert lobes == ["1", "1,2", "3,4", "5"]
    assert "commas stay" in notes[0]
    assert read(more="1,2,3 1") == ([["1,2,3", "1"]], [])
    assert read(words="a,b 1,5") == ([["a,b", "1,5"]], [])


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=9))
def test_thousands_are_never_read_as_another_number(numbers: list[int]) -> None:
    try:
        [cells], _ = read(v=" ".join(f"{number:,}" for number in numbers))
    except BadCohort:
        return
    assert [int(cell) for cell in cells] == numbers
