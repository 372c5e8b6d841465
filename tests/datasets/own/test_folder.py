"""Your own export becomes a cohort: labels joined, one series per study, no ids in clear."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from clearbench.cohort.columns import is_label
from clearbench.cohort.files import read_table, write_table
from clearbench.cohort.pseudonyms import Pseudonyms, open_pseudonyms
from clearbench.cohort.table import Cohort, check_cohort, read_cohort
from clearbench.datasets.own.folder import BuiltCohort, build_folder
from clearbench.datasets.own.label_table import label_table
from clearbench.datasets.series import name_scans
from clearbench.engines.reader import source_of
from clearbench.errors import (
    BadArgument,
    BadCohort,
    BadQuery,
    BadRequest,
    UnknownName,
    UnreadableScan,
)
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.write import seeded_uid, write_nifti

WriteCT = Callable[..., list[Path]]
NAMES = Pseudonyms(b"n" * 32)
IDENTIFIERS = ("MRN-1", "MRN-2", "ACC-1", "ACC-2", "ACC-3", "20200101", "20200111", "2.25.")


@pytest.fixture
def export(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Path:
    """Two patients and three studies; the first study has a thin, a thick and a sharp series."""
    root = tmp_path / "export"

    def study(number: int, patient: int, date: str, **series: dict[str, Any]) -> None:
        def on(dataset: pydicom.FileDataset, _: int) -> None:
            dataset.StudyDate = date

        for name, facts in series.items():
            write_ct(
                root / f"{number}" / name,
                hu[:2],
                edit=on,
                patient_id=f"MRN-{patient}",
                accession_number=f"ACC-{number}",
                study=f"study{number}",
                series=f"{number}{name}",
                **facts,
            )

    sharp = {"kernel": "B70f", "thickness_mm": 1.0}
    study(1, 1, "20200101", thin={"thickness_mm": 1.0}, thick={}, sharp=sharp)
    study(2, 1, "20200111", only={})
    study(3, 2, "", only={})
    return root


def build(root: Path, labels: str, on: str, **options: Any) -> BuiltCohort:
    """Build a cohort as the command does."""
    table = root.parent / "labels.csv"
    table.write_text(labels)
    options = {"names": NAMES, **options}
    return build_folder(find_scans(root), table, on, root.parent / "cohort.csv", **options)


def labels_by_place(built: BuiltCohort) -> dict[str, str | None]:
    """The label y of every scan, by its folder."""
    return {row["path"]: row["y"] for row in built.table.to_pylist()}


THIN, TWO, THREE = "export/1/thin", "export/2/only", "export/3/only"


@pytest.mark.parametrize(
    ("on", "rows", "expected"),
    [
        ("PatientID", {"MRN-1": "1", "MRN-2": "0"}, {THIN: "1", TWO: "1", THREE: "0"}),
        ("AccessionNumber", {"ACC-1": "1", "ACC-3": "0"}, {THIN: "1", TWO: None, THREE: "0"}),
        ("StudyInstanceUID", {seeded_uid("study2"): "1"}, {THIN: None, TWO: "1", THREE: None}),
        (
            "SeriesInstanceUID",
            {seeded_uid("1thick"): "1"},
            {"export/1/thick": "1", TWO: None, THREE: None},
        ),
        (
            "path",
            {"1/sharp": "1", "./2/only/": "0"},
            {"export/1/sharp": "1", TWO: "0", THREE: None},
        ),
    ],
)
def test_labels_join_on_any_identifier(
    export: Path, on: str, rows: dict[str, str], expected: dict[str, str | None]
) -> None:
    """A label that names a series takes that series; else the preferred one of its study."""
    text = f"{on},y\n" + "".join(f"{key},{value}\n" for key, value in rows.items())
    built = build(export, text, on)
    assert labels_by_place(built) == expected
    assert len(built.unmatched_scans) == list(expected.values()).count(None)
    assert built.unmatched_labels == ()


def test_what_does_not_match_is_listed_both_ways(export: Path) -> None:
    built = build(export, "AccessionNumber,y\nACC-1,1\nACC-9,0\n", "AccessionNumber")
    assert built.unmatched_labels == ("ACC-9",)
    assert len(built.unmatched_scans) == 2
    assert set(built.unmatched_scans) < set(built.table["scan_id"].to_pylist())


def test_no_identifier_is_in_the_table_or_its_bytes(export: Path, tmp_path: Path) -> None:
    """Not even those that came with the labels."""
    text = (
        "AccessionNumber,PatientID,patient_id,StudyInstanceUID,y\n"
        f"ACC-1,MRN-1,MRN-1,{seeded_uid('study1')},1\n"
    )
    built = build(export, text, "AccessionNumber")
    assert [row["y"] for row in built.table.to_pylist()].count("1") == 1
    for ending in (".csv", ".parquet"):
        content = write_table(built.table, tmp_path / f"c{ending}").read_bytes()
        assert not [word for word in IDENTIFIERS if word.encode() in content]
    ids = built.table.to_pylist()[0]
    assert ids["patient_id"].startswith("patient-")
    assert ids["study_id"].startswith("study-")


def test_ids_are_kept_when_asked_for(export: Path) -> None:
    built = build(export, "PatientID,y\nMRN-1,1\n", "PatientID", keep_ids=True)
    assert set(built.table["patient_id"].to_pylist()) == {"MRN-1", "MRN-2"}
    assert seeded_uid("1thin") in built.table["series_id"].to_pylist()


def test_the_same_secret_gives_the_same_names(export: Path, tmp_path: Path) -> None:
    def ids(store: str) -> list[str]:
        names = open_pseudonyms(tmp_path / store)
        built = build(export, "PatientID,y\nMRN-1,1\n", "PatientID", names=names)
        return list(built.table["scan_id"].to_pylist())

    first = ids("a")
    assert ids("a") == first
    assert not set(ids("b")) & set(first)


def test_days_count_from_a_patient_s_first_study(export: Path) -> None:
    built = build(export, "PatientID,y\nMRN-1,1\n", "PatientID")
    days = {row["path"]: row["day"] for row in built.table.to_pylist()}
    assert days == {THIN: "0", TWO: "10", THREE: None}


def test_a_day_among_the_labels_stays(export: Path) -> None:
    built = build(export, "AccessionNumber,y,day\nACC-1,1,3\n", "AccessionNumber")
    assert {row["path"]: row["day"] for row in built.table.to_pylist()}[THIN] == "3"


def test_ties_are_listed_and_a_preference_breaks_them(
    export: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(
        export / "2" / "again",
        hu,
        patient_id="MRN-1",
        accession_number="ACC-2",
        study="study2",
        series="2again",
    )
    labels = "PatientID,y\nMRN-1,1\n"
    (tie,) = build(export, labels, "PatientID").ties
    assert len(tie) == 2
    built = build(
        export,
        labels,
        "PatientID",
        pick="WHERE path LIKE '%again' OR path LIKE '1/%' ORDER BY path",
    )
    assert set(labels_by_place(built)) == {"export/2/again", "export/1/sharp"}
    assert len(built.without) == 1
    assert built.ties == ()


@pytest.mark.parametrize(
    "pick", ["ORDER BY 1; DROP TABLE series", "WHERE (SELECT count(*) FROM '/etc/passwd') > 0"]
)
def test_a_malicious_preference_is_refused(export: Path, pick: str) -> None:
    with pytest.raises(BadQuery, match=r"^pick: "):
        build(export, "PatientID,y\nMRN-1,1\n", "PatientID", pick=pick)


def test_unreadable_series_are_named_and_not_taken(export: Path) -> None:
    for path in (export / "2" / "only").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.save_as(path)
    built = build(export, "PatientID,y\nMRN-1,1\n", "PatientID")
    assert "export/2/only" not in labels_by_place(built)
    (line,) = built.unreadable
    assert line.startswith("2/only: ")
    assert len(built.without) == 1


@pytest.mark.parametrize(
    ("labels", "on", "kind", "words"),
    [
        ("PatientID,y\nMRN-9,1\n", "PatientID", BadCohort, "e.g. 'MRN-1', the labels 'MRN-9'"),
        (
            "patientsid,y\nMRN-1,1\n",
            "PatientID",
            BadCohort,
            "no column PatientID; did you mean pat",
        ),
        (
            "PatientID,y\nMRN-1,1\nMRN-1,0\n",
            "PatientID",
            BadCohort,
            "MRN-1 has two rows that contr",
        ),
        ("PatientID,y\nMRN-1,1\n", "PatientId", UnknownName, "did you mean PatientID"),
    ],
)
def test_labels_that_can_t_be_joined_are_refused(
    export: Path, labels: str, on: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build(export, labels, on)


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRequest, match="no scans in this folder"):
        build(tmp_path / "empty", "PatientID,y\nMRN-1,1\n", "PatientID")


def test_rows_that_agree_but_for_other_identifiers_are_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("PatientID,StudyInstanceUID,y\n007,1.2,1\n007,1.3,1\n,1.4,0\n,1.5,1\n")
    found = label_table(read_table(path), "PatientID", path, "PatientID", 0)
    assert {key: row.labels for key, row in found.rows.items()} == {"007": {"y": "1"}}
    assert found.notes == (
        "2 rows of labels.csv have no PatientID, and are left out",
        "1 rows of labels.csv repeat another one, and count once",
    )


def test_ids_that_a_spreadsheet_cut_are_offered_and_filled_up(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    for name in ("0012", "0130", "P7"):
        write_ct(root / name, hu[:2], patient_id=name, study=name, series=name)
    labels = "PatientID,y\n12,1\n130.0,0\np7,1\n"
    with pytest.raises(BadCohort, match="fill up their zeros with --pad-ids 4"):
        build(root, labels, "PatientID")
    built = build(root, labels, "PatientID", pad_ids=4)
    assert sorted(value for value in built.table["y"].to_pylist() if value) == ["0", "1"]
    assert built.notes == ("2 ids of labels.csv were filled up to 4 digits",)
    assert built.unmatched_labels == ("p7 (nearest: P7)",)


@pytest.mark.parametrize("word", ["Anonymous", "ANON"])
def test_a_placeholder_is_not_one_patient(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, word: str
) -> None:
    root = tmp_path / "export"
    for n in range(3):
        write_ct(
            root / f"{n}",
            hu[:2],
            patient_id=word,
            study=f"{n}",
            series=f"{n}",
            accession_number=f"A{n}",
        )
    built = build(root, "AccessionNumber,y\nA0,0\nA1,1\nA2,0\n", "AccessionNumber")
    assert len(set(built.table["patient_id"].to_pylist())) == 3
    assert "3 scans: a PatientID that is nobody's name" in built.notes[0]


def test_one_patient_id_over_two_birth_dates_is_two_patients(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    for n, born in enumerate(("19500101", "19710203")):
        edit = lambda dataset, _, born=born: setattr(dataset, "PatientBirthDate", born)  # noqa: E731
        write_ct(root / f"{n}", hu[:2], edit=edit, study=f"{n}", series=f"{n}")
    write_ct(root / "2", hu[:2], patient_id="p2", study="2", series="2")
    write_ct(root / "3", hu[:2], patient_id="p2", study="3", series="3")
    built = build(root, "path,y\n0,1\n", "path")
    assert len(set(built.table["patient_id"].to_pylist())) == 3
    assert "2 scans: one PatientID over studies with other birth dates" in built.notes[0]


def test_files_are_named_by_path_stem_or_bare_name(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    root = tmp_path / "export"
    for name in ("a/one.nii.gz", "b/two.nii", "c/three.nii.gz"):
        write_nifti(root / name, hu, (5.0, 1.0, 1.0))
    built = build(root, "path,y\na/one.nii.gz,1\nb\\two,0\nthree,1\n", "path")
    found = {place.split("/")[1]: value for place, value in labels_by_place(built).items()}
    assert found == {"a": "1", "b": "0", "c": "1"}
    write_nifti(root / "d" / "three.nii.gz", hu, (5.0, 1.0, 1.0))
    with pytest.raises(BadCohort, match=r"path three fits 2 scans \(c/three\.nii\.gz, d/three"):
        build(root, "path,y\nthree,1\n", "path")


def test_a_built_cohort_is_read_by_its_pseudonyms(export: Path, hu: NDArray[np.int16]) -> None:
    """Also where two series share a folder."""
    both = export / "1"
    for path in list((both / "thick").iterdir()):
        path.rename(both / "thin" / f"thick-{path.name}")
    built = build(export, "PatientID,y\nMRN-1,1\n", "PatientID")
    write_table(built.table, export.parent / "cohort.csv")
    cohort: Cohort = read_cohort(export.parent / "cohort.csv")
    assert cohort.problems == ()
    assert cohort.labels == ("y",)
    for row in cohort.rows():
        scan = read_scan(ScanSource(row.path, row.series_id), pseudonym=NAMES.series)
        np.testing.assert_array_equal(scan.pixels, hu[:2])


def test_series_without_a_uid_are_read_again_from_anywhere(
    export: Path, hu: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found under a relative path, read under the absolute one."""
    for path in (export / "3" / "only").iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.SeriesInstanceUID
        dataset.save_as(path)
    monkeypatch.chdir(export.parent)
    built = build(Path("export"), "PatientID,y\nMRN-2,1\n", "PatientID")
    cohort = check_cohort(built.table, "c", export.parent.resolve() / "cohort.csv")
    (row,) = [row for row in cohort.rows() if row.path.parent.name == "3"]
    scan = read_scan(ScanSource(row.path, row.series_id), pseudonym=NAMES.series)
    np.testing.assert_array_equal(scan.pixels, hu[:2])


def test_uids_that_an_anonymiser_gave_to_everybody_mix_nobody(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    for n, patient in enumerate("AB"):
        write_ct(root / patient, hu + n, patient_id=patient, study="const", series="const")
    built = build(root, "PatientID,y\nA,0\nB,1\n", "PatientID")
    assert built.table.num_rows == 2
    for column in ("scan_id", "patient_id", "study_id", "series_id"):
        assert len(set(built.table[column].to_pylist())) == 2
    rows = check_cohort(built.table, "", root.parent / "cohort.csv").rows()
    read = [read_scan(ScanSource(r.path, r.series_id), pseudonym=NAMES.series) for r in rows]
    labels = built.table["y"].to_pylist()
    for scan, label in zip(read, labels, strict=True):
        np.testing.assert_array_equal(scan.pixels, hu + int(label))


@pytest.mark.parametrize("together", [True, False], ids=["one folder", "two folders"])
def test_the_passes_of_one_series_are_read_by_their_ids(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, together: bool
) -> None:
    """Each part has an id that reads its own slices, wherever the files are."""
    root = tmp_path / "export"
    for number in (1, 2):
        folder = root / ("all" if together else f"{number}")
        edit = lambda dataset, _, n=number: setattr(dataset, "AcquisitionNumber", n)  # noqa: E731
        write_ct(folder / f"{number}" if together else folder, hu + number, edit=edit)
    scans = name_scans(find_scans(root), NAMES)
    assert len({item.scan_id for item in scans}) == 2
    for item in scans:
        source = ScanSource(item.scan.path, item.series_id)
        found = read_scan(source, pseudonym=NAMES.series)
        number = 1 if "acquisition 1" in " ".join(found.facts.problems) else 2
        np.testing.assert_array_equal(found.pixels, hu + number)


def test_a_patient_whose_studies_have_other_labels_is_noted(export: Path) -> None:
    labels = "AccessionNumber,y\nACC-1,1\nACC-2,0\nACC-3,0\n"
    (note,) = build(export, labels, "AccessionNumber").notes
    assert note.startswith("1 patient has studies with different labels")
    assert build(export, "AccessionNumber,y\nACC-1,1\nACC-2,1\n", "AccessionNumber").notes == ()
    other = "AccessionNumber,site,key_slices,day,y\nACC-1,a,1,0,1\nACC-2,b,2,9,1\nACC-3,,,,0\n"
    assert build(export, other, "AccessionNumber").notes == (), "only labels are labels"


def test_the_old_id_of_a_series_that_is_several_scans_leads_to_the_new_ones(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    """A cohort from before series were split names the series; its error names the scans."""
    for number in (1, 2):
        edit = lambda dataset, _, n=number: setattr(dataset, "AcquisitionNumber", n)  # noqa: E731
        write_ct(tmp_path / f"{number}", hu + number, edit=edit)
    new = {item.series_id for item in name_scans(find_scans(tmp_path), NAMES)}
    old = NAMES.series(seeded_uid("series"))
    with pytest.raises(UnreadableScan, match="this series is 2 scans") as refused:
        read_scan(ScanSource(tmp_path, old), pseudonym=NAMES.series)
    assert "acquisition 1, acquisition 2" in str(refused.value)
    assert all(name in str(refused.value) for name in new)


def write_scans(root: Path, *places: str) -> None:
    """Write small volumes without any identifier."""
    for number, place in enumerate(places):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        write_nifti(root / place, np.full((2, 4, 4), number, np.int16), (1.0, 1.0, 1.0))


def patients_by_place(built: BuiltCohort) -> dict[str, str]:
    """The patient of every scan, by its path below the export."""
    return {
        row["path"].removeprefix("export/"): row["patient_id"] for row in built.table.to_pylist()
    }


VISITS = ("sub-1/a.nii.gz", "sub-1/b.nii.gz", "sub-2/a.nii.gz")


@pytest.mark.parametrize("column", ["patient_id", "PatientID", "patient", "Subject", "MRN"])
def test_patients_are_those_of_the_table(tmp_path: Path, column: str) -> None:
    """Two visits of one patient are one patient, pseudonymised, whatever the column is called."""
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    text = f"path,{column},y\n{VISITS[0]},Meyer7,1\n{VISITS[1]},Meyer7,0\n{VISITS[2]},Anon8,0\n"
    built = build(root, text, "path")
    who = patients_by_place(built)
    assert who[VISITS[0]] == who[VISITS[1]] == NAMES.name("patient", "Meyer7")
    assert who[VISITS[2]] == NAMES.name("patient", "Anon8")
    assert "Meyer7" not in str(built.table.to_pylist())
    assert f"patients are those of column {column}: 3 scans of 2 patients" in built.notes
    assert [name for name in built.table.column_names if is_label(name)] == ["y"]


def test_series_of_blank_patients_get_the_table_s(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = tmp_path / "export"
    for name in ("a", "b", "c"):
        write_ct(root / name, hu[:2], patient_id="", study=name, series=name)
    rows = "".join(f"{seeded_uid(n)},{p},1\n" for n, p in (("a", "P1"), ("b", "P1"), ("c", "P2")))
    built = build(root, f"SeriesInstanceUID,PatientID,y\n{rows}", "SeriesInstanceUID")
    who = patients_by_place(built)
    assert who["a"] == who["b"] != who["c"]


def test_the_table_goes_before_headers_and_a_difference_is_noted(export: Path) -> None:
    """Two PatientIDs of the headers are one patient; one PatientID is two patients."""
    rows = "".join(f"{n},{who},1\n" for n, who in ((1, "X"), (2, "Y"), (3, "X")))
    built = build(
        export,
        f"path,patient_id,y\n{rows.replace(',', '/only,', 0)}".replace("1,X", "1/thin,X")
        .replace("2,Y", "2/only,Y")
        .replace("3,X", "3/only,X"),
        "path",
    )
    who = {row["path"]: row["patient_id"] for row in built.table.to_pylist()}
    assert who[THIN] == who[THREE] != who[TWO]
    notes = " ".join(built.notes)
    assert "one PatientID in the headers, but several patients in the table" in notes
    assert "one patient in the table, but several PatientIDs in the headers" in notes


def test_a_scan_without_a_row_joins_its_patient(export: Path) -> None:
    """Its PatientID is that of a scan whose patient the table names."""
    built = build(export, "path,patient_id,y\n1/thin,X,1\n3/only,Z,0\n", "path")
    who = {row["path"]: row["patient_id"] for row in built.table.to_pylist()}
    assert who[TWO] == who[THIN] == NAMES.name("patient", "X")


def test_patients_that_nobody_names_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    built = build(root, "path,y\nsub-1/a,1\nsub-2/a,0\n", "path")
    assert len(set(patients_by_place(built).values())) == 3
    assert "3 of 3 scans name no patient, and each counts as one patient" in " ".join(built.notes)


def test_spellings_of_a_patient_are_noted_before_they_become_pseudonyms(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    text = f"path,patient_id,y\n{VISITS[0]},0012,1\n{VISITS[1]},12.0,0\n{VISITS[2]},P8,0\n"
    assert "0012 = 12.0" in " ".join(build(root, text, "path").notes)


def test_two_columns_of_patients_must_agree(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    rows = [
        f"{place},{one},{other},1" for place, one, other in zip(VISITS, "AAB", "112", strict=True)
    ]
    same = build(root, "path,patient_id,mrn,y\n" + "\n".join(rows), "path")
    assert "mrn" not in same.table.column_names
    with pytest.raises(BadCohort, match="patient_id and mrn sort the rows into different patients"):
        build(root, "path,patient_id,mrn,y\n" + "\n".join(rows).replace("B,2", "B,1"), "path")


def test_studies_days_and_sites_of_the_table_are_kept(tmp_path: Path) -> None:
    """Dates become days since the patient's first one; a study belongs to its patient."""
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    text = (
        "path,patient,session,Site,scan_date,y\n"
        f"{VISITS[0]},A,1,x,2020-01-01,1\n{VISITS[1]},A,2,x,2020-01-31,1\n"
        f"{VISITS[2]},B,1,y,2021-05-05,0\n"
    )
    built = build(root, text, "path")
    rows = {row["path"].removeprefix("export/"): row for row in built.table.to_pylist()}
    assert [rows[place]["day"] for place in VISITS] == ["0", "30", "0"]
    assert [rows[place]["site"] for place in VISITS] == ["x", "x", "y"]
    assert len({rows[place]["study_id"] for place in VISITS}) == 3
    assert "2020" not in str(built.table.to_pylist())


def test_files_without_headers_are_joined_on_the_paths_of_the_table(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    text = "PatientID,path,y\nA,export/sub-1/a.nii.gz,1\nA,sub-1/b,1\nB,sub-2/a,0\n"
    built = build(root, text, "PatientID")
    who = patients_by_place(built)
    assert who[VISITS[0]] == who[VISITS[1]] != who[VISITS[2]]
    assert "joined on column path of labels.csv" in built.notes


def test_people_s_names_never_reach_the_cohort(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_scans(root, *VISITS)
    text = "path,reader,y\nsub-1/a,Anna Roth,1\nsub-1/b,Ben Maas,0\nsub-2/a,Eva Lind,0\n"
    built = build(root, text, "path")
    assert "reader" not in built.table.column_names
    assert "column reader is left out: it seems to have names of people" in built.notes


def test_images_that_the_table_names_are_scans(tmp_path: Path) -> None:
    """Single slices of any size, several of one patient, in a window that the table names."""
    root = tmp_path / "export"
    root.mkdir()
    for name, size in (("a.png", (8, 6)), ("b.jpg", (5, 5)), ("c.png", (7, 9))):
        Image.new("L", size, 99).save(root / name)
    text = "path,patient,window,y\na.png,A,lung,1\nb.jpg,A,lung,1\nexport/c.png,B,soft=-100:200,0\n"
    built = build(root, text, "path")
    assert built.unreadable == ()
    cohort = check_cohort(built.table, "mine", tmp_path / "cohort.csv")
    assert len(set(cohort.column("patient_id"))) == 2
    scans = [read_scan(source_of(row)) for row in cohort.rows()]
    assert sorted((scan.pixels.shape, scan.windows) for scan in scans) == [
        ((1, 1, 5, 5), ("lung",)),
        ((1, 1, 6, 8), ("lung",)),
        ((1, 1, 9, 7), ("soft",)),
    ]


def test_a_window_for_all_images(tmp_path: Path) -> None:
    root = tmp_path / "export"
    root.mkdir()
    Image.new("L", (8, 6), 99).save(root / "a.png")
    built = build(root, "path,y\na.png,1\n", "path", window="brain")
    assert built.table.column("window").to_pylist() == ["brain"]
    with pytest.raises(BadArgument, match="8-bit images of an unknown window"):
        build(root, "path,y\na.png,1\n", "path")
