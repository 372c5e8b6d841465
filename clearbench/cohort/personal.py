"""Columns that would show who a person is: names, dates of birth, addresses, numbers to call."""

import re
from collections.abc import Sequence
from types import MappingProxyType

from clearbench.cohort.columns import plain_name

# Words of a column's name, as plain_name writes it; a part of them is enough.
NAMED = re.compile(
    r"accession|instanceuid|birth|dob$|geburt|naissance"
    r"|(patient|first|last|full|given|family|sur|middle|maiden)names?$|^names?$|^(vor|nach)name$|^nom$"
    r"|address|street|strasse|postcode|postalcode|zip(code)?$|^city$"
    r"|e?mail$|phone|mobile|telefon|^fax"
    r"|socialsecurity|^ssn$|nhs(number|no)?$|insurance(no|number|id)|passport"
)
DATE = re.compile(
    r"(19|20)\d\d[-/.](0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])(?:[T ].*)?"
    r"|(0?[1-9]|[12]\d|3[01])[-/.](0?[1-9]|[12]\d|3[01])[-/.](19|20)?\d\d"
    r"|(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*\.?"
# "Anna Smith", "SMITH, Anna B.", "Smith^Anna" as DICOM writes it
PERSON = re.compile(
    rf"{WORD}(?:\^+{WORD})+\^*|{WORD}, ?{WORD}(?: {WORD})?|{WORD}(?: {WORD}){{1,2}}"
)
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
PHONE = re.compile(r"(?=.*[+ /()-])(\+|\(?0)\d[\d ()/-]{6,}")
ADDRESS = re.compile(
    r"\d+\w? +[A-Z]\w+.*\b(St|Street|Rd|Road|Ave|Avenue|Lane|Way|Drive|Court)\b.*"
    r"|(?i:[^\W\d_].*(str\.?|stra(ß|ss)e|weg|platz|gasse|allee) ?\d+.*)"
    r"|(\d+,? )?(rue|via|calle|rua) .+"
    r"|.*[^\W\d_]{3,}.* \d{1,4}\w?, *\d{4,5} .+"
)
PATTERNS = MappingProxyType(
    {DATE: "dates", MAIL: "mail addresses", PHONE: "numbers to call", ADDRESS: "addresses"}
)
FEWEST = 3  # filled cells; fewer show no pattern
FEWEST_WORDS = 5  # patients; fewer may differ by chance
LONG_WORD = 5  # letters; codes such as IIIA are shorter
MOST_CELLS = 500  # that are looked at
MOST = 0.8  # share of the cells that must have the pattern


def why_personal(name: str, cells: Sequence[str | None], patients: Sequence[str | None]) -> str:
    """Return why a column can't be a label of a store: what it seems to hold; "" if it may be one.

    By its name; or by its content [rows], each patient's [rows] different cells counted once:
    nearly all are dates, addresses, numbers to call, or words that are another for every patient.
    """
    if NAMED.search(plain_name(name)):
        return "its name says that it has identifiers, names, dates of birth or addresses"
    pairs = dict.fromkeys(zip(patients, cells, strict=True))
    every = [cell for _, cell in pairs if cell is not None]
    # evenly spread, so that a table of 100,000 rows costs no more than a small one
    known = every[:: max(1, len(every) // MOST_CELLS)]
    if len(known) < FEWEST:
        return ""
    for pattern, what in PATTERNS.items():
        if _share(pattern, known) >= MOST:
            return f"it has {what}"
    differ = len(set(known)) >= MOST * len(known)
    if differ and sum(map(_is_person, known)) >= MOST * len(known):
        return "it seems to have names of people"
    words = [word for word in known if re.search(rf"[^\W\d_]{{{LONG_WORD}}}", word)]
    if len(set(known)) == len(known) >= FEWEST_WORDS and len(words) >= MOST * len(known):
        return "its words differ for every patient, and may be names of people"
    return ""


def _share(pattern: re.Pattern[str], cells: Sequence[str]) -> float:
    """Return the share of the cells that a pattern fits."""
    return sum(pattern.fullmatch(cell) is not None for cell in cells) / len(cells)


def _is_person(cell: str) -> bool:
    """Return True for two or three words that all begin with a capital, as names of people do."""
    words = re.split(r"[\s,^]+", cell.strip("^ "))
    return (
        PERSON.fullmatch(cell) is not None
        and len(words) > 1
        and all(word[:1].isupper() for word in words)
    )
