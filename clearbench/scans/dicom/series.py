"""Slices → series, ordered along the slice normal, with the problems of their spacing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom.headers import Identity, Slice
from clearbench.scans.volume import (
    OBLIQUE_LIMIT_DEG,
    SAME_POSITION_MM,
    ScanFacts,
    axial_angle_deg,
    plane_name,
    tilt_deg,
)

UNEVEN_SHARE = 0.1  # neighbouring distances may differ by a tenth of their median
TILT_LIMIT_DEG = 1.0


@dataclass(frozen=True)
class Series:
    """The CT slices of one SeriesInstanceUID, feet to head along their normal.

    directions      [3, 3] LPS unit vectors: stacking direction, down a column, along a row
    along_stack_mm  [n] positions along the stacking direction, from the first slice
    normal_mm       [n] positions along the slice normal
    """

    identity: Identity
    slices: tuple[Slice, ...]
    directions: NDArray[np.float64]
    along_stack_mm: NDArray[np.float64]
    normal_mm: NDArray[np.float64]
    facts: ScanFacts

    @property
    def orientation(self) -> str:
        """Return axial, coronal, sagittal or oblique: the plane of the slices."""
        return plane_name(self.directions, tilted=self.facts.gantry_tilt_deg is not None)


def group_series(slices: Iterable[Slice]) -> list[tuple[Slice, ...]]:
    """Group slices by SeriesInstanceUID (without one, by folder), sorted by that name."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        groups[item.identity.series_uid or f"folder:{item.path.parent}"].append(item)
    return [tuple(groups[uid]) for uid in sorted(groups)]


def order_series(slices: Sequence[Slice]) -> Series:
    """Order one series along its slice normal, never by file name or InstanceNumber.

    Raises UnreadableScan if its slices differ in size, pixel distance or orientation.
    """
    kept, copies = _without_copies(slices)
    first = kept[0]
    row, column = np.array(first.row_axis), np.array(first.column_axis)
    _refuse_mixture(kept, row, column)
    normal = np.cross(row, column)
    # the sign that makes the largest component positive: towards the head for axial slices
    normal = normal * (np.sign(normal[np.abs(normal).argmax()]) or 1.0) / np.linalg.norm(normal)
    positions = np.array([item.position_mm for item in kept])
    along = positions @ normal
    order = sorted(range(len(kept)), key=lambda i: (along[i], kept[i].sop_uid))
    stack = positions[order[-1]] - positions[order[0]]
    length = float(np.linalg.norm(stack))
    stack = stack / length if length > SAME_POSITION_MM else normal
    directions = np.stack([stack, column, row])
    ordered = tuple(kept[i] for i in order)
    from_first = (positions[order] - positions[order[0]]) @ stack
    facts = _with_tilt(first, directions).with_problems(copies, *spacing_problems(from_first))
    return Series(first.identity, ordered, directions, from_first, along[order], facts)


def _without_copies(slices: Sequence[Slice]) -> tuple[list[Slice], str]:
    """Remove copies of a slice: the same UID, frame and position.

    The UID alone isn't enough: some exports give all slices one UID.
    """
    unique = {
        (item.sop_uid or str(item.path), item.frame, item.position_mm): item
        for item in reversed(slices)
    }
    copies = len(slices) - len(unique)
    note = "1 file is a copy of another" if copies == 1 else f"{copies} files are copies of others"
    return list(reversed(unique.values())), note if copies else ""


def _refuse_mixture(
    slices: Sequence[Slice], row: NDArray[np.float64], column: NDArray[np.float64]
) -> None:
    """Refuse a series of slices that can't be stacked; raises UnreadableScan."""
    sizes = sorted({item.shape for item in slices})
    if len(sizes) > 1:
        raise UnreadableScan(f"slices of {len(sizes)} sizes in one series: {sizes}")
    if len({tuple(round(mm, 3) for mm in item.pixel_mm) for item in slices}) > 1:
        raise UnreadableScan("slices of several pixel distances in one series")
    turned = [
        item
        for item in slices
        if max(
            np.abs(np.array(item.row_axis) - row).max(),
            np.abs(np.array(item.column_axis) - column).max(),
        )
        > 0.01
    ]
    if turned:
        raise UnreadableScan(
            f"{len(turned)} of {len(slices)} slices have another orientation than the first; "
            f"separate them, e.g. {turned[0].path.name}"
        )


def _with_tilt(first: Slice, directions: NDArray[np.float64]) -> ScanFacts:
    """Add the gantry tilt: slices lean along the table, or their turn agrees with the tilt tag."""
    lean = tilt_deg(directions)
    turned = axial_angle_deg(directions[1:])
    tagged = abs(first.tilt_tag_deg)
    by_tag = tagged > TILT_LIMIT_DEG and abs(tagged - turned) < 2.0
    along_table = lean > TILT_LIMIT_DEG and axial_angle_deg(directions[:1]) < OBLIQUE_LIMIT_DEG
    if not (by_tag or along_table):
        return first.facts
    tilt = round(lean if along_table else turned, 1)
    facts = ScanFacts(**{**first.facts.__dict__, "gantry_tilt_deg": tilt})
    return facts.with_problems(f"gantry tilt {tilt}°")


def spacing_problems(positions_mm: NDArray[np.float64]) -> tuple[str, ...]:
    """Return duplicate positions, missing slices and uneven distances of ascending positions."""
    if len(positions_mm) == 1:
        return ("a single slice",)
    steps = np.diff(positions_mm)
    doubles = int((steps < SAME_POSITION_MM).sum())
    steps = steps[steps >= SAME_POSITION_MM]
    double = f"{doubles} slice{'s are' if doubles > 1 else ' is'} at the position of another"
    problems = [double] if doubles else []
    if len(steps) > 1:
        problems += _uneven(steps)
    return tuple(problems)


def _uneven(steps: NDArray[np.float64]) -> list[str]:
    """Return missing slices if all gaps are whole steps, else uneven distances; [] for neither."""
    usual = float(np.median(steps))
    ratio = steps / usual
    gaps = ratio > 1.5
    whole = np.abs(ratio - np.rint(ratio)) < UNEVEN_SHARE
    if whole.all() and not gaps.any():
        return []
    if whole.all():
        missing = int(np.rint(ratio[gaps] - 1).sum())
        return [
            f"{missing} slice{'s' if missing > 1 else ''} missing "
            f"(gaps of up to {steps.max():.2f} mm, usually {usual:.2f})"
        ]
    return [f"uneven slice distance, {steps.min():.2f} to {steps.max():.2f} mm"]
