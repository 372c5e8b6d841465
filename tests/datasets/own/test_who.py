"""Whose scan it is: what is not sure is noted or refused, and nobody becomes a patient."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.own.folder import BuiltCohort, build_folder
from clearbench.errors import BadCohort
from clearbench.scans.inventory import find_scans
from clearbench.scans.write import seeded_uid, write_nifti

WriteCT = Callable[..., list[Path]]
NAMES = Pseudonyms(b"n" * 32)


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """Twelve volumes without identifiers: two visits of each of six patients."""
    root = tmp_path / "scans"
    root.mkdir()
    for number in range(12):
        path = root / f"{number:02}.nii.gz"
        write_nifti(path, np.full((2, 4, 4), number, np.int16), (1.0, 1.0, 1.0))
    return root


def build(root: Path, text: str, on: str = "path", **options: Any) -> BuiltCohort:
    labels = root.parent / "labels.csv"
    labels.write_text(text)
    options = {"names": NAMES, **options}
    return build_folder(find_scans(root), labels, on, root.parent / "cohort.csv", **options)


def table(head: str, row: Callable[[int], str]) -> str:
    """A table with a row per scan."""
    return f"path,{head},y\n" + "".join(f"{n:02},{row(n)},{n // 2 % 2}\n" for n in range(12))


def patients(built: BuiltCohort) -> int:
    return len(set(built.table["patient_id"].to_pylist()))


@pytest.mark.parametrize(
    "word", ["NA", "None", "n/a", "N.A.", "unknown", "Anonymous", "0", "-", "xxx"]
)
def test_a_word_for_nobody_is_no_patient_of_many_rows(visits: Path, word: str) -> None:
    with pytest.raises(BadCohort, match=r"column patient has .* in 6 rows, which is nobody's name"):
        build(visits, table("patient", lambda n: word if n % 2 else f"P{n}"))


@pytest.mark.parametrize("word", ["", "nan", "?"])
def test_blank_patients_are_counted(visits: Path, word: str) -> None:
    built = build(visits, table("patient", lambda n: word if n % 2 else f"P{n}"))
    assert patients(built) == 12
    assert "6 of 12 scans name no patient" in " ".join(built.notes)


def test_patients_that_count_from_0_are_patients(visits: Path) -> None:
    assert patients(build(visits, table("patient", lambda n: str(n // 2)))) == 6


@pytest.mark.parametrize("word", ["NA", "unknown", "-", "", "x"])
def test_a_word_for_no_study_merges_no_scans(visits: Path, word: str) -> None:
    built = build(visits, table("patient,session", lambda n: f"P{n // 2},{word}"))
    assert (built.table.num_rows, patients(built)) == (12, 6)
    assert built.ties == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("exam", lambda _: "CT chest"),
        ("study", lambda _: "NELSON"),
        ("Study ID", lambda n: "NELSON" if n < 6 else "DLCST"),
        ("session", lambda _: "1"),
    ],
)
def test_what_is_the_same_for_many_patients_is_no_study(
    visits: Path, column: str, value: Callable[[int], str]
) -> None:
    """Rows name their scans one by one; none is dropped as a series of the same study."""
    built = build(visits, table(f"patient,{column}", lambda n: f"P{n // 2},{value(n)}"))
    assert built.table.num_rows == 12
    assert f"column {column} is not taken as the study" in " ".join(built.notes)


def test_a_session_without_patients_merges_no_scans(visits: Path) -> None:
    assert build(visits, table("session", lambda n: str(n % 2 + 1))).table.num_rows == 12


def test_sessions_and_accession_numbers_are_studies(visits: Path) -> None:
    """Two files of one study are one scan; a single visit of each patient is nothing to note."""
    two = build(visits, table("patient,session", lambda n: f"P{n // 4},{n // 2 % 2}"))
    assert two.table.num_rows == 6
    same = build(visits, table("patient,accession", lambda n: f"P{n // 2},A{n // 2}"))
    assert same.table.num_rows == 6
    single = build(visits, table("patient,session", lambda n: f"P{n},1"))
    assert not any("is not taken as the study" in note for note in single.notes)


@pytest.mark.parametrize("column", ["case", "id", "case_id", "sub", "uid", "Fallnummer"])
def test_a_column_that_may_name_the_patients_is_named_and_no_label(
    visits: Path, column: str
) -> None:
    built = build(visits, table(column, lambda n: str(7001 + n // 2)))
    assert patients(built) == 12
    notes = " ".join(built.notes)
    assert f"is it {column}? then call that column patient_id" in notes
    assert f"columns left out, as identifiers: {column}" in notes
    assert "7001" not in str(built.table.to_pylist())


def test_rows_that_are_numbered_are_no_patients(visits: Path) -> None:
    built = build(visits, table("id,age", lambda n: f"{n},{50 + n // 2}"))
    assert "is it" not in " ".join(built.notes)
    assert [name for name in ("id", "age") if name in built.table.column_names] == ["age"]


@pytest.mark.parametrize(
    "pair", [("P01", "P1"), ("sub-001", "sub-1"), ("P-001", "P001"), ("0012", "12.0")]
)
def test_two_spellings_in_the_table_are_noted(visits: Path, pair: tuple[str, str]) -> None:
    built = build(visits, table("patient", lambda n: pair[n] if n < 2 else f"Q{n // 2}"))
    assert " = ".join(pair) in " ".join(built.notes)


def test_ordinary_ids_are_no_spellings_of_each_other(visits: Path) -> None:
    built = build(visits, table("patient", lambda n: f"P{n // 2}"))
    assert built.notes == ("patients are those of column patient: 12 scans of 6 patients",)


def test_ids_that_a_spreadsheet_rounded_are_refused(visits: Path) -> None:
    for text in (
        table("mrn", lambda n: f"1.2345{n // 6}E+11"),
        table("patient,accession", lambda n: f"P{n // 2},1.2345{n // 6}E+11"),
    ):
        with pytest.raises(BadCohort, match=r"has 1\.23450E\+11, .*as text .* export again"):
            build(visits, text)


def studies(root: Path, hu: NDArray[np.int16], write_ct: WriteCT, *headers: dict[str, str]) -> str:
    """Write a study per header; returns a table of labels of them."""
    rows = []
    for number, facts in enumerate(headers):
        facts = {"patient_id": "0001", **facts}
        issuer = facts.pop("issuer", "")
        edit = lambda dataset, _, who=issuer: setattr(dataset, "IssuerOfPatientID", who)  # noqa: E731
        name = f"{number}"
        write_ct(root / name, hu[:2], study=name, series=name, edit=edit, **facts)
        rows.append(f"{seeded_uid(name)},{facts['patient_id']},{number % 2}\n")
    return "StudyInstanceUID,{}y\n" + "".join(rows)


def test_two_spellings_in_the_headers_are_noted(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    ids = ({"patient_id": name} for name in ("0005", "5", "7"))
    text = studies(root, hu, write_ct, *ids).format("given,")
    assert "0005 = 5" in " ".join(build(root, text, "StudyInstanceUID").notes)


def test_one_id_of_two_hospitals_is_two_patients(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    text = studies(
        root, hu, write_ct, {"issuer": "North"}, {"issuer": "South"}, {"issuer": "North"}
    ).format("given,")
    built = build(root, text, "StudyInstanceUID")
    assert patients(built) == 2
    assert "1 PatientID has several issuers" in built.notes[0]
    assert "0001 (north, south)" in built.notes[0]
    joined = build(root, "PatientID,y\n0001,1\n", "PatientID")
    assert "join on StudyInstanceUID" in " ".join(joined.notes)
    assert build(root, text, "StudyInstanceUID", keep_ids=True).table["patient_id"].to_pylist()


@pytest.mark.parametrize("issuers", [("", ""), ("North", "North"), ("North", "")])
def test_one_issuer_changes_no_pseudonym(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, issuers: tuple[str, str]
) -> None:
    root = tmp_path / "export"
    text = studies(root, hu, write_ct, *({"issuer": name} for name in issuers)).format("given,")
    built = build(root, text, "StudyInstanceUID")
    assert set(built.table["patient_id"].to_pylist()) == {NAMES.name("patient", "0001")}
    assert "issuer" not in " ".join(built.notes)


def test_no_label_is_for_everybody_called_anonymous(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    studies(root, hu, write_ct, *[{"patient_id": "Anonymous"}] * 3)
    with pytest.raises(BadCohort, match="3 scans of several studies have the PatientID Anonymous"):
        build(root, "PatientID,y\nAnonymous,1\n", "PatientID")


def test_no_label_is_for_every_study_without_a_number(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    numbers = ("UNKNOWN", "UNKNOWN", "A7")
    studies(root, hu, write_ct, *({"accession_number": number} for number in numbers))
    with pytest.raises(BadCohort, match="2 scans of several studies have the AccessionNumber UNK"):
        build(root, "accession,y\nUNKNOWN,1\nA7,0\n", "AccessionNumber")
    built = build(root, "accession,y\nUNKNOWN,1\nUNKNOWN,0\nA7,0\n", "AccessionNumber")
    assert "2 rows of labels.csv have no accession, and are left out" in built.notes
    assert len(built.unmatched_scans) == 2


def test_a_patient_id_over_two_birth_dates_stays_in_doubt_when_joined_on(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    for n, born in enumerate(("19500101", "19710203")):
        edit = lambda dataset, _, born=born: setattr(dataset, "PatientBirthDate", born)  # noqa: E731
        write_ct(root / f"{n}", hu[:2], edit=edit, study=f"{n}", series=f"{n}")
    built = build(root, "PatientID,y\np1,1\n", "PatientID")
    assert patients(built) == 2
    assert "one PatientID over studies with other birth dates" in " ".join(built.notes)
