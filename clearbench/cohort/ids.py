"""Ids as spreadsheets and people change them: 0012 becomes 12 or 12.0, P-007 becomes p7."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# Texts that name nobody, in small letters, without spaces and signs: N/A is na.
NOBODY = frozenset(
    (
        "anonymous", "anonymized", "anonymised", "anonymus", "anonym", "anonyme", "anonimo",
        "anónimo", "anon", "unknown", "unk", "unbekannt", "inconnu", "desconocido",
        "desconhecido", "sconosciuto", "onbekend", "none", "null", "nil", "nan", "na",
        "notavailable", "notapplicable", "notknown", "missing", "blank", "empty", "noid", "noname",
        "nopatientid", "patient", "patientid", "test", "phantom", "removed", "redacted", "hidden",
        "masked", "deleted", "deidentified", "pseudonymized", "pseudonymised", "未知", "匿名",
        "不详", "无",
    )
)  # fmt: skip
ROUNDED = re.compile(r"\d([.,]\d+)?[eE]\+\d+")  # 1.23457E+11, as spreadsheets show long numbers
MOST_DIGITS = 64  # that ids are filled up to
ISSUED = "^^^"  # between an id and who issued it, as HL7 writes it
COUNTED = 2  # times the rows of any other id, that an id 0 or x may have and still be one of them


def pad_id(key: str, digits: int) -> str:
    """Return a whole number (12, 12.0) as so many digits (0012); other ids stay as they are."""
    number = re.fullmatch(r"(\d+)(\.0+)?", key)
    return number[1].zfill(digits) if number else key


def lacks_zeros(key: str, known: str) -> bool:
    """Return True if `pad_id` can make a key to a known id: 12 to 0012, but not P1 to P01."""
    return key != known and known.isdigit() and pad_id(key, len(known)) == known


def plain_id(key: str) -> str:
    """Return an id without what its spellings differ in: zeros before a number, .0, case, signs.

    A sign between two numbers stays, as 1-11 and 11-1 are two ids.
    """
    text = re.sub(r"^(\d+)\.0+$", r"\1", re.sub(r"\s", "", key).lower())
    text = re.sub(r"(?<!\d)-|-(?!\d)", "", re.sub(r"[-_./]+", "-", text))
    return re.sub(r"(?<!\d)0+(?=\d)", "", text) or key


def with_nearest(keys: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return unknown ids, each with the nearest known one, if one may be meant."""
    plain = {plain_id(name): name for name in reversed(known)}
    found = []
    for key in keys:
        close = get_close_matches(key, known, 3, 0.7)
        # Ids of one patient have the same digits: of P-17 and P-18 none is meant by the other.
        same_digits = (name for name in close if _digits(name) == _digits(key))
        near = plain.get(plain_id(key)) or next(same_digits, "")
        found.append(f"{key} (nearest: {near})" if near else key)
    return found


def _digits(key: str) -> str:
    """Return an id's digits without leading zeros."""
    return re.sub(r"\D", "", key).lstrip("0")


def spelled_differently(ids: Iterable[str]) -> list[str]:
    """Return ids that differ only in zeros, signs, .0, case or spaces, as "0012 = 12"."""
    return [" = ".join(names) for names in group_spellings(ids)]


def group_spellings(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the ids that have the same plain id, where there are several."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(ids):
        groups[plain_id(name)].append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def find_nobody(ids: Iterable[str]) -> dict[str, int]:
    """Return how often ids name nobody (Anonymous, NA, -, 0, xxx), by id.

    A 0 among ids that count from 0, and an x among single letters, are ids as the others are,
    unless they stand far more often.
    """
    counts = Counter(ids)
    named = {name: count for name, count in counts.items() if not _is_blank(name)}
    found = {
        name: count
        for name, count in counts.items()
        if _is_blank(name) or (_is_filler(name) and not _is_counted(name, count, named))
    }
    return {name: count for name, count in found.items() if name}


def is_nobody(text: str) -> bool:
    """Return True if a text by itself is no name of somebody or something; "" is none."""
    return _is_blank(text) or _is_filler(text)


def _letters(text: str) -> str:
    """Return the letters and digits of a text, in small letters."""
    return re.sub(r"[\W_]", "", text.lower())


def _is_blank(text: str) -> bool:
    """Return True for words such as unknown, and for texts of signs alone, such as -."""
    letters = _letters(text)
    return not letters or letters in NOBODY


def _is_filler(text: str) -> bool:
    """Return True for zeros and xs alone, which may be typed to fill a cell."""
    return re.fullmatch(r"0+|x+", _letters(text)) is not None


def _is_counted(filler: str, count: int, named: dict[str, int]) -> bool:
    """Return True if 0 is one of counted ids (0, 1, …), or x one of single letters."""
    wanted = r"0*1(\.0+)?" if "0" in filler else r"[a-wyzA-WYZ]"
    others = {name: rows for name, rows in named.items() if not _is_filler(name)}
    alike = any(re.fullmatch(wanted, name) for name in others)
    return alike and count <= COUNTED * max(others.values())


def rounded_ids(ids: Iterable[str]) -> list[str]:
    """Return ids that a spreadsheet rounded, such as 1.23457E+11: several ids may be one of them.

    The digits are lost; only another export brings them back.
    """
    return [name for name in dict.fromkeys(ids) if ROUNDED.fullmatch(name)]
