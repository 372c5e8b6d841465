"""CT-ICH's folder becomes a public cohort with its own patient numbers."""

from pathlib import Path

import pytest

from clearbench.cohort.table import check_cohort
from clearbench.datasets.ct_ich import build
from clearbench.errors import BadCohort
from clearbench.scans.slices import Source, read_scan

KINDS = "intraventricular,intraparenchymal,subarachnoid,epidural,subdural,fracture,hemorrhage"


def test_patients_keep_their_leading_zeros_and_missing_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "049" / "bone").mkdir(parents=True)
    rows = "049,0,0,0,0,1,0,1\n050,0,0,0,0,0,0,\n"
    (tmp_path / "patient_labels.csv").write_text(f"patient_id,{KINDS}\n{rows}")
    found = build(tmp_path)
    (row,) = found.table.to_pylist()
    assert (row["scan_id"], row["patient_id"], row["subdural"]) == ("ctich-049", "049", "1")
    assert found.missing == ("050: in the labels, no folder",)


def test_another_layout_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match=r"patient_labels\.csv: no such file"):
        build(tmp_path)
    (tmp_path / "patient_labels.csv").write_text("patient_id,hemorrhage\n049,1\n")
    with pytest.raises(BadCohort, match="no column intraventricular"):
        build(tmp_path)
    (tmp_path / "patient_labels.csv").write_text(f"patient_id,{KINDS}\n049,0,0,0,0,1,0,1\n")
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
    assert "049" in cohort.column("patient_id")
    assert cohort.problems == found.missing == ()
    scan = read_scan(Source(cohort.rows()[0].path))
    assert scan.windows == ("bone", "brain")
