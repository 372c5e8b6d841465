"""Which target the values of some labels make: classes, which is positive, what is unknown."""

import math
import re
from collections import Counter
from dataclasses import dataclass

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask, name_some
from clearbench.evaluation.task.words import (
    UNKNOWN,
    YES_NO,
    asked,
    fold,
    is_unknown,
    positive_of,
    spellings,
    usual,
)

MOST_CLASSES = 12  # more values are probably a measurement or free text, not classes
ORDERED = re.compile(
    r"\d+|i{1,3}[abc]?|iv[abc]?|[tnm]\d[abc]?|g\d|grade \d|stage .+"
    r"|none|mild|moderate|severe|low|high"
)


@dataclass(frozen=True)
class Wishes:
    """What the user says of the labels; values as they stand in the table.

    classes: in their order; ordered: whether that order means more; positive: of two classes
    unknown: values that mean unknown; survival: whether the labels are time and event
    """

    classes: tuple[str, ...] = ()
    ordered: bool = False
    positive: str = ""
    unknown: tuple[str, ...] = ()
    survival: bool = False


@dataclass(frozen=True)
class Understood:
    """A card's target, and what the labels' values were taken for, in sentences."""

    target: str
    classes: tuple[str, ...] = ()
    positive: str = ""
    says: tuple[str, ...] = ()


def understand(cohort: Cohort, labels: tuple[str, ...], wishes: Wishes) -> Understood:
    """Return the target of some labels of a cohort.

    Raises UnknownName for a column the cohort lacks, BadTask for values that make no target, and
    where it would have to guess: which of two words is positive, or whether 9 means unknown.
    """
    if wishes.survival:
        return _survival(cohort, labels, wishes)
    if len(labels) > 1:
        return _multilabel(cohort, labels, wishes)
    return _one_label(_Column(cohort, labels[0], wishes), wishes)


class _Column:
    """One label: the scans of each known value, by folded value, and of each unknown one."""

    def __init__(self, cohort: Cohort, name: str, wishes: Wishes) -> None:
        self.name = name
        texts = cohort.label(name)
        found = spellings(text for text in texts if text is not None)
        classes, unknown = set(map(fold, wishes.classes)), set(map(fold, wishes.unknown))
        self.shown = {value: usual(several) for value, several in found.items()}
        counts = {value: sum(several.values()) for value, several in found.items()}
        out = {value for value in counts if is_unknown(value, classes, unknown)}
        self.known = {value: count for value, count in counts.items() if value not in out}
        self.unknown = Counter({self.shown[value]: counts[value] for value in sorted(out)})
        self.unknown["blank"] = texts.count(None)
        self.same = [sorted(several) for several in found.values() if len(several) > 1]

    def counted(self, values: list[str] | tuple[str, ...]) -> str:
        """Return values with their numbers of scans."""
        return ", ".join(
            f"{self.shown.get(value, value)} {self.known.get(value, 0)}" for value in values
        )

    def says(self) -> list[str]:
        """Return what is unknown, and what was read as one value."""
        unknown = ", ".join(f"{text} {count}" for text, count in self.unknown.items() if count)
        notes = [f"{self.name}, unknown (scans): {unknown}"] if unknown else []
        same = "; ".join(" = ".join(texts) for texts in self.same)
        return notes + ([f"{self.name}, read as one value each: {same}"] if same else [])

    def refuse_codes(self) -> None:
        """Raise BadTask for values that are perhaps codes for unknown."""
        codes = asked(tuple(self.known))
        if codes:
            listed = " and ".join(
                f"{self.shown[code]} ({self.known[code]} scans)" for code in codes
            )
            rest = ",".join(self.shown[value] for value in self.known)
            raise BadTask(
                f"label {self.name}: does {listed} mean unknown? If so: --unknown "
                f"{','.join(self.shown[code] for code in codes)}; if it is a class: --classes "
                f"{rest}"
            )

    def hint(self) -> str:
        """Return how a word that counts as unknown becomes a class; "" without such a word."""
        words = [text for text in self.unknown if fold(text) in UNKNOWN and self.unknown[text]]
        words = [text for text in words if text != "blank"]
        if not words:
            return ""
        every = ",".join([*words, *(self.shown[value] for value in self.known)])
        return f"; {', '.join(words)} counts as unknown, unless you say: --classes {every}"


def _one_label(column: _Column, wishes: Wishes) -> Understood:
    """Return the target of one label: binary, multiclass or ordinal."""
    if wishes.classes:
        return _as_said(column, wishes)
    column.refuse_codes()
    values = list(column.known)
    if len(values) < 2:
        raise BadTask(
            f"label {column.name} has fewer than two values "
            f"({column.counted(values) or 'all blank'}){column.hint()}"
        )
    if not wishes.positive and all(value in YES_NO for value in values):
        return _yes_no(column)
    if len(values) == 2:
        return _two_words(column, values, wishes.positive)
    if wishes.positive:
        raise BadTask(
            f"label {column.name} has {len(values)} values ({column.counted(values)}); a positive "
            "one is for two: name both (--classes), and the rest as unknown (--unknown)"
        )
    if len(values) > MOST_CLASSES:
        shown = ", ".join(column.shown[value] for value in values[:4])
        raise BadTask(
            f"label {column.name} has {len(values)} values, e.g. {shown}; a task has at most "
            f"{MOST_CLASSES} classes, so group them first"
        )
    classes = tuple(column.shown[value] for value in values)
    ordered = [f"if these have an order: --order {','.join(classes)}"]
    hint = ordered if all(ORDERED.fullmatch(value) for value in values) else []
    says = (f"classes (scans): {column.counted(values)}", *column.says(), *hint)
    return Understood("multiclass", classes, says=says)


def _as_said(column: _Column, wishes: Wishes) -> Understood:
    """Return the target of the classes that the user names."""
    named = [fold(each) for each in wishes.classes]
    lost = [value for value in column.known if value not in named]
    absent = [text for text in wishes.classes if fold(text) not in column.known]
    if lost:
        listed = ", ".join(f"{column.shown[value]} ({column.known[value]} scans)" for value in lost)
        codes = ",".join(column.shown[value] for value in lost)
        raise BadTask(
            f"label {column.name} has values that are no class: {listed}; add them to the classes, "
            f"or say that they are unknown: --unknown {codes}"
        )
    if len(absent) == len(named):
        raise BadTask(f"label {column.name} has none of the classes {', '.join(wishes.classes)}")
    says = [f"no scan has {name_some(absent)}"] if absent else []
    if len(named) == 2:
        found = _two_words(column, named, wishes.positive)
        return Understood("binary", wishes.classes, found.positive, (*found.says, *says))
    target = "ordinal" if wishes.ordered else "multiclass"
    head = (
        f"classes, lowest first (scans): {column.counted(named)}"
        if wishes.ordered
        else (f"classes (scans): {column.counted(named)}")
    )
    return Understood(target, wishes.classes, says=(head, *column.says(), *says))


def _yes_no(column: _Column) -> Understood:
    """Return the target of 0 and 1, or of yes and no."""
    counts = Counter[int]()
    for value, count in column.known.items():
        counts[YES_NO[value]] += count
    words = {side: [column.shown[v] for v in column.known if YES_NO[v] == side] for side in (1, 0)}
    parts = (f"{', '.join(words[side])} ({counts[side]} scans)" for side in (1, 0))
    says = "positive: {}; negative: {}".format(*parts)
    if not all(words.values()):
        raise BadTask(f"label {column.name} has fewer than two values ({says}){column.hint()}")
    return Understood("binary", says=(says, *column.says()))


def _two_words(column: _Column, values: list[str], positive: str) -> Understood:
    """Return the binary target of two words; raises BadTask if it is unsure which is positive."""
    wanted = fold(positive) if positive else positive_of(values)
    if wanted not in values:
        what = f"{positive} is neither." if positive else "which one is positive?"
        usage = " or ".join(f"--positive {column.shown.get(value, value)}" for value in values)
        raise BadTask(
            f"label {column.name} has the values {column.counted(values)} (scans); {what} "
            f"Say {usage}{column.hint()}"
        )
    [negative] = [value for value in values if value != wanted]
    classes = tuple(column.shown.get(value, value) for value in (negative, wanted))
    says = (
        f"positive: {classes[1]} ({column.known.get(wanted, 0)} scans); negative: {classes[0]} "
        f"({column.known.get(negative, 0)} scans)",
        *column.says(),
    )
    return Understood("binary", classes, classes[1], says)


def _multilabel(cohort: Cohort, labels: tuple[str, ...], wishes: Wishes) -> Understood:
    """Return the target of several labels of yes and no."""
    says = []
    for name in labels:
        column = _Column(cohort, name, wishes)
        column.refuse_codes()
        other = [value for value in column.known if value not in YES_NO]
        if other:
            raise BadTask(
                f"several labels must each be 0 or 1; {name} has the values "
                f"{name_some([column.counted([value]) for value in column.known])} (scans). Of a "
                f"survival target: --time {labels[0]} --event {labels[-1]}"
            )
        positive = sum(count for value, count in column.known.items() if YES_NO[value])
        says += [f"{name}: {positive} of {sum(column.known.values())} scans are positive"]
        says += column.says()
    return Understood("multilabel", says=tuple(says))


def _survival(cohort: Cohort, labels: tuple[str, ...], wishes: Wishes) -> Understood:
    """Return the target of a time and an event."""
    time, event = labels
    column = _Column(cohort, event, wishes)
    found = _one_label(column, wishes) if len(column.known) > 1 else None
    if found is None or found.target != "binary":
        raise BadTask(
            f"label {event} has the values {column.counted(list(column.known)) or 'all blank'} "
            "(scans); an event is 0 or 1, or two words of which one is positive (--positive dead)"
        )
    unknown = set(map(fold, wishes.unknown))
    texts = [text for text in cohort.label(time) if text is not None]
    bad = [text for text in texts if not _is_time(text) and not is_unknown(fold(text), (), unknown)]
    if bad:
        raise BadTask(
            f"label {time}: a time is a number, 0 or more, not {name_some(sorted(set(bad)))}"
        )
    says = tuple(
        text.replace("positive:", "event:").replace("negative:", "none:") for text in found.says
    )
    blank = cohort.label(time).count(None)
    lack = (f"{time}, unknown (scans): blank {blank}",) if blank else ()
    return Understood("survival", found.classes, found.positive, (*says, *lack))


def _is_time(text: str) -> bool:
    """Return True for a finite number from 0 on."""
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False
