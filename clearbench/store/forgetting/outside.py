"""What holds something of a patient and isn't removed: it is named, with what to do about it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clearbench.cohort.ids import ISSUED
from clearbench.cohort.pseudonyms import KEY_TABLE, patient_hash, read_keys
from clearbench.errors import name_some
from clearbench.files import everything_below
from clearbench.store.cohorts import cohort_names, stored_table
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.leaving import Leaving, find_in_labels, issued_ids
from clearbench.store.forgetting.notes import read_json, read_text
from clearbench.store.records import every_record, seen_path

BUNDLE = "bundle.json"
NOT_SEARCHED = (
    "not searched, as the store doesn't know where they are: the tables that cohorts were added "
    "from (one that still has a patient brings the patient back), packs, saved heads and scores "
    "that were written elsewhere, networks pretrained on the patient's slices, copies and backups"
)


def find_outside(
    leaving: Leaving, store: StoreFolder, folders: Sequence[Path], split_files: Iterable[Path]
) -> tuple[str, ...]:
    """Return a sentence for each thing that stays, NOT_SEARCHED last.

    `folders` are searched for saved heads, and `split_files` are those of all known tasks.
    """
    return (
        *_splits(leaving, split_files),
        *_bundles(leaving, [store.root, *folders]),
        *_pretrained(leaving, store),
        *_former(leaving),
        *_issued(leaving, store),
        *_in_labels(leaving, store),
        *_shared(leaving),
        *_untraced(leaving, store),
        NOT_SEARCHED,
    )


def _splits(leaving: Leaving, files: Iterable[Path]) -> Iterator[str]:
    """Yield the split files that list one of the patients."""
    for path in files:
        split = read_json(path)
        found = sorted(leaving.patients & set(_listed(split, leaving.cohorts)))
        if found:
            task = path.name.removesuffix(".split.json")
            yield (
                f"{path} lists {name_some(found)}, and stays as it is: make the folds again with "
                f"`clearbench tasks freeze {task} --replace`"
            )


def _listed(split: Any, cohorts: frozenset[str]) -> Iterator[str]:
    """Yield the patients in a split file of one of these cohorts, without the cohort's name."""
    if not isinstance(split, dict) or not isinstance(split.get("folds"), list):
        return
    for fold in split["folds"]:
        test = str(fold.get("test_cohort") or "")
        if not cohorts & {str(split.get("cohort")), test}:
            continue
        for side in ("train", "tune", "test"):
            for patient in fold.get(side, ()):
                cohort, _, name = str(patient).rpartition("/")
                if not cohort or cohort in cohorts:
                    yield name


def _bundles(leaving: Leaving, folders: Iterable[Path]) -> Iterator[str]:
    """Yield the saved heads of tasks of a cohort that the patients leave."""
    everything = {path for folder in folders for path in everything_below(folder)}
    for path in sorted(path for path in everything if path.name == BUNDLE):
        facts = read_json(path)
        card = facts.get("task_card") if isinstance(facts, dict) else None
        cohort = card.get("cohort") if isinstance(card, dict) else None
        if cohort in leaving.cohorts:
            yield (
                f"{path.parent}: heads trained on cohort {cohort}, perhaps with a patient who "
                "leaves; remove the folder, and evaluate again with --save-heads"
            )


def _pretrained(leaving: Leaving, store: StoreFolder) -> Iterator[str]:
    """Yield the encoders that were pretrained on one of the patients."""
    hashes = {patient_hash(patient) for patient in leaving.patients}
    for record in every_record(store):
        path = seen_path(record, store)
        if path.is_file() and hashes & set(read_text(path).split()):
            yield (
                f"{record.reference} was pretrained on a patient who leaves: its weights, and the "
                "list of hashed patients next to its card, stay, and `embed` copies that list again"
            )


def _former(leaving: Leaving) -> Iterator[str]:
    """Yield the ids that earlier results have for the same scans."""
    if leaving.former:
        names = sorted(leaving.former)
        again = " ".join(f"--patient {name}" for name in names)
        yield (
            f"earlier results have these scans under another patient: {name_some(names)}; if it is "
            f"the same person, run `clearbench store forget {again}` too"
        )


def _issued(leaving: Leaving, store: StoreFolder) -> Iterator[str]:
    """Yield the patients who have the same PatientID, of another issuer."""
    keys = read_keys(store.root)
    ids = {keys[name] for name in leaving.patients if name in keys}
    for name in sorted({one.partition(ISSUED)[0] for one in ids}):
        others = sorted({name, *issued_ids(name, keys)} & set(keys.values()) - ids)
        if others:
            again = " ".join(f"--patient {other}" for other in others)
            yield (
                f"PatientID {name} is also that of other issuers' patients; if it is the same "
                f"person, run `clearbench store forget {again}` too"
            )


def _in_labels(leaving: Leaving, store: StoreFolder) -> Iterator[str]:
    """Yield the labels and sites of others that have an id of a patient."""
    found = find_in_labels(store, leaving.mentions, leaving.patients)
    if found:
        yield (
            "labels or sites of others have an id of a patient who leaves, and stay: "
            f"{name_some(found)}; take it out of their table, and add that table again"
        )


def _shared(leaving: Leaving) -> Iterator[str]:
    """Yield the ids that can't be searched for, as others have them too."""
    if leaving.shared:
        yield (
            f"others have these ids too, so nothing can be proved by a search for them: "
            f"{name_some(sorted(leaving.shared))}"
        )


def _untraced(leaving: Leaving, store: StoreFolder) -> Iterator[str]:
    """Yield how many keys lead to scans that no cohort has, so that nobody's they may be."""
    known = {
        value
        for cohort in cohort_names(store)
        for row in stored_table(store, cohort).to_pylist()
        for value in (row["scan_id"], row["patient_id"], row.get("study_id"), row.get("series_id"))
    }
    loose = set(read_keys(store.root)) - known - leaving.names
    if loose:
        yield (
            f"{KEY_TABLE} has {len(loose)} ids that no cohort has (`clearbench scans` writes "
            "them): whose they are is not known, so some may be of a patient who leaves"
        )
