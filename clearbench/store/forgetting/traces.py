"""Every trace of patients in a store, and in folders that the user names."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clearbench.cohort.pseudonyms import KEY_TABLE, patient_hash, read_keys
from clearbench.files import find_drafts
from clearbench.store.cohorts import cohort_names, stored_table
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.leaving import Leaving
from clearbench.store.forgetting.mentions import STACK_HEX
from clearbench.store.forgetting.notes import count_notes, read_json, read_text
from clearbench.store.forgetting.result_tables import (
    cohorts_of,
    count_rows,
    facts_beside,
    files_below,
    owned_rows,
    read_facts_of,
)
from clearbench.store.json_files import is_count
from clearbench.store.records import every_record, seen_path

Kind = Literal[
    "features", "draft", "slices", "rows of results", "result", "key table", "seen", "cohort"
]


@dataclass(frozen=True)
class Trace:
    """One file that has something of the patients.

    rows: how many of its rows, lines or notes go; 0: the file goes whole
    mark: for a result, how many patients have left since it was made; None if it needs no new mark
    """

    kind: Kind
    path: Path
    rows: int = 0
    mark: int | None = None


@dataclass(frozen=True)
class Folders:
    """Folders outside of a store: of results, and of `clearbench pretrain` (for its stacks)."""

    results: tuple[Path, ...] = ()
    pretraining: tuple[Path, ...] = ()

    def joined(self, other: "Folders") -> "Folders":
        """Return the folders of both."""
        return Folders(self.results + other.results, self.pretraining + other.pretraining)


def find_traces(
    leaving: Leaving, store: StoreFolder, folders: Folders, marks: dict[str, int]
) -> tuple[Trace, ...]:
    """List every trace, in the order in which they go: the cohorts last.

    `marks` are those of an earlier run that was interrupted, by the result's path. Raises BadStore
    for a damaged table.
    """
    results = [store.results, *folders.results]
    features = (Trace("features", path) for path in leaving.files)
    return (
        *features,
        *_drafts(leaving, store, results),
        *_stacks(leaving, folders.pretraining),
        *_results(leaving, store, results, marks),
        *_keys(leaving, store),
        *_seen(leaving, store),
        *_cohorts(leaving, store),
    )


def _drafts(leaving: Leaving, store: StoreFolder, results: Sequence[Path]) -> Iterator[Trace]:
    """Yield drafts of their features; of killed processes of this host every draft."""
    names = tuple(f".{scan}.h5." for _, scan in leaving.scans)
    folders = [store.root, *results]
    drafts = {draft.path: draft for folder in folders for draft in find_drafts(folder)}
    for path, draft in drafts.items():
        theirs = path.name.startswith(names)
        if draft.writer == "killed" or (theirs and draft.writer == "elsewhere"):
            yield Trace("draft", path)


def _stacks(leaving: Leaving, folders: Sequence[Path]) -> Iterator[Trace]:
    """Yield the stacks of slices of their scans, which pretraining wrote."""
    scans = {scan for _, scan in leaving.scans} & leaving.names
    named = re.compile(rf"(.+){STACK_HEX}(\.index)?\.npy")
    for path in files_below(folders, ".npy"):
        found = named.fullmatch(path.name)
        if found and found[1] in scans:
            yield Trace("slices", path)


def _results(
    leaving: Leaving, store: StoreFolder, folders: Sequence[Path], marks: dict[str, int]
) -> Iterator[Trace]:
    """Yield the tables with rows of theirs, then results that were made with them."""
    members = {
        cohort: {row["patient_id"] for row in stored_table(store, cohort).to_pylist()}
        for cohort in leaving.cohorts & set(cohort_names(store))
    }
    for path in [*files_below(folders, ".parquet"), *files_below(folders, ".csv")]:
        rows = count_rows(path, cells_of(leaving, facts_beside(path)))
        if rows:
            yield Trace("rows of results", path, rows)
    for path in files_below(folders, ".json"):
        facts = read_facts_of(path)
        notes = count_notes(facts or read_json(path), leaving.mentions)
        tested = _tested(leaving, path)
        unsure = set[str]()
        if not facts.get("crossed", True):
            # patients in training have no predictions
            there = set[str]().union(*(members.get(name, ()) for name in cohorts_of(facts)))
            unsure = set(leaving.patients) & there
        before = facts.get("forgotten", 0)
        known = before if is_count(before) else 0
        mark = marks.get(str(path.resolve()), known + len(tested | unsure))
        new = mark if mark != known else None
        if notes or new is not None:
            yield Trace("result", path, notes, new)


def cells_of(leaving: Leaving, facts: dict[str, Any]) -> frozenset[str]:
    """Return the cells that mean those who leave in a table of a result; {}: it is unknown."""
    cohorts = cohorts_of(facts)
    if not cohorts:
        return leaving.names
    cells = set[str]()
    for cohort in leaving.cohorts & set(cohorts):
        ids = leaving.ids_in(cohort)
        # with two cohorts, the cohort stands before the ids of patients and units, and a scan's
        # id alone may be of the other cohort
        alone = ids & leaving.names if len(set(cohorts)) > 1 else ids
        cells |= alone | {f"{cohort}/{name}" for name in ids}
    return frozenset(cells)


def _tested(leaving: Leaving, result: Path) -> set[str]:
    """Return the leaving patients with predictions in a result."""
    table = result.with_name(f"{result.name.removesuffix('.json')}.predictions.parquet")
    if not table.is_file():
        return set()
    rows = list(owned_rows(table))
    return {
        row.patient_id
        for row in rows
        if row.patient_id in leaving.patients and row.cohort in leaving.cohorts
    }


def _keys(leaving: Leaving, store: StoreFolder) -> Iterator[Trace]:
    """Yield the key table, if it has identifiers of theirs."""
    rows = len(leaving.names & set(read_keys(store.root)))
    if rows:
        yield Trace("key table", store.root / KEY_TABLE, rows)


def _seen(leaving: Leaving, store: StoreFolder) -> Iterator[Trace]:
    """Yield the lists of patients that an encoder has seen in its training."""
    hashes = {patient_hash(patient) for patient in leaving.patients & leaving.names}
    for record in every_record(store):
        path = seen_path(record, store)
        lines = read_text(path).split() if path.is_file() else []
        if hashes & set(lines):
            yield Trace("seen", path, len(hashes & set(lines)))


def _cohorts(leaving: Leaving, store: StoreFolder) -> Iterator[Trace]:
    """Yield the cohorts with rows of theirs."""
    for cohort in sorted(leaving.cohorts & set(cohort_names(store))):
        table = stored_table(store, cohort, ["patient_id"])
        rows = sum(name in leaving.patients for name in table.column("patient_id").to_pylist())
        if rows:
            yield Trace("cohort", store.cohorts / f"{cohort}.parquet", rows)
