"""NLST: low-dose CT screening of the lung, by request, with the stage of cancers found.

National Lung Screening Trial Research Team, N. Engl. J. Med. 2011, doi:10.1056/NEJMoa1102873; CT
images on TCIA, doi:10.7937/TCIA.HMQ8-J677, whose page states the licence; the participant table
from cdas.cancer.gov/nlst, on request (or IDC's nlst_780_prsn_idc_*.csv). Expected: DICOM files as
TCIA gives them (NLST/<pid>/<study>/<series>/*.dcm, at any depth) and the participant table in the
root. TCIA dates the three screening rounds 2 January 1999, 2000 and 2001, so the year is the round.
"""

from pathlib import Path

from clearbench.datasets.public.dicom_set import match_series, series_row, study_date
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import (
    TableRow,
    only_file,
    public_cohort_table,
    read_table_rows,
    whole,
)
from clearbench.datasets.series import NamedScan

SOURCE_URL = "https://doi.org/10.7937/TCIA.HMQ8-J677 and https://cdas.cancer.gov/nlst"
TABLES = ("*prsn*.csv", "*participant*.csv")
COLUMNS = (
    *("pid", "de_stag", "de_stag_7thed", "can_scr", "candx_days"),
    *("scr_days0", "scr_days1", "scr_days2"),
)
FIRST_YEAR = 1999
STAGES = {
    **{"110": "IA", "120": "IB", "210": "IIA", "220": "IIB"},
    **{"310": "IIIA", "320": "IIIB", "400": "IV"},
}  # other codes (888, 900, 994, 999) aren't stages
CANCER = {"0": "0", "1": "1", "2": "1", "3": "1", "4": "1"}


def build(root: Path) -> DataSetFolder:
    """Read the DICOM series and the participant table as a cohort, one series per study.

    Labels: cancer (1 if ever diagnosed in the trial), stage (AJCC 6, IA to IV) and stage_7th of
    those with cancer, days_to_diagnosis from the scan. `day` counts from randomisation. Raises
    BadCohort for another layout or column, or if no series belongs to a participant.
    """
    table = only_file(root, TABLES, "participant table", SOURCE_URL)
    people = {whole(row["pid"]) or "": row for row in read_table_rows(table, COLUMNS, SOURCE_URL)}
    found = match_series(root, table, people, SOURCE_URL)
    rows = [_row(item, people[item.patient_id]) for item in found.scans]
    without = f"{len(found.without)} participants of {table.name} have no series"
    missing = (*([without] if found.without else []), *found.missing)
    return DataSetFolder(public_cohort_table("nlst", rows), missing)


def _row(item: NamedScan, person: TableRow) -> TableRow:
    """Return one study as a cohort row."""
    day = _day(item, person)
    diagnosis = _number(person["candx_days"])
    cancer = CANCER.get(whole(person["can_scr"]) or "")
    has_cancer = cancer == "1"
    return series_row(item) | {
        "day": None if day is None else str(day),
        "cancer": cancer,
        "stage": STAGES.get(whole(person["de_stag"]) or "") if has_cancer else None,
        "stage_7th": STAGES.get(whole(person["de_stag_7thed"]) or "") if has_cancer else None,
        "days_to_diagnosis": None if day is None or diagnosis is None else str(diagnosis - day),
    }


def _day(item: NamedScan, person: TableRow) -> int | None:
    """Return the days from randomisation to the screening round of this study."""
    when = study_date(item)
    column = "" if when is None else f"scr_days{when.year - FIRST_YEAR}"
    return _number(person.get(column))


def _number(text: str | None) -> int | None:
    """Read a number of days; None for blanks and the table's codes .M (missing), .N (none)."""
    try:
        return int(float(text or ""))
    except ValueError:
        return None
