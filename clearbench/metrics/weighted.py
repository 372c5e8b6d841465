"""Sums and ratios over weighted draws, NaN where there is nothing to divide by."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, NaN where there is nothing to divide by."""
    found: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return found


def mean_known(rows: Floats) -> Floats:
    """Return the mean over the first axis, leaving NaN out; NaN where all are."""
    known = ~np.isnan(rows)
    return ratio(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(float))


def both_drawn(truth: Floats, weights: Floats, values: Floats) -> Floats:
    """Keep a value only where both classes were drawn."""
    drawn = [(weights * (truth == k)).sum(axis=1) > 0 for k in (0, 1)]
    return np.where(drawn[0] & drawn[1], values, np.nan)
