"""CT-RATE's fixed volumes become a cohort; raw ones and heads do not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.datasets.public.ct_rate import LABELS, build
from clearbench.errors import BadCohort

Layout = Callable[[str], Path]


def test_names_tell_patient_and_study_and_the_tables_the_findings(layout: Layout) -> None:
    found = build(layout("ct-rate"))
    rows = {row["scan_id"]: row for row in found.table.to_pylist()}
    assert set(rows) == {"ctrate-train_1_a_1", "ctrate-train_1_a_2", "ctrate-valid_1_b_1"}
    second = rows["ctrate-train_1_a_2"]
    assert (second["patient_id"], second["study_id"]) == ("train_1", "train_1_a")
    assert second["path"] == "dataset/train_fixed/train_1/train_1_a/train_1_a_2.nii.gz"
    assert [rows[name]["split"] for name in sorted(rows)] == ["train", "train", "test"]
    assert [rows[name]["medical_material"] for name in sorted(rows)] == ["1", "0", "1"]
    assert len(LABELS) == 18
    assert found.notes == ("1 volumes left out that are listed as no chest",)


def test_the_folder_dataset_itself_and_a_part_of_it_will_do(layout: Layout) -> None:
    root = layout("ct-rate") / "dataset"
    (root / "valid_fixed").rename(root / "elsewhere")
    (root / "train_fixed/train_1/train_1_a/train_1_a_2.nii.gz").unlink()
    found = build(root)
    assert found.table["path"].to_pylist() == ["train_fixed/train_1/train_1_a/train_1_a_1.nii.gz"]
    assert found.missing == (
        "valid_fixed: no such folder",
        "1 labelled volumes are missing, e.g. train_fixed/train_1/train_1_a/train_1_a_2.nii.gz",
    )


def test_volumes_that_are_not_in_hu_are_refused(layout: Layout) -> None:
    root = layout("ct-rate") / "dataset"
    for part in ("train", "valid"):
        (root / f"{part}_fixed").rename(root / part)
    with pytest.raises(BadCohort, match="train and valid have blank headers and no HU; get train_"):
        build(root)


def test_a_misspelt_finding_is_offered(layout: Layout) -> None:
    root = layout("ct-rate")
    table = root / "dataset/multi_abnormality_labels/train_predicted_labels.csv"
    table.write_text(table.read_text().replace("Lung nodule", "Lung nodules"))
    with pytest.raises(BadCohort, match=r"no column Lung nodule; did you mean Lung nodules\?"):
        build(root)
    table.write_text(table.read_text().replace("nodules", "nodule").replace("train_1", "ct_1"))
    with pytest.raises(BadCohort, match=r"VolumeName ct_1_a_1; expected e\.g\. train_1_a_1"):
        build(root)
