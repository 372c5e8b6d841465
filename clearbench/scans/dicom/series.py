"""The slices of one scan, ordered along their normal, with notes on their places and headers."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan, counted, name_some
from clearbench.scans.dicom.decoding import PixelComparison
from clearbench.scans.dicom.grouping import SAME_AXIS, count_repeated, too_many_repeated
from clearbench.scans.dicom.records import Identity, Slice
from clearbench.scans.grid import refuse_spacing
from clearbench.scans.notes import Note, NoteKind, merge_notes
from clearbench.scans.scanner_texts import plain
from clearbench.scans.volume import (
    OBLIQUE_LIMIT_DEG,
    SAME_POSITION_MM,
    ScanFacts,
    axial_angle_deg,
    plane_name,
    slice_distance_mm,
    tilt_deg,
)

UNEVEN_SHARE = 0.1  # neighbouring distances may differ by a tenth of their median
TILT_LIMIT_DEG = 1.0
TILT_DIFFERS_DEG = 2.0
SHIFT_PIXELS = 1.0  # slices that are shifted sideways by less than a pixel are not
HELD_FACTS = ("thickness_mm", "kernel", "contrast", "manufacturer", "model", "kvp")
NOTED_FACTS = {"thickness_mm": "SliceThickness", "kernel": "ConvolutionKernel", "kvp": "KVP"}
SamePixels = Callable[[Slice, Slice], bool]


@dataclass(frozen=True)
class Series:
    """The CT slices of one scan, feet to head along their normal.

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


def order_series(slices: Sequence[Slice], *, same_pixels: SamePixels | None = None) -> Series:
    """Order the slices of one scan along their normal, never by file name or InstanceNumber.

    Raises UnreadableScan if they differ in size, pixel distance or orientation, or if several are
    at one place and no header says which belong together.
    """
    first = slices[0]
    row, column = np.array(first.row_axis), np.array(first.column_axis)
    _refuse_mixture(slices, row, column)
    normal = np.cross(row, column)
    # the sign that makes the largest component positive: towards the head for axial slices
    normal = normal * (np.sign(normal[np.abs(normal).argmax()]) or 1.0) / np.linalg.norm(normal)
    kept, doubles = _one_per_place(slices, normal, same_pixels or PixelComparison())
    positions = np.array([item.position_mm for item in kept])
    along = positions @ normal
    order = sorted(range(len(kept)), key=lambda i: (along[i], kept[i].sop_uid))
    positions, along = positions[order], along[order]
    ordered = tuple(kept[i] for i in order)
    stack, shift = _stacking(positions, along, normal, max(first.pixel_mm))
    directions = np.stack([stack, column, row])
    from_first = (positions - positions[0]) @ stack
    distance = slice_distance_mm(from_first)
    # NaN, the distance of a single slice, is not equal to itself
    refuse_spacing(np.array([mm for mm in (distance, *first.pixel_mm) if mm == mm]))
    facts = _with_tilt(_common_facts(ordered), first.tilt_tag_deg, directions)
    facts = facts.with_notes(*doubles, *shift, *spacing_notes(from_first))
    return Series(first.identity, ordered, directions, from_first, along, facts)


def _one_per_place(
    slices: Sequence[Slice], normal: NDArray[np.float64], same_pixels: SamePixels
) -> tuple[list[Slice], tuple[Note, ...]]:
    """Keep one slice at each place: a copy goes, and the later acquisition's slice goes.

    Raises UnreadableScan if too many places are repeated by slices with other pixels.
    """
    along = np.array([item.position_mm for item in slices]) @ normal
    kept: list[Slice] = []
    copies: list[Slice] = []
    others: list[Slice] = []
    for place in _places(along):
        first, *rest = sorted((slices[i] for i in place), key=_when)
        kept.append(first)
        for item in rest:
            (copies if same_pixels(first, item) else others).append(item)
    _refuse_repeated(kept, others)
    chosen = {id(item) for item in kept}
    notes = (
        *_gone(
            "files",
            copies,
            "1 file is a copy of another slice",
            "{} files are copies of other slices",
        ),
        *_gone(
            "series",
            others,
            "1 slice is at the position of another, and left out",
            "{} slices are at the positions of others, and left out",
        ),
    )
    return [item for item in slices if id(item) in chosen], notes


def _places(along_mm: NDArray[np.float64]) -> list[list[int]]:
    """Group slices by place: the numbers of those that are closer than SAME_POSITION_MM."""
    places: list[list[int]] = []
    last_mm = -np.inf
    for i in np.argsort(along_mm, kind="stable").tolist():
        if along_mm[i] - last_mm >= SAME_POSITION_MM:
            places.append([])
        places[-1].append(i)
        last_mm = along_mm[i]
    return places


def _when(item: Slice) -> tuple[float, str, str, int]:
    """Return the sort key of slices at one place: the earlier acquisition is first."""
    number = item.phase.acquisition
    when = float(number) if number.replace(".", "", 1).isdecimal() else 0.0
    return when, item.phase.clock, str(item.path), item.frame or 0


def _refuse_repeated(kept: Sequence[Slice], others: Sequence[Slice]) -> None:
    """Refuse slices at one place that no header tells apart; raises UnreadableScan."""
    if not others:
        return
    if len(kept) == 1:
        raise UnreadableScan(
            f"all {len(others) + 1} slices are at one place (ImagePositionPatient "
            f"{_place(kept[0])}), so their order is unknown; export it with positions"
        )
    if too_many_repeated([*kept, *others]):
        files = name_some([item.path.name for item in others])
        raise UnreadableScan(
            f"{len(others)} slices are at the place of another one ({files}), and no header says "
            "which belong together; separate them into folders, or export each as its own series"
        )


def _place(item: Slice) -> str:
    """Return a slice's position as text."""
    return " \\ ".join(f"{mm:g}" for mm in item.position_mm)


def _gone(kind: NoteKind, slices: Sequence[Slice], one: str, many: str) -> tuple[Note, ...]:
    """Note slices that are left out, with their files; `many` has {} for their number."""
    if not slices:
        return ()
    files = name_some(sorted(item.path.name for item in slices))
    return (Note(kind, one if len(slices) == 1 else many.format(len(slices)), files),)


def _refuse_mixture(
    slices: Sequence[Slice], row: NDArray[np.float64], column: NDArray[np.float64]
) -> None:
    """Refuse slices that can't be stacked; raises UnreadableScan."""
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
        > SAME_AXIS
    ]
    if turned:
        raise UnreadableScan(
            f"{len(turned)} of {len(slices)} slices have another orientation than the first; "
            f"separate them, e.g. {turned[0].path.name}"
        )


def _stacking(
    positions: NDArray[np.float64],
    along: NDArray[np.float64],
    normal: NDArray[np.float64],
    pixel_mm: float,
) -> tuple[NDArray[np.float64], tuple[Note, ...]]:
    """Return the direction in which slices are stacked, and a note if some are shifted sideways.

    Slices of a tilted gantry lean by the same amount at each step. A reconstruction centre that
    moves is a jump instead, which must not be taken for a tilt.
    """
    whole = positions[-1] - positions[0]
    length = float(np.linalg.norm(whole))
    if length <= SAME_POSITION_MM:
        return normal, ()
    straight = whole / length
    if len(positions) < 3:
        return straight, ()
    sideways = positions - along[:, None] * normal
    steps = np.diff(sideways, axis=0) / np.diff(along)[:, None]
    # the mean would spread a jump over all slices; the median ignores it
    lean = np.median(steps, axis=0)
    off_mm = np.linalg.norm(sideways - sideways[0] - (along - along[0])[:, None] * lean, axis=1)
    if off_mm.max() <= SHIFT_PIXELS * pixel_mm:
        return straight, ()
    since = int((off_mm > SHIFT_PIXELS * pixel_mm).argmax())
    text = f"slices are shifted sideways by up to {off_mm.max():.0f} mm from slice {since} on"
    stack = normal + lean
    return stack / np.linalg.norm(stack), (Note("geometry", text, tag="ImagePositionPatient"),)


def _common_facts(slices: Sequence[Slice]) -> ScanFacts:
    """Return the facts that most slices have; differences in thickness, kernel and kV are noted."""
    found = {}
    notes = [note for item in slices for note in item.facts.notes]
    for name in HELD_FACTS:
        counts = Counter(getattr(item.facts, name) for item in slices)
        found[name] = max(counts, key=lambda value: (counts[value], value is not None))
        known = [value for value in counts if value not in (None, "")]
        if name in NOTED_FACTS and len(known) > 1:
            values = name_some(sorted(map(plain, known)))
            tag = NOTED_FACTS[name]
            notes.append(Note("header", f"{tag} differs between slices ({values})", tag=tag))
    return replace(slices[0].facts, **found, notes=merge_notes(notes))


def _with_tilt(facts: ScanFacts, tag_deg: float, directions: NDArray[np.float64]) -> ScanFacts:
    """Add the gantry tilt: slices lean along the table, or their turn agrees with the tilt tag.

    A tag that the positions don't show is noted, with both values.
    """
    lean = tilt_deg(directions)
    turned = axial_angle_deg(directions[1:])
    tagged = abs(tag_deg)
    along_table = lean > TILT_LIMIT_DEG and axial_angle_deg(directions[:1]) < OBLIQUE_LIMIT_DEG
    shown = lean if along_table else turned
    agree = shown > TILT_LIMIT_DEG and abs(tagged - shown) < TILT_DIFFERS_DEG
    if tagged > TILT_LIMIT_DEG and not agree:
        text = f"the header says a gantry tilt of {tagged:.1f}°, the positions {shown:.1f}°"
        facts = facts.with_notes(Note("geometry", text, tag="GantryDetectorTilt"))
    if not (along_table or (agree and tagged > TILT_LIMIT_DEG)):
        return facts
    tilt = round(shown, 1)
    return replace(facts, gantry_tilt_deg=tilt).with_notes(Note("geometry", f"gantry tilt {tilt}°"))


def spacing_notes(positions_mm: NDArray[np.float64]) -> tuple[Note, ...]:
    """Return notes on missing slices and uneven distances of ascending positions."""
    if len(positions_mm) == 1:
        return (Note("geometry", "a single slice"),)
    repeated, _ = count_repeated(positions_mm)
    steps = np.diff(positions_mm)
    steps = steps[steps >= SAME_POSITION_MM]
    double = f"{repeated} slice{'s are' if repeated > 1 else ' is'} at the position of another"
    texts = [double] if repeated else []
    if len(steps) > 1:
        texts += _uneven(steps)
    return tuple(Note("geometry", text) for text in texts)


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
            f"{counted(missing, 'slice')} missing "
            f"(gaps of up to {steps.max():.2f} mm, usually {usual:.2f})"
        ]
    return [f"uneven slice distance, {steps.min():.2f} to {steps.max():.2f} mm"]
