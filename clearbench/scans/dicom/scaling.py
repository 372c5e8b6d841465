"""Does the header say how stored values become HU? What it doesn't say is refused or noted."""

from collections.abc import Sequence
from dataclasses import replace

from clearbench.errors import UnreadableScan, name_some
from clearbench.scans.dicom.records import Slice
from clearbench.scans.hu import WAY_OUT, HuRules
from clearbench.scans.notes import Note


def check_scales(
    slices: Sequence[Slice], rules: HuRules
) -> tuple[tuple[Slice, ...], tuple[Note, ...]]:
    """Return the slices of one scan with a scale each, and notes.

    Raises UnreadableScan, with the files, where a scale is missing and stored values can't be HU,
    or where only some slices have one. `rules` gives the offset that is missing, or accepts it.
    """
    without = [item for item in slices if not item.scale.explicit]
    notes = (*_eight_bits(slices), *_different_scales(slices))
    if not without and rules.hu_offset is None:
        return tuple(slices), notes
    if not without:
        more = rules.hu_offset or 0.0
        shifted = tuple(_shifted(item, item.scale.intercept + more) for item in slices)
        return shifted, (*notes, *rules.notes())
    reason = _why_not(slices, without)
    files = name_some([item.path.name for item in without])
    known = rules.accept_hu or rules.hu_offset is not None
    if reason and not known:
        raise UnreadableScan(f"{reason} ({files}); {WAY_OUT}")
    offset = rules.hu_offset or 0.0
    scaled = tuple(item if item.scale.explicit else _shifted(item, offset) for item in slices)
    given = rules.hu_offset is not None
    how = f"hu_offset {offset:+g} is added" if given else "stored values are taken as HU"
    text = f"{reason or 'no RescaleIntercept in the header'}; {how}"
    return scaled, (*notes, Note("values", text, files, "RescaleIntercept"))


def _shifted(item: Slice, intercept: float) -> Slice:
    """Return a slice whose stored values get this intercept."""
    return replace(item, scale=replace(item.scale, intercept=intercept, explicit=True))


def _why_not(slices: Sequence[Slice], without: Sequence[Slice]) -> str:
    """Return why slices without a scale can't be taken as HU; "" if they can."""
    if len(without) < len(slices):
        return f"{len(without)} of {len(slices)} slices have no RescaleIntercept"
    if without[0].scale.bits == 8:
        return "8-bit pixels without RescaleSlope and RescaleIntercept"
    if any(item.scale.unsigned for item in without):
        return "no RescaleIntercept, and stored values can't be below 0"
    return ""


def _different_scales(slices: Sequence[Slice]) -> tuple[Note, ...]:
    """Note what differs between slices in how values are stored: right in few scanners' files."""
    scales = [item.scale for item in slices]
    stated = [scale for scale in scales if scale.explicit and not scale.table]
    notes = []
    for tag, numbers in (
        ("RescaleSlope", {scale.slope for scale in stated}),
        ("RescaleIntercept", {scale.intercept for scale in stated}),
        ("BitsStored", {scale.bits_stored for scale in scales}),
        ("PixelRepresentation", {int(not scale.unsigned) for scale in scales}),
    ):
        if len(numbers) > 1:
            values = name_some([f"{number:g}" for number in sorted(numbers)])
            notes.append(Note("values", f"{tag} differs between slices ({values})", tag=tag))
    return tuple(notes)


def _eight_bits(slices: Sequence[Slice]) -> tuple[Note, ...]:
    """Note pixels of 8 bits that have a scale: 256 steps over the whole range."""
    scaled = [item for item in slices if item.scale.bits == 8 and item.scale.explicit]
    if not scaled:
        return ()
    text = f"pixels of 8 bits, in steps of {abs(scaled[0].scale.slope):g} HU"
    return (Note("values", text, scaled[0].path.name, "BitsAllocated"),)
