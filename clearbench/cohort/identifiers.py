"""Columns of ids under names that don't say whose: they are no labels, and may name patients."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from clearbench.cohort.columns import UNSURE_IDS, named_columns

# Ends of names of ids: hospital_no, orderID, Aktennummer; but not steroid.
NUMBERED = re.compile(
    r"(?i:(^|[\s_.-])(id|nr|no|num)|number|nummer|numero)$|[a-z](ID|Id|NR|Nr|NO|No|Num)$"
)
LONG_NUMBER = re.compile(r"\d{4,}(\.0+)?")
DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])|(19|20)\d\d")
MARKED_NUMBER = re.compile(r"[^\W\d_][\w -]*?\d{3,}")  # ABC-0012
FEWEST = 5  # different values; fewer may be classes
SHARE = 0.5  # of the rows with different values, so that a column is one of ids
MOST_ROWS = 0.75  # different values by row; more of them hardly repeat
MOST_OF_ONE = 0.25  # of the rows with one value

Cells = Sequence[str | None]


def has_ids(name: str, cells: Cells) -> bool:
    """Return True if a column seems to have ids: by its name, or by the one form of its values.

    Numbers count by a name such as id, case or hospital_no; others have at least three digits after
    the same letters. At least five must differ; of forms alone, half of the rows.
    """
    known = [cell for cell in cells if cell is not None]
    different = set(known)
    if len(different) < min(FEWEST, max(2, len(known))):
        return False
    if named_columns(UNSURE_IDS, [name]):
        return all(re.search(r"\d", text) for text in different)
    many = len(different) >= max(FEWEST, SHARE * len(known))
    numbered = NUMBERED.search(name) is not None and _are_long_numbers(different)
    return many and (numbered or _are_marked(different))


def likely_patients(columns: Mapping[str, Cells]) -> str:
    """Return the column that most likely names the patients of rows, "" if none seems to.

    Its values are ids, and some of them stand in several rows. A column named as one of ids goes
    before one that only looks like it.
    """
    named = [name for name in named_columns(UNSURE_IDS, list(columns)) if _repeats(columns[name])]
    alike = (name for name, cells in columns.items() if _may_be_patients(cells))
    return next(iter(named), "") or next(alike, "")


def _repeats(cells: Cells) -> bool:
    """Return True if values are many, and some stand in several rows."""
    known = [cell for cell in cells if cell is not None]
    return min(FEWEST, len(known) / 2) <= len(set(known)) < len(known)


def _may_be_patients(cells: Cells) -> bool:
    """Return True for ids of one form that repeat, none of them very often."""
    counts = Counter(cell for cell in cells if cell is not None)
    rows = counts.total()
    if not FEWEST <= len(counts) <= MOST_ROWS * rows or max(counts.values()) > MOST_OF_ONE * rows:
        return False
    return _are_long_numbers(set(counts)) or _are_marked(set(counts))


def _are_long_numbers(texts: set[str]) -> bool:
    """Return True for whole numbers of equally many digits, but not for dates or years."""
    lengths = {len(text.split(".")[0]) for text in texts}
    numbers = all(LONG_NUMBER.fullmatch(text) for text in texts)
    return numbers and len(lengths) == 1 and not all(DATE.fullmatch(text) for text in texts)


def _are_marked(texts: set[str]) -> bool:
    """Return True for numbers after the same letters, such as ABC-0012."""
    letters = {re.sub(r"\d+$", "", text) for text in texts}
    return len(letters) == 1 and all(MARKED_NUMBER.fullmatch(text) for text in texts)
