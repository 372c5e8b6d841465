"""The cohort: a checked table with one row per scan: ids, path, split, technical facts, labels."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isinf
from pathlib import Path
from typing import Any

import pyarrow as pa

from clearbench import technical
from clearbench.cohort.files import read_table, with_points
from clearbench.cohort.ids import spelled_differently
from clearbench.errors import BadCohort, UnknownName, name_some, suggestion

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REQUIRED = ("scan_id", "patient_id", "path")
MARKS = "key_slices"  # slices that a reader marked; key_slices_<label>: for that label
SECRET_MARK = "secret_mark"  # names the secret under which a row's pseudonyms were made
PLACES = ("cohort", "public", "study_id", "series_id", "day", "site", "split", MARKS, SECRET_MARK)
VALUES = ("hu_offset", "accept_hu")  # the user's rules for a scan's values
KNOWN = (*REQUIRED, *PLACES, *VALUES, *technical.NAMES)
TRUE, FALSE = ("1", "true", "True"), ("0", "false", "False")
MANY_WORDS = 10  # a column of this many words that never repeat may hold names of people


def is_label(column: str) -> bool:
    """Return True for a label: a column without a fixed meaning (ids, paths, technical, slices)."""
    return column not in KNOWN and not column.startswith(f"{MARKS}_")


@dataclass(frozen=True)
class ScanRow:
    """One scan of a cohort: its ids, where its pixels are, and what is known of their values.

    hu_offset  is added to the values, None for nothing; accept_hu: values that look wrong are taken
    """

    scan_id: str
    patient_id: str
    path: Path
    series_id: str = ""
    hu_offset: float | None = None
    accept_hu: bool = False


@dataclass(frozen=True)
class Cohort:
    """A checked table of scans: every column text, blank = null, paths absolute.

    `problems` are shown to the user; the cohort can be used all the same.
    """

    name: str
    table: pa.Table
    problems: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the label columns."""
        return tuple(name for name in self.table.column_names if is_label(name))

    @property
    def public(self) -> bool:
        """Return True if the cohort is a published data set."""
        return (self.column("public") or [None])[0] in TRUE

    def column(self, name: str) -> list[str | None]:
        """Return one column as text; [] if the cohort doesn't have it."""
        return list(self.table.column(name).to_pylist()) if name in self.table.column_names else []

    def label(self, name: str) -> list[str | None]:
        """Return one label of every scan; raises UnknownName with the nearest columns."""
        if name not in self.table.column_names:
            raise UnknownName.among(f"column of cohort {self.name}", name, self.table.column_names)
        return self.column(name)

    def rows(self) -> list[ScanRow]:
        """Return one record per scan, in the table's order."""
        blank = [None] * self.table.num_rows
        optional = (self.column(name) or blank for name in ("series_id", *VALUES))
        columns = zip(*(self.column(name) for name in REQUIRED), *optional, strict=True)
        return [
            ScanRow(
                str(scan),
                str(patient),
                Path(str(at)),
                series or "",
                None if offset is None else float(offset),
                accept in TRUE,
            )
            for scan, patient, at, series, offset, accept in columns
        ]


def read_cohort(path: Path, name: str = "") -> Cohort:
    """Read and check a cohort table; `path` cells are relative to the file.

    Raises BadCohort with the faulty rows.
    """
    return check_cohort(read_table(path), name, path)


def check_cohort(table: pa.Table, name: str, source: Path) -> Cohort:
    """Check a table of scans whose file is (or will be) `source`; see read_cohort."""
    _check_columns(table, source)
    table, notes = _tidied(table)
    name = name or stated_name(table, source) or source.stem
    faults = [*_blank(table), *_bad_ids(table, name), *_twice(table), *_two_splits(table)]
    faults += [*_infinite(table), *_bad_rules(table)]
    if faults:
        raise BadCohort(f"{source}: " + "; ".join(faults))
    paths = [_absolute(Path(text), source.parent) for text in table.column("path").to_pylist()]
    index = table.column_names.index("path")
    table = table.set_column(index, "path", pa.array([str(path) for path in paths]))
    problems = (
        *notes,
        *_near_names(table),
        *_identifiers(table),
        *_spellings(table),
        *_missing_files(paths),
    )
    return Cohort(name, table, problems)


def _tidied(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Drop rows that repeat another one whole, and read decimal commas as points; with notes."""
    table, commas = with_points(table, _may_be_number)
    notes = [f"column {name}: decimal commas are read as points" for name in commas]
    rows = table.to_pylist()
    first = dict.fromkeys(tuple(row.values()) for row in rows)
    repeated = len(rows) - len(first)
    if repeated:
        table = pa.Table.from_pylist(
            [dict(zip(table.column_names, row, strict=True)) for row in first], schema=table.schema
        )
        text = "1 row repeats another one, and counts once"
        notes.append(text if repeated == 1 else f"{repeated} rows repeat others, and count once")
    return table, notes


def _may_be_number(column: str) -> bool:
    """Return True for columns that may hold numbers, but not for ids and lists of slices."""
    numbers = [each.name for each in technical.TECHNICAL if each.number]
    return is_label(column) or column in (*numbers, "day", "hu_offset")


def _spellings(table: pa.Table) -> list[str]:
    """Return problems: patients who may be one person under two spellings of an id."""
    names = [str(name) for name in table.column("patient_id").to_pylist()]
    several = spelled_differently(names)
    text = "patient_id differs only in zeros, case or .0, and counts as several patients"
    return [f"{text}: {name_some(several)}"] if several else []


def _check_columns(table: pa.Table, source: Path) -> None:
    """Require the id columns, and refuse known columns in another spelling."""
    names = table.column_names
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        hint = suggestion(missing[0], names)
        raise BadCohort(
            f"{source}: no column {', '.join(missing)}{hint or '.'} "
            f"A cohort has {', '.join(REQUIRED)}; this table has {', '.join(names)}"
        )
    plain = {plain_name(name): name for name in KNOWN}
    for name in names:
        meant = plain.get(plain_name(name), name)
        if meant != name:
            raise BadCohort(f"{source}: unknown column {name}; did you mean {meant}?")


def plain_name(name: str) -> str:
    """Return a column name in lower case, without dashes, dots, spaces and underscores."""
    return re.sub(r"[\s_.-]", "", name).lower()


def _near_names(table: pa.Table) -> list[str]:
    """Return problems: labels whose names look like a misspelt known column."""
    near = [
        (name, suggestion(name, PLACES + technical.NAMES, cutoff=0.85))
        for name in table.column_names
        if is_label(name)
    ]
    return [f"column {name} is taken as a label{hint}" for name, hint in near if hint]


def stated_name(table: pa.Table, source: Path) -> str:
    """Return the name in the column cohort, "" if there is none.

    Raises BadCohort if there are several.
    """
    if "cohort" not in table.column_names:
        return ""
    names = sorted({name for name in table.column("cohort").to_pylist() if name})
    if len(names) > 1:
        raise BadCohort(f"{source}: several cohorts in one table ({name_some(names)}); split it")
    return names[0] if names else ""


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
    if not ID_PATTERN.fullmatch(name):
        faults.append(f"{name!r} can't be the cohort's name; choose another name")
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
        sides[patient] |= {split} if split else set()
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
        known = [(scan, text) for scan, text in cells if text is not None]
        if all(_is_number(text) for _, text in known):
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
    ):
        if name in table.column_names:
            cells = [text for text in table.column(name).to_pylist() if text is not None]
            bad = [text for text in cells if not fits(text)]
            faults += [f"{name} is {kind}, not {name_some(bad)}"] if bad else []
    return faults


def _is_finite(text: str) -> bool:
    """Return True if a text is a finite number."""
    return _is_number(text) and isfinite(float(text))


def _absolute(path: Path, base: Path) -> Path:
    """Return a cell's path as an absolute path from the table's folder; links stay links."""
    return Path(os.path.abspath(base / path))  # noqa: PTH100  resolve() would follow links


def _identifiers(table: pa.Table) -> list[str]:
    """Return problems: columns of words that differ in every row, perhaps names of people."""
    notes = []
    for name in filter(is_label, table.column_names):
        words = [value for value in table.column(name).to_pylist() if value is not None]
        unique = len(words) >= MANY_WORDS and len(set(words)) == len(words)
        if unique and not any(_is_number(word) for word in words):
            notes.append(
                f"column {name} differs in every row; if it has names of people, remove it"
            )
    return notes


def _is_number(text: str) -> bool:
    """Return True if a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _missing_files(paths: Sequence[Path]) -> list[str]:
    """Return problems: paths that do not exist; only those scans will fail."""
    missing = [str(path) for path in paths if not path.exists()]
    return (
        [f"{len(missing)} of {len(paths)} paths do not exist: {name_some(missing)}"]
        if missing
        else []
    )
