"""One's own export: a folder of scans and a table of labels → a cohort."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import pyarrow as pa

from clearbench.cohort.files import read_table
from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.cohort.table import TECHNICAL
from clearbench.datasets.pick import DEFAULT_PICK, pick_series
from clearbench.datasets.series import KEYS, NamedScan, name_scans, relative_to, series_table
from clearbench.errors import BadCohort, BadRequest, UnknownName, suggestion
from clearbench.scans.inventory import Inventory


@dataclass(frozen=True)
class BuiltCohort:
    """A cohort table and what it took to make it; identifiers in `unmatched_labels` are in clear."""

    table: pa.Table
    scans: tuple[NamedScan, ...]
    ties: tuple[tuple[str, ...], ...] = ()
    unmatched_labels: tuple[str, ...] = ()
    unmatched_scans: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def build_folder(
    inventory: Inventory,
    labels: Path,
    on: str,
    target: Path,
    *,
    names: Pseudonyms,
    pick: str = DEFAULT_PICK,
    keep_ids: bool = False,
) -> BuiltCohort:
    """Make a cohort of one series per study, with the labels whose `on` cell names it.

    Labels are joined on identifiers in clear; then ids become pseudonyms. Scans without a label
    stay, with blank labels. Raises BadRequest for another `on`, BadCohort for labels that
    contradict each other or match nothing.
    """
    if on not in KEYS:
        raise UnknownName.among("identifier to join --on", on, KEYS, f" (one of {', '.join(KEYS)})")
    scans = name_scans(inventory, names, keep_ids=keep_ids)
    if not scans:
        raise BadRequest(f"{inventory.root}: no scans there")
    wanted = read_labels(labels, on)
    picked = pick_series(series_table(scans), pick)
    by_id = {item.scan_id: item for item in scans}
    chosen = [by_id[name] for name in picked.scan_ids]
    matches = {item.scan_id: _match(item, on, wanted) for item in chosen}
    found = {key for key in matches.values() if key}
    if not found:
        example = next((item.keys[on] for item in scans if item.keys[on]), "nothing")
        raise BadCohort(
            f"{labels}: no {on} there matches a scan; the scans have e.g. {example!r}, the labels {next(iter(wanted))!r}"
        )
    rows = [
        _row(item, wanted.get(matches[item.scan_id], {}), inventory.root, target) for item in chosen
    ]
    return BuiltCohort(
        table=_table(_with_days(rows, chosen)),
        scans=tuple(chosen),
        ties=picked.ties,
        unmatched_labels=tuple(key for key in wanted if key not in found),
        unmatched_scans=tuple(item.scan_id for item in chosen if not matches[item.scan_id]),
        unreadable=tuple(f"{item.place}: {item.scan.error}" for item in scans if item.scan.error),
    )


def read_labels(path: Path, on: str) -> dict[str, dict[str, str | None]]:
    """Read the label rows by their `on` cell; rows that repeat it must agree."""
    table = read_table(path)
    if on not in table.column_names:
        raise BadCohort(
            f"{path}: no column {on}{suggestion(on, table.column_names) or '.'} It has {', '.join(table.column_names)}"
        )
    rows: dict[str, dict[str, str | None]] = {}
    for record in table.to_pylist():
        key = str(record.pop(on) or "")
        if rows.get(key, record) != record:
            raise BadCohort(f"{path}: {on} {key} has two rows that contradict each other")
        rows[key] = {name: value for name, value in record.items() if name not in KEYS}
    rows.pop("", None)
    return rows


def _match(item: NamedScan, on: str, wanted: dict[str, dict[str, str | None]]) -> str:
    """Return the label key of a scan: its identifier, or for `path` also its bare file name."""
    key = item.keys[on]
    if on != "path":
        return key if key in wanted else ""
    name = PurePosixPath(key).name
    keys = (key, name, name.removesuffix(".gz").removesuffix(".nii").removesuffix(".dcm"))
    return next((candidate for candidate in keys if candidate in wanted), "")


def _row(
    item: NamedScan, labels: dict[str, str | None], root: Path, target: Path
) -> dict[str, str | None]:
    """Write one scan as a cohort row: ids, place, technical facts, labels."""
    folder = root if root.is_dir() else root.parent
    facts = {name: getattr(item.scan.facts, name, None) for name in TECHNICAL}
    return {
        "scan_id": item.scan_id,
        "patient_id": item.patient_id,
        "path": relative_to(item.place, folder, target),
        "study_id": item.study_id,
        "series_id": item.series_id or None,
        **{name: None if value in (None, "") else str(value) for name, value in facts.items()},
        **{name: labels[name] for name in labels},
    }


def _with_days(
    rows: list[dict[str, str | None]], scans: list[NamedScan]
) -> list[dict[str, str | None]]:
    """Add `day`: days since the patient's first study here; dates themselves are not kept."""
    dates = [_date(item) for item in scans]
    firsts: dict[str, date] = {}
    for item, when in zip(scans, dates, strict=True):
        if when is not None:
            firsts[item.patient_id] = min(when, firsts.get(item.patient_id, when))
    return [
        {**row, "day": None if when is None else str((when - firsts[item.patient_id]).days)}
        for row, item, when in zip(rows, scans, dates, strict=True)
    ]


def _date(item: NamedScan) -> date | None:
    """Return the study's date, if its header has a usable one."""
    text = item.scan.identity.study_date if item.scan.identity else ""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _table(rows: list[dict[str, str | None]]) -> pa.Table:
    """Make the table: ids first, labels last, columns that are blank throughout left out."""
    labels: dict[str, None] = {}
    head = ("scan_id", "patient_id", "path", "study_id", "series_id", "day", *TECHNICAL)
    filled: dict[str, bool] = defaultdict(bool)
    for row in rows:
        labels |= dict.fromkeys(name for name in row if name not in head)
        for name, value in row.items():
            filled[name] |= value is not None
    columns = [name for name in head if filled[name]] + list(labels)
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    )
