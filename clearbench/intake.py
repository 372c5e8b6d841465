"""Scans or a folder → a cohort in the store."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from clearbench.cohort.files import is_table
from clearbench.cohort.generic_names import is_generic
from clearbench.cohort.pseudonyms import open_pseudonyms, refuse_other_secret, remember_keys
from clearbench.cohort.table import Cohort, ScanRow, check_cohort, read_cohort
from clearbench.datasets.series import (
    key_table,
    name_scans,
    people_notes,
    unlabelled_cohort_table,
)
from clearbench.errors import BadRequest
from clearbench.files import locked
from clearbench.scans.image_scans import in_window
from clearbench.scans.images import image_files, window_folders
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import is_image
from clearbench.store.cohorts import cohort_names, load_cohort, merge_cohort, save_cohort
from clearbench.store.folder import StoreFolder

ONE_PATIENT = (
    "these scans are one patient's, and what they lie in may be called after the patient: so the "
    "cohort has a pseudonym as its name; --name (name=…) gives it another"
)


@dataclass(frozen=True)
class Gathered:
    """The scans as a checked cohort, and the number of files left out, by reason."""

    cohort: Cohort
    left_out: Counter[str]


def gather(
    scans: Path | str,
    store: StoreFolder,
    *,
    name: str = "",
    keep_ids: bool = False,
    window: str = "",
    workers: int = 1,
) -> Gathered:
    """Return the cohort of a table, a folder, one file, or a cohort's name in the store.

    `window` is that of 8-bit images to which neither the table nor their folder gives one. Raises
    BadRequest if nothing has that name, or it has no scan, BadCohort for a table that can't be
    used, or has the pseudonyms of another store.
    """
    path = Path(scans)
    if is_table(path) and path.is_file():
        cohort = read_cohort(path, name)
        refuse_other_secret(cohort.table, path, store.root)
        return Gathered(_in_window(cohort, window), Counter())
    if path.exists():
        return _from_folder(path, store, name, keep_ids, window, workers)
    if str(scans) in cohort_names(store):
        return Gathered(_in_window(load_cohort(store, str(scans)), window), Counter())
    known = ", ".join(cohort_names(store)) or "none yet"
    raise BadRequest(
        f"{scans}: no such table, folder or file, and no cohort of that name in {store.root} "
        f"(it has {known})"
    )


def _from_folder(
    path: Path, store: StoreFolder, name: str, keep_ids: bool, window: str, workers: int
) -> Gathered:
    """Make a cohort of a folder or file, with pseudonyms; the key table stays in the store."""
    inventory = in_window(find_scans(path, workers=workers), window)
    if not inventory.scans:
        reasons = "; ".join(
            f"{count} × {reason}" for reason, count in inventory.reasons().most_common(3)
        )
        stored = str(path) in cohort_names(store)
        hint = (
            f"; to mean the cohort {path} of {store.root}, work in another folder" if stored else ""
        )
        raise BadRequest(f"{path}: no scans in it ({reasons or 'an empty folder'}){hint}")
    pseudonyms = open_pseudonyms(store.root)
    named = name_scans(inventory, pseudonyms, keep_ids=keep_ids)
    remember_keys(store.root, key_table(named))
    root = inventory.root if inventory.root.is_dir() else inventory.root.parent
    label = name or _plain_name(path)
    people = {item.patient_id for item in named}
    # also if ids are kept: a folder's name may be that of a person
    hidden = not (name or len(people) > 1 or is_generic(label))
    if hidden:
        label = pseudonyms.name("cohort", label)
    cohort = check_cohort(unlabelled_cohort_table(named, root), label, path)
    notes = (*cohort.problems, *people_notes(named), *([ONE_PATIENT] if hidden else []))
    return Gathered(replace(cohort, problems=notes), inventory.reasons())


def _in_window(cohort: Cohort, window: str) -> Cohort:
    """Return a cohort whose images without a window of their own are in `window`, "" for none."""
    if not window:
        return cohort
    given = [row.window or (window if _lacks_window(row) else "") for row in cohort.rows()]
    return cohort.with_column("window", [text or None for text in given])


def _lacks_window(row: ScanRow) -> bool:
    """Return True for an image, or a folder of images that no folder gives a window."""
    folder = row.path.is_dir() and bool(image_files(row.path)) and not window_folders(row.path)
    return is_image(row.path) or folder


def _plain_name(path: Path) -> str:
    """Return a cohort's name, from the name of a folder or file."""
    stem = re.sub(r"(\.nii(\.gz)?|\.mh[ad]|\.npz)$", "", path.resolve().name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "scans"


def keep(
    cohort: Cohort, store: StoreFolder, *, replace_rows: bool = False, dry_run: bool = False
) -> Cohort:
    """Save the cohort in the store, completed with the labels that are there; returns it.

    With `replace_rows`, scans that only the stored cohort has leave it. A dry run saves nothing.
    """
    with locked(store.root):  # of two runs at once, neither may lose the other's scans
        merged = merge_cohort(cohort, store, replace_rows=replace_rows)
        if not dry_run:
            save_cohort(merged, store)
    return merged
