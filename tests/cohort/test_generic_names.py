"""Names of folders that say nothing of a person."""

import pytest

from clearbench.cohort.generic_names import is_generic


@pytest.mark.parametrize(
    "name",
    [
        "IM0001", "IM-0001-0002.dcm", "series_2", "SER00003", "DICOM", "DICOMDIR",
        "export", "brain", "scan.nii.gz", "049", "ct_12.mha", "patient_0012", "case-7", "S1",
        "images", "study 2", "DEMO_02", "chest-CT", "x.nii.gz",
    ],
)  # fmt: skip
def test_names_of_folders_and_slices_are_generic(name: str) -> None:
    assert is_generic(name)


@pytest.mark.parametrize(
    "name",
    [
        "MUELLER_HANS", "Mueller_19600101", "mueller.nii.gz", "Li Wu", "Li_Wu_3", "19600101",
        "PAT0012345", "Ali_3", "00000012.dcm", "MRN-771234", "scan_of_erika", "hans1", "Müller",
        "李",
        "2020-01-02-1234",
        "1.2.826.0.1.36800",
    ],
)  # fmt: skip
def test_names_that_may_be_a_persons_are_not(name: str) -> None:
    assert not is_generic(name)
