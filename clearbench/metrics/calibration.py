"""Calibration: how near probabilities are to the truth.

truth [n] is 0 or 1, score [n] a probability, weights [b, n] how often each resample has each unit
→ [b], NaN for an empty resample. Lower is better for both metrics.
"""

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.metrics.weighted import ratio

BINS = 15


def brier(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the mean squared distance of score and truth (Brier, Monthly Weather Review 1950)."""
    return ratio(weights @ (score - truth) ** 2, weights.sum(axis=1))


def expected_calibration_error(
    truth: Floats, score: Floats, weights: Floats, bins: int = BINS
) -> Floats:
    """Return the mean distance of score and frequency over bins of equal mass.

    Naeini, Cooper and Hauskrecht, AAAI 2015, with the bins of equal mass of Nguyen and O'Connor,
    EMNLP 2015. Tied scores share the bin of their middle. In small samples it is too high, because
    the frequency in a bin of a few units is never exact.
    """
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ranks = np.unique(score[order], return_index=True)[1]
    mass = np.add.reduceat(weights[:, order], ranks, axis=1)
    excess = np.add.reduceat((weights * (score - truth))[:, order], ranks, axis=1)
    # Each resample has its own range of bin numbers, so one bincount serves all of them.
    places = _bin_of(mass, bins) + bins * np.arange(len(weights))[:, None]
    sums = np.bincount(places.ravel(), excess.ravel(), minlength=bins * len(weights))
    gaps = sums.reshape(len(weights), bins)
    return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def _bin_of(mass: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each group of tied scores, by the middle of its mass [b, groups]."""
    # Twice the middle, so that whole weights give whole numbers and no bin depends on rounding.
    doubled = 2 * np.cumsum(mass, axis=1) - mass
    # An empty resample would divide by 0.
    total = np.maximum(2 * mass.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    # A last group of weight 0 has its middle at the very end, which is no bin.
    place: NDArray[np.int64] = np.minimum((bins * doubled) // total, bins - 1).astype(np.int64)
    return place
