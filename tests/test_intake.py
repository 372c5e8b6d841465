from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clearbench.cohort.pseudonyms import open_pseudonyms
from clearbench.errors import BadCohort, BadRequest
from clearbench.intake import gather, keep
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series, write_nifti
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder, open_store

HU = np.zeros((2, 8, 8), np.int16)


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    return open_store(tmp_path / "store", create=True)


def test_a_folder_becomes_a_cohort_under_pseudonyms(tmp_path: Path, store: StoreFolder) -> None:
    header = DicomHeader(
        patient_id="MRN-4711",
        study_uid=seeded_uid("study"),
        series_uid=seeded_uid("series"),
        accession_number="A1",
        thickness_mm=5.0,
        kernel="B30f",
        contrast=False,
        manufacturer="m",
        model="m",
        kvp=120.0,
        series_description="",
    )
    write_dicom_series(tmp_path / "in" / "a", HU, (5.0, 1.0, 1.0), header=header)
    write_nifti(tmp_path / "in" / "b.nii.gz", HU, (5.0, 1.0, 1.0))
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    found = gather(tmp_path / "in", store)
    assert found.cohort.name == "in"
    assert sum(found.left_out.values()) == 1
    rows = found.cohort.rows()
    assert len(rows) == 2
    text = repr(found.cohort.table.to_pylist())
    assert "MRN-4711" not in text
    assert header.series_uid not in text
    kept = gather(tmp_path / "in", store, keep_ids=True)
    assert "MRN-4711" in repr(kept.cohort.table.to_pylist())


def test_what_is_not_sure_about_patients_is_noted_without_their_ids(
    tmp_path: Path, store: StoreFolder
) -> None:
    """Two spellings of a PatientID in the headers, named as the cohort names them."""
    for number, patient in enumerate(("MRN-0005", "MRN5", "MRN-7")):
        header = DicomHeader(
            patient_id=patient,
            study_uid=seeded_uid(f"study{number}"),
            series_uid=seeded_uid(f"series{number}"),
            accession_number="",
            thickness_mm=5.0,
            kernel="B30f",
            contrast=False,
            manufacturer="m",
            model="m",
            kvp=120.0,
            series_description="",
        )
        write_dicom_series(tmp_path / "in" / f"{number}", HU, (5.0, 1.0, 1.0), header=header)
    (note,) = gather(tmp_path / "in", store).cohort.problems
    names = open_pseudonyms(store.root)
    spellings = " = ".join(names.name("patient", name) for name in ("MRN-0005", "MRN5"))
    assert note.endswith(spellings)
    assert "MRN" not in note


def test_a_stored_cohort_is_found_by_name_and_keeps_its_labels(
    tmp_path: Path, store: StoreFolder
) -> None:
    write_nifti(tmp_path / "a.nii.gz", HU, (5.0, 1.0, 1.0))
    table = tmp_path / "mine.csv"
    table.write_text("scan_id,patient_id,path,ill\ns1,p1,a.nii.gz,1\n")
    keep(gather(table, store).cohort, store)
    assert gather("mine", store).cohort.column("ill") == ["1"]
    table.write_text("scan_id,patient_id,path\ns1,p1,a.nii.gz\n")
    keep(gather(table, store).cohort, store)
    assert load_cohort(store, "mine").column("ill") == ["1"]


def test_tables_that_are_added_at_once_lose_no_scans(tmp_path: Path, store: StoreFolder) -> None:
    tables = []
    for half in "ab":
        rows = [f"{half}{number},p{half}{number},x" for number in range(15)]
        for number, row in enumerate(rows):
            table = tmp_path / f"{half}{number}.csv"
            table.write_text(f"scan_id,patient_id,path\n{row}\n")
            tables.append(table)
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(lambda table: keep(gather(table, store, name="mine").cohort, store), tables)
        )
    assert len(load_cohort(store, "mine").column("scan_id")) == 30


def test_an_unknown_name_lists_the_cohorts(tmp_path: Path, store: StoreFolder) -> None:
    with pytest.raises(BadRequest, match="no cohort of that name"):
        gather(tmp_path / "nothing", store)


def test_a_folder_that_hides_a_cohort_of_its_name_is_said(
    tmp_path: Path, store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("scan_id,patient_id,path\ns1,p1,a\n")
    keep(gather(table, store).cohort, store)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(BadRequest, match=r"no scans in it .*to mean the cohort mine"):
        gather("mine", store)


def test_a_table_under_another_stores_secret_is_refused_before_a_scan_is_read(
    tmp_path: Path, store: StoreFolder
) -> None:
    table = tmp_path / "mine.csv"
    mark = open_pseudonyms(tmp_path / "other").mark
    table.write_text(f"scan_id,patient_id,path,secret_mark\ns1,p1,none.nii.gz,{mark}\n")
    with pytest.raises(BadCohort, match="pseudonyms of another store"):
        gather(table, store)


def test_rows_leave_the_stored_cohort_only_if_asked(tmp_path: Path, store: StoreFolder) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("scan_id,patient_id,path\ns1,p1,a\ns2,p2,b\n")
    keep(gather(table, store).cohort, store)
    table.write_text("scan_id,patient_id,path\ns2,p2,b\n")
    found = gather(table, store).cohort
    assert "s1" in keep(found, store).problems[0]
    assert keep(found, store, replace_rows=True, dry_run=True).column("scan_id") == ["s2"]
    assert load_cohort(store, "mine").column("scan_id") == ["s1", "s2"], "a dry run saves nothing"
    keep(found, store, replace_rows=True)
    assert load_cohort(store, "mine").column("scan_id") == ["s2"]


def test_a_cohort_of_one_patient_is_not_called_after_the_folder(
    tmp_path: Path, store: StoreFolder
) -> None:
    folder = tmp_path / "MUELLER_HANS_19600101"
    write_nifti(folder / "a.nii.gz", HU, (5.0, 1.0, 1.0))
    found = gather(folder, store)
    assert found.cohort.name.startswith("cohort-")
    assert any("--name" in note for note in found.cohort.problems)
    assert gather(folder, store).cohort.name == found.cohort.name
    assert gather(folder, store, name="mine").cohort.name == "mine"
    assert gather(folder, store, name=folder.name).cohort.name == folder.name
    # a folder of several patients keeps its name, and so does one that is called by what it holds
    write_nifti(folder / "b.nii.gz", HU, (5.0, 1.0, 1.0))
    assert gather(folder, store).cohort.name == folder.name
    write_nifti(tmp_path / "scan_1.nii.gz", HU, (5.0, 1.0, 1.0))
    assert gather(tmp_path / "scan_1.nii.gz", store).cohort.name == "scan_1"
