"""A cohort's scans → stacks of HU slices, which training reads in random order; and lesions."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearbench.cohort.pseudonyms import open_pseudonyms, refuse_other_secret
from clearbench.cohort.table import Cohort, ScanRow, read_cohort
from clearbench.datasets.lesions.deeplesion import TABLE, is_deeplesion, read_deeplesion
from clearbench.datasets.lesions.lesion_table import LESIONS_FILE, Lesion, Lesions, read_lesions
from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set, why_no_box
from clearbench.engines.reader import ReadScan, ReadTask, read_ahead, source_of
from clearbench.errors import BadRequest, UnknownName
from clearbench.files import write_whole
from clearbench.npy import check_npy, read_npy
from clearbench.scans.slices import source_signature

COHORT_FILE = "cohort.csv"
ALL = "all"

OnScan = Callable[[int, int], None]


@dataclass(frozen=True)
class DataRequest:
    """The training data: a DeepLesion folder, a cohort table, or a folder with cohort.csv.

    `split` is a value of the cohort's column "split", or "all"; "" takes "train" if the column
    exists. `store` is the store that built the cohort; its secret is needed for series ids.
    """

    root: Path
    lesions: Path | None = None
    split: str = ""
    store: Path | None = None
    workers: int = 1


def find_slices(request: DataRequest, cache: Path, on_scan: OnScan | None = None) -> SliceSet:
    """List the training slices; a cohort's scans are read once, into stacks in `cache`.

    Unreadable scans are left out and listed in the problems. Raises BadRequest or BadCohort for
    another folder, a wrong column, pseudonyms of another store, or if no slice is left.
    """
    root = request.root.parent if request.root.name == TABLE else request.root
    if root.is_dir() and is_deeplesion(root):
        return read_deeplesion(root, request.split or "train")
    table = root / COHORT_FILE if root.is_dir() else root
    if not table.is_file():
        raise BadRequest(
            f"{root}: no DL_info.csv (DeepLesion) and no {COHORT_FILE}; give a cohort table "
            "(`clearbench cohort build` makes one)"
        )
    cohort = read_cohort(table)
    if request.store is not None:
        refuse_other_secret(cohort.table, table, request.store)
    rows = _rows_of_split(cohort, request.split)
    place = request.lesions or table.with_name(LESIONS_FILE)
    lesions: Lesions = {}
    problems: list[str] = []
    if request.lesions is not None or place.is_file():
        lesions, faults = read_lesions(place, {row.scan_id for row in cohort.rows()})
        problems += faults
    slices = list(_stacked(rows, lesions, cache, request, problems, on_scan))
    return slice_set(cohort.name, cache, slices, problems)


def _rows_of_split(cohort: Cohort, split: str) -> list[ScanRow]:
    """Return the scans of one split; without a name, the training side."""
    values = cohort.column("split")
    if split == ALL or (not split and not values):
        return cohort.rows()
    wanted = split or "train"
    known = sorted({value for value in values if value})
    if wanted not in known:
        raise UnknownName.among(
            f"split of cohort {cohort.name}", wanted, known, f" ({', '.join([*known, ALL])})"
        )
    return [row for row, value in zip(cohort.rows(), values, strict=True) if value == wanted]


def _stacked(
    rows: Sequence[ScanRow],
    lesions: Lesions,
    cache: Path,
    request: DataRequest,
    problems: list[str],
    on_scan: OnScan | None,
) -> Iterator[SliceRow]:
    """Read the scans without a stack; then yield every slice of every stack."""
    stacks = {row.scan_id: _stack_file(row, cache) for row in rows}
    missing = [row for row in rows if not _is_whole(stacks[row.scan_id])]
    needed = any(row.series_id for row in missing)
    pseudonyms = open_pseudonyms(request.store) if needed and request.store else None
    tasks = [
        ReadTask(
            scan_id=row.scan_id,
            patient_id=row.patient_id,
            source=source_of(row),
            # no such file: a stack is read whether the scan has features or not
            done=Path("none"),
            pseudonyms=pseudonyms,
        )
        for row in missing
    ]
    for done, read in enumerate(read_ahead(tasks, request.workers), start=1):
        reason = _write_stack(read, stacks[read.task.scan_id])
        problems += [f"{read.task.scan_id}: {reason}"] if reason else []
        if on_scan is not None:
            on_scan(done, len(tasks))
    for row in rows:
        if _is_whole(stacks[row.scan_id]):
            yield from _slices(row, stacks[row.scan_id], lesions.get(row.scan_id, {}), problems)


def _stack_file(row: ScanRow, cache: Path) -> Path:
    """Return the file of a scan's stack; its name changes with the source, series and HU rules."""
    source = source_signature(row.path) if row.path.exists() else "none"
    said = f"{source} {row.series_id}{source_of(row).rules.signature}"
    signature = hashlib.sha256(said.encode()).hexdigest()
    return cache / f"{row.scan_id}-{signature[:12]}.npy"


def _write_stack(read: ReadScan, target: Path) -> str:
    """Write one scan's stack; returns why the scan can't be used, or ""."""
    if read.scan is None:
        return read.reason
    if read.scan.windows:
        return "its images are already windowed, but LeCL needs HU"
    pixels = np.rint(read.scan.pixels).astype(np.int16)
    index = read.scan.slice_index
    # the index first: where the stack exists, both files are complete
    # both are pixel data of a patient, or lie next to them
    where = _index_file(target)
    write_whole(where, lambda draft: _save(draft, index), private=True)
    write_whole(target, lambda draft: _save(draft, pixels), private=True)
    return ""


def _save(path: Path, array: "np.ndarray[tuple[int, ...], np.dtype[np.integer]]") -> None:
    """Write an array to exactly this file."""
    # np.save of a path would add .npy to the draft's name
    with path.open("wb") as file:
        np.save(file, array)


def _index_file(stack: Path) -> Path:
    """Return the file with the slice index of each row of a stack."""
    return stack.with_suffix(".index.npy")


def _is_whole(stack: Path) -> bool:
    """Tell whether a stack and its index are there, are undamaged, and belong together."""
    try:
        found = check_npy(stack)
        index = read_npy(_index_file(stack))
    except (OSError, ValueError):
        return False
    fits = index.dtype.kind in "iu" and np.unique(index).shape == found.shape[:1]
    return fits and found.dtype == np.int16 and len(found.shape) == 3


def _slices(
    row: ScanRow, stack: Path, lesions: Mapping[int, list[Lesion]], problems: list[str]
) -> Iterator[SliceRow]:
    """Yield the slices of one stack with their boxes; refused boxes are added to `problems`."""
    shape = check_npy(stack).shape
    places = {int(index): place for place, index in enumerate(read_npy(_index_file(stack)))}
    problems += [
        f"{row.scan_id}: a lesion in slice {index}, but the scan has no such slice"
        for index in sorted(set(lesions) - set(places))
    ]
    for index, place in places.items():
        found = lesions.get(index, ())
        reasons = [why_no_box(lesion.box, shape[2], shape[1]) for lesion in found]
        problems += [f"{row.scan_id}, slice {index}: box {reason}" for reason in reasons if reason]
        valid = [lesion for lesion, reason in zip(found, reasons, strict=True) if not reason]
        # a slice whose boxes were all refused has a lesion, so it can't count as one without
        if found and not valid:
            continue
        labels = {lesion.label for lesion in valid}
        yield SliceRow(
            patient=row.patient_id,
            file=os.fspath(stack.name),
            row=place,
            boxes=tuple(lesion.box for lesion in valid),
            label=labels.pop() if len(labels) == 1 else "",
        )
