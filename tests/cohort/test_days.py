"""Dates become days since a patient's first one; what may be two dates is refused."""

from datetime import date

import pytest

from clearbench.cohort.days import days_since_first, read_dates
from clearbench.errors import BadCohort

NEW_YEAR = date(2020, 1, 31)


@pytest.mark.parametrize(
    "text",
    ["2020-01-31", "20200131", "2020/01/31", "31.01.2020", "31.1.2020", "31/01/2020",
     "01/31/2020", "2020-01-31T12:00:00", "2020-01-31 00:00:00"],
)  # fmt: skip
def test_the_usual_ways_to_write_a_date(text: str) -> None:
    assert read_dates([text, None], "t") == [NEW_YEAR, None]


def test_one_cell_says_whether_the_month_comes_first_in_all() -> None:
    assert read_dates(["02/01/2020", "31/01/2020"], "t")[0] == date(2020, 1, 2)
    assert read_dates(["02/01/2020", "01/31/2020"], "t")[0] == date(2020, 2, 1)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["02/01/2020"], "the day or the month may come first"),
        (["13/01/2020", "01/13/2020"], "the day or the month may come first"),
        (["soon"], "not a date: soon"),
        (["2020-02-30"], "2020-02-30 is no date"),
    ],
)
def test_what_may_be_wrong_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(BadCohort, match=f"cohort, column x: .*{words}|cohort, column x: {words}"):
        read_dates(texts, "cohort, column x")


def test_days_count_from_each_patient_s_first_date() -> None:
    dates = [NEW_YEAR, date(2020, 1, 1), None, NEW_YEAR]
    assert days_since_first(["a", "a", "a", "b"], dates) == ["30", "0", None, "0"]
