"""The story: list every trace of some patients, remove it, and prove it by a search.

A journal is written first and removed last. So a run that was interrupted is finished by the next
one, which has the ids that are gone already.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from clearbench.cohort.pseudonyms import patient_hash, remove_keys
from clearbench.errors import BadRequest, BadStore, name_some
from clearbench.files import remove_linked, write_behind
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import stored_table
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.journal import (
    Journal,
    journal_path,
    read_journal,
    write_journal,
)
from clearbench.store.forgetting.leaving import Leaving, find_leaving, known_id, resume_leaving
from clearbench.store.forgetting.notes import read_json, without_names
from clearbench.store.forgetting.outside import find_outside
from clearbench.store.forgetting.result_tables import facts_beside, keep_rows
from clearbench.store.forgetting.search import OnFile, Searched, search
from clearbench.store.forgetting.traces import (
    Folders,
    Kind,
    Trace,
    cells_of,
    find_traces,
)


@dataclass(frozen=True)
class Plan:
    """What is removed, and what isn't.

    outside: sentences on what stays; resumed: an earlier run began it and was interrupted
    marks: for each result, by its path, how many patients have left since it was made
    """

    store: StoreFolder
    folders: Folders
    leaving: Leaving
    traces: tuple[Trace, ...]
    outside: tuple[str, ...]
    marks: dict[str, int]
    resumed: bool = False


def plan_removal(
    store: StoreFolder,
    patients: Sequence[str],
    *,
    cohorts: Sequence[str] = (),
    folders: Folders | None = None,
    split_files: Sequence[Path] = (),
) -> Plan:
    """List what there is of some patients; nothing is changed.

    `patients` are ids as cohorts have them, or PatientIDs in clear of a store with pseudonyms.
    Raises UnknownName and BadArgument as `find_leaving` does, BadRequest for a folder that doesn't
    exist, BadStore for damaged tables, or while the removal of other patients is unfinished.
    """
    folders = _outside_of(store, folders or Folders())
    begun = read_journal(store)
    marks: dict[str, int] = {}
    if begun is None:
        leaving = find_leaving(store, patients, cohorts, folders.results)
    else:
        _check_begun(begun.leaving, patients, store)
        folders = _outside_of(store, folders.joined(begun.folders))
        marks |= begun.marks
        leaving = resume_leaving(store, begun.leaving, folders.results)
    traces = find_traces(leaving, store, folders, marks)
    marks |= {str(t.path.resolve()): t.mark for t in traces if t.mark is not None}
    outside = find_outside(leaving, store, [*folders.results, *folders.pretraining], split_files)
    return Plan(store, folders, leaving, traces, outside, marks, begun is not None)


def _outside_of(store: StoreFolder, folders: Folders) -> Folders:
    """Return the folders that aren't in the store, which is searched anyway.

    Raises BadRequest for one that doesn't exist: an empty search would prove nothing.
    """
    missing = [str(path) for path in (*folders.results, *folders.pretraining) if not path.is_dir()]
    if missing:
        raise BadRequest(f"{name_some(missing)}: no such folder")
    root = store.root.resolve()
    results, pretraining = (
        tuple({path.resolve(): path for path in some if not path.resolve().is_relative_to(root)})
        for some in (folders.results, folders.pretraining)
    )
    return Folders(results, pretraining)


def _check_begun(saved: Leaving, patients: Sequence[str], store: StoreFolder) -> None:
    """Refuse other patients than those of an unfinished removal."""
    if not {known_id(patient, saved.patients, store) for patient in patients} <= saved.patients:
        again = " ".join(f"--patient {name}" for name in sorted(saved.patients))
        raise BadStore(
            f"{journal_path(store)}: the removal of {name_some(sorted(saved.patients))} is not "
            f"finished; finish it first: clearbench store forget {again} --yes"
        )


def forget(plan: Plan, on_file: OnFile | None = None) -> Searched:
    """Remove what the plan lists, index the store again, and search every file for the ids.

    Where something is found, the journal with the ids stays, so that the same call searches again.
    Raises StorageFull if the disk refuses.
    """
    store, leaving = plan.store, plan.leaving
    write_journal(store, Journal(leaving, plan.folders, plan.marks))
    for trace in plan.traces:
        REMOVERS[trace.kind](trace, plan)
    for folder in sorted(store.features.glob("*/*/")):
        if not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    # from nothing: a changed copy may still have the old bytes in free blocks
    refresh(store, rebuild=True)
    proof = _proof(plan, on_file)
    if not proof.found:
        journal_path(store).unlink()
    return proof


def _proof(plan: Plan, on_file: OnFile | None) -> Searched:
    """Look for traces again, and search every file."""
    store, folders = plan.store, plan.folders
    rest = resume_leaving(store, plan.leaving, folders.results)
    left = find_traces(rest, store, folders, plan.marks)
    places = [store.root, *folders.results, *folders.pretraining]
    searched = search(places, rest.mentions, journal_path(store), on_file)
    again = tuple(f"{trace.path}: {trace.kind} came back" for trace in left)
    return Searched(searched.files, again + searched.found)


def _delete(trace: Trace, plan: Plan) -> None:
    """Delete a file or a draft."""
    del plan
    remove_linked(trace.path)


def _drop_rows(trace: Trace, plan: Plan) -> None:
    """Take rows out of a table of results."""
    keep_rows(trace.path, cells_of(plan.leaving, facts_beside(trace.path)))


def _mark_result(trace: Trace, plan: Plan) -> None:
    """Take the ids out of a result's notes, and write how many patients have left."""
    facts = without_names(read_json(trace.path), plan.leaving.mentions)
    if isinstance(facts, str):
        _write_text(trace.path, facts)
        return
    if isinstance(facts, dict) and trace.mark is not None:
        facts["forgotten"] = trace.mark
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    _write_text(trace.path, text)


def _write_text(path: Path, text: str) -> None:
    """Write a text, where a link leads to if it is one; raises StorageFull."""
    write_behind(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _drop_keys(trace: Trace, plan: Plan) -> None:
    """Take identifiers out of the key table."""
    del trace
    remove_keys(plan.store.root, plan.leaving.names)


def _drop_seen(trace: Trace, plan: Plan) -> None:
    """Take hashes out of a list of patients."""
    hashes = {patient_hash(patient) for patient in plan.leaving.patients}
    lines = trace.path.read_text(encoding="utf-8").split()
    _write_text(trace.path, "".join(f"{line}\n" for line in lines if line not in hashes))


def _drop_scans(trace: Trace, plan: Plan) -> None:
    """Take rows out of a cohort; a cohort without scans goes."""
    table = stored_table(plan.store, trace.path.stem)
    theirs = pc.is_in(table.column("patient_id"), value_set=pa.array(sorted(plan.leaving.patients)))
    kept = table.filter(pc.invert(theirs))
    if kept.num_rows:
        write_behind(trace.path, lambda draft: pyarrow.parquet.write_table(kept, draft))
    else:
        remove_linked(trace.path)


REMOVERS: MappingProxyType[Kind, Callable[[Trace, Plan], None]] = MappingProxyType(
    {
        "features": _delete,
        "draft": _delete,
        "slices": _delete,
        "rows of results": _drop_rows,
        "result": _mark_result,
        "key table": _drop_keys,
        "seen": _drop_seen,
        "cohort": _drop_scans,
    }
)
