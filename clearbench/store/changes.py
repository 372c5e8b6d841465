"""What a table changes in a stored cohort, in sentences for the user."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearbench.cohort.columns import REQUIRED
from clearbench.cohort.table import Cohort
from clearbench.errors import counted, name_some

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class CohortChanges:
    """How a cohort differs from what the store had under its name; scans by their ids.

    stored      the number of scans before
    appeared    scans that the store didn't have; vanished: scans that the table doesn't have
    moved       scans with another path; lost: scans whose new path, unlike the stored, isn't there
    patients    scans of another patient than before, with both
    columns     new columns; cells: the scans whose cell changes, with both values, by column
    """

    cohort: str
    stored: int
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def sentences(self, *, replaced: bool = False) -> tuple[str, ...]:
        """Return one sentence per kind of change; `replaced`: vanished scans leave the cohort."""
        return tuple(
            text
            for text in (
                self._looks_other(),
                _changed(self.appeared, "new", "new"),
                _changed(self.moved, "at another path", "at other paths"),
                self._lost(),
                _changed(self.patients, "of another patient now", "of other patients now"),
                _columns(self.columns),
                *(_cells(name, scans) for name, scans in self.cells),
                self._left() if replaced else self._kept(),
            )
            if text
        )

    def _looks_other(self) -> str:
        """Say that no scan is shared: tables of one name are one cohort."""
        if len(self.vanished) < self.stored:
            return ""
        return (
            f"no scan of this table is in the stored cohort {self.cohort} "
            f"({counted(self.stored, 'scan')}): it looks like another cohort. If it is, add it "
            f"under a name of its own (--name), and add the table of {self.cohort} again with "
            "--replace-rows"
        )

    def _lost(self) -> str:
        """Say that stored paths are kept where the table's lead nowhere."""
        if not self.lost:
            return ""
        return (
            f"{counted(len(self.lost), 'scan')}: the path in this table doesn't exist, so the "
            f"stored one, which does, is kept: {name_some(self.lost)}"
        )

    def _kept(self) -> str:
        """Say that scans which the table lacks stay, and how they leave."""
        if not self.vanished:
            return ""
        return (
            f"{counted(len(self.vanished), 'scan')} of the stored cohort {self.cohort} "
            f"{'is' if len(self.vanished) == 1 else 'are'} not in this table any more and "
            f"{'is' if len(self.vanished) == 1 else 'are'} kept: {name_some(self.vanished)}; "
            "--replace-rows (replace_rows=True) makes the table the truth"
        )

    def _left(self) -> str:
        """Say that scans which the table lacks left, and what stays of them."""
        if not self.vanished:
            return ""
        return (
            f"{counted(len(self.vanished), 'scan')} left the cohort {self.cohort}: "
            f"{name_some(self.vanished)}. Features and earlier results stay: `clearbench store gc` "
            "lists such features, `clearbench store forget --patient ID` removes every trace of a "
            "patient"
        )


def find_changes(old: Cohort, new: Cohort, table: Cohort | None = None) -> CohortChanges:
    """Compare a stored cohort with what replaces it.

    `table` has the scans that the user gave, if `new` has others too; its paths may be others than
    those of `new`.
    """
    before, after = rows_by_scan(old), rows_by_scan(new)
    given = after if table is None else rows_by_scan(table)
    both = [scan for scan in before if scan in given]
    names = [name for name in new.table.column_names if name not in REQUIRED]
    known = [name for name in names if name in old.table.column_names]
    cells = {
        name: tuple(
            f"{scan} ({_value(before[scan][name])} → {_value(after[scan][name])})"
            for scan in both
            if before[scan][name] != after[scan][name]
        )
        for name in known
    }
    return CohortChanges(
        cohort=old.name,
        stored=len(before),
        appeared=tuple(scan for scan in given if scan not in before),
        vanished=tuple(scan for scan in before if scan not in given),
        moved=tuple(scan for scan in both if before[scan]["path"] != after[scan]["path"]),
        lost=tuple(scan for scan in both if given[scan]["path"] != after[scan]["path"]),
        patients=tuple(
            f"{scan} ({before[scan]['patient_id']} → {after[scan]['patient_id']})"
            for scan in both
            if before[scan]["patient_id"] != after[scan]["patient_id"]
        ),
        columns=tuple(name for name in names if name not in known),
        cells=tuple((name, scans) for name, scans in cells.items() if scans),
    )


def rows_by_scan(cohort: Cohort) -> Rows:
    """Return a cohort's rows by scan id, in the table's order."""
    return {row["scan_id"]: row for row in cohort.table.to_pylist()}


def _changed(scans: Sequence[str], one: str, several: str) -> str:
    """Return "2 scans are new: a, b"; "" for none."""
    if not scans:
        return ""
    what = f"is {one}" if len(scans) == 1 else f"are {several}"
    return f"{counted(len(scans), 'scan')} {what}: {name_some(scans)}"


def _columns(names: Sequence[str]) -> str:
    """Name the new columns."""
    return f"new column{'s' if len(names) > 1 else ''}: {name_some(names)}" if names else ""


def _cells(name: str, scans: Sequence[str]) -> str:
    """Count the cells of a column that change, with the first ones."""
    cells = "1 cell changes" if len(scans) == 1 else f"{len(scans)} cells change"
    return f"column {name}: {cells}: {name_some(scans)}"


def _value(value: str | None) -> str:
    """Return a cell's text."""
    return "blank" if value is None else value
