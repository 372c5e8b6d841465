"""What an audit looks for: the identifiers of DICOM headers, names of folders, and given texts."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clearbench.cohort.generic_names import WORDS as FOLDER_WORDS
from clearbench.cohort.generic_names import is_generic
from clearbench.cohort.ids import is_nobody
from clearbench.cohort.ordinary_words import WORDS
from clearbench.scans.dicom.identifiers import header_identifiers
from clearbench.scans.walk import walk

LONG = 6  # letters and digits; a shorter one may be a part of any word or number
FEWEST = 3  # letters of a short one, which is looked for as a whole word
GIVEN = "given"
NAMED = "name of a folder or file"
GENERIC = "names of folders and files that many have (IM0001, 049, export)"
IDS = frozenset({"patient id", "accession number"})
FREE = frozenset({"free text", "station", "institution", "study id", "serial number"})
DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(\d{6})?.*")
EMPTY_DATES = ("00000000", "19000101", "00010101")
WORD = re.compile(r"[^\W_]+")
FIRST_SIGN = "\u2e80"  # Chinese, Japanese and Korean begin here
GERMAN = dict(zip(map(ord, "äöüßÄÖÜ"), ["ae", "oe", "ue", "ss", "Ae", "Oe", "Ue"], strict=True))


@dataclass(frozen=True, order=True)
class Identifier:
    """One text that tells who somebody is, and what it is: a name, an id, a date, …"""

    kind: str
    text: str = field(repr=False)  # keeps it out of logs and error messages

    @property
    def is_long(self) -> bool:
        """Return True if it can be looked for as a part of other text."""
        return weight(self.text) >= LONG

    @property
    def masked(self) -> str:
        """Return the text so that it can be shown: its ends and its length."""
        text = self.text
        ends = f"{text[0]}…{text[-1]}" if len(text) >= LONG else "…"
        return f"{ends} ({len(text)})"


@dataclass(frozen=True)
class Wanted:
    """The identifiers to look for, and how many were left out, by reason."""

    identifiers: tuple[Identifier, ...]
    left_out: tuple[tuple[str, int], ...] = ()
    files: int = 0


def gather_identifiers(folders: Iterable[Path], texts: Iterable[str] = ()) -> Wanted:
    """Collect the identifiers of the DICOM headers and the names below some folders, and texts.

    Words that are everybody's (CT Thorax, Anonymous) and texts of one or two letters are left out,
    unless they are given.
    """
    found = {Identifier(GIVEN, text.strip()) for text in texts if text.strip()}
    left: dict[str, set[str]] = {}
    read = 0
    for folder in folders:
        for text in _names(folder):
            if is_generic(text):
                left.setdefault(GENERIC, set()).add(text)
            else:
                _sort(NAMED, text, found, left)
        for file in walk(folder).files:
            pairs = list(header_identifiers(file))
            read += bool(pairs)
            for kind, text in pairs:
                _sort(kind, text, found, left)
    counts = Counter({reason: len(some) for reason, some in left.items()})
    return Wanted(tuple(sorted(found)), tuple(sorted(counts.items())), read)


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of a folder and of what is below it, without suffixes."""
    names = {folder.resolve().name}
    for file in walk(folder).files:
        names |= set(file.relative_to(folder).parts)
    for name in sorted(names):
        yield re.sub(r"(\.nii\.gz|\.[A-Za-z]{2,4})$", "", name)


def _sort(kind: str, text: str, found: set[Identifier], left: dict[str, set[str]]) -> None:
    """Add what a text has to `found`, or to `left` with the reason."""
    for part in _parts(kind, text):
        reason = _why_left_out(kind, part)
        if reason:
            left.setdefault(reason, set()).add(part)
        else:
            found.add(Identifier(kind, part))


def _parts(kind: str, text: str) -> set[str]:
    """Return the identifiers in a text: the words of a name, the spellings of a date, or all."""
    if kind.endswith("date"):
        return set(_dates(text))
    words = WORD.findall(text)
    if kind == "name":
        return {" ".join(words), *words}
    if kind == NAMED:
        return {text, *(word for word in words if weight(word) >= LONG or word.isalpha())}
    return {text}


def _dates(text: str) -> Iterator[str]:
    """Yield the usual spellings of a date; nothing for one that stands for none."""
    match = DATE.fullmatch(text)
    if match is None or text[:8] in EMPTY_DATES:
        return
    year, month, day = match[1], match[2], match[3]
    yield f"{year}{month}{day}"
    for sign in "-./":
        yield sign.join((year, month, day))
        yield sign.join((day, month, year))
        yield sign.join((month, day, year))


def _why_left_out(kind: str, text: str) -> str:
    """Return why a text isn't looked for; "" if it is."""
    words = WORD.findall(text)
    size = weight(text)
    if is_nobody(text):
        return "names nobody (Anonymous, unknown, 0)"
    whole_name = kind == "name" and len(words) > 1
    if all(map(_is_everybodys, words)) and not whole_name:
        return "ordinary words (CT Thorax, Siemens)"
    number = text.isdigit() and kind not in IDS
    if size < (LONG if kind in FREE or number else FEWEST):
        return "too short: it may be any word or number"
    return ""


def _is_everybodys(word: str) -> bool:
    """Tell whether a word is one that findings, machines, folders or files are called by."""
    return word.lower() in WORDS or word.lower() in FOLDER_WORDS


def weight(text: str) -> int:
    """Return the number of letters and digits; a sign that is a syllable or a word counts 3."""
    letters = "".join(WORD.findall(text))
    return len(letters) + 2 * sum(letter >= FIRST_SIGN for letter in letters)


def spellings(text: str) -> set[str]:
    """Return a text as it may be written: with and without accents, in small and large letters."""
    plain = {text, text.translate(GERMAN), _with_umlauts(text)}
    plain |= {without_accents(each) for each in plain}
    plain |= {unicodedata.normalize(form, each) for form in ("NFC", "NFD") for each in set(plain)}
    return plain | {change(each) for each in plain for change in (str.lower, str.upper, str.title)}


def _with_umlauts(text: str) -> str:
    """Return Mueller as Müller."""
    for letter, two in zip("äöü", ("ae", "oe", "ue"), strict=True):
        text = re.sub(two, letter, text, flags=re.IGNORECASE)
    return text


def without_accents(text: str) -> str:
    """Return a text without the accents of its letters."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
