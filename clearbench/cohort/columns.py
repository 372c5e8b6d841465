"""The columns of a cohort: which have a fixed meaning, and under which other names they come."""

import re
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
# Names as plain_name writes them; of several columns of a table, the first one here counts.
OTHER_NAMES = MappingProxyType(
    {
        "scan_id": ("scanid",),
        "patient_id": (
            "patientid", "patient", "patientno", "patientnr", "patientnumber", "subjectid",
            "subject", "participantid", "participant", "mrn", "pid",
        ),
        "path": (
            "path", "filepath", "file", "filename", "imagepath", "image", "imagefile", "scanpath",
        ),
        "study_id": (
            "studyid", "study", "studyinstanceuid", "accessionnumber", "accession", "accessionno",
            "sessionid", "session", "examid", "exam",
        ),
        "series_id": ("seriesid", "seriesinstanceuid", "seriesuid", "series"),
        DATE: ("studydate", "scandate", "examdate", "acquisitiondate", "seriesdate", "date"),
    }
)  # fmt: skip


def is_label(column: str) -> bool:
    """Return True for a label: a column without a fixed meaning (ids, paths, technical, slices)."""
    return column not in KNOWN and not column.startswith(f"{MARKS}_")


def plain_name(name: str) -> str:
    """Return a column name in lower case, without dashes, dots, spaces and underscores."""
    return re.sub(r"[\s_.-]", "", name).lower()


def columns_of(role: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that have a role, such as patient_id, under any name; the best first."""
    plain = {name: plain_name(name) for name in names}
    wanted = OTHER_NAMES[role]
    found = [name for name in names if plain[name] in wanted]
    return tuple(sorted(found, key=lambda name: (name != role, wanted.index(plain[name]))))
