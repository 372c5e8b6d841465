"""Columns are known by the usual names of registries and languages, and by no others."""

import pytest

from clearbench.cohort.columns import UNSURE_IDS, columns_of, is_label, named_columns, plain_name

PATIENTS = (
    "pat_id", "PTID", "usubjid", "subject_no", "record_id", "Patient #", "patient (ID)",
    "Patient Nr.", "patient_code", "Patientennummer", "id_paciente", "numéro patient",
    "N° patient", "código paciente", "patiënt_id", "hospital_number", "患者ID", "病历号",
    "participant_id",
)  # fmt: skip


@pytest.mark.parametrize("name", PATIENTS)
def test_patients_under_the_names_of_registries_and_languages(name: str) -> None:
    assert columns_of("patient_id", ["y", name]) == (name,)


@pytest.mark.parametrize("name", ["id", "case", "case_id", "sub", "uid", "Fallnummer", "anon_id"])
def test_a_name_that_may_mean_several_things_is_no_patient(name: str) -> None:
    assert columns_of("patient_id", ["y", name]) == ()
    assert named_columns(UNSURE_IDS, ["y", name]) == (name,)


@pytest.mark.parametrize(
    "name", ["patients", "n_patients", "patient_age", "patient_sex", "site", "grade", "hospital"]
)
def test_other_columns_keep_their_meaning(name: str) -> None:
    assert columns_of("patient_id", [name]) == ()
    assert named_columns(UNSURE_IDS, [name]) == ()


def test_what_may_be_a_label_is_no_study() -> None:
    assert columns_of("study_id", ["acc", "accession", "exam"]) == ("accession", "exam")


def test_a_row_s_number_gives_way_to_a_column_of_patients() -> None:
    """REDCap's record_id is the patient, unless another column is."""
    assert columns_of("patient_id", ["record_id", "mrn"]) == ("mrn",)
    assert columns_of("patient_id", ["subjid", "usubjid"]) == ("usubjid",)


def test_the_best_name_comes_first() -> None:
    assert columns_of("patient_id", ["mrn", "Patient ID", "patient_id"])[0] == "patient_id"


def test_accents_fold_only_to_compare() -> None:
    assert plain_name("Numéro Patient") == "numéropatient"
    assert is_label("numéro")
