"""A task checked against its cohort before anything is trained: sizes, notes, alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.files import write_table
from clearbench.errors import BadTask, counted
from clearbench.evaluation.bags.load import lacking_features
from clearbench.evaluation.guards.copies import FoundCopies, find_copies, grouped_patients
from clearbench.evaluation.guards.report import (
    GuardFinding,
    guard_copies,
    guard_labels,
    guard_patients,
)
from clearbench.evaluation.protocol.sketches import read_sketches
from clearbench.evaluation.task.card import Task
from clearbench.evaluation.task.labels import notes_on_labels
from clearbench.evaluation.task.prepared import PreparedTask, prepare_from_store
from clearbench.results.stale import StaleResult, find_stale
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder
from clearbench.store.records import find_records


@dataclass(frozen=True)
class CheckedTask:
    """A task on each of its test cohorts: sizes in words, notes, and the guards' findings.

    grouped: how many patients a proposal of one patient per copy would change
    """

    summaries: tuple[str, ...]
    notes: tuple[str, ...]
    findings: tuple[GuardFinding, ...]
    stale: tuple[StaleResult, ...]
    grouped: int = 0


def check_task(task: Task, store: StoreFolder, group_copies: Path | None = None) -> CheckedTask:
    """Check a task against the cohorts of a store; scans are compared if they are embedded.

    group_copies: a table to write, with the one patient of scans that are copies of each other.
    Raises UnknownName for a cohort that the store lacks, BadTask for a task that can't be scored.
    """
    every = prepare_from_store(task, store)
    copies = [_copies(prepared, store) for prepared in every]
    findings = [
        finding
        for prepared, found in zip(every, copies, strict=True)
        for finding in (
            guard_patients(prepared.units, prepared.folds),
            guard_copies(found),
            *guard_labels(prepared),
        )
    ]
    notes = [
        *notes_on_labels(load_cohort(store, task.card.cohort), task.card),
        *(note for prepared in every for note in _notes(prepared, store)),
    ]
    grouped = _write_groups(task, store, copies, group_copies) if group_copies else 0
    return CheckedTask(
        summaries=tuple(map(_summary, every)),
        notes=tuple(dict.fromkeys(notes)),
        findings=tuple(dict.fromkeys(findings)),
        stale=find_stale(every, store.results),
        grouped=grouped,
    )


def _copies(prepared: PreparedTask, store: StoreFolder) -> FoundCopies:
    """Compare the scans of a task, by the sketches of any encoder that has embedded them."""
    try:
        records = find_records(store, (), prepared.task.card.cohort)
    except BadTask:  # nothing is embedded yet: a note says so
        return FoundCopies((), 0, sum(map(len, prepared.units.scans)))
    sketches = read_sketches(prepared.units, records[0], store)
    return find_copies(prepared.units, sketches, prepared.folds)


def _summary(prepared: PreparedTask) -> str:
    """Return a task's size in words."""
    units, folds = prepared.units, len(prepared.folds)
    tested = f", tested on {prepared.test_cohort}" if prepared.test_cohort else ""
    return (
        f"{prepared.task.name}: {len(units.ids)} {prepared.task.card.unit} units of "
        f"{counted(len(set(units.patients)), 'patient')}, {counted(folds, 'fold')}{tested}"
    )


def _notes(prepared: PreparedTask, store: StoreFolder) -> list[str]:
    """Return who is left out, what is too rare, and which features are missing."""
    lacking = lacking_features(prepared.units, prepared.task.card.cohort, store)
    return [*prepared.units.excluded, *prepared.skipped, *lacking]


def _write_groups(task: Task, store: StoreFolder, copies: Sequence[FoundCopies], path: Path) -> int:
    """Write the scans whose patient would change, with that patient; returns how many patients."""
    cohort = load_cohort(store, task.card.cohort)
    every = [copy for found in copies for copy in found.copies]
    groups = grouped_patients(every, cohort.name)
    pairs = zip(cohort.column("scan_id"), cohort.column("patient_id"), strict=True)
    rows = [(scan, groups[patient]) for scan, patient in pairs if patient in groups]
    if rows:
        scans, patients = zip(*rows, strict=True)
        table = pa.table({"scan_id": pa.array(scans, pa.string()),
                          "patient_id": pa.array(patients, pa.string())})  # fmt: skip
        write_table(table, path)
    return len(groups)
