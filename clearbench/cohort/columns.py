"""The columns of a cohort: which have a fixed meaning, and under which other names they come."""

import re
import unicodedata
from collections.abc import Sequence
from types import MappingProxyType

from clearbench import technical

REQUIRED = ("scan_id", "patient_id", "path")
MARKS = "key_slices"  # slices that a reader marked; key_slices_<label>: for that label
SECRET_MARK = "secret_mark"  # names the secret under which a row's pseudonyms were made
PLACES = ("cohort", "public", "study_id", "series_id", "day", "site", "split", MARKS, SECRET_MARK)
VALUES = ("hu_offset", "accept_hu", "window")  # the user's rules for a scan's values
KNOWN = (*REQUIRED, *PLACES, *VALUES, *technical.NAMES)
TRUE, FALSE = ("1", "true", "True"), ("0", "false", "False")

DATE = "date"  # not a column of a cohort: it becomes `day`
STUDY_UIDS = ("studyinstanceuid", "studyuid", "studyinstance", "studyinstanceid")
ACCESSIONS = (
    "accessionnumber", "accession", "accessionno", "accessionnr", "accessionnum", "accessionid",
    "accno", "accnr", "accnum", "accnumber",
)  # fmt: skip
# Names as plain_name writes them, without accents; of several columns of a table, the first one
# here counts.
OTHER_NAMES = MappingProxyType(
    {
        "scan_id": ("scanid",),
        "patient_id": (
            "patientid", "patient", "patientno", "patientnr", "patientnumber", "patientnum",
            "patientcode", "patientkey", "patientidentifier", "patid", "patno", "patnr",
            "patnumber", "patnum", "ptid", "ptno", "ptnr", "ptnumber", "ptnum",
            "usubjid", "subjectid", "subject", "subjectcode", "subjectkey", "subjectidentifier",
            "participantid", "participant", "participantcode", "casesubmitterid",
            "bcrpatientbarcode", "mrn", "mrno", "mrnumber", "medicalrecordnumber",
            "medicalrecordno", "chartnumber", "chartno", "pid",
            "anonpatientid", "anonymizedpatientid", "anonymisedpatientid", "deidpatientid",
            "patientpseudonym", "pseudopatientid", "patientuid", "patienthash",
            # German, Dutch
            "patientennummer", "patientennr", "patientenid", "patientencode", "patientenkennung",
            "patientenpseudonym", "patientnummer",
            # French, Spanish, Italian, Portuguese
            "idpatient", "nopatient", "npatient", "numeropatient", "numpatient", "codepatient",
            "ipp", "idpaciente", "pacienteid", "paciente", "numeropaciente", "nopaciente",
            "codigopaciente", "nhc", "historiaclinica", "numerohistoriaclinica", "idpaziente",
            "pazienteid", "paziente", "numeropaziente", "codicepaziente", "prontuario",
            # Scandinavian, Polish, Turkish
            "patientnumer", "idpacjenta", "pacjent", "hastano", "hastaid",
            # Chinese, Japanese, Korean
            "患者id", "患者编号", "患者編號", "患者号", "患者", "病人id",
            "病人编号", "病人編號", "病人号", "病历号", "病歷號", "病案号",
            "患者番号", "환자id", "환자번호",
        ),
        "path": (
            "path", "filepath", "file", "filename", "imagepath", "image", "imagefile", "scanpath",
        ),
        "study_id": (
            "studyid", "study", *STUDY_UIDS, *ACCESSIONS, "sessionid", "session", "examid", "exam",
        ),
        "series_id": ("seriesid", "seriesinstanceuid", "seriesuid", "series"),
        DATE: ("studydate", "scandate", "examdate", "acquisitiondate", "seriesdate", "date"),
    }
)  # fmt: skip
# Perhaps the site of each scan: it is noted, as a label of this name is possible too.
SITES = (
    "hospital", "hospitalname", "hospitalid", "centre", "center", "centreid", "centerid",
    "centrename", "centername", "clinic", "institution", "institutionname", "siteid", "sitename",
    "krankenhaus", "klinik", "zentrum", "standort", "hopital", "hospitalcode", "ospedale",
    "centro", "ziekenhuis", "医院", "病院", "병원",
)  # fmt: skip
# These name patients in a table that has no surer column: next to one, they may number its rows,
# or the patients of one site.
ALONE = MappingProxyType(
    {
        "patient_id": (
            "subjid", "subjectno", "subjectnr", "subjectnumber", "subjectnum", "participantno",
            "participantnr", "participantnumber", "recordid", "personid", "hospitalnumber",
        ),
    }
)  # fmt: skip
# Names of ids that may be a patient's, a stay's, a study's or a row's: the user must say which.
UNSURE_IDS = (
    "id", "uid", "uuid", "case", "caseid", "caseno", "casenr", "casenumber", "sub", "subid",
    "anonid", "pseudonym", "pseudonymid", "pseudoid", "identifier", "hash", "individual",
    "individualid", "submitterid", "hospitalno", "hospitalnr", "fallnummer", "fallnr", "fallid",
    "encounter", "encounterid", "visitid", "admissionid", "patientname", "identifiant",
    "identificador", "kennung", "住院号", "门诊号", "登记号", "编号", *ALONE["patient_id"],
)  # fmt: skip
# Names of studies of a patient, but also of a trial, or of a kind of examination.
LOOSE_STUDIES = ("studyid", "study", "sessionid", "session", "examid", "exam")


def is_label(column: str) -> bool:
    """Return True for a label: a column without a fixed meaning (ids, paths, technical, slices)."""
    return column not in KNOWN and not column.startswith(f"{MARKS}_")


def plain_name(name: str) -> str:
    """Return a column name in lower case, without spaces, dashes, dots and brackets."""
    return re.sub(r"[\s_.#()\[\]/:°-]", "", name).lower()


def _folded(name: str) -> str:
    """Return a plain name without accents: numéro and numero are one word."""
    parts = unicodedata.normalize("NFKD", plain_name(name))
    plain = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", plain)


def columns_of(role: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that have a role, such as patient_id, under any name; the best first."""
    sure = named_columns(OTHER_NAMES[role], names, first=role)
    return sure or named_columns(ALONE.get(role, ()), names)


def named_columns(wanted: Sequence[str], names: Sequence[str], first: str = "") -> tuple[str, ...]:
    """Return the columns with one of some plain names, in the order of these; `first` before."""
    plain = {name: _folded(name) for name in names}
    found = [name for name in names if plain[name] in wanted]
    return tuple(sorted(found, key=lambda name: (name != first, wanted.index(plain[name]))))
