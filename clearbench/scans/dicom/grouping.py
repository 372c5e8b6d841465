"""Slices → scans: one series of one study of one patient, split where it is several scans."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clearbench.scans.dicom.decoding import have_same_pixels
from clearbench.scans.dicom.objects import DYNAMIC
from clearbench.scans.dicom.records import Slice
from clearbench.scans.notes import Note
from clearbench.scans.scanner_texts import OTHER, plain, plain_terms
from clearbench.scans.volume import SAME_POSITION_MM

SMALLEST_PART = 2
TIME_POINT = re.compile(r"(^|-)(time|phase|acquisition|pass)-")
FEWEST_JOINED = 3
EVEN_SHARE = 0.1
SAME_AXIS = 0.01
COMPARED = 3
ALWAYS_ALLOWED = 2  # sequential head CT repeats a slice where two of its parts meet
MOST_REPEATED = 0.02

NUMBER = re.compile(r"[\d.+-]+")

Part = tuple[Slice, ...]


def _numbers(value: Hashable) -> str:
    """Return a number, or several, as text; "other" for a text that is none."""
    if isinstance(value, tuple):
        return "x".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    text = str(value) or "none"
    return text if NUMBER.fullmatch(text) or not value else OTHER


def _terms(value: Hashable) -> str:
    """Return the terms of an image type as text."""
    return "x".join(plain_terms(value)) if isinstance(value, tuple) else OTHER


@dataclass(frozen=True)
class _Divider:
    """One thing that tells the scans of a series apart.

    values       what it is of each slice
    overlapping  only parts whose ranges of positions overlap are scans of their own: acquisitions
                 that follow each other from feet to head are one scan
    stray        a single slice that differs is left out, also if the others are one scan
    repeated     it only counts where too many slices are at the place of another
    numbered     parts are called by their number, as the values should not be in an id
    shown        a value as text: any text may stand in a header, and this one is stored
    """

    name: str
    values: Callable[[Sequence[Slice]], Sequence[Hashable]]
    overlapping: bool = False
    stray: bool = False
    repeated: bool = False
    numbered: bool = False
    shown: Callable[[Hashable], str] = _numbers


def _each(value: Callable[[Slice], Hashable]) -> Callable[[Sequence[Slice]], Sequence[Hashable]]:
    """Return a function over slices that takes one value of each."""
    return lambda slices: [value(item) for item in slices]


def _people(slices: Sequence[Slice]) -> Sequence[Hashable]:
    """Return what tells people and visits apart where an anonymiser made all ids equal.

    A field that some slices lack says nothing.
    """
    fields = ("birth_date", "sex", "study_date")
    known = [name for name in fields if all(getattr(item.identity, name) for item in slices)]
    return [tuple(getattr(item.identity, name) for name in known) for item in slices]


def _kernels(slices: Sequence[Slice]) -> Sequence[Hashable]:
    """Return the kernels; slices without one have that of the others, if there is only one."""
    known = sorted({item.facts.kernel for item in slices} - {""})
    common = known[0] if len(known) == 1 else ""
    return [item.facts.kernel or common for item in slices]


def _orientations(slices: Sequence[Slice]) -> Sequence[Hashable]:
    """Number the orientations; slices whose axes differ by at most 0.01 have the same."""
    known: list[NDArray[np.float64]] = []
    numbers = []
    for item in slices:
        axes = np.array([*item.row_axis, *item.column_axis])
        same = (n for n, other in enumerate(known) if np.abs(axes - other).max() <= SAME_AXIS)
        number = next(same, len(known))
        known += [axes] if number == len(known) else []
        numbers.append(f"{number + 1}")
    return numbers


DIVIDERS = (
    _Divider("person", _people, stray=True, numbered=True),
    _Divider("stack", _each(lambda item: item.phase.stack)),
    _Divider("orientation", _orientations, stray=True),
    _Divider("matrix", _each(lambda item: item.shape), stray=True),
    _Divider("pixels", _each(lambda item: tuple(round(mm, 3) for mm in item.pixel_mm)), stray=True),
    _Divider("kernel", _kernels, shown=lambda value: plain(value) or "none"),
    _Divider("time", _each(lambda item: item.phase.temporal), overlapping=True),
    _Divider("phase", _each(lambda item: item.phase.cardiac), overlapping=True),
    _Divider("type", _each(lambda item: item.phase.image_type), overlapping=True, shown=_terms),
    _Divider("acquisition", _each(lambda item: item.phase.acquisition), overlapping=True),
    # Times of day and folders are names that no id should hold.
    _Divider("pass", _each(lambda item: item.phase.clock), True, repeated=True, numbered=True),
    _Divider(
        "folder", _each(lambda item: str(item.path.parent)), True, repeated=True, numbered=True
    ),
)


def group_series(slices: Iterable[Slice]) -> list[Part]:
    """Group slices into scans, sorted by the name of their series.

    Slices of one scan have one PatientID, StudyInstanceUID and SeriesInstanceUID (without one: one
    folder). Such a series is split by what DIVIDERS say; each part has at least two slices, and its
    identity and a note say which part it is. An unsplit series keeps its name.
    """
    groups: dict[tuple[str, str, str], list[Slice]] = defaultdict(list)
    for item in slices:
        identity = item.identity
        series = identity.series_uid or f"folder:{item.path.parent}"
        groups[series, identity.patient_id, identity.study_uid].append(item)
    joined, rest = _join_single_slices([groups[key] for key in sorted(groups)])
    return [*joined, *(part for group in rest for part in _split(group))]


def is_dynamic(slices: Sequence[Slice]) -> bool:
    """Tell whether a scan is one time point of several, by its part or its ImageType."""
    terms = {term for item in slices for term in item.phase.image_type}
    return bool(terms & set(DYNAMIC)) or bool(TIME_POINT.search(slices[0].identity.part))


def _join_single_slices(
    groups: Sequence[list[Slice]],
) -> tuple[list[Part], list[list[Slice]]]:
    """Join series of one slice each, where those of a study make up one even scan.

    Some scanners and anonymisers give every slice a SeriesInstanceUID of its own.
    """
    single: dict[Hashable, list[list[Slice]]] = defaultdict(list)
    for group in groups:
        if len(group) == 1:
            single[_geometry(group[0])].append(group)
    joined = []
    for some in single.values():
        slices = [group[0] for group in some]
        if len(slices) >= FEWEST_JOINED and _is_even(along_normal_mm(slices)):
            joined.append((some, _joined(slices)))
    # lists can't be in a set, so their identities are
    gone = {id(group) for some, _ in joined for group in some}
    return [part for _, part in joined], [group for group in groups if id(group) not in gone]


def _geometry(item: Slice) -> Hashable:
    """Return what slices of one scan have in common, whatever their series is called."""
    axes = tuple(round(number, 2) for number in (*item.row_axis, *item.column_axis))
    identity = item.identity
    place = (axes, item.shape, item.pixel_mm, item.facts.kernel, item.facts.thickness_mm)
    return identity.patient_id, identity.study_uid, place


def _is_even(along_mm: NDArray[np.float64]) -> bool:
    """Tell whether slices are at different places, in equal steps."""
    steps = np.diff(np.sort(along_mm))
    usual = float(np.median(steps))
    return usual > SAME_POSITION_MM and bool((np.abs(steps / usual - 1) < EVEN_SHARE).all())


def _joined(slices: Sequence[Slice]) -> Part:
    """Return the slices of many series as one scan, named after the first of them."""
    text = f"{len(slices)} series of one slice each are read as one scan"
    note = Note("series", text, tag="SeriesInstanceUID")
    first = min(slices, key=lambda item: item.identity.series_uid).identity.of_part("joined")
    return tuple(
        replace(item, identity=first, facts=item.facts.with_notes(note)) for item in slices
    )


def _split(slices: Sequence[Slice]) -> list[Part]:
    """Split one series; a part gets its name only if there are several."""
    parts: list[tuple[tuple[str, ...], list[Slice]]] = [((), list(slices))]
    for divider in DIVIDERS:
        parts = [
            (label + more, some) for label, whole in parts for more, some in _divide(whole, divider)
        ]
    if len(parts) == 1:
        return [tuple(parts[0][1])]
    names = _unique(["-".join(label) for label, _ in parts])
    return [
        tuple(_of_part(item, name, len(parts)) for item in some)
        for name, (_, some) in zip(names, parts, strict=True)
    ]


def _of_part(item: Slice, name: str, count: int) -> Slice:
    """Return a slice with the part that it is of, in its identity and in a note."""
    note = Note("series", f"one of the {count} scans of its series: {name.replace('-', ' ')}")
    return replace(item, identity=item.identity.of_part(name), facts=item.facts.with_notes(note))


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names as parts of an id; equal ones get a number."""
    plain = [re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "part" for name in names]
    return [
        name if plain.count(name) == 1 else f"{name}-{plain[:place].count(name) + 1}"
        for place, name in enumerate(plain)
    ]


def _divide(slices: list[Slice], divider: _Divider) -> list[tuple[tuple[str, ...], list[Slice]]]:
    """Divide slices by one divider; one part without a label if that can't or need not be."""
    by_value: dict[Hashable, list[Slice]] = defaultdict(list)
    for item, value in zip(slices, divider.values(slices), strict=True):
        by_value[value].append(item)
    whole: list[tuple[tuple[str, ...], list[Slice]]] = [((), slices)]
    if len(by_value) == 1 or (divider.repeated and not _must_be_divided(slices)):
        return whole
    if divider.overlapping:
        parts = _passes(by_value, divider)
    else:
        ordered = sorted(by_value.items(), key=_order)
        parts = [(divider.shown(value), some) for value, some in ordered]
    small = [some for _, some in parts if len(some) < SMALLEST_PART]
    large = [(label, some) for label, some in parts if len(some) >= SMALLEST_PART]
    # With two passes found, a slice of neither is of a third, such as a bolus test: not of theirs.
    if small and large and (divider.stray or len(large) > 1):
        large = [(label, _without(some, small, divider)) for label, some in large]
        small = []
    if small or len(large) < 2:
        return [((), large[0][1])] if len(large) == 1 and not small else whole
    if divider.numbered:
        large = [(str(number), some) for number, (_, some) in enumerate(large, start=1)]
    return [((divider.name, label), some) for label, some in large]


def along_normal_mm(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Return the slices' positions along the normal of the first one, in mm."""
    normal = np.cross(slices[0].row_axis, slices[0].column_axis)
    positions: NDArray[np.float64] = np.array([item.position_mm for item in slices]) @ normal
    return positions


def count_repeated(along_mm: NDArray[np.float64]) -> tuple[int, int]:
    """Return how many slices are at the place of another, and how many places there are."""
    places = 1 + int((np.diff(np.sort(along_mm)) >= SAME_POSITION_MM).sum())
    return len(along_mm) - places, places


def _must_be_divided(slices: Sequence[Slice]) -> bool:
    """Tell whether too many slices are at the place of another, and they aren't copies.

    Of a folder that was copied, a few slices are enough to tell.
    """
    if not too_many_repeated(slices):
        return False
    along = along_normal_mm(slices)
    order = np.argsort(along, kind="stable")
    pairs = [
        (slices[one], slices[other])
        for one, other in pairwise(order)
        if along[other] - along[one] < SAME_POSITION_MM
    ]
    return not all(have_same_pixels(*pair) for pair in pairs[:COMPARED])


def too_many_repeated(slices: Sequence[Slice]) -> bool:
    """Tell whether more slices are at the place of another than a sequential scan repeats."""
    repeated, places = count_repeated(along_normal_mm(slices))
    return repeated > max(ALWAYS_ALLOWED, MOST_REPEATED * places)


def _without(slices: list[Slice], strays: list[list[Slice]], divider: _Divider) -> list[Slice]:
    """Note on a scan's slices which ones of the series are left out."""
    files = sorted(item.path.name for some in strays for item in some)
    notes = [
        Note("files", f"a slice is left out: another {divider.name} than the others have", name)
        for name in files
    ]
    return [replace(item, facts=item.facts.with_notes(*notes)) for item in slices]


def _passes(
    by_value: dict[Hashable, list[Slice]], divider: _Divider
) -> list[tuple[str, list[Slice]]]:
    """Join parts that follow each other; return one list of slices for each pass over the body.

    In the order of their values, a part joins the first pass that it doesn't overlap.
    """
    passes: list[tuple[str, list[Slice], list[tuple[float, float]]]] = []
    for value, some in sorted(by_value.items(), key=_order):
        reach = _reach(some)
        fitting = (one for one in passes if not any(_overlap(reach, other) for other in one[2]))
        found = next(fitting, None)
        if found is None:
            passes.append((divider.shown(value), list(some), [reach]))
        else:
            found[1].extend(some)
            found[2].append(reach)
    return [(label, some) for label, some, _ in passes]


def _reach(slices: Sequence[Slice]) -> tuple[float, float]:
    """Return the lowest and the highest position along the slice normal, in mm."""
    along = along_normal_mm(slices)
    return float(along.min()), float(along.max())


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tell whether two ranges overlap: a shared end is no overlap, the same place is one.

    So is a single slice within the other range.
    """
    shared = min(one[1], other[1]) - max(one[0], other[0])
    same = max(abs(one[0] - other[0]), abs(one[1] - other[1])) < SAME_POSITION_MM
    return shared > SAME_POSITION_MM or same or _is_within(one, other) or _is_within(other, one)


def _is_within(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tell whether a range is inside another one, without sharing an end."""
    return other[0] + SAME_POSITION_MM < one[0] and one[1] < other[1] - SAME_POSITION_MM


def _order(entry: tuple[Hashable, list[Slice]]) -> tuple[object, ...]:
    """Return the sort key of a part: numbers by value, then texts."""
    value = entry[0]
    if isinstance(value, str):
        try:
            return (0, float(value), "")
        except ValueError:
            return (1, 0.0, value)
    return (2, 0.0, str(value))
