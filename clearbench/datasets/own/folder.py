"""Your own export: a folder of scans and a table of labels → a cohort."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from clearbench import technical
from clearbench.cohort.columns import is_label
from clearbench.cohort.files import read_table
from clearbench.cohort.pseudonyms import Pseudonyms, with_secret_mark
from clearbench.cohort.tidy import tidy, without_index
from clearbench.datasets.own.join import (
    join_column,
    match_labels,
    named_images,
    nothing_matches,
    unmatched,
)
from clearbench.datasets.own.label_table import LabelRow, Labels, LabelTable, label_table
from clearbench.datasets.own.study_days import with_days
from clearbench.datasets.own.who import refuse_nobody, with_people
from clearbench.datasets.pick import DEFAULT_PICK, pick_series
from clearbench.datasets.series import (
    KEYS,
    NamedScan,
    id_of,
    keys_of,
    name_scans,
    relative_to,
    series_table,
)
from clearbench.errors import BadArgument, BadCohort, BadRequest, UnknownName
from clearbench.scans.found import Inventory
from clearbench.scans.image_scans import with_single_images, with_window
from clearbench.technical import facts_row

ONE_SERIES = ("SeriesInstanceUID", "path")  # identifiers of one series, not of a whole study


@dataclass(frozen=True)
class BuiltCohort:
    """A cohort table, and a report of how it was made.

    `unmatched_labels` are identifiers in clear, each with the nearest one that scans have;
    `without` are studies without a series that is readable and meets the condition of `pick`;
    `decided` counts, by key of `pick`, the studies of several series that it decided.
    """

    table: pa.Table
    scans: tuple[NamedScan, ...]
    ties: tuple[tuple[str, ...], ...] = ()
    unmatched_labels: tuple[str, ...] = ()
    unmatched_scans: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    decided: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()


def build_folder(  # noqa: PLR0913  each one is an option of the command
    inventory: Inventory,
    labels: Path,
    on: str,
    target: Path,
    *,
    names: Pseudonyms,
    pick: str = DEFAULT_PICK,
    keep_ids: bool = False,
    pad_ids: int = 0,
    window: str = "",
) -> BuiltCohort:
    """Make a cohort of one series per study, with the labels of its identifier in column `on`.

    Labels are joined on identifiers in clear; then ids become pseudonyms. Patients are those of the
    label table if it has a column of them, else those of the headers. Scans without a label stay,
    with blank labels. Images that the table names are scans of one slice each. `pad_ids` fills up
    ids of the label table with zeros to so many digits; `window` is that of 8-bit images.
    Raises UnknownName for another `on`, BadRequest for a folder without scans, BadArgument for a
    `pick` that no series meets, BadCohort for labels that contradict each other or match no scan.
    """
    if on not in KEYS:
        raise UnknownName.among("identifier to join on", on, KEYS, f" (one of {', '.join(KEYS)})")
    if not inventory.scans:
        what = "in this folder" if inventory.root.is_dir() else "in this file; give a folder"
        raise BadRequest(f"{inventory.root}: no scans {what}")
    wanted, on, joined = _read_labels(labels, on, pad_ids, inventory)
    root = inventory.root if inventory.root.is_dir() else inventory.root.parent
    images = named_images(wanted.rows, root, labels, inventory.scans) if on == "path" else ()
    inventory = with_single_images(inventory, images.__contains__)
    scans = name_scans(inventory, names, keep_ids=keep_ids)
    matches = match_labels(scans, on, wanted.rows, root, labels)
    refuse_nobody(scans, matches, on)
    scans, people = with_people(
        scans, matches, wanted, partial(id_of, names=names, keep_ids=keep_ids)
    )
    scans = [_with_window(item, wanted.rows.get(matches[item.scan_id]), window) for item in scans]
    picked = pick_series(series_table(_competing(scans, on, matches)), pick)
    by_id = {item.scan_id: item for item in scans}
    chosen = [by_id[name] for name in picked.scan_ids]
    found = {matches[item.scan_id] for item in chosen} - {""}
    if not chosen:
        raise BadArgument("pick", pick, _none_meets(scans))
    if not found:
        raise BadCohort(f"{labels}: {nothing_matches(scans, on, wanted.rows)}")
    rows = [_row(item, wanted.rows.get(matches[item.scan_id]), root, target) for item in chosen]
    rows, dated = with_days(rows, chosen, labels)
    table, notes = tidy(_table(rows), labels)
    return BuiltCohort(
        table=table if keep_ids else with_secret_mark(table, names),
        scans=tuple(chosen),
        ties=picked.ties,
        unmatched_labels=unmatched([key for key in wanted.rows if key not in found], on, scans),
        unmatched_scans=tuple(item.scan_id for item in chosen if not matches[item.scan_id]),
        unreadable=tuple(f"{item.place}: {item.scan.error}" for item in scans if item.scan.error),
        without=picked.without,
        decided=Counter(picked.decided.values()),
        notes=(*joined, *wanted.notes, *people, *dated, *notes, *_other_labels(table, chosen)),
    )


def _read_labels(
    labels: Path, on: str, pad_ids: int, inventory: Inventory
) -> tuple[LabelTable, str, tuple[str, ...]]:
    """Read the table of labels; returns what it is joined on, and a note if that isn't `on`."""
    table, left = without_index(read_table(labels, keep_words=True), labels)
    known = any(keys_of(scan, "-")[on] for scan in inventory.scans)
    found, column = join_column(table.column_names, on, known, labels)
    notes = [] if column == on else [f"joined on column {column} of {labels.name}"]
    return label_table(table, column, labels, found, pad_ids), found, (*left, *notes)


def _none_meets(scans: list[NamedScan]) -> str:
    """Return why no series was picked: the first reason why one can't be read, if all can't."""
    errors = [item.scan.error for item in scans if item.scan.error]
    text = f"none of the {len(scans)} series meets it"
    return f"{text}; they can't be read: {errors[0]}" if len(errors) == len(scans) else text


def _with_window(item: NamedScan, row: LabelRow | None, window: str) -> NamedScan:
    """Return a scan whose 8-bit images are in the window that the table or the user names."""
    named = (row.labels.get("window") if row else None) or window
    return replace(item, scan=with_window(item.scan, named))


def _other_labels(table: pa.Table, chosen: list[NamedScan]) -> tuple[str, ...]:
    """Note patients whose studies have different labels: follow-ups, or one id of many people."""
    found: dict[str, set[tuple[str | None, ...]]] = defaultdict(set)
    cells = table.select(list(filter(is_label, table.column_names))).to_pylist()
    for item, row in zip(chosen, cells, strict=True):
        if any(value is not None for value in row.values()):
            found[item.patient_id].add(tuple(row.values()))
    several = sum(len(some) > 1 for some in found.values())
    if not several:
        return ()
    return (
        f"{several} patient{'s have' if several > 1 else ' has'} studies with different labels; "
        "if they are different people, edit patient_id in the cohort table",
    )


def _competing(scans: list[NamedScan], on: str, matches: dict[str, str]) -> list[NamedScan]:
    """Return the series to choose from; where labels name series of a study, only those series."""
    if on not in ONE_SERIES:
        return scans
    named = {item.study_id for item in scans if matches[item.scan_id]}
    return [item for item in scans if matches[item.scan_id] or item.study_id not in named]


def _row(item: NamedScan, row: LabelRow | None, root: Path, target: Path) -> Labels:
    """Return one scan as a cohort row: ids, path, technical facts, labels."""
    facts = facts_row(item.scan.facts)
    labels = row.labels if row else {}
    # only for 8-bit images that lie in no folder of a window's name
    window = {"window": item.scan.window} if item.scan.window else {}
    return {
        "scan_id": item.scan_id,
        "patient_id": item.patient_id,
        "path": relative_to(item.place, root, target),
        "study_id": item.study_id,
        "series_id": item.series_id or None,
        **facts,
        **{name: value for name, value in labels.items() if name not in facts or value},
        **window,
    }


def _table(rows: list[Labels]) -> pa.Table:
    """Make the table: ids first, labels last, without fixed columns that are all blank."""
    labels: dict[str, None] = {}
    head = ("scan_id", "patient_id", "path", "study_id", "series_id", "day", *technical.NAMES)
    filled: dict[str, bool] = defaultdict(bool)
    for row in rows:
        labels |= dict.fromkeys(name for name in row if name not in head)
        for name, value in row.items():
            filled[name] |= value is not None
    columns = [name for name in head if filled[name]] + list(labels)
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    )
