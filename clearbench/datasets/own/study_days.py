"""Days between a patient's studies: by the dates in the headers, else by those of the table."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from clearbench.cohort.columns import DATE, columns_of
from clearbench.cohort.days import days_since_first, read_dates
from clearbench.datasets.own.label_table import Labels
from clearbench.datasets.series import NamedScan
from clearbench.errors import BadCohort, counted

Days = Sequence[str | None]


def with_days(
    rows: list[Labels], scans: list[NamedScan], source: Path
) -> tuple[list[Labels], tuple[str, ...]]:
    """Add `day` to a cohort's rows: days since the patient's first study here; with notes.

    If the labels have a column `day`, that one is used. Where the headers' dates tell no studies of
    a patient apart, as an anonymiser's one date for all, and those of the table do, no day is
    added: the dates of the table become days, as in any cohort.
    """
    patients = [item.patient_id for item in scans]
    headers = days_since_first(patients, [_date(item) for item in scans])
    column = next(iter(columns_of(DATE, list({name: None for row in rows for name in row}))), "")
    table = _table_days(rows, column, patients, source)
    if _differ(table) and not _differ(headers):
        if not any(headers):
            return rows, ()
        return rows, (
            f"the headers' StudyDate tells no studies of a patient apart; column {column} is taken",
        )
    dated = {patient for patient, day in zip(patients, headers, strict=True) if day is not None}
    days = [
        header if patient in dated else day
        for header, day, patient in zip(headers, table, patients, strict=True)
    ]
    added = [{"day": day, **row} for row, day in zip(rows, days, strict=True)]
    return added, _disagreement(patients, headers, table, column)


def _date(item: NamedScan) -> date | None:
    """Return the study's date; None if its header has no valid one."""
    text = item.scan.identity.study_date if item.scan.identity else ""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _table_days(rows: list[Labels], column: str, patients: list[str], source: Path) -> Days:
    """Return the days by a column of dates; all None without it, or if they can't be read."""
    cells = [row.get(column) for row in rows]
    try:
        return days_since_first(patients, read_dates(cells, str(source)))
    except BadCohort:
        return [None] * len(rows)


def _differ(days: Days) -> bool:
    """Return True if days tell at least two studies of a patient apart."""
    return any(day not in (None, "0") for day in days)


def _disagreement(patients: list[str], headers: Days, table: Days, column: str) -> tuple[str, ...]:
    """Note days that differ between headers and table, of patients whose studies both tell apart.

    A table with one row per patient has one date for all studies, which is no other day.
    """
    days: dict[str, list[tuple[str | None, str | None]]] = defaultdict(list)
    for patient, header, day in zip(patients, headers, table, strict=True):
        days[patient].append((header, day))
    both = [some for some in days.values() if _differ([day for _, day in some])]
    odd = sum(header != day and None not in (header, day) for some in both for header, day in some)
    if not odd:
        return ()
    return (
        f"the day of {counted(odd, 'scan')} differs between the headers' StudyDate and "
        f"column {column}; the headers are followed",
    )
