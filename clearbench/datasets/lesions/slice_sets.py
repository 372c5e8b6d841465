"""Slices to train on: the file, patient and lesion boxes of each slice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadCohort, name_some

UNKNOWN = -1

Box = tuple[float, float, float, float]  # x1, y1, x2, y2


@dataclass(frozen=True)
class SliceRow:
    """One slice: a 16-bit PNG, or one row of a stack (.npy) of HU; boxes in px."""

    patient: str
    file: str
    row: int = UNKNOWN
    boxes: tuple[Box, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class SliceSet:
    """Many slices, stored as columns: a data set may have a million of them.

    files     [n] paths from `root`; rows [n] int32, -1 where a file is a single image
    patient   [n] int32 into `patients`; label [n] int32 into `labels`, -1 unknown
    boxes     [m, 4] float32 x1, y1, x2, y2 in px; slice i has boxes first[i] to first[i + 1]
    problems  what was left out, and why; has names of files, never of patients
    """

    name: str
    root: Path
    files: NDArray[np.str_]
    rows: NDArray[np.int32]
    patients: tuple[str, ...]
    patient: NDArray[np.int32]
    labels: tuple[str, ...]
    label: NDArray[np.int32]
    boxes: NDArray[np.float32]
    first: NDArray[np.int64]
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def lesion(self) -> NDArray[np.bool_]:
        """Return True for the slices that have a box [n]."""
        return np.diff(self.first) > 0

    def boxes_of(self, index: int) -> NDArray[np.float32]:
        """Return the boxes of one slice [k, 4]."""
        return self.boxes[self.first[index] : self.first[index + 1]]


def slice_set(
    name: str, root: Path, rows: Iterable[SliceRow], problems: Sequence[str] = ()
) -> SliceSet:
    """Make columns of rows.

    Raises BadCohort if there are no rows, with what was left out.
    """
    found = list(rows)
    if not found:
        raise BadCohort(f"{root}: no slice to train on{because(problems)}")
    patients = sorted({row.patient for row in found})
    labels = sorted({row.label for row in found if row.label})
    patient_numbers = {patient: number for number, patient in enumerate(patients)}
    label_numbers = {label: number for number, label in enumerate(labels)}
    boxes = [box for row in found for box in row.boxes]
    return SliceSet(
        name=name,
        root=root,
        files=np.array([row.file for row in found]),
        rows=np.array([row.row for row in found], np.int32),
        patients=tuple(patients),
        patient=np.array([patient_numbers[row.patient] for row in found], np.int32),
        labels=tuple(labels),
        label=np.array([label_numbers.get(row.label, UNKNOWN) for row in found], np.int32),
        # without any box the array would have one axis
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        first=np.cumsum([0, *(len(row.boxes) for row in found)], dtype=np.int64),
        problems=tuple(problems),
    )


def because(problems: Sequence[str]) -> str:
    """Return the first few problems in brackets and the number of the others; "" for none."""
    return f" ({name_some(problems, separator='; ')})" if problems else ""


def thinned(slices: SliceSet, others_per_lesion: float | None, seed: int) -> SliceSet:
    """Keep every lesion slice and, for each one, up to `others_per_lesion` random others."""
    lesion = slices.lesion
    if others_per_lesion is None or not lesion.any():
        return slices
    others = np.flatnonzero(~lesion)
    wanted = int(lesion.sum() * others_per_lesion)
    if wanted >= len(others):
        return slices
    chosen = np.random.default_rng([seed, len(others)]).choice(others, wanted, replace=False)
    return taken(slices, np.sort(np.concatenate([np.flatnonzero(lesion), chosen])))


def taken(slices: SliceSet, chosen: NDArray[np.int64]) -> SliceSet:
    """Return only the chosen slices, in their order."""
    counts = np.diff(slices.first)[chosen]
    boxes = [slices.boxes_of(int(index)) for index in chosen]
    patients, patient = np.unique(slices.patient[chosen], return_inverse=True)
    return replace(
        slices,
        files=slices.files[chosen],
        rows=slices.rows[chosen],
        patients=tuple(slices.patients[number] for number in patients),
        patient=patient.astype(np.int32),
        label=slices.label[chosen],
        boxes=np.concatenate(boxes) if boxes else slices.boxes[:0],
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


def why_no_box(box: Sequence[float], width: int, height: int) -> str:
    """Return the fault of a box; "" if at least a part of it is in the image."""
    x1, y1, x2, y2 = box
    if not all(np.isfinite(box)):
        return "not four numbers"
    if x2 <= x1 or y2 <= y1:
        return f"x2 and y2 must be larger than x1 and y1 ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return f"outside the image of {width} × {height} px ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    return ""
