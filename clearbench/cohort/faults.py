"""What is wrong in a cohort table: each check returns its faults, with the rows."""

import re
from collections import Counter, defaultdict
from math import isfinite, isinf
from typing import Any

import pyarrow as pa

from clearbench.cohort.columns import FALSE, REQUIRED, TRUE, is_label
from clearbench.cohort.files import UNSURE
from clearbench.cohort.ids import find_nobody, rounded_ids
from clearbench.errors import name_some
from clearbench.windows import parse_window

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def find_faults(table: pa.Table, name: str) -> list[str]:
    """Return every fault of a table of scans whose cohort is called `name`."""
    return [
        *_blank(table),
        *_bad_ids(table, name),
        *_nobody(table),
        *_twice(table),
        *_two_splits(table),
        *_infinite(table),
        *_bad_rules(table),
    ]


def _blank(table: pa.Table) -> list[str]:
    """Return faults: rows without an id or path."""
    faults = []
    for name in REQUIRED:
        # line 1 has the names of the columns
        rows = [
            str(i + 2) for i, value in enumerate(table.column(name).to_pylist()) if value is None
        ]
        faults += [f"{name} is blank in line {name_some(rows)}"] if rows else []
    return faults


def _bad_ids(table: pa.Table, name: str) -> list[str]:
    """Return faults: ids that can't be file names."""
    faults = []
    ids = {"scan_id": table.column("scan_id"), "patient_id": table.column("patient_id")}
    for column, values in ids.items():
        bad = [v for v in values.to_pylist() if v is not None and not ID_PATTERN.fullmatch(v)]
        if bad:
            faults.append(
                f"{column} may have letters, digits, dot, dash and underscore (at most 100), "
                f"not {name_some(bad)}"
            )
        rounded = rounded_ids(filter(None, values.to_pylist()))
        if rounded:
            faults.append(
                f"{column} has {name_some(rounded)}, whose last digits a spreadsheet took away; "
                "format the column as text there, bring the ids back, and export again"
            )
    if not ID_PATTERN.fullmatch(name):
        faults.append(
            f"{name!r} can't be the cohort's name (letters, digits, dot, dash and underscore; at "
            "most 100); give the table another file name (-o of `cohort build`), or name the "
            "cohort in a column cohort"
        )
    return faults


def _nobody(table: pa.Table) -> list[str]:
    """Return faults: patients of several studies, or studies of several rows, called unknown etc.

    Without study ids, each row counts as a study.
    """
    patients = table.column("patient_id").to_pylist()
    blank = [None] * table.num_rows
    known = table.column("study_id").to_pylist() if "study_id" in table.column_names else blank
    pairs = enumerate(zip(patients, known, strict=True))
    studies = {(who, one or f"row {row}") for row, (who, one) in pairs}
    faults = []
    for column, words, way_out in (
        (
            "patient_id",
            find_nobody(who for who, _ in studies if who),
            "fill in whose they are, or give each patient an id of its own",
        ),
        (
            "study_id",
            find_nobody(filter(None, known)),
            "leave the cells blank where the study is not known",
        ),
    ):
        several = [f"{word} in {count} rows" for word, count in words.items() if count > 1]
        if several:
            faults.append(
                f"{column} has {name_some(several)}, which is nobody's name, and would make them "
                f"one; {way_out}"
            )
    return faults


def _twice(table: pa.Table) -> list[str]:
    """Return faults: scan ids of two rows; ids that differ only by case would share one file."""
    counts = Counter(str(value).lower() for value in table.column("scan_id").to_pylist() if value)
    twice = [value for value, count in counts.items() if count > 1]
    return (
        [f"scan_id has more than one row: {name_some(twice)} (keep one of each)"] if twice else []
    )


def _two_splits(table: pa.Table) -> list[str]:
    """Return faults: patients on two sides of the split."""
    if "split" not in table.column_names:
        return []
    sides: dict[Any, set[str]] = defaultdict(set)
    for patient, split in zip(
        table.column("patient_id").to_pylist(), table.column("split").to_pylist(), strict=True
    ):
        sides[patient] |= {split.lower()} if split else set()
    both = [
        f"{patient} ({', '.join(sorted(found))})"
        for patient, found in sides.items()
        if len(found) > 1
    ]
    return [f"a patient in two splits: {name_some(both)}"] if both else []


def _infinite(table: pa.Table) -> list[str]:
    """Return faults: infinite values, such as 1e400, in labels whose values are all numbers."""
    faults = []
    scans = table.column("scan_id").to_pylist()
    for name in filter(is_label, table.column_names):
        cells = zip(scans, table.column(name).to_pylist(), strict=True)
        known = [(s, text) for s, text in cells if text is not None and text.lower() not in UNSURE]
        if all(is_number(text) for _, text in known):
            bad = [f"{text} (scan {scan})" for scan, text in known if isinf(float(text))]
            fault = f"label {name} has an infinite number: {name_some(bad)} (blank = unknown)"
            faults += [fault] if bad else []
    return faults


def _bad_rules(table: pa.Table) -> list[str]:
    """Return faults: an offset that is no number, or accept_hu that is neither 0 nor 1."""
    faults = []
    for name, fits, kind in (
        ("hu_offset", _is_finite, "a number such as -1024"),
        ("accept_hu", (*TRUE, *FALSE).__contains__, "1 or 0"),
        ("window", parse_window, "a window's name, such as lung, or name=lower:upper in HU"),
    ):
        if name in table.column_names:
            cells = [text for text in table.column(name).to_pylist() if text is not None]
            bad = [text for text in cells if not fits(text)]
            faults += [f"{name} is {kind}, not {name_some(bad)}"] if bad else []
    return faults


def _is_finite(text: str) -> bool:
    """Return True if a text is a finite number."""
    return is_number(text) and isfinite(float(text))


def is_number(text: str) -> bool:
    """Return True if a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
