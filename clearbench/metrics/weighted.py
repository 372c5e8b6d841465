"""Sums and ratios under weights of units, NaN where there is nothing to divide by.

Weights [b, n] are how often each of b resamples has each unit.
"""

import numpy as np

from clearbench.arrays import Floats


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where `whole` is 0."""
    # `where` and `out`, because a plain division by 0 warns.
    found: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return found


def mean_known(rows: Floats) -> Floats:
    """Return the mean over the first axis, leaving NaN out; NaN where all are."""
    known = ~np.isnan(rows)
    # Not np.nanmean: it warns where all are NaN.
    return ratio(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(float))


def where_both_classes(truth: Floats, weights: Floats, values: Floats) -> Floats:
    """Keep a value only where the resample has both classes; else NaN."""
    present = [(weights * (truth == k)).sum(axis=1) > 0 for k in (0, 1)]
    return np.where(present[0] & present[1], values, np.nan)
