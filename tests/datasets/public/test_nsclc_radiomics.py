"""NSCLC-Radiomics: series and clinical table are joined; values of no category stay blank."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.datasets.public.nsclc_radiomics import build
from clearbench.errors import BadCohort

Layout = Callable[[str], Path]
WriteCT = Callable[..., list[Path]]
TABLE = "NSCLC-Radiomics-Lung1.clinical-version3-Oct-2019.csv"


def test_labels_are_joined_by_patient_and_gaps_are_named(layout: Layout) -> None:
    found = build(layout("nsclc-radiomics"))
    first, second = found.table.to_pylist()
    labels = ("overall_stage", "t_stage", "n_stage", "m_stage", "survival_days", "death")
    assert [first[name] for name in labels] == ["IIIb", "2", "3", "0", "2165", "1"]
    assert [second[name] for name in labels] == [None, None, None, None, "155", "0"]
    assert (first["patient_id"], first["thickness_mm"]) == ("LUNG1-001", "5.0")
    assert first["scan_id"] == first["series_id"]
    assert found.missing == (f"LUNG1-003: in {TABLE}, but no series",)
    assert found.notes == (
        "t_stage: 1 patients with clinical.T.Stage 5 are left blank (categories: 1, 2, 3, 4)",
        "n_stage: 1 patients with Clinical.N.Stage 4 are left blank (categories: 0, 1, 2, 3)",
        "m_stage: 1 patients with Clinical.M.Stage 3 are left blank (categories: 0, 1)",
    )


def test_a_table_that_is_missing_double_or_of_others_is_refused(layout: Layout) -> None:
    root = layout("nsclc-radiomics")
    table = root / TABLE
    shutil.copy(table, root / "my_clinical.csv")
    with pytest.raises(BadCohort, match=r"several files may be the clinical table \(NSCLC.*my_cl"):
        build(root)
    (root / "my_clinical.csv").unlink()
    whole = table.read_text()
    table.write_text(whole.replace("Overall.Stage", "OverallStage"))
    with pytest.raises(BadCohort, match=r"no column Overall\.Stage; did you mean OverallStage\?"):
        build(root)
    table.write_text(whole.replace("LUNG1-", "LUNG2-"))
    with pytest.raises(BadCohort, match=r"none of its patients .*; the headers have e\.g\. 'LUNG1"):
        build(root)
    table.unlink()
    with pytest.raises(BadCohort, match=r"no clinical table \(\*clinical\*\.csv\); get it from"):
        build(root)


def test_the_real_table_fits(
    shared_data: Path, tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    shutil.copy(shared_data / "metadata" / "nsclc_radiomics_clinical.csv", tmp_path)
    write_ct(tmp_path / "LUNG1-002", hu, patient_id="LUNG1-002")
    found = build(tmp_path)
    (row,) = found.table.to_pylist()
    assert (row["overall_stage"], row["t_stage"], row["survival_days"]) == ("I", "2", "155")
    assert len(found.missing) == 420
