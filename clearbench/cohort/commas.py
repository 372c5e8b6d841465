"""Commas in columns of numbers: of decimals, of thousands, or between the codes of a list."""

import re
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.files import UNSURE
from clearbench.errors import BadCohort, name_some

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
CODES = re.compile(r"(\d{1,2}),([1-9]\d?)")
MOST_CODES = 12  # values of a column of lists; more are measurements


class Comma(Enum):
    """What the commas of a column are."""

    DECIMAL = "decimal commas are read as points"
    THOUSANDS = "commas of thousands are left out"
    LIST = "commas stay, as its cells look like lists of codes; write decimals with a point"
    UNSURE = ""


def read_commas(
    table: pa.Table, numbers: Callable[[str], bool], source: Path
) -> tuple[pa.Table, list[str]]:
    """Write the numbers of a table with points and without commas, and return a note per column.

    `numbers` tells which columns may be numbers. Raises BadCohort where a comma may be that of
    decimals or of thousands, and no column of the table has surely decimal commas.
    """
    names = [name for name in table.column_names if numbers(name)]
    kinds = {name: _kind(table.column(name).to_pylist()) for name in names}
    sure = Comma.DECIMAL in kinds.values()
    notes = []
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for name, kind in kinds.items():
        if kind is None:
            continue
        texts = table.column(name).to_pylist()
        if kind is Comma.UNSURE and not sure:
            raise BadCohort(f"{source}: column {name}: {_unsure(texts)}")
        read = Comma.DECIMAL if kind is Comma.UNSURE else kind
        notes.append(f"column {name}: {read.value}")
        if read is not Comma.LIST:
            point = "." if read is Comma.DECIMAL else ""
            plain = [text and text.replace(",", point) for text in texts]
            columns[name] = pa.chunked_array([pa.array(plain, pa.string())])
    # all at once: to set one column of thousands copies the list of all
    return pa.table(columns, metadata=table.schema.metadata), notes


def _unsure(texts: Sequence[str | None]) -> str:
    """Return the fault of a column whose commas may be of decimals or of thousands."""
    found = sorted({text for text in texts if text and "," in text})
    one = found[0]
    return (
        f"the comma of {name_some(found)} may be that of decimals or of thousands; write "
        f"{one.replace(',', '.')} or {one.replace(',', '')}"
    )


def _kind(texts: Sequence[str | None]) -> Comma | None:
    """Return what the commas of a column are; None if it has none, or isn't of numbers."""
    known = {text for text in texts if text is not None and text.lower() not in UNSURE}
    commas = {text for text in known if "," in text}
    if not commas:
        return None
    grouped = all(THOUSANDS.fullmatch(text) for text in commas)
    if grouped and all(NUMBER.fullmatch(text) for text in known - commas):
        points = any("." in text for text in known)
        sure = points or any(text.count(",") > 1 for text in commas)
        return Comma.THOUSANDS if sure else Comma.UNSURE
    if not all(DECIMAL_COMMA.fullmatch(text) for text in known):
        return None
    return Comma.LIST if _are_lists(known, commas) else Comma.DECIMAL


def _are_lists(known: set[str], commas: set[str]) -> bool:
    """Tell whether cells such as 1,2 and 3,4 next to 5 look like lists: their codes go up."""
    pairs = [CODES.fullmatch(text) for text in commas]
    few = len(commas) > 1 and len(known) <= MOST_CODES
    return few and all(pair and int(pair[1]) < int(pair[2]) for pair in pairs)
