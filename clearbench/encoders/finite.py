"""Features that are not finite, or not once they are stored: which slices, and the way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clearbench.encoders.device import Precision
from clearbench.errors import name_some

WAYS_OUT: MappingProxyType[Precision, str] = MappingProxyType(
    {
        "float16": "float16 ends at 65,504: use precision bfloat16 or float32 "
        "(--precision bfloat16)",
        "bfloat16": "try precision float32 (--precision float32)",
        "float32": "so it isn't the precision: look at these slices, and try the encoder with "
        "`clearbench models check`",
    }
)
UNIFORM = (
    "one value in every pixel, by whose spread of 0 some encoders divide; leave such slices out, "
    "or let the encoder divide by a little more than 0"
)


def uniform_images(images: Tensor) -> NDArray[np.bool_]:
    """Return which images [b, c, …] have one value in each channel, as an empty slice has."""
    flat = images.flatten(2)
    uniform: NDArray[np.bool_] = (flat.amax(2) == flat.amin(2)).all(1).cpu().numpy()
    return uniform


@dataclass(frozen=True)
class Embedded:
    """Features [n, views, dim] of one scan, and what they were made of.

    present, uniform  [n, views]: which were embedded, and which of images with one value
    slices            the numbers of the slices; -1 for a whole scan
    """

    features: NDArray[np.float32]
    present: NDArray[np.bool_]
    uniform: NDArray[np.bool_]
    slices: Sequence[int]
    precision: Precision

    @property
    def not_finite(self) -> NDArray[np.bool_]:
        """Which features [n, views] are NaN or infinite; absent views are NaN on purpose."""
        return ~np.isfinite(self.features).all(axis=2) & self.present


def why_not_finite(embedded: Embedded) -> str:
    """Return why features can't be used, and the way out; "" if all are finite."""
    bad = embedded.not_finite
    if not bad.any():
        return ""
    return f"{_share(bad, embedded.present)} are NaN or infinite; {way_out(embedded)}"


def way_out(embedded: Embedded) -> str:
    """Name the slices whose features are not finite, and what to do for the precision in use."""
    bad, uniform, slices = embedded.not_finite, embedded.uniform, embedded.slices
    everything = bool((bad == embedded.present).all())
    empty, others = bad & uniform, bad & ~uniform
    parts = []
    if empty.any():
        parts.append(f"{_named(empty, slices)} uniform: {UNIFORM}")
    # where no slice was right, half a precision may be to blame for uniform ones too
    if others.any() or (everything and embedded.precision != "float32"):
        named = "" if everything else f"{_numbers(others, slices)}: "
        parts.append(f"{named}computed in {embedded.precision}, {WAYS_OUT[embedded.precision]}")
    return "; ".join(parts)


def as_stored(features: NDArray[np.float32], store_dtype: str) -> NDArray[np.floating]:
    """Return features in the type of the store; what it can't hold becomes infinite or 0."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return features.astype(np.dtype(store_dtype))


def why_not_stored(
    features: NDArray[np.float32], stored: NDArray[np.floating], present: NDArray[np.bool_]
) -> str:
    """Return what the store's type loses of finite features [n, views, dim]; "" if nothing."""
    infinite = ~np.isfinite(stored).all(axis=2) & present
    if infinite.any():
        return _lost(infinite, present, f"too large for {stored.dtype}")
    gone = (features != 0).any(axis=2) & (stored == 0).all(axis=2) & present
    return _lost(gone, present, f"too small for {stored.dtype}") if gone.any() else ""


def _lost(bad: NDArray[np.bool_], present: NDArray[np.bool_], why: str) -> str:
    """Return how many features are lost, and the way out."""
    return f"{_share(bad, present)} are {why}; store float32 (--store-dtype float32)"


def _share(bad: NDArray[np.bool_], present: NDArray[np.bool_]) -> str:
    """Return how many features are bad; the same words for every scan of which all are."""
    if (bad == present).all():
        return "all features"
    return f"{int(bad.sum())} of {int(present.sum())} features"


def _named(rows: NDArray[np.bool_], slices: Sequence[int]) -> str:
    """Name slices as the subject of a sentence: "slices 0, 3 are"."""
    numbers = _numbers(rows, slices)
    return f"{numbers} {'are' if numbers.startswith('slices') else 'is'}"


def _numbers(rows: NDArray[np.bool_], slices: Sequence[int]) -> str:
    """Name the slices of marked rows [n, views]."""
    wanted = [slices[row] for row in np.flatnonzero(rows.any(axis=1)).tolist()]
    if wanted == [-1]:
        return "the scan"
    noun = "slice" if len(wanted) == 1 else "slices"
    return f"{noun} {name_some([str(number) for number in wanted])}"
