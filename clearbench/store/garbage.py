"""What nothing in a store needs: drafts of killed runs, and features that nobody reads.

Nothing that a running process writes counts, and results never do.
"""

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clearbench.bounded import read_text
from clearbench.errors import BadStore, name_some
from clearbench.files import Draft, everything_below, find_drafts, remove_linked
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import cohort_names, load_cohort, scans_of_cohort
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord, damaged_records, list_records

ABANDONED_S = 7 * 24 * 3600  # after a week, a draft of another host counts as abandoned
BUNDLE = "bundle.json"
# What a store writes into the folder of a set of features
OF_A_SET = ("*/*.h5", "runs/*.json", "encoder.json", "seen-patients.txt", ".*.tmp*", "*/.*.tmp*")

Kind = Literal["draft", "superseded set", "other set", "scans of no cohort", "empty set"]


@dataclass(frozen=True)
class Garbage:
    """Files and folders that can go together, the reason, and their size in bytes.

    An "other set" goes only if the user wants it: its views or its precision are others.
    """

    kind: Kind
    name: str
    reason: str
    paths: tuple[Path, ...]
    size: int


@dataclass(frozen=True)
class FoundGarbage:
    """Everything that can go, and notes on what was left alone."""

    items: tuple[Garbage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Set:
    """One set of features: its record, its files, the time of its last write."""

    record: EncoderRecord
    folder: Path
    files: tuple[Path, ...]
    written: float

    @property
    def question(self) -> tuple[object, ...]:
        """Return what one set replaces another in: encoder, views and precision."""
        record = self.record
        return record.name, record.views, record.precision, record.store_dtype


def find_garbage(store: StoreFolder, results: Sequence[Path] = ()) -> FoundGarbage:
    """List what can go; features that a result in the store or below `results` names stay.

    Nothing of a damaged cohort, or of an encoder whose record is damaged, is listed.
    """
    drafts = find_drafts(store.root)
    left = [draft for draft in drafts if _abandoned(draft)]
    kept = [draft.path for draft in drafts if draft not in left]
    sets = list(_sets(store))
    busy = [each for each in sets if any(path.is_relative_to(each.folder) for path in kept)]
    free = [each for each in sets if each not in busy]
    named, unreadable = _named([store.results, *results], store)
    older = [] if unreadable else list(_older(free, sets, named))
    going = {path for item in older for path in item.paths if item.kind == "superseded set"}
    rest = [each for each in free if each.folder not in going]
    members, faults = _members(store)
    faults += map(str, damaged_records(store).values())
    stray = list(_stray(rest, members))
    going |= {path for item in stray for path in item.paths}
    items = (
        *(_draft(draft) for draft in left),
        *older,
        *stray,
        *(_empty(each) for each in rest if going.issuperset(each.files)),
    )
    notes = (*_in_use(busy), *_kept(kept), *_unsure(unreadable), *faults)
    return FoundGarbage(items, notes)


def delete_garbage(found: FoundGarbage, store: StoreFolder, *, other_sets: bool = False) -> int:
    """Delete what was found, and index the store again; returns the number of bytes.

    "Other sets" go only with `other_sets`. A set that has got features meanwhile isn't empty, and
    stays.
    """
    freed = 0
    for item in found.items:
        filled = item.kind == "empty set" and any(item.paths[0].glob("*/*.h5"))
        if filled or (item.kind == "other set" and not other_sets):
            continue
        for path in item.paths:
            freed += size_of(path)
            _delete(path)
    for folder in store.features.glob("*/*/"):
        if not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    # from nothing, so that it is small too, and has nothing of what went
    refresh(store, rebuild=True)
    return freed


def _delete(path: Path) -> None:
    """Delete a file or folder; behind a link, the files that a store writes and nothing else.

    Raises OSError if the disk refuses, as a draft's own writer doesn't.
    """
    if not path.is_symlink():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return
    if path.is_dir():  # of another disk, say; it may have more than the store's
        for own in (file for pattern in OF_A_SET for file in path.glob(pattern)):
            own.unlink()
        for folder in (*path.glob("*/"), path.resolve()):
            if not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
        path.unlink()
    else:
        remove_linked(path)


def _abandoned(draft: Draft) -> bool:
    """Tell whether no process can be writing a draft any more."""
    if draft.writer != "elsewhere":
        return draft.writer == "killed"
    return draft.path.exists() and time.time() - draft.path.stat().st_mtime > ABANDONED_S


def _sets(store: StoreFolder) -> Iterator[_Set]:
    """Yield every set of features."""
    for record in list_records(store):
        folder = store.encoder(record.name, record.fingerprint)
        files = tuple(path for path in sorted(folder.glob("*/*.h5")) if path.name[0] != ".")
        # of a link itself, which may lead nowhere
        times = (path.lstat().st_mtime for path in (*files, *folder.glob("*.json")))
        yield _Set(record, folder, files, max(times))


def _named(folders: Iterable[Path], store: StoreFolder) -> tuple[frozenset[str], list[str]]:
    """Return the fingerprints in results and bundles, and the files that can't be read."""
    found, unreadable = set[str](), []
    bundles = (path for path in everything_below(store.root) if path.name == BUNDLE)
    below = (path for folder in folders for path in everything_below(folder))
    for path in {*bundles, *(path for path in below if path.suffix == ".json")}:
        if path.name.startswith("."):
            continue
        try:
            found |= set(_fingerprints(json.loads(read_text(path))))
        except (OSError, ValueError, RecursionError):
            unreadable.append(str(path))
    return frozenset(found), sorted(unreadable)


def _fingerprints(facts: object) -> Iterator[str]:
    """Yield every value called "fingerprint" in JSON."""
    inner = facts.values() if isinstance(facts, dict) else facts if isinstance(facts, list) else ()
    if isinstance(facts, dict) and "fingerprint" in facts:
        yield str(facts["fingerprint"])
    for value in inner:
        yield from _fingerprints(value)


def _older(free: list[_Set], sets: list[_Set], named: frozenset[str]) -> Iterator[Garbage]:
    """Yield sets that no result names, of encoders with a newer one."""
    newest: dict[object, _Set] = {}
    # an empty set, as a mistyped view leaves it, replaces nothing
    for each in sorted((one for one in sets if one.files), key=lambda one: one.written):
        newest[each.question] = newest[each.record.name] = each
    for each in free:
        if each.record.fingerprint in named or not each.files:
            continue
        same, last = newest[each.question], newest[each.record.name]
        if each is last:
            continue
        if each is same:
            reason = f"no result names it, and {_described(last.record)} is newer"
            yield _item("other set", _described(each.record), reason, [each.folder])
        else:
            reason = f"no result names it, and {same.record.reference} has replaced it"
            yield _item("superseded set", _described(each.record), reason, [each.folder])


def _described(record: EncoderRecord) -> str:
    """Name a set, with what may differ between two sets of one encoder."""
    return f"{record.reference} ({', '.join(record.views)}; {record.precision})"


def _members(store: StoreFolder) -> tuple[dict[str, frozenset[str] | None], list[str]]:
    """Return the ids of every cohort's scans, None for a damaged one, and the faults of these."""
    members: dict[str, frozenset[str] | None] = {}
    faults = []
    for name in cohort_names(store):
        try:
            members[name] = scans_of_cohort(store, name)
        except BadStore as fault:
            members[name] = None
            faults.append(str(fault))
    return members, faults


def _stray(sets: Iterable[_Set], members: dict[str, frozenset[str] | None]) -> Iterator[Garbage]:
    """Yield the features of scans that no cohort has, by set and cohort."""
    for each in sets:
        groups: dict[str, list[Path]] = {}
        for path in each.files:
            cohort = path.parent.name
            known = members.get(cohort, frozenset())
            if known is not None and path.stem not in known:
                groups.setdefault(cohort, []).append(path)
        for cohort, paths in groups.items():
            name = f"{each.record.reference}: {name_some([path.stem for path in paths])}"
            reason = "left the cohort" if cohort in members else "the store has no cohort"
            yield _item("scans of no cohort", name, f"{reason} {cohort}", paths)


def _empty(each: _Set) -> Garbage:
    """Return a set without features, as a run that was stopped at once leaves it."""
    rest = [path for path in each.folder.rglob("*") if path not in each.files]
    size = sum(path.stat().st_size for path in rest if path.is_file())
    name = _described(each.record)
    return Garbage("empty set", name, "it has no features", (each.folder,), size)


def _draft(draft: Draft) -> Garbage:
    """Return the draft of a process that is gone."""
    return _item("draft", draft.path.name, "its process is gone", [draft.path])


def _item(kind: Kind, name: str, reason: str, paths: Sequence[Path]) -> Garbage:
    """Return files and folders with the bytes that they take."""
    return Garbage(kind, name, reason, tuple(paths), sum(map(size_of, paths)))


@dataclass(frozen=True)
class CohortWeight:
    """A cohort's size: scans, patients, labels, and its feature files with their bytes."""

    name: str
    scans: int
    patients: int
    labels: tuple[str, ...]
    files: int
    size: int


def weigh_cohort(store: StoreFolder, name: str) -> CohortWeight:
    """Return what a cohort has; raises UnknownName with the nearest names."""
    cohort = load_cohort(store, name)
    files = sorted(store.features.glob(f"*/{name}/*.h5"))
    return CohortWeight(
        name=name,
        scans=cohort.table.num_rows,
        patients=len(set(cohort.column("patient_id"))),
        labels=cohort.labels,
        files=len(files),
        size=sum(map(size_of, files)),
    )


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    inner = path.rglob("*") if path.is_dir() else (path,)
    return sum(each.stat().st_size for each in inner if each.is_file())


def _in_use(busy: Sequence[_Set]) -> list[str]:
    """Return a note for each set that a process may be writing into."""
    return [f"{each.record.reference}: a run may be writing into it; left alone" for each in busy]


def _kept(drafts: Sequence[Path]) -> list[str]:
    """Return a note on the drafts that are left alone."""
    if not drafts:
        return []
    names = name_some([path.name for path in drafts])
    days = ABANDONED_S // (24 * 3600)
    return [
        f"{len(drafts)} drafts are left alone, as their process runs, or is of another host and "
        f"the draft younger than {days} days: {names}"
    ]


def _unsure(unreadable: Sequence[str]) -> list[str]:
    """Return a note that old sets are not listed, as not all results could be read."""
    if not unreadable:
        return []
    return [
        "no set of features is listed as superseded, because these may be results that name it, "
        f"and can't be read: {name_some(unreadable)}"
    ]
