"""Dates → days since a patient's first one: dates may show who a person is, days don't."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from clearbench.errors import BadCohort, name_some

YEAR_FIRST = re.compile(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})(?:[T ].*)?")
YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[T ].*)?")
MONTHS = 12


@dataclass(frozen=True)
class _Numbers:
    """A date's numbers; `first` and `second` are day and month, in an order that may be unsure."""

    year: int
    first: int
    second: int
    sure: bool


def read_dates(texts: Sequence[str | None], where: str) -> list[date | None]:
    """Read dates such as 2020-01-31, 20200131, 31.01.2020 or 31/01/2020; None where blank.

    Raises BadCohort with `where` for other texts, and for dates such as 02/01/2020 if no cell says
    whether the day or the month comes first.
    """
    found = {text: _numbers(text) for text in texts if text is not None}
    bad = [text for text, numbers in found.items() if numbers is None]
    if bad:
        raise BadCohort(f"{where}: not a date: {name_some(bad)}; write it as 2020-01-31")
    known = {text: numbers for text, numbers in found.items() if numbers is not None}
    month_first = _month_first(known, where)
    dates = {text: _date(text, known[text], month_first, where) for text in known}
    return [None if text is None else dates[text] for text in texts]


def _numbers(text: str) -> _Numbers | None:
    """Return the numbers of a date; None for other texts."""
    match = YEAR_FIRST.fullmatch(text)
    if match:
        return _Numbers(int(match[1]), int(match[4]), int(match[3]), sure=True)
    match = YEAR_LAST.fullmatch(text)
    # dots: the day is always first
    return match and _Numbers(int(match[4]), int(match[1]), int(match[3]), sure=match[2] == ".")


def _month_first(known: Mapping[str, _Numbers], where: str) -> bool:
    """Tell whether the month comes first where that is not sure; raises BadCohort if none says."""
    unsure = {text: numbers for text, numbers in known.items() if not numbers.sure}
    day_first = any(numbers.first > MONTHS for numbers in unsure.values())
    month_first = any(numbers.second > MONTHS for numbers in unsure.values())
    if not unsure or day_first != month_first:
        return month_first
    text = next(iter(unsure))
    raise BadCohort(
        f"{where}: in {text}, the day or the month may come first; write it as 2020-01-31"
    )


def _date(text: str, numbers: _Numbers, month_first: bool, where: str) -> date:
    """Return one date; raises BadCohort if there is no such day."""
    day, month = numbers.first, numbers.second
    if month_first and not numbers.sure:
        day, month = month, day
    try:
        return date(numbers.year, month, day)
    except ValueError as error:
        raise BadCohort(f"{where}: {text} is no date; write it as 2020-01-31") from error


def days_since_first(patients: Sequence[str], dates: Sequence[date | None]) -> list[str | None]:
    """Return the days since each patient's first date, as text; None where unknown."""
    firsts: dict[str, date] = {}
    for patient, when in zip(patients, dates, strict=True):
        if when is not None:
            firsts[patient] = min(when, firsts.get(patient, when))
    return [
        None if when is None else str((when - firsts[patient]).days)
        for patient, when in zip(patients, dates, strict=True)
    ]
