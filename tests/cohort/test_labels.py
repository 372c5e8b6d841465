"""New labels reach their own scans or patients, and no others."""

from pathlib import Path

import pyarrow as pa
import pytest

from clearbench.cohort.labels import update_labels
from clearbench.cohort.table import Cohort, check_cohort
from clearbench.errors import BadCohort

NEWS = Path("news.csv")


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Three scans of two patients."""
    table = pa.table(
        {
            "scan_id": ["a", "b", "c"],
            "patient_id": ["1", "1", "2"],
            "path": ["."] * 3,
            "old": ["0", "1", None],
        }
    )
    return check_cohort(table, "it", tmp_path / "it.csv")


def news(**columns: list[str | None]) -> pa.Table:
    """A table of text."""
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})


def test_labels_by_scan(cohort: Cohort) -> None:
    found = update_labels(cohort, news(scan_id=["c", "a"], old=["1", "1"], fresh=["x", None]), NEWS)
    assert found.column("old") == ["1", "1", "1"]
    assert found.column("fresh") == [None, None, "x"]
    assert found.labels == ("old", "fresh")
    assert cohort.labels == ("old",)


def test_labels_by_patient_reach_all_their_scans(cohort: Cohort) -> None:
    found = update_labels(cohort, news(patient_id=["1"], old=["9"], split=["test"]), NEWS)
    assert found.column("old") == ["9", "9", None]
    assert found.column("split") == ["test", "test", None]


def test_a_blank_cell_of_a_given_row_makes_a_label_unknown(cohort: Cohort) -> None:
    assert update_labels(cohort, news(scan_id=["b"], old=[None]), NEWS).column("old") == [
        "0",
        None,
        None,
    ]


def test_scan_id_goes_before_patient_id_and_ids_stay(cohort: Cohort) -> None:
    table = news(scan_id=["a"], patient_id=["77"], path=["/elsewhere"], old=["5"])
    found = update_labels(cohort, table, NEWS)
    assert found.column("old") == ["5", "1", None]
    assert found.column("patient_id") == ["1", "1", "2"]
    assert found.column("path") == cohort.column("path")
    assert "column patient_id is not taken: 77 is no patient of it" in found.problems


def test_a_table_by_scan_may_give_scans_to_other_patients(cohort: Cohort) -> None:
    """As a proposal of one patient per copy does."""
    found = update_labels(cohort, news(scan_id=["c"], patient_id=["1"]), NEWS)
    assert found.column("patient_id") == ["1", "1", "1"]
    assert "patient_id of 1 scan changed" in found.problems


def test_sites_and_technical_columns_come_later_too(cohort: Cohort) -> None:
    found = update_labels(cohort, news(patient_id=["2"], site=["x"], kernel=["B30f"]), NEWS)
    assert found.column("site") == [None, None, "x"]
    assert found.column("kernel") == [None, None, "B30f"]
    assert found.labels == ("old",)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": ["a"], "old": ["1"]}, r"news\.csv: no column scan_id or patient_id"),
        ({"patientsid": ["a"], "old": ["1"]}, "did you mean patientsid"),
        ({"scan_id": ["a", "z"], "old": ["1", "1"]}, "1 of 2 scan_id are not in cohort it: z"),
        ({"scan_id": ["a", None], "old": ["1", "1"]}, "scan_id is blank in a row with labels"),
        (
            {"patient_id": ["1", "1"], "old": ["0", "1"]},
            "patient_id 1 has two rows that contradict",
        ),
        ({"scan_id": ["a"], "split": ["test"]}, "a patient in two splits"),
    ],
)
def test_what_contradicts_is_refused(
    cohort: Cohort, columns: dict[str, list[str | None]], words: str
) -> None:
    parted = update_labels(cohort, news(patient_id=["1"], split=["train"]), NEWS)
    with pytest.raises(BadCohort, match=words):
        update_labels(parted, news(**columns), NEWS)


def test_rows_that_say_the_same_twice_agree(cohort: Cohort) -> None:
    table = news(patient_id=["1", "1"], study_id=["s1", "s2"], old=["4", "4"])
    assert update_labels(cohort, table, NEWS).column("old") == ["4", "4", None]


def test_ids_without_their_zeros_are_refused_with_the_way_out(tmp_path: Path) -> None:
    table = pa.table({"scan_id": ["a", "b"], "patient_id": ["0012", "0130"], "path": ["x", "y"]})
    padded = check_cohort(table, "c", tmp_path / "c.csv")
    cut = news(patient_id=["12", "130.0"], y=["1", "0"])
    with pytest.raises(BadCohort, match=r"12 \(nearest: 0012\), .*fill up .* --pad-ids 4"):
        update_labels(padded, cut, NEWS)
    assert update_labels(padded, cut, NEWS, pad_ids=4).column("y") == ["1", "0"]
