"""What is to be embedded: a table, a stored cohort, a folder or a file → read tasks."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from clearbench.cohort.files import is_table
from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
from clearbench.cohort.table import Cohort, check_cohort, read_cohort
from clearbench.datasets.series import cohort_table, key_table, name_scans
from clearbench.encoders.encoder import Encoder
from clearbench.engines.reader import ReadTask
from clearbench.errors import BadRequest
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import Source
from clearbench.store.cohorts import cohort_names, load_cohort, merge_cohort, save_cohort
from clearbench.store.features import ScanKey
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


def read_tasks(
    cohort: Cohort,
    encoder: Encoder,
    store: StoreFolder,
    *,
    shard: str = "",
    resample: bool = False,
    replace: bool = False,
) -> tuple[ReadTask, ...]:
    """List what to read for one encoder, neighbours on the disk together."""
    pseudonyms = open_pseudonyms(store.root)
    wanted = _shard(shard)
    rows = sorted(cohort.rows(), key=lambda row: (row.path, row.series_id))
    return tuple(
        ReadTask(
            scan_id=row.scan_id,
            patient_id=row.patient_id,
            source=Source(row.path, row.series_id),
            done=ScanKey(encoder.name, encoder.fingerprint, cohort.name, row.scan_id).path(store),
            spacing_mm=encoder.card.slicing.spacing_mm,
            resample=resample,
            replace=replace,
            pseudonyms=pseudonyms,
        )
        for row in rows
        if crc32(row.scan_id.encode()) % wanted[1] == wanted[0] - 1
    )


def _shard(text: str) -> tuple[int, int]:
    """Read `i/n`: the i-th of n parts, counted from 1."""
    match = re.fullmatch(r"(\d+)/(\d+)", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise BadRequest(f"--shard {text}: write i/n with 1 ≤ i ≤ n, e.g. 2/8")
    return int(match[1]), int(match[2])
