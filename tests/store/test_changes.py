from pathlib import Path

import pyarrow as pa

from clearbench.cohort.table import Cohort, check_cohort
from clearbench.store.changes import find_changes


def cohort(**columns: list[str | None]) -> Cohort:
    plain = {"path": ["a"] * len(columns["scan_id"])} | columns
    arrays = {name: pa.array(values, pa.string()) for name, values in plain.items()}
    return check_cohort(pa.table(arrays), "c", Path("/data/c.csv"))


def test_equal_tables_have_no_changes() -> None:
    one = cohort(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", None])
    assert find_changes(one, one).sentences() == ()
    turned = cohort(scan_id=["s2", "s1"], patient_id=["p2", "p1"], x=[None, "1"])
    assert find_changes(one, turned).sentences() == (), "the order of rows is no change"


def test_long_lists_are_cut_and_counted() -> None:
    scans = [f"s{number}" for number in range(20)]
    before = cohort(scan_id=scans, patient_id=scans, x=["0"] * 20)
    after = cohort(scan_id=scans[:8], patient_id=scans[:8], x=["1"] * 8, y=["1"] * 8, z=["1"] * 8)
    columns, cells, kept = find_changes(before, after).sentences()
    assert columns == "new columns: y, z"
    assert cells.startswith("column x: 8 cells change: s0 (0 → 1), s1 (0 → 1)")
    assert cells.endswith("and 3 more")
    assert kept.startswith("12 scans of the stored cohort c are not in this table any more and are")
    assert "and 7 more" in kept


def test_what_leaves_is_told_from_what_is_kept() -> None:
    before = cohort(scan_id=["s1", "s2"], patient_id=["p1", "p2"])
    after = cohort(scan_id=["s2"], patient_id=["p2"])
    [kept] = find_changes(before, after).sentences()
    [left] = find_changes(before, after).sentences(replaced=True)
    assert "--replace-rows (replace_rows=True)" in kept
    assert left.startswith("1 scan left the cohort c: s1. Features and earlier results stay")
