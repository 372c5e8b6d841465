"""The series table shows pseudonyms; identifiers only on request."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.series import (
    key_table,
    name_scans,
    relative_to,
    series_records,
    series_table,
    without_names,
)
from clearbench.errors import BadRequest
from clearbench.scans.inventory import find_scans
from clearbench.scans.write import seeded_uid, write_nifti

WriteCT = Callable[..., list[Path]]
NAMES = Pseudonyms(b"k" * 32)


@pytest.fixture
def root(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Path:
    """A DICOM series and a NIfTI file."""
    write_ct(tmp_path / "one", hu, patient_id="MRN-77", accession_number="ACC-5")
    write_nifti(tmp_path / "x.nii.gz", hu, (5.0, 0.8, 0.7))
    return tmp_path


def test_a_row_has_geometry_and_technique(root: Path) -> None:
    dicom, nifti = series_table(name_scans(find_scans(root), NAMES)).to_pylist()
    assert (dicom["n_slices"], dicom["rows"], dicom["columns"]) == (4, 6, 5)
    assert (dicom["spacing_z_mm"], dicom["thickness_mm"]) == (5.0, 5.0)
    assert (dicom["kernel"], dicom["soft_kernel"], dicom["kind"]) == ("B30f", True, "dicom")
    assert dicom["path"] == "one"
    assert nifti["path"] == "x.nii.gz"
    assert nifti["thickness_mm"] is None
    assert nifti["series_id"] == ""


def test_identifiers_stay_out_unless_kept(root: Path) -> None:
    secrets = ("MRN-77", "ACC-5", seeded_uid("study"), seeded_uid("series"))
    table = series_table(name_scans(find_scans(root), NAMES))
    text = str(table.to_pydict())
    assert not any(secret in text for secret in secrets)
    row = table.to_pylist()[0]
    assert row["series_id"] == NAMES.series(seeded_uid("series"))
    assert row["scan_id"].startswith("scan-")
    kept = series_table(name_scans(find_scans(root), NAMES, keep_ids=True), keep_ids=True)
    row = kept.to_pylist()[0]
    assert row["PatientID"] == row["patient_id"] == "MRN-77"
    assert row["AccessionNumber"] == "ACC-5"
    assert row["scan_id"] == row["SeriesInstanceUID"] == seeded_uid("series")


def test_an_identifier_that_can_t_be_an_id_is_refused(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path, hu, patient_id="Doe John")
    with pytest.raises(BadRequest, match=r"keep_ids=True: 'Doe John' can't be an id"):
        name_scans(find_scans(tmp_path), NAMES, keep_ids=True)


def test_the_key_table_leads_back(root: Path) -> None:
    scans = name_scans(find_scans(root), NAMES)
    keys = key_table(scans)
    dicom, nifti = scans
    assert keys[dicom.patient_id] == "MRN-77"
    assert keys[dicom.study_id] == seeded_uid("study")
    assert keys[dicom.series_id] == keys[dicom.scan_id] == seeded_uid("series")
    assert keys[nifti.scan_id] == "x.nii.gz"
    assert "" not in keys


def test_another_secret_gives_other_names(root: Path) -> None:
    found = find_scans(root)
    first = [scan.scan_id for scan in name_scans(found, NAMES)]
    assert first == [scan.scan_id for scan in name_scans(found, NAMES)]
    others = name_scans(found, Pseudonyms(b"o" * 32))
    assert not set(first) & {scan.scan_id for scan in others}


def test_paths_are_relative_to_the_cohort_s_file() -> None:
    assert relative_to("a/b", Path("/data"), Path("/lists/cohort.csv")) == "../data/a/b"


def test_problems_and_errors_name_no_file_and_quote_no_header(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 1:
            dataset.add_new("PixelSpacing", "LO", "MUELLER HANS")

    for path in write_ct(tmp_path / "MUELLER_HANS", hu, edit=edit):
        path.rename(path.with_name(f"MUELLER_{path.name}"))
    (tmp_path / "scan.nii.gz").write_bytes(b"nothing")
    found = find_scans(tmp_path)
    assert "MUELLER" in str([scan.error for scan in found.scans]), "on the screen"
    table = series_table(name_scans(found, NAMES))
    errors = table.column("error").to_pylist()
    assert all(errors)
    assert "MUELLER" not in str(errors)
    assert "damaged header" in errors[0]
    assert "MUELLER" in str(series_records(name_scans(found, NAMES))), "--json is for the screen"


def test_names_are_taken_out_of_sentences(tmp_path: Path) -> None:
    folder = tmp_path / "Hans M\u00fcller"
    folder.mkdir()
    (folder / "Hans_1.dcm").touch()
    (folder / b"M\xfcller.dcm".decode("utf-8", "surrogateescape")).touch()
    for name in ("Hans_1.dcm", r"M\udcfcller.dcm", "Hans M\u00fcller", str(folder)):
        assert without_names(f"slice 2 of 4 ({name}) is cut", folder) == "slice 2 of 4 (…) is cut"
    assert without_names("KVP is 'a name', not a number", folder) == "KVP is '…', not a number"
    assert without_names("", folder) == ""
