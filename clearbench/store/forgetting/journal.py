"""A removal that was begun: who leaves and where, so that a second run can finish it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clearbench.files import write_whole
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.leaving import Leaving
from clearbench.store.forgetting.traces import Folders
from clearbench.store.json_files import damaged_json, is_count, is_texts, read_json, wrong_key

JOURNAL = "forgetting.json"
LISTS = ("patients", "cohorts", "names", "identifiers", "shared", "results", "pretraining")
JOURNAL_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(LISTS, is_texts),
        "scans": lambda value: (
            isinstance(value, list) and all(is_texts(pair) and len(pair) == 2 for pair in value)
        ),
        "marks": lambda value: isinstance(value, dict) and all(map(is_count, value.values())),
    }
)


@dataclass(frozen=True)
class Journal:
    """Who leaves, the folders to clean, and by each result's path how many have left since."""

    leaving: Leaving
    folders: Folders
    marks: dict[str, int]


def journal_path(store: StoreFolder) -> Path:
    """Return where a store's journal is, or would be."""
    return store.root / JOURNAL


def write_journal(store: StoreFolder, journal: Journal) -> None:
    """Write a journal; only the owner can read it, as it has identifiers in clear."""
    leaving, folders = journal.leaving, journal.folders
    facts = {
        "patients": sorted(leaving.patients),
        "cohorts": sorted(leaving.cohorts),
        "scans": sorted(leaving.scans),
        "names": sorted(leaving.names),
        "identifiers": sorted(leaving.identifiers),
        "shared": sorted(leaving.shared),
        "results": [str(path.resolve()) for path in folders.results],
        "pretraining": [str(path.resolve()) for path in folders.pretraining],
        "marks": journal.marks,
    }
    text = json.dumps(facts, indent=1) + "\n"
    path = journal_path(store)
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"), private=True)


def read_journal(store: StoreFolder) -> Journal | None:
    """Return the journal of a removal that was begun; None if none was. Raises BadStore."""
    path = journal_path(store)
    if not os.path.lexists(path):
        return None
    way_out = "remove it, and forget the patient again"
    facts = read_json(path, way_out)
    wrong = wrong_key(facts, JOURNAL_KEYS)
    if wrong:
        raise damaged_json(path, f"{wrong} is of another type", way_out)
    leaving = Leaving(
        patients=frozenset(facts["patients"]),
        cohorts=frozenset(facts["cohorts"]),
        scans=frozenset((cohort, scan) for cohort, scan in facts["scans"]),
        names=frozenset(facts["names"]),
        identifiers=frozenset(facts["identifiers"]),
        shared=frozenset(facts["shared"]),
    )
    folders = Folders(tuple(map(Path, facts["results"])), tuple(map(Path, facts["pretraining"])))
    return Journal(leaving, folders, facts["marks"])
