"""The words of label columns: spellings of one value, codes for unknown, the positive of two."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from types import MappingProxyType

from clearbench.cohort.files import BLANK, UNSURE

NO = ("0", "no", "n", "false", "f", "negative", "neg", "nein", "non", "nao", "não")
YES = ("1", "yes", "y", "true", "t", "positive", "pos", "ja", "j", "oui", "si", "sí", "sì", "sim")
YES_NO = MappingProxyType(dict.fromkeys(NO, 0) | dict.fromkeys(YES, 1))
# Words that can't be a finding; unknown, unless the card has them as a class.
UNKNOWN = BLANK | UNSURE | {
    "n.a.", "unknown", "unk", "missing", "not available", "not collected", "not known",
    "not recorded", "not documented", "no data", "no information", "unbekannt", "nicht bekannt",
    "k.a.", "k. a.", "keine angabe", "keine angaben", "inconnu", "desconocido", "sconosciuto",
    "'--", "--",  # of the Genomic Data Commons
    "#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!",  # errors of a spreadsheet's formula
}  # fmt: skip
# Words and codes that are perhaps unknown, perhaps a class: the user is asked.
ASKED = re.compile(
    r"[tnm]x|x|xx|nd|n\.d\."
    r"|not (done|assess(ed|able)|evaluable|reported|applicable|performed|tested)"
    r"|indeterminate|uncertain|unsure|not sure|equivocal|unclear|pending|tbd|-|\.|other"
    r"|(non|not) (diagnostic|evaluated|interpretable)"
)
# Next to yes and no they are perhaps unknown; in a scale (definite, possible) they aren't.
DOUBTFUL = re.compile(
    r"probabl[ey]|possibl[ey]|likely|suspected|questionable|doubtful|maybe|perhaps"
)
# Next to "negative", it is perhaps the same.
NOT_FOUND = re.compile(r"(not|non) (detected|seen|found)|undetected|nicht nachweisbar")
CODES = frozenset(
    {"-1", "-7", "-8", "-9", "-77", "-88", "-99", "-777", "-888", "-999", "-9999"}
    | {digit * count for digit in "789" for count in (1, 2, 3)}
    | {"9999"}
)
# Negative, positive; each as `fold` writes it.
PAIRS = (
    ("normal", "abnormal"), ("benign", "malignant"), ("absent", "present"), ("healthy", "ill"),
    ("healthy", "sick"), ("healthy", "diseased"), ("healthy", "disease"), ("healthy", "patient"),
    ("control", "case"), ("control", "patient"), ("alive", "dead"), ("alive", "deceased"),
    ("survived", "died"), ("censored", "event"), ("censored", "dead"), ("stable", "progression"),
    ("unauffällig", "auffällig"), ("gesund", "krank"), ("gutartig", "bösartig"),
    ("lebend", "tot"), ("lebt", "verstorben"), ("normal", "anormal"), ("bénin", "malin"),
    ("sain", "malade"), ("benigno", "maligno"), ("sano", "enfermo"), ("absent", "présent"),
    ("assente", "presente"), ("ausente", "presente"),
)  # fmt: skip
# Next to a finding, these are the negative one.
NOTHING = frozenset(
    {"none", "nil", "nothing", "no finding", "no findings", "unremarkable", "normal", "absent",
     "healthy", "control", "clear"}
)  # fmt: skip
# Good for the patient: "not X" is then the positive one, and X next to a third word is unsure.
HEALTHY = re.compile(
    r"benign|alive|surviv(ed|ors?|al)|living|[cpry]*[tnm]0|intact|neg(ative)?|normal|healthy|absent"
    r"|unremarkable|clear|controls?|stable|unaffected|uninvolved|unchanged|regular"
    r"|(disease|tumou?r|recurrence|event|progression) free|unauffällig|gesund|gutartig|lebend"
    r"|negativ|regelrecht|bénin|sain|vivant|benigno|sano|vivo"
)
# "no X" of these isn't a finding's absence for everybody: a responder may be the positive one.
OPEN = re.compile(
    r".*(respon|remission|recover|cure|heal|union|unite|fused|improve|complet|success|adequa"
    r"|sufficien|diagnos|report|record|perform|done|availab|interpret|controlled|patent|viab|free"
    r"|resect|operab|assess|evalua|eligib|visib|compress|discharge|reliab|ambula|remit|ventilat"
    r"|perfus|aerat|pcr|known|specific).*|\d+|.|cr|pr"
)
# Next to a healthy word, these are no finding.
NO_FINDING = re.compile(
    r"(not|non|no|poor|bad|limited|insufficient|inadequate|missing|failed|other)( .*)?"
    r"|(non|un(know|clear|evalu|interpret|diagnos|specif|avail)).*"
    r"|.*(quality|artefact|artifact|technical|exclu|reported|incomplete).*|\d+|."
)
WITHOUT = re.compile(
    r"^(not|non|no|without|keine|kein|nicht|ohne|sans|sin|senza|pas de)( |(?<=non))"
)
WITH = re.compile(r"^(with|mit|avec|con) ")


TIME = "a time is a number of one unit, 0 or more (12, not 12 months)"
HYPHENS = str.maketrans("−‐‑", "---")  # a minus and two hyphens of Unicode
LETTER = r"[^\W\d_]"


def fold(text: str) -> str:
    """Return a value without what tables change: case, spaces, hyphens of words, 1.0 for 1."""
    plain = re.sub(r"\s+", " ", text.translate(HYPHENS).strip()).casefold()
    plain = re.sub(rf"(?<={LETTER})[-_ ]+(?={LETTER})", " ", plain)
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
    top = max(rest or [number for number in numbers if number >= 0][:1], default=-1)
    # 8 and 9 after 0 … 7 are classes; 9 after 0 and 1 is not
    codes = {
        str(number)
        for number in numbers
        if str(number) in CODES and (number < 0 or not _counts_up(number, top, numbers))
    }
    return tuple(
        value
        for value in values
        if value in codes or ASKED.fullmatch(value) or _is_doubtful(value, values)
    )


def _is_doubtful(value: str, values: Collection[str]) -> bool:
    """Tell whether a value next to yes and no is perhaps unknown, or perhaps one of them."""
    sides = {YES_NO.get(each) for each in values}
    if NOT_FOUND.fullmatch(value):
        return 0 in sides
    both = sides >= {0, 1} or any(set(pair) <= set(values) for pair in PAIRS)
    return both and DOUBTFUL.fullmatch(value) is not None


def _counts_up(number: int, top: int, numbers: Collection[int]) -> bool:
    """Tell whether a number is one of those that count up from the others."""
    return all(each in numbers for each in range(top + 1, number)) and top >= 0


def positive_of(values: Collection[str]) -> str:
    """Return which of two folded words is positive, as everybody reads them; "" if unsure."""
    one, other = sorted(values)
    for negative, positive in PAIRS:
        if {one, other} == {negative, positive}:
            return positive
    for word, base in ((one, other), (other, one)):
        if _denies(word, base):
            return _positive_of_denied(word, base)
    for negative, positive in ((one, other), (other, one)):
        if negative in NOTHING and not _is_no_finding(positive):
            return positive
        if YES_NO.get(negative) == 0 and YES_NO.get(positive) == 1:
            return positive
    return ""


def _denies(word: str, base: str) -> bool:
    """Tell whether a word is another one with a not, as "non benign" is of "benign"."""
    bare = WITHOUT.sub("", word, count=1)
    return bare != word and bare in (base, WITH.sub("", base, count=1))


def _positive_of_denied(word: str, base: str) -> str:
    """Return the positive one of "not X" and X; "" where X may be good or bad."""
    bare = WITH.sub("", base, count=1)
    if HEALTHY.fullmatch(bare):
        return word
    return "" if bare in UNKNOWN or OPEN.fullmatch(bare) else base


def _is_no_finding(word: str) -> bool:
    """Tell whether a word with a healthy one is no sure finding: "not reported", "benign"."""
    words = (ASKED, DOUBTFUL, HEALTHY, NO_FINDING)
    return word in NOTHING | UNKNOWN or any(each.fullmatch(word) for each in words)


def is_time(text: str) -> bool:
    """Return True for a finite number from 0 on."""
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False
