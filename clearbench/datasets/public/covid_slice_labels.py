"""COVID-CT-MD's slice labels: the infected slices and lobes of 79 patients, and their direction.

Published as Index.csv (which row of the arrays a patient has), Slice-level-labels.npy [patients,
slices] and Lobe-level-labels.npy [patients, slices, lobes], 1 for infected; rows are filled up with
zeros. `…-updated-1.npy` have the authors' corrections of P001 and P006 (September 2021).
The description says that labels are in the order of SliceLocation, not in which direction. The
published arrays show it: marks of the upper lobes have a mean index of 43 to 52, those of the lower
lobes of 88 to 92. So index 0 is at the head. clearbench counts from the feet, hence n - 1 - i.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.cohort.columns import MARKS
from clearbench.datasets.rows import TableRow, read_table_rows, whole
from clearbench.errors import BadCohort
from clearbench.npy import read_npy

INDEX = "Index.csv"
KINDS = ("Slice-level-labels", "Lobe-level-labels")
UPDATED = "-updated-1"
LABELS_URL = "https://github.com/ShahinSHH/COVID-CT-MD"
COLUMNS = ("Label Index", "Diagnosis")
FOLDER_COLUMNS = ("Folder/ID", "Folder")  # in the download, and in its first version
LOBES = (  # in the order of the array
    "left_lower_lobe",
    "left_upper_lobe",
    "right_lower_lobe",
    "right_middle_lobe",
    "right_upper_lobe",
)
UPPER, LOWER = (
    [number for number, name in enumerate(LOBES) if part in name] for part in ("upper", "lower")
)

Marked = NDArray[np.bool_]
Patient = tuple[str, str]  # class, folder


@dataclass(frozen=True)
class PatientLabels:
    """One patient's marks from the head, filled up with False: slices [n], lobes [n, 5] or None."""

    slices: Marked
    lobes: Marked | None = None


@dataclass(frozen=True)
class SliceLabels:
    """The labels by patient, empty if they can't be used, and notes on what was found."""

    patients: dict[Patient, PatientLabels] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_slice_labels(folders: Sequence[Path]) -> SliceLabels:
    """Read the labels in the first of some folders that has the index.

    Without a file of slice labels, or if lobes show that index 0 isn't at the head, there are none.
    Raises BadCohort for files that aren't such labels, or don't belong together.
    """
    folder = next((folder for folder in folders if (folder / INDEX).is_file()), folders[0])
    updated = _array_file(folder, KINDS[0], UPDATED)
    version = UPDATED if updated else ""
    slices_file, lobes_file = (_array_file(folder, kind, version) for kind in KINDS)
    if not (folder / INDEX).is_file() or slices_file is None:
        wanted = f"{INDEX} or {KINDS[0]}.npy"
        return SliceLabels(notes=(f"no {wanted} in {folder.name}, so no slice is marked",))
    slices = _read_array(slices_file, 2)
    lobes = None if lobes_file is None else _read_array(lobes_file, 3)
    if lobes is not None and lobes.shape != (*slices.shape, len(LOBES)):
        raise BadCohort(
            f"{lobes_file}: labels {list(lobes.shape)} don't fit {slices_file.name} "
            f"{list(slices.shape)} with {len(LOBES)} lobes; get both from {LABELS_URL}"
        )
    rows = _rows_of_patients(folder / INDEX, slices_file, len(slices))
    patients = {
        patient: PatientLabels(slices[row], None if lobes is None else lobes[row])
        for patient, row in rows.items()
    }
    old = f"{slices_file.name}: before the authors' corrections of P001 and P006 ({LABELS_URL})"
    notes = () if updated else (old,)
    return _if_from_head(patients, slices_file.name, notes)


def _array_file(folder: Path, kind: str, version: str) -> Path | None:
    """Return the file of one kind of labels; upper case, dashes and underscores don't matter."""
    wanted = f"{kind}{version}.npy".lower()
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return next((file for file in files if file.name.lower().replace("_", "-") == wanted), None)


def _read_array(path: Path, axes: int) -> Marked:
    """Read an array of so many axes that has only 0 and 1; raises BadCohort for anything else."""
    why = "it can't be read"
    try:
        array = read_npy(path)
    except (ValueError, OSError) as error:
        why = f"it can't be read ({error})"
    else:
        if array.ndim == axes and np.isin(array, (0, 1)).all():
            return np.asarray(array, np.bool_)
        why = f"its shape is {list(array.shape)}"
    raise BadCohort(
        f"{path}: not an array of {axes} axes with 0 and 1 ({why}); get it from {LABELS_URL}, or "
        "take it away to build the cohort without slice labels"
    )


def _read_index(path: Path) -> dict[int, Patient]:
    """Return the patient of each label index; raises BadCohort for another table."""
    rows = read_table_rows(path, COLUMNS, LABELS_URL)
    folder = next((name for name in FOLDER_COLUMNS if name in rows[0]), None)
    if folder is None:
        raise BadCohort(f"{path}: no column {FOLDER_COLUMNS[0]}; get it from {LABELS_URL}")
    patients: dict[int, Patient] = {}
    for line, row in enumerate(rows, start=2):
        number = whole(row[COLUMNS[0]]) or ""
        if not number.isdigit() or int(number) in patients:
            fault = "not a number" if not number.isdigit() else "there twice"
            raise BadCohort(f"{path}, line {line}: {COLUMNS[0]} {number or '(blank)'} is {fault}")
        patients[int(number)] = ((row[COLUMNS[1]] or "").lower(), row[folder] or "")
    return patients


def _rows_of_patients(index: Path, array: Path, count: int) -> dict[Patient, int]:
    """Return each patient's row of the arrays, which have `count` rows.

    The published index skips 43. Arrays that have a row for it are counted by label index, arrays
    without it by the order of the index. Raises BadCohort for arrays of another size.
    """
    patients = _read_index(index)
    if count == max(patients) + 1:
        return {patient: number for number, patient in patients.items()}
    if count == len(patients):
        return {patients[number]: row for row, number in enumerate(sorted(patients))}
    raise BadCohort(
        f"{array}: {count} rows, but {index.name} has {len(patients)} patients, with label indices "
        f"up to {max(patients)}; get both from {LABELS_URL}"
    )


def _if_from_head(
    patients: dict[Patient, PatientLabels], name: str, notes: tuple[str, ...]
) -> SliceLabels:
    """Return the labels unless their lobes show another direction, which is noted."""
    lobes = [one.lobes for one in patients.values() if one.lobes is not None]
    means = _mean_indices(np.concatenate([np.argwhere(some) for some in lobes])) if lobes else None
    if means is None:
        unchecked = f"{name}: no lobes are marked, so it isn't checked that index 0 is at the head"
        return SliceLabels(patients, (*notes, unchecked))
    upper, lower = means
    if upper < lower:
        return SliceLabels(patients, notes)
    other = (
        f"{name}: left out, index 0 should be at the head, but upper lobes have a mean index of "
        f"{upper:.0f} and lower lobes of {lower:.0f}"
    )
    return SliceLabels(notes=(*notes, other))


def _mean_indices(marks: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the mean index of upper and of lower lobes, from [marks, (index, lobe)]."""
    upper, lower = (marks[np.isin(marks[:, 1], lobes), 0] for lobes in (UPPER, LOWER))
    return (float(upper.mean()), float(lower.mean())) if len(upper) and len(lower) else None


def why_not_of(labels: PatientLabels, n_slices: int, n_files: int) -> str:
    """Return why a patient's labels don't fit the scan that was read; "" if they do.

    n_files  of the patient's folder, one per slice; 0 if unknown
    """
    if n_files not in (0, n_slices):
        return f"{n_files} files, but {n_slices} slices in the scan"
    if n_slices > len(labels.slices):
        return f"{n_slices} slices, but labels of {len(labels.slices)}"
    beyond = labels.slices[n_slices:].any() or (
        labels.lobes is not None and labels.lobes[n_slices:].any()
    )
    if beyond:
        return f"{n_slices} slices, but labels mark a later one"
    means = None if labels.lobes is None else _mean_indices(np.argwhere(labels.lobes))
    if means is not None and means[0] >= means[1]:
        return "upper lobes are marked below the lower ones, so the direction is in doubt"
    return ""


def mark_cells(labels: PatientLabels, n_slices: int) -> TableRow:
    """Return the cells of a patient's labels: infected lobes, and slices counted from the feet."""
    infected = _cell(labels.slices, n_slices)
    cells: TableRow = {MARKS: infected, f"{MARKS}_diagnosis": infected}
    if labels.lobes is not None:
        for name, marked in zip(LOBES, labels.lobes.T, strict=True):
            cells |= {name: str(int(marked.any())), f"{MARKS}_{name}": _cell(marked, n_slices)}
    return cells


def _cell(marked: Marked, n_slices: int) -> str | None:
    """Return the marked slices, counted from the feet, as a cell; None if there are none."""
    from_feet = sorted(n_slices - 1 - index for index in np.flatnonzero(marked).tolist())
    return " ".join(map(str, from_feet)) or None
