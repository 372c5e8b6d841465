"""Scans or a folder → a cohort in the store."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clearbench.cohort.files import is_table
from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
from clearbench.cohort.table import Cohort, check_cohort, read_cohort
from clearbench.datasets.series import cohort_table, key_table, name_scans
from clearbench.errors import BadRequest
from clearbench.scans.inventory import find_scans
from clearbench.store.cohorts import cohort_names, load_cohort, merge_cohort, save_cohort
from clearbench.store.folder import StoreFolder


@dataclass(frozen=True)
class Gathered:
    """The scans meant, as a checked cohort, and the files that are none (counted by reason)."""

    cohort: Cohort
    left_out: Counter[str]


def gather(
    scans: Path | str,
    store: StoreFolder,
    *,
    name: str = "",
    keep_ids: bool = False,
    workers: int = 1,
) -> Gathered:
    """Find out which scans are meant: a cohort table, a cohort of the store, a folder, or one file.

    Raises BadRequest if there is nothing of that name, or no scan in it.
    """
    path = Path(scans)
    if is_table(path) and path.is_file():
        return Gathered(read_cohort(path, name), Counter())
    if path.exists():
        return _from_folder(path, store, name, keep_ids, workers)
    if str(scans) in cohort_names(store):
        return Gathered(load_cohort(store, str(scans)), Counter())
    known = ", ".join(cohort_names(store)) or "none yet"
    raise BadRequest(
        f"{scans}: no such table, folder or file, and no cohort of that name in {store.root} "
        f"({known})"
    )


def _from_folder(
    path: Path, store: StoreFolder, name: str, keep_ids: bool, workers: int
) -> Gathered:
    """Make a cohort of a bare folder or file, under pseudonyms whose keys stay in the store."""
    inventory = find_scans(path, workers=workers)
    if not inventory.scans:
        reasons = "; ".join(
            f"{count} × {reason}" for reason, count in inventory.reasons().most_common(3)
        )
        raise BadRequest(f"{path}: no scans there ({reasons or 'an empty folder'})")
    pseudonyms = open_pseudonyms(store.root)
    named = name_scans(inventory, pseudonyms, keep_ids=keep_ids)
    remember_keys(store.root, key_table(named))
    root = inventory.root if inventory.root.is_dir() else inventory.root.parent
    table = cohort_table(named, root)
    return Gathered(check_cohort(table, name or _plain_name(path), path), inventory.reasons())


def _plain_name(path: Path) -> str:
    """Make a cohort's name of a folder's or file's."""
    stem = re.sub(r"(\.nii(\.gz)?|\.mh[ad]|\.npz)$", "", path.resolve().name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "scans"


def keep(cohort: Cohort, store: StoreFolder) -> Cohort:
    """Keep a checked copy of the cohort in the store, with the labels that the store knew."""
    merged = merge_cohort(cohort, store)
    save_cohort(merged, store)
    return merged
