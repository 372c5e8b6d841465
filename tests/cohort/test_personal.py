"""Columns that would show who a person is never become labels, however short the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.personal import why_personal

ROWS = ("p1", "p2", "p3", "p4", "p5")


@pytest.mark.parametrize(
    "name",
    ["patient_name", "Name", "Vorname", "Date of Birth", "DOB", "geburtsdatum", "Street address",
     "e-mail", "phone", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber", "NHS number",
     "姓名", "出生日期", "氏名", "Familie", "cognome", "Prénom", "APELLIDO", "Nachname", "nom",
     "Überweiser", "Referrer", "ReferringPhysicianName", "Initials", "Fallnummer", "Fall-Nr.",
     "hospital_no", "national_id", "Personnummer", "geb", "geb_serial", "DOB (years)", "PatientDOB",
     "Straße", "Wohnort", "PLZ", "zipcode2", "filename_orig", "birth year", "Versichertennummer",
     "성명", "Fødselsnummer", "patient_address", "PatientPhone", "mobile number", "home address",
     "OperatorsName", "operator", "RequestingPhysician", "PhysiciansOfRecord", "technologist",
     "Untersucher", "Kürzel", "ФИО", "Имя"],
)  # fmt: skip
def test_some_names_say_it(name: str) -> None:
    assert "its name says" in why_personal(name, ["1", "2"], ["p1", "p2"])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["Anna Roth", "Ben Maas", "Eva Lind"], "names of people"),
        (["Roth, Anna", "Maas, Ben J.", "O’Neil, Eva"], "names of people"),
        (["ROTH^ANNA", "MAAS^BEN", "LIND^EVA"], "names a person"),
        (["normal", "see Roth^Anna", "normal", "normal"], "names a person"),
        (["Anna Roth", "Anna Roth", "Eva Lind", "Ben Maas"], "names of people"),
        (["Müller", "Schmidt", "Schneider", "Fischer", "Weber"], "differ for every patient"),
        (["1960-03-04", "1971-12-31", "1955-01-01"], "dates"),
        (["04.03.1960", "31.12.1971", "1.1.1955"], "dates"),
        (["19600304", "19711231", "19550101"], "dates"),
        (["Hauptstr. 5", "Am Weg 7a", "Lindenallee 12"], "addresses"),
        (["12 Oak Street", "7 Mill Road", "1 High St"], "addresses"),
        (["+49 761 123456", "0761/1234567", "(030) 12345678"], "numbers to call"),
        (["a@x.org", "b@y.com", "c.d@z.de"], "mail addresses"),
        (["1950年1月3日", "1961年12月30日"], "dates"),
        (["3-Jan-1950", "14-Dec-1961"], "dates"),
        (["Jan 3, 1950", "December 14, 1961"], "dates"),
        (["3. März 1950", "14 décembre 1961", "3 de mayo de 1950"], "dates"),
        (["03JAN1950"], "dates"),
        (["617-555-1200", "212-555-1300"], "numbers to call"),
        (["(617) 555-1200", "+1 212 555 1300"], "numbers to call"),
        (["120357-1210", "010260-1244"], "numbers of people"),
        (["19570112-1210", "123-45-6789"], "numbers of people"),
        (["110105195703121000"], "numbers of people"),
        (["http://x.org/1.jpg", "www.x.org/2"], "addresses of the web"),
        (["10.0.0.1", "192.168.1.20"], "addresses of computers"),
        (["@anna1", "@ben_x"], "names of users"),
        (["SMITH_ANNA_0.dcm", "ROTH_EVA_1.dcm"], "names of files"),
        (["Patient Mr Smith, no bleed", "CT head: bleed"], "names a person"),
        (["Dr. Miller", "Dr. Miller", "none"], "names a person"),
        (["bleed", "Herr Prof. Dr. Weber", "none"], "names a person"),
        (["王伟", "李娜", "张敏丽"], "names of people"),
        (
            [f"There is a new lesion of {n} mm in the left lung, slightly larger." for n in "123"],
            "sentences",
        ),
    ],
)
def test_contents_say_it(cells: list[str], words: str) -> None:
    assert words in why_personal("entry", cells, (*ROWS[:1], *ROWS)[: len(cells)])


@pytest.mark.parametrize(
    "cells",
    [
        ["benign", "malignant", "benign", "malignant", "benign"],
        ["Squamous Cell", "Small Cell", "Squamous Cell", "Small Cell", "Small Cell"],
        ["IA", "IB", "IIA", "IIB", "IIIA"],
        ["0.51", "0.62", "0.33", "12", "7"],
        ["20191234567", "30191234567", "40191234567"],
        ["T1a N0 M0", "T2 N1 M0", "T1a N0 M0", "T2 N1 M0", "T4 N0 M0"],
        ["x", None, None, None, None],
        ["12 months", "3 months", "7 months", "24 months", "30 months"],
        ["Left Lower Lobe", "Right Upper Lobe", "Lingula", "Right Middle Lobe", "Left Upper Lobe"],
        ["left lower lobe", "right upper lobe", "lingula", "carina", "left upper lobe"],
        ["Adenoma", "Lymphoma", "Meningioma", "Glioblastoma", "Sarcoma"],
        ["Adenocarcinoma", "Squamous Cell", "Small Cell", "Carcinoid", "Large Cell"],
        ["Pneumonia", "Embolism", "Fibrosis", "Emphysema", "Atelectasis"],
        ["C34.1", "C34.9", "J18.9", "I26.0", "Z01.8"],
        ["3-5", "6-10", "1-2", "11-20", "0-0"],
        ["3.1.12", "4.2.10", "1.0.20", "2.11.19", "5.1.30"],
        ["5.1.9.7", "4.0.0.1", "3.2.1.0", "1.2.3.4", "2.0.0.0"],
        ["Somatom Force", "Aquilion One", "LightSpeed VCT", "Brilliance 64", "Revolution CT"],
        ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "Canon", "TOSHIBA"],
        ["B30f", "Br40d", "STANDARD", "LUNG", "I31f"],
        ["0", "12", "400", "1825", "77"],
        ["20200", "20400", "19800", "21000", "20011"],
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
        ["Charité", "Charité", "MGH", "MGH", "Bonn"],
        ["MR brain", "CT chest", "MR spine", "CT head", "US liver"],
        ["pT1a pN0", "pT2b pN1", "pT3 pN0", "pT4 pN2", "pT1c pN0"],
        ["IIIA", "IB", "IIA", "IVB", "IIIB"],
        ["3+4", "4+3", "3+3", "4+4", "4+5"],
        ["EGFR L858R", "KRAS G12C", "ALK", "wild type", "ROS1"],
        ["10^9/L", "x^y", "10^6", "mm^2", "cells^2/L"],
        ["10/12", "3/12", "0/12", "5/12", "7/12"],
        ["mask_001.nii.gz", "mask_002.nii.gz", "lung_mask_3.nii.gz", "m4.nii", "m5.nii"],
        [", ".join(str(n * x) for x in range(9)) for n in range(5)],
        ["110/70", "120/80", "140/95", "135/85", "160/100"],
        ["10:30", "11:45", "09:15", "23:59", "00:01"],
        ["高血压", "高血压", "高血压", "高血压", "高血压"],
        ["阳性", "阴性", "阴性", "阳性", "阴性"],
    ],
)
def test_classes_codes_and_numbers_are_labels(cells: list[str | None]) -> None:
    assert why_personal("finding", cells, ROWS[: len(cells)]) == ""


def test_a_patient_s_name_in_each_of_its_scans() -> None:
    names = ["Anna Roth", "Ben Maas", "Eva Lind"] * 4
    assert why_personal("x", names, ["p1", "p2", "p3"] * 4)


def test_a_large_table_is_judged_by_a_part_of_its_cells() -> None:
    patients = [f"p{number}" for number in range(20_000)]
    # different letters for every patient
    names = [
        f"Anna {chr(65 + n % 26)}{''.join(chr(97 + int(d)) for d in str(n))}" for n in range(20_000)
    ]
    assert why_personal("x", names, patients) == "it seems to have names of people"
    assert why_personal("x", ["benign", "malignant"] * 10_000, patients) == ""


NAMES = """
age sex gender height weight bmi smoker pack_years ethnicity nationality side laterality lesion_id
lobe segment location lesion_location position n_lesions size size_mm diameter diameter_mm volume
volume_ml density mean_hu std_hu texture margin shape calcification spiculation malignancy grade
stage tnm t_stage n_stage m_stage pT pN histology histology_code subtype diagnosis icd10 icd_code
finding findings label outcome event status vital_status dead death survival os pfs dfs os_days
pfs_months time_to_event follow_up follow_up_days days_to_death last_contact_days recurrence
response recist treatment therapy drug dose_mgy ctdi dlp arm group cohort_name batch fold hospital
hospital_stay hospital_mortality centre institution department ward scanner scanner_name
manufacturer_model model station software_version version kernel_group contrast phase protocol
protocol_name series_name sequence modality body_part organ anatomy slice_count quality artefacts
motion reader reader_1 annotator confidence score rads lung_rads birads pirads gleason psa cea crp
ddimer creatinine hemoglobin fev1 fvc saturation temperature blood_pressure heart_rate diabetes
hypertension copd cancer_history family_history comorbidity comorbidities stroke nihss mrs aspects
gcs bleed sdh edh ich midline_shift fracture fall_risk falls embolism pe rv_lv_ratio covid pcr
rt_pcr egfr kras alk pdl1 mutation mutation_status cell_type cell_count cpr mobile mobility ssn_sign
telangiectasia birth_weight preterm_birth gestational_age_at_birth delivery_mode immobile
phonation class_name type_name variant_name gene_name zipper
"""
ORDINARY = tuple(NAMES.split())
CODES = ("I", "II", "IIA", "IIIB", "IV", "0", "1", "2", "low", "high", "C34.1", "3-5", "left")


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_of_clinical_columns_are_labels(name: str) -> None:
    assert len(ORDINARY) > 150
    assert why_personal(name, ["1", "0", "1", "0", "2"], ROWS) == ""


@given(st.lists(st.sampled_from(CODES)))
def test_codes_in_any_order_are_labels(cells: list[str]) -> None:
    assert why_personal("grade", cells, [f"p{n}" for n in range(len(cells))]) == ""


@given(st.permutations(["Tel", "cell", "mobile", "CPR", "BSN", "NHS", "SSN", "Handy"]))
def test_numbers_to_call_are_known_by_name_and_digits(names: list[str]) -> None:
    assert why_personal(names[0], ["6175551200", "0176 1234567"], ROWS[:2])
    assert why_personal(names[0], ["1", "0"], ROWS[:2]) == ""


@pytest.mark.parametrize("name", ["comment", "Befundtext", "report"])
def test_a_report_is_known_by_name_and_sentences(name: str) -> None:
    assert why_personal(name, ["no acute bleed seen", "large bleed on left"], ROWS[:2])
    assert why_personal(name, ["normal", "bleed"], ROWS[:2]) == ""


PEOPLE = """
Smith Johnson Williams Jones Garcia Miller Davis Rodriguez Martinez Wilson Anderson Thomas Taylor
Moore Jackson Martin Thompson Harris Clark Lewis Robinson Walker Hall Allen King Wright Scott Hill
Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Rossi Russo Ferrari
Bianchi Romano Colombo Nowak Kowalski Wiśniewski Dubois Durand Leroy Moreau García Fernández López
Yamamoto Tanaka Suzuki Nguyen Tran Kapoor Sharma Gupta Okafor Mensah Johansson Andersson Hansen
Papadopoulos Yılmaz Kaya Silva Santos Oliveira Petrov Ivanov Horvat Novák Virtanen Jansen
"""


@given(st.lists(st.sampled_from(PEOPLE.split()), min_size=8, max_size=40, unique=True))
def test_surnames_that_differ_are_names_of_people(names: list[str]) -> None:
    patients = [f"p{number}" for number in range(len(names))]
    assert why_personal("x", names, patients)
    assert why_personal("x", [f"{name}, Anna" for name in names], patients)
    assert why_personal("x", [f"Eva {name}" for name in names], patients)
