"""The words of label columns: spellings of one value, codes for unknown, the positive of two."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from types import MappingProxyType

from clearbench.cohort.files import BLANK, UNSURE

NO = ("0", "no", "n", "false", "f", "negative", "neg", "nein", "non", "nao", "não")
YES = ("1", "yes", "y", "true", "t", "positive", "pos", "ja", "j", "oui", "si", "sí", "sì", "sim")
YES_NO = MappingProxyType(dict.fromkeys(NO, 0) | dict.fromkeys(YES, 1))
# Words that can't be a finding; unknown, unless the card has them as a class.
UNKNOWN = BLANK | UNSURE | {"n.a.", "unknown", "unk", "missing", "not available", "unbekannt"}
# Words and codes that are perhaps unknown, perhaps a class: the user is asked.
ASKED = re.compile(
    r"[tnm]x|x|xx|nd|not done|not assess(ed|able)|not evaluable|indeterminate|uncertain|equivocal"
    r"|unclear|pending|tbd|-|\.|other"
)
CODES = frozenset({"-1", "-9", "-99", "-999", "9", "99", "999", "9999", "8", "88", "888", "77"})
# Negative, positive.
PAIRS = (
    ("normal", "abnormal"), ("benign", "malignant"), ("absent", "present"), ("healthy", "ill"),
    ("healthy", "sick"), ("healthy", "diseased"), ("healthy", "disease"), ("healthy", "patient"),
    ("control", "case"), ("control", "patient"), ("alive", "dead"), ("alive", "deceased"),
    ("survived", "died"), ("survivor", "non-survivor"), ("censored", "event"),
    ("censored", "dead"), ("stable", "progression"), ("responder", "non-responder"),
    ("unauffällig", "auffällig"), ("gesund", "krank"), ("gutartig", "bösartig"),
    ("lebend", "tot"), ("lebt", "verstorben"), ("normal", "anormal"), ("bénin", "malin"),
    ("sain", "malade"), ("benigno", "maligno"), ("sano", "enfermo"),
)  # fmt: skip
# Beside any other word, these are the negative one.
NOTHING = frozenset(
    {"none", "nil", "nothing", "no finding", "no findings", "unremarkable", "normal", "absent",
     "healthy", "control", "clear"}
)  # fmt: skip
WITHOUT = re.compile(r"(not|non|no|without|keine|kein|ohne|sans|sin)[ _-]*")


def fold(text: str) -> str:
    """Return a value without what tables change: case, spaces, 1.0 or 01 for 1."""
    plain = re.sub(r"\s+", " ", text.strip()).casefold()
    number = re.fullmatch(r"([+-]?)0*(\d+)(\.0*)?", plain)
    if number:
        return ("-" if number[1] == "-" and number[2] != "0" else "") + number[2]
    return plain


def spellings(texts: Iterable[str]) -> dict[str, Counter[str]]:
    """Return the values of a column: how often each spelling stands there, by folded value."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        found[fold(text)][text] += 1
    return dict(sorted(found.items()))


def usual(found: Counter[str]) -> str:
    """Return the most common spelling, the first in the alphabet if there are two; 1 for 1.0."""
    folded = fold(next(iter(found)))
    if re.fullmatch(r"-?\d+", folded):
        return folded
    return min(found, key=lambda text: (-found[text], text))


def is_unknown(value: str, classes: Collection[str], unknown: Collection[str]) -> bool:
    """Tell whether a folded value means unknown: by the card, or by its word if it is no class."""
    return value in unknown or (value in UNKNOWN and value not in classes)


def asked(values: Collection[str]) -> tuple[str, ...]:
    """Return the folded values that are perhaps codes for unknown."""
    numbers = sorted(int(value) for value in values if re.fullmatch(r"-?\d+", value))
    rest = [number for number in numbers if str(number) not in CODES]
    top = max(rest, default=-1)
    # 8 and 9 after 0 … 7 are classes; 9 after 0 and 1 is not
    codes = {
        str(number)
        for number in numbers
        if str(number) in CODES and (number < 0 or not _counts_up(number, top, numbers))
    }
    return tuple(value for value in values if value in codes or ASKED.fullmatch(value))


def _counts_up(number: int, top: int, numbers: Collection[int]) -> bool:
    """Tell whether a number is one of those that count up from the others."""
    return all(each in numbers for each in range(top + 1, number)) and top >= 0


def positive_of(values: Collection[str]) -> str:
    """Return which of two folded words is positive, as everybody reads them; "" if unsure."""
    one, other = sorted(values)
    for negative, positive in PAIRS:
        if {one, other} == {negative, positive}:
            return positive
    for negative, positive in ((one, other), (other, one)):
        if negative in NOTHING and positive not in NOTHING:
            return positive
        if YES_NO.get(negative) == 0 and YES_NO.get(positive) == 1:
            return positive
        if WITHOUT.match(negative) and WITHOUT.sub("", negative, count=1) in (
            positive,
            re.sub(r"^(with|mit|avec|con)[ _-]*", "", positive),
        ):
            return positive
    return ""
