"""Are these values HU? What no CT can be is refused; what is unusual is noted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.notes import Note

Pixels = NDArray[Any]

AIR_HU = -1024  # the lowest value a CT scale holds; anything below is padding
TOP_HU = 32767  # the largest int16
PADDING_HU = -1500  # what is at or below it is padding, and counts for nothing
AIR = (-1024, -850)  # above the first, which many scanners use as padding
SOFT_TISSUE = (-150, 200)
METAL_HU = 3000
LEAST_AIR = 0.005
MOST_METAL = 0.05
LEAST_SOFT_TISSUE = 0.01
NOISE_HU = -1150  # the noise of air rarely goes below it
MOST_CUT = 0.05
SHIFTED_PEAK = (950, 1150)  # soft tissue, where the offset of -1024 or -1000 is missing
SAMPLED = 250_000  # voxels that are looked at
FEWEST = 1000  # fewer say nothing about a scan
BIN_HU = 50


@dataclass(frozen=True)
class HuRules:
    """The user's rules for the values of a scan, from the cohort table.

    hu_offset  is added to the values, if they have no offset of their own
    accept_hu  takes values that would be refused
    window  of 8-bit images: a name, or name=lower:upper in HU
    """

    hu_offset: float | None = None
    accept_hu: bool = False
    window: str = ""

    @property
    def signature(self) -> str:
        """Return a text that differs between rules; "" for none."""
        offset = "" if self.hu_offset is None else f":hu_offset={self.hu_offset:g}"
        window = f":window={self.window}" if self.window else ""
        return offset + (":accept_hu" if self.accept_hu else "") + window

    def notes(self) -> tuple[Note, ...]:
        """Return what the user decided, as notes."""
        notes = []
        if self.hu_offset is not None:
            notes.append(Note("values", f"{self.hu_offset:+g} HU added (hu_offset)"))
        return tuple(notes)


NO_RULES = HuRules()
WAY_OUT = (
    "export the scan in HU; or, in the cohort table, give hu_offset (such as -1024, it is added) "
    "or accept_hu = 1 to take the values as they are"
)


def checked_hu(values: Pixels, rules: HuRules = NO_RULES) -> tuple[Pixels, tuple[Note, ...]]:
    """Return a volume's values as clean HU, with notes on what is unusual.

    The values are looked at before they are clipped. Raises UnreadableScan for NaN, and for values
    that can't be HU, unless `rules` accepts them.
    """
    if rules.hu_offset is not None:
        values = _shifted(values, rules.hu_offset)
    hu = clean_hu(values)
    return hu, (*rules.notes(), *check_values(sample_of(values, SAMPLED), rules))


def _shifted(values: Pixels, offset: float) -> Pixels:
    """Add an offset without wrapping round: in 32 bits, or as float."""
    if np.issubdtype(values.dtype, np.integer) and float(offset).is_integer():
        return values.astype(np.int32) + int(offset)
    return values.astype(np.float32) + np.float32(offset)


def sample_of(values: Pixels, count: int) -> Pixels:
    """Return about `count` values of an array, evenly spread, as one list."""
    return values[spread(values.shape, count)].reshape(-1)


def spread(shape: Sequence[int], count: int) -> tuple[slice, ...]:
    """Return the slices that take about `count` of an array's values, evenly spread."""
    step = max(1, round((math.prod(shape) / count) ** (1 / len(shape))))
    return tuple(slice(min(step, size) // 2, None, step) for size in shape)


def check_values(sample: Pixels, rules: HuRules = NO_RULES) -> tuple[Note, ...]:
    """Return notes on values that are unusual for a CT; raises UnreadableScan if they can't be HU.

    `sample` are voxels before clipping, without the padding that a header names. The limits found
    every wrong volume and no whole real one in trials (docs/refused.md).
    """
    if sample.size < FEWEST:
        return ()
    known = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    inside = known[known > PADDING_HU]
    reason = why_not_hu(known, inside)
    if reason and not rules.accept_hu:
        raise UnreadableScan(f"{reason}; {WAY_OUT}")
    accepted = [f"{reason}; taken all the same (accept_hu)"] if reason else []
    return tuple(Note("values", text) for text in (*accepted, *unusual(inside)))


def why_not_hu(known: Pixels, inside: Pixels) -> str:
    """Return why these values can't be HU; "" if they may be. `inside` are those above padding."""
    if not inside.size:
        return f"no value is above {PADDING_HU} HU (they are {_span(known)})" if known.size else ""
    low, high = inside.min(), inside.max()
    if low == high:
        return f"every voxel is {low:g}"
    if low >= 0 and high <= 1:
        return f"the values are {_span(inside)}: normalised, not HU"
    if _is_shifted(inside):
        return (
            f"the values are {_span(inside)}, most of the body near {_peak(inside):.0f}: "
            "the offset of -1024 (or -1000) is missing"
        )
    return ""


def _is_shifted(inside: Pixels) -> bool:
    """Tell whether soft tissue is where it is without the offset, and nothing is below air.

    With an offset of -1000 missing, air is at 0, and noise puts some of it below.
    """
    if not SHIFTED_PEAK[0] <= _peak(inside) <= SHIFTED_PEAK[1]:
        return False
    if inside.min() >= 0:
        return True
    share_below = float((inside < -200).mean())
    share_air = float((np.abs(inside) <= 100).mean())
    body = float(((inside >= SHIFTED_PEAK[0]) & (inside <= SHIFTED_PEAK[1])).mean())
    return share_below < 0.001 and share_air > 0.05 and body > 0.15


def _peak(values: Pixels) -> float:
    """Return the most common value of the body, to 50 HU: of values above 300; -inf if none."""
    body = values[values > 300]
    if not body.size:
        return -np.inf
    # without the upper limit, one damaged value would make millions of bins
    bins = np.bincount(np.minimum(body, TOP_HU).astype(np.int64) // BIN_HU)
    return float(bins.argmax() * BIN_HU + BIN_HU / 2)


def unusual(inside: Pixels) -> Sequence[str]:
    """Return what is unusual about the values of a CT, padding left out."""
    if not inside.size:
        return ()
    air = float(((inside > AIR[0]) & (inside <= AIR[1])).mean())
    soft = float(((inside >= SOFT_TISSUE[0]) & (inside <= SOFT_TISSUE[1])).mean())
    metal = float((inside >= METAL_HU).mean())
    cut = float((inside < NOISE_HU).mean())
    low, high = inside.min(), inside.max()
    texts = []
    if air < LEAST_AIR:
        texts.append(f"hardly any air: {air:.1%} of the voxels are near -1000 HU")
    if soft < LEAST_SOFT_TISSUE:
        texts.append(f"hardly any soft tissue: {soft:.1%} of the voxels are near 0 HU")
    if metal > MOST_METAL:
        texts.append(f"{metal:.0%} of the voxels are at {METAL_HU} HU or more, like metal")
    if cut > MOST_CUT:
        texts.append(f"{cut:.0%} of the voxels are below {NOISE_HU} HU, and become {AIR_HU}")
    if high > TOP_HU:
        texts.append(f"values of up to {high:g} are cut off at {TOP_HU} HU")
    if low >= 0 and high <= 255:
        texts.append(f"the values are {_span(inside)}, like a window in 8 bits")
    return [f"{text}; check that the values are HU" for text in texts]


def _span(values: Pixels) -> str:
    """Return the least and the greatest value as text."""
    return f"{values.min():g} to {values.max():g}"


def clean_hu(hu: Pixels) -> Pixels:
    """Check HU of any shape; return them as int16 if no digits are lost, else as float32.

    Values below -1024 are padding outside the reconstruction circle and become -1024.
    Raises UnreadableScan if a value is NaN or infinite.
    """
    if np.issubdtype(hu.dtype, np.floating):
        bad = int(hu.size - np.isfinite(hu).sum())
        if bad:
            raise UnreadableScan(f"{bad:,} of {hu.size:,} pixels are NaN or infinite")
        # in 64 bits, a value may be one that becomes infinite in 32
        hu = np.clip(hu, AIR_HU, TOP_HU)
        whole = bool((hu == np.rint(hu)).all())
        return hu.astype(np.int16 if whole else np.float32)
    return np.clip(hu, AIR_HU, TOP_HU).astype(np.int16)
