"""A removal that was begun: who leaves, so that a second run can finish it."""

import json
from pathlib import Path

from clearbench.errors import BadStore
from clearbench.files import write_whole
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.leaving import Leaving

JOURNAL = "forgetting.json"


def journal_path(store: StoreFolder) -> Path:
    """Return where a store's journal is, or would be."""
    return store.root / JOURNAL


def write_journal(store: StoreFolder, leaving: Leaving, marks: dict[str, int]) -> None:
    """Write who leaves, and the marks of results; only the owner can read it."""
    facts = {
        "patients": sorted(leaving.patients),
        "cohorts": sorted(leaving.cohorts),
        "scans": sorted(leaving.scans),
        "names": sorted(leaving.names),
        "identifiers": sorted(leaving.identifiers),
        "shared": sorted(leaving.shared),
        "marks": marks,
    }
    text = json.dumps(facts, indent=1) + "\n"
    path = journal_path(store)
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"), private=True)


def read_journal(store: StoreFolder) -> tuple[Leaving, dict[str, int]] | None:
    """Return who was leaving and the marks of results; None if no removal was begun."""
    path = journal_path(store)
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        leaving = Leaving(
            patients=frozenset(facts["patients"]),
            cohorts=frozenset(facts["cohorts"]),
            scans=frozenset((cohort, scan) for cohort, scan in facts["scans"]),
            names=frozenset(facts["names"]),
            identifiers=frozenset(facts["identifiers"]),
            shared=frozenset(facts["shared"]),
        )
        return leaving, dict(facts["marks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadStore(f"{path}: damaged ({error}); remove it, and forget the patient again") from (
            error
        )
