"""NLST: one series per screening round, with the stage of those who had cancer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.datasets.public.nlst import build
from clearbench.errors import BadCohort

Layout = Callable[[str], Path]


def test_rounds_have_days_and_stages_are_of_those_with_cancer(layout: Layout) -> None:
    found = build(layout("nlst"))
    rows = sorted(found.table.to_pylist(), key=lambda row: (row["patient_id"], int(row["day"])))
    names = ("patient_id", "day", "cancer", "stage", "stage_7th", "days_to_diagnosis", "kernel")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("100012", "20", "1", "IIIA", "IIIB", "780", "B30f"),
        ("100012", "750", "1", "IIIA", "IIIB", "50", "B30f"),
        ("100026", "390", "0", None, None, None, "B30f"),
    ]
    assert found.missing == ("1 participants of nlst_780_prsn_idc_20210527.csv have no series",)


def test_codes_that_tell_no_stage_and_unknown_rounds_stay_blank(layout: Layout) -> None:
    root = layout("nlst")
    table = root / "nlst_780_prsn_idc_20210527.csv"
    table.write_text(
        table.read_text().replace("310,320,1,800,20,400", "994,999,2,.M,.M,400").replace("750", "")
    )
    row = build(root).table.to_pylist()[0]
    names = ("day", "cancer", "stage", "stage_7th", "days_to_diagnosis")
    assert [row[name] for name in names] == [None, "1", None, None, None]


def test_a_table_of_other_people_is_refused(layout: Layout) -> None:
    root = layout("nlst")
    table = root / "nlst_780_prsn_idc_20210527.csv"
    table.write_text(table.read_text().replace("\n1000", "\n2000"))
    with pytest.raises(BadCohort, match=r"none of its patients \(e\.g\. 200012\) has a series"):
        build(root)
