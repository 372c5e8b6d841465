"""Which target the values of some labels make: classes, which is positive, what is unknown."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask, counted, name_some
from clearbench.evaluation.task.words import (
    TIME,
    UNKNOWN,
    YES_NO,
    asked,
    fold,
    is_time,
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
    return _one_label(_Column(labels[0], cohort.label(labels[0]), wishes), wishes)


class _Column:
    """One label: the scans of each known value, by folded value, and of each unknown one."""

    def __init__(self, name: str, texts: Sequence[str | None], wishes: Wishes) -> None:
        self.name = name
        found = spellings(text for text in texts if text is not None)
        classes, unknown = set(map(fold, wishes.classes)), set(map(fold, wishes.unknown))
        self.shown = {value: usual(several) for value, several in found.items()}
        counts = {value: sum(several.values()) for value, several in found.items()}
        out = {value for value in counts if is_unknown(value, classes, unknown)}
        self.known = {value: count for value, count in counts.items() if value not in out}
        self.unknown = Counter({self.shown[value]: counts[value] for value in sorted(out)})
        self.unknown["blank"] = list(texts).count(None)
        self.said = {fold(wishes.positive)} if wishes.positive else set[str]()
        self.same = [sorted(several) for several in found.values() if len(several) > 1]

    def with_counts(self, values: list[str] | tuple[str, ...]) -> str:
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
        codes = [code for code in asked(tuple(self.known)) if code not in self.said]
        if codes:
            listed = " and ".join(
                f"{self.shown[code]} ({counted(self.known[code], 'scan')})" for code in codes
            )
            rest = _typed(self.shown[value] for value in self.known)
            raise BadTask(
                f"label {self.name}: does {listed} mean unknown? If so: --unknown "
                f"{_typed(self.shown[code] for code in codes)}; if it is a class: --classes "
                f"{rest}; if it is another word for a class, write that one in the table"
            )

    def hint(self) -> str:
        """Return how a word that counts as unknown becomes a class; "" without such a word."""
        words = [text for text in self.unknown if fold(text) in UNKNOWN and self.unknown[text]]
        words = [text for text in words if text != "blank"]
        if not words:
            return self._blank_hint()
        every = _typed([*words, *(self.shown[value] for value in self.known)])
        return f"; {', '.join(words)} counts as unknown, unless you say: --classes {every}"

    def _blank_hint(self) -> str:
        """Return how blank cells next to one value become negative; "" without blank cells."""
        blank = self.unknown["blank"]
        if not blank or len(self.known) != 1:
            return ""
        return (
            f"; blank ({counted(blank, 'scan')}) counts as unknown: if it means negative, write 0 "
            'there, or blank = "negative" in a card of classes 0 and 1'
        )


def _typed(values: Iterable[str]) -> str:
    """Return values as one word of a command line."""
    return shlex.quote(",".join(values))


def _one_label(column: _Column, wishes: Wishes) -> Understood:
    """Return the target of one label: binary, multiclass or ordinal."""
    if wishes.classes:
        return _as_said(column, wishes)
    column.refuse_codes()
    values = list(column.known)
    if len(values) < 2:
        raise BadTask(
            f"label {column.name} has fewer than two values "
            f"({column.with_counts(values) or 'all blank'}){column.hint()}"
        )
    if not wishes.positive and all(value in YES_NO for value in values):
        return _yes_no(column)
    if len(values) == 2:
        return _two_words(column, values, wishes.positive)
    if wishes.positive:
        raise BadTask(
            f"label {column.name} has {len(values)} values ({column.with_counts(values)}); a "
            "positive one is for two: name both (--classes), and the rest as unknown (--unknown)"
        )
    if len(values) > MOST_CLASSES:
        shown = ", ".join(column.shown[value] for value in values[:4])
        raise BadTask(
            f"label {column.name} has {len(values)} values, e.g. {shown}; a task has at most "
            f"{MOST_CLASSES} classes, so group them first"
        )
    classes = tuple(column.shown[value] for value in values)
    ordered = [f"if these have an order: --order {_typed(classes)}"]
    hint = ordered if all(ORDERED.fullmatch(value) for value in values) else []
    says = (f"classes (scans): {column.with_counts(values)}", *column.says(), *hint)
    return Understood("multiclass", classes, says=says)


def _as_said(column: _Column, wishes: Wishes) -> Understood:
    """Return the target of the classes that the user names."""
    named = [fold(each) for each in wishes.classes]
    lost = [value for value in column.known if value not in named]
    absent = [text for text in wishes.classes if fold(text) not in column.known]
    if lost:
        listed = ", ".join(
            f"{column.shown[value]} ({counted(column.known[value], 'scan')})" for value in lost
        )
        codes = _typed(column.shown[value] for value in lost)
        raise BadTask(
            f"label {column.name} has values that are no class: {listed}; add them to the classes, "
            f"or say that they are unknown: --unknown {codes}"
        )
    if len(absent) == len(named):
        raise BadTask(f"label {column.name} has none of the classes {', '.join(wishes.classes)}")
    says = [f"no scan has {name_some(absent)}"] if absent else []
    if len(named) == 2:
        # of two in an order, the higher one is positive
        last = wishes.classes[-1] if wishes.ordered else ""
        found = _two_words(column, named, wishes.positive or last)
        return Understood("binary", wishes.classes, found.positive, (*found.says, *says))
    target = "ordinal" if wishes.ordered else "multiclass"
    head = (
        f"classes, lowest first (scans): {column.with_counts(named)}"
        if wishes.ordered
        else (f"classes (scans): {column.with_counts(named)}")
    )
    return Understood(target, wishes.classes, says=(head, *column.says(), *says))


def _yes_no(column: _Column) -> Understood:
    """Return the target of 0 and 1, or of yes and no."""
    counts = Counter[int]()
    for value, count in column.known.items():
        counts[YES_NO[value]] += count
    words = {side: [column.shown[v] for v in column.known if YES_NO[v] == side] for side in (1, 0)}
    parts = (f"{', '.join(words[side])} ({counted(counts[side], 'scan')})" for side in (1, 0))
    says = "positive: {}; negative: {}".format(*parts)
    if not all(words.values()):
        raise BadTask(f"label {column.name} has fewer than two values ({says}){column.hint()}")
    return Understood("binary", says=(says, *column.says()))


def _two_words(column: _Column, values: list[str], positive: str) -> Understood:
    """Return the binary target of two words; raises BadTask if it is unsure which is positive."""
    wanted = fold(positive) if positive else positive_of(values)
    if wanted not in values:
        what = f"{positive} is neither." if positive else "which one is positive?"
        usage = " or ".join(
            f"--positive {_typed([column.shown.get(value, value)])}" for value in values
        )
        raise BadTask(
            f"label {column.name} has the values {column.with_counts(values)} (scans); {what} "
            f"Say {usage}{column.hint()}"
        )
    [negative] = [value for value in values if value != wanted]
    classes = tuple(column.shown.get(value, value) for value in (negative, wanted))
    says = (
        f"positive: {classes[1]} ({counted(column.known.get(wanted, 0), 'scan')}); "
        f"negative: {classes[0]} ({counted(column.known.get(negative, 0), 'scan')})",
        *column.says(),
    )
    return Understood("binary", classes, classes[1], says)


def _multilabel(cohort: Cohort, labels: tuple[str, ...], wishes: Wishes) -> Understood:
    """Return the target of several labels of yes and no, or of the same two words."""
    columns = [_Column(name, cohort.label(name), wishes) for name in labels]
    for column in columns:
        column.refuse_codes()
    found = _words_of_all(cohort, columns, wishes)
    positive = {fold(found.positive)} if found.positive else {v for v in YES_NO if YES_NO[v]}
    says = list(found.says)
    for column in columns:
        count = sum(column.known.get(value, 0) for value in positive)
        says += [f"{column.name}: {count} of {sum(column.known.values())} scans are positive"]
        says += column.says()
    return Understood("multilabel", found.classes, found.positive, tuple(says))


def _words_of_all(cohort: Cohort, columns: Sequence[_Column], wishes: Wishes) -> Understood:
    """Return the two words that several labels share: none where they are yes and no."""
    texts = [text for column in columns for text in cohort.label(column.name)]
    joined = _Column(", ".join(column.name for column in columns), texts, wishes)
    values = [fold(each) for each in wishes.classes] or list(joined.known)
    if not wishes.positive and all(value in YES_NO for value in values):
        return Understood("multilabel")
    if len(values) == 2 and set(joined.known) <= set(values):
        pair = _two_words(joined, values, wishes.positive)
        return Understood("multilabel", pair.classes, pair.positive, pair.says[:1])
    odd = next((each for each in columns if not set(each.known) <= set(YES_NO)), columns[0])
    survival = f". Of a survival target: --time {columns[0].name} --event {columns[1].name}"
    raise BadTask(
        "several labels must each be 0 or 1, or have the same two words, such as absent and "
        f"present; {odd.name} has the values "
        f"{name_some([odd.with_counts([value]) for value in odd.known])} (scans). Write 0 and "
        f"1 in the table, or make a task of each label{survival if len(columns) == 2 else ''}"
    )


def _survival(cohort: Cohort, labels: tuple[str, ...], wishes: Wishes) -> Understood:
    """Return the target of a time and an event."""
    time, event = labels
    column = _Column(event, cohort.label(event), wishes)
    found = _one_label(column, wishes) if len(column.known) > 1 else None
    if found is None or found.target != "binary":
        raise BadTask(
            f"label {event} has the values {column.with_counts(list(column.known)) or 'all blank'} "
            "(scans); an event is 0 or 1, or two words of which one is positive (--positive dead)"
        )
    says = tuple(
        text.replace("positive:", "event:").replace("negative:", "none:") for text in found.says
    )
    return Understood(
        "survival", found.classes, found.positive, (*says, *_times(cohort, time, wishes))
    )


def _times(cohort: Cohort, name: str, wishes: Wishes) -> tuple[str, ...]:
    """Return which times are unknown; raises BadTask for cells that are no time."""
    unknown = set(map(fold, wishes.unknown))
    counts = Counter("blank" if text is None else text for text in cohort.label(name))
    other = {text: count for text, count in counts.items() if not is_time(text)}
    bad = [text for text in other if text != "blank" and not is_unknown(fold(text), (), unknown)]
    if bad:
        rare = 2 * sum(other[text] for text in bad) < sum(counts.values())
        way = f", or say: --unknown {_typed(sorted(bad)[:1])}" if rare else ""
        raise BadTask(
            f"label {name}: {TIME}, not {name_some(sorted(bad))}. If that means unknown, clear the "
            f"cells{way}"
        )
    listed = ", ".join(f"{text} {other[text]}" for text in sorted(other))
    return (f"{name}, unknown (scans): {listed}",) if listed else ()
