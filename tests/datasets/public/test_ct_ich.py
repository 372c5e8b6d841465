"""CT-ICH's folder becomes a public cohort with its own patient numbers."""

from pathlib import Path

import pytest

from clearbench.cohort.table import check_cohort
from clearbench.datasets.public.ct_ich import build
from clearbench.errors import BadCohort
from clearbench.scans.slices import ScanSource, read_scan

LABELS = "intraventricular,intraparenchymal,subarachnoid,epidural,subdural,fracture,hemorrhage"


def test_patients_keep_their_leading_zeros_and_missing_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "049" / "bone").mkdir(parents=True)
    rows = "049,0,0,0,0,1,0,1\n050,0,0,0,0,0,0,\n"
    (tmp_path / "patient_labels.csv").write_text(f"patient_id,{LABELS}\n{rows}")
    found = build(tmp_path)
    (row,) = found.table.to_pylist()
    assert (row["scan_id"], row["patient_id"], row["subdural"]) == ("ctich-049", "049", "1")
    assert found.missing == ("050: has labels but no folder",)


def test_slices_of_each_label_are_marked_where_the_table_is(tmp_path: Path) -> None:
    for name in ("049", "050"):
        (tmp_path / name / "bone").mkdir(parents=True)
    rows = "049,0,0,0,0,1,1,1\n050,0,0,0,0,0,0,0\n"
    (tmp_path / "patient_labels.csv").write_text(f"patient_id,{LABELS}\n{rows}")
    without = build(tmp_path)
    assert "key_slices" not in without.table.column_names
    assert without.notes == ("slice_labels.csv: no such file, so no slice is marked",)
    slices = "049,10,0,0,0,0,1,0,1\n049,9,0,0,0,0,1,1,1\n049,3,0,0,0,0,0,1,0\n050,1,0,0,0,0,0,0,0\n"
    table = tmp_path / "slice_labels.csv"
    table.write_text(f"patient_id,slice,{LABELS}\n{slices}")
    found = build(tmp_path)
    one, other = found.table.to_pylist()
    assert one["key_slices"] == one["key_slices_hemorrhage"] == "9 10"
    assert (one["key_slices_subdural"], one["key_slices_fracture"]) == ("9 10", "3 9")
    assert {value for name, value in other.items() if name.startswith("key_slices")} == {None}
    table.write_text(f"patient_id,slice,{LABELS}\n049,x,0,0,0,0,1,0,1\n")
    with pytest.raises(BadCohort, match=r"slice_labels\.csv, line 2: slice is x, not a number"):
        build(tmp_path)


def test_another_layout_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match=r"patient_labels\.csv: no such file"):
        build(tmp_path)
    (tmp_path / "patient_labels.csv").write_text("patient_id,hemorrhage\n049,1\n")
    with pytest.raises(BadCohort, match="no column intraventricular"):
        build(tmp_path)
    (tmp_path / "patient_labels.csv").write_text(f"patient_id,{LABELS}\n049,0,0,0,0,1,0,1\n")
    with pytest.raises(BadCohort, match=r"no patient folders; expected e\.g\. 049/brain/001\.jpg"):
        build(tmp_path)


def test_the_real_set_has_82_patients_36_of_them_with_haemorrhage(shared_data: Path) -> None:
    root = shared_data / "ct-ich"
    found = build(root)
    cohort = check_cohort(found.table, "", root / "cohort.csv")
    assert cohort.table.num_rows == 82
    assert cohort.public
    assert cohort.name == "ct-ich"
    assert cohort.label("hemorrhage").count("1") == 36
    assert len(cohort.labels) == 7
    for label in cohort.labels:
        marked = [cell is not None for cell in cohort.column(f"key_slices_{label}")]
        assert marked == [value == "1" for value in cohort.label(label)]
    assert "049" in cohort.column("patient_id")
    assert cohort.problems == found.missing == ()
    scan = read_scan(ScanSource(cohort.rows()[0].path))
    assert scan.windows == ("bone", "brain")
