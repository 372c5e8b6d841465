"""A table becomes a cohort's: each change is noted, and nothing is lost in silence."""

from pathlib import Path

import pyarrow as pa
import pytest

from clearbench.cohort.table import Cohort, read_cohort
from clearbench.cohort.tidy import tidy
from clearbench.errors import BadCohort


def cohort(tmp_path: Path, header: str, *rows: str) -> Cohort:
    """Read a cohort whose scans are s0, s1, … of patients p0, p1, …."""
    lines = [f"s{number},p{number},.,{row}" for number, row in enumerate(rows)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([f"scan_id,patient_id,path,{header}", *lines]))
    return read_cohort(path)


@pytest.mark.parametrize("name", ["patient", "PatientID", "subject", "MRN"])
def test_a_column_of_patients_is_no_label(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"scan_id,{name},path,y\na,1,.,0\nb,2,.,1\n")
    read = read_cohort(path)
    assert read.labels == ("y",)
    assert read.column("patient_id") == ["1", "2"]
    assert f"column {name} is taken as patient_id" in read.problems


def test_a_second_column_of_patients_must_say_the_same(tmp_path: Path) -> None:
    same = cohort(tmp_path, "patient,y", "A,1", "B,0")
    assert same.labels == ("y",)
    with pytest.raises(BadCohort, match="patient_id and patient sort the rows into different"):
        cohort(tmp_path, "patient,y", "A,1", "A,0")


def test_none_is_kept_where_it_may_be_a_class(tmp_path: Path) -> None:
    """In labels, also in those of numbers: a grade may be None, 1, 2; elsewhere it is blank."""
    read = cohort(
        tmp_path, "grade,size,kernel", "None,NA,None", "Mild,3,B30f", "Severe,n/a,", ",4,"
    )
    assert read.label("grade") == ["None", "Mild", "Severe", None]
    assert read.label("size") == ["NA", "3", "n/a", "4"]
    assert read.column("kernel") == [None, "B30f", None, None]
    notes = " ".join(read.problems)
    assert "column grade: None (1 row) counts as unknown, unless a task's card" in notes
    assert "column size: NA, n/a (2 rows) counts as unknown" in notes


def test_decimal_commas_beside_unknown_words(tmp_path: Path) -> None:
    path = tmp_path / "comma.csv"
    path.write_text("scan_id;patient_id;path;v\na;1;.;1,5\nb;2;.;NA\n")
    assert read_cohort(path).label("v") == ["1.5", "NA"]


@pytest.mark.parametrize("head", ["", "Unnamed: 0", "Unnamed: 0.1"])
def test_an_index_of_pandas_is_left_out(tmp_path: Path, head: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"{head},scan_id,patient_id,path,y\n0,a,1,.,1\n1,b,2,.,0\n3,c,3,.,0\n")
    read = read_cohort(path)
    assert read.labels == ("y",)
    assert f"column {head or 'Unnamed: 0'} is left out: it has no name and numbers the rows" in (
        read.problems
    )


def test_dates_are_not_kept(tmp_path: Path) -> None:
    read = cohort(tmp_path, "StudyDate,y", "2020-01-31,1", "2020-02-01,0")
    assert read.column("day") == ["0", "0"]
    assert "2020" not in str(read.table.to_pylist())
    assert read.labels == ("y",)


def test_a_tidy_table_stays_as_it_is(tmp_path: Path) -> None:
    read = cohort(tmp_path, "grade,y", "None,1", "Mild,0")
    again, notes = tidy(read.table, tmp_path / "mine.csv")
    assert again.equals(read.table)
    assert [note for note in notes if "counts as unknown" not in note] == []


def test_a_cohort_without_rows_of_words(tmp_path: Path) -> None:
    table = pa.table({"scan_id": ["a"], "patient_id": ["1"], "path": ["."], "y": [None]})
    again, notes = tidy(
        table.cast(pa.schema([(n, pa.string()) for n in table.column_names])), tmp_path
    )
    assert again.column_names == table.column_names
    assert notes == []


def test_joined_tables_leave_their_second_header_out(tmp_path: Path) -> None:
    """Else there would be a scan called scan_id, of a patient called patient_id."""
    path = tmp_path / "mine.csv"
    head = "scan_id,patient_id,path,y\n"
    path.write_text(f"{head}a,1,.,0\n{head}b,2,.,1\n{head}")
    read = read_cohort(path)
    assert read.column("scan_id") == ["a", "b"]
    assert "2 rows left out: the names of the columns again" in read.problems
