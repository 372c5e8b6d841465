"""The cohort: a checked table with one row per scan: ids, path, split, technical facts, labels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.columns import KNOWN, REQUIRED, TRUE, VALUES, is_label, plain_name
from clearbench.cohort.doubts import find_doubts
from clearbench.cohort.faults import find_faults
from clearbench.cohort.files import read_table
from clearbench.cohort.tidy import tidy
from clearbench.errors import BadCohort, UnknownName, is_text, name_some, suggestion


@dataclass(frozen=True)
class ScanRow:
    """One scan of a cohort: its ids, where its pixels are, and what is known of their values.

    hu_offset  is added to the values, None for nothing; accept_hu: values that look wrong are taken
    window  of 8-bit images
    """

    scan_id: str
    patient_id: str
    path: Path
    series_id: str = ""
    hu_offset: float | None = None
    accept_hu: bool = False
    window: str = ""


@dataclass(frozen=True)
class Cohort:
    """A checked table of scans: every column text, blank = null, paths absolute.

    `problems` are shown to the user; the cohort can be used all the same. `reading` are those of
    them that say how its file was read: a stored cohort doesn't have them again.
    """

    name: str
    table: pa.Table
    problems: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()

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

    def with_column(self, name: str, values: Sequence[str | None]) -> "Cohort":
        """Return the cohort with a column replaced or added: one text per scan, None = blank."""
        column = pa.array(list(values), pa.string())
        if name in self.table.column_names:
            place = self.table.column_names.index(name)
            return replace(self, table=self.table.set_column(place, name, column))
        return replace(self, table=self.table.append_column(name, column))

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
                window or "",
            )
            for scan, patient, at, series, offset, accept, window in columns
        ]


def read_cohort(path: Path, name: str = "") -> Cohort:
    """Read and check a cohort table; `path` cells are relative to the file.

    Raises BadCohort with the faulty rows.
    """
    return check_cohort(read_table(path, keep_words=True), name, path)


def check_cohort(table: pa.Table, name: str, source: Path) -> Cohort:
    """Check a table of scans whose file is (or will be) `source`; see read_cohort."""
    table, notes = tidy(table, source)
    _check_columns(table, source)
    name = name or stated_name(table, source) or source.stem
    faults = find_faults(table, name)
    if faults:
        raise BadCohort(f"{source}: " + "; ".join(faults))
    paths = [_absolute(Path(text), source.parent) for text in table.column("path").to_pylist()]
    unnamed = [path for path in paths if not is_text(str(path))]
    if unnamed:
        raise BadCohort(
            f"{source}: a name in {unnamed[0]} isn't UTF-8, which no table holds; rename it"
        )
    index = table.column_names.index("path")
    table = table.set_column(index, "path", pa.array([str(path) for path in paths]))
    return Cohort(name, table, (*notes, *find_doubts(table, paths)), tuple(notes))


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


def _absolute(path: Path, base: Path) -> Path:
    """Return a cell's path as an absolute path from the table's folder; links stay links."""
    return Path(os.path.abspath(base / path))  # noqa: PTH100  resolve() would follow links
