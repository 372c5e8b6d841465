"""Ranking metrics: how well scores put positives above negatives.

truth [n] is 0 or 1, score [n], weights [b, n] how often each resample has each unit → [b], NaN
where a resample lacks positives or negatives. Definitions are those of scikit-learn.
"""

import numpy as np

from clearbench.arrays import Floats
from clearbench.metrics.weighted import ratio, where_both_classes

SPECIFICITY = 0.95


def auroc(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve: the share of pairs in right order, ties half."""
    order = np.argsort(score, kind="stable")
    # Tied scores are one group, which reduceat sums for all resamples at once.
    ranks = np.unique(score[order], return_index=True)[1]
    positive = np.add.reduceat(weights[:, order] * (truth[order] == 1), ranks, axis=1)
    negative = np.add.reduceat(weights[:, order] * (truth[order] == 0), ranks, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return ratio((positive * (below + 0.5 * negative)).sum(axis=1), pairs)


def average_precision(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the mean precision over the recalls of falling thresholds, without interpolation."""
    order = np.argsort(-score, kind="stable")
    # np.unique sorts upwards, and scores fall here, hence the minus.
    ranks = np.unique(-score[order], return_index=True)[1]
    positive = np.add.reduceat(weights[:, order] * (truth[order] == 1), ranks, axis=1)
    every = np.add.reduceat(weights[:, order], ranks, axis=1)
    precision = ratio(np.cumsum(positive, axis=1), np.cumsum(every, axis=1))
    has_both = (weights * (truth == 0)).sum(axis=1) > 0
    # Above a resample's first unit, precision is 0 / 0; there is no positive to weigh it.
    found = ratio((np.nan_to_num(precision) * positive).sum(axis=1), positive.sum(axis=1))
    return np.where(has_both, found, np.nan)


def sensitivity_at(
    truth: Floats, score: Floats, weights: Floats, specificity: float = SPECIFICITY
) -> Floats:
    """Return the best sensitivity of any threshold whose specificity is at least `specificity`.

    The thresholds are the scores; nothing is interpolated between them.
    """
    order = np.argsort(-score, kind="stable")
    ranks = np.unique(-score[order], return_index=True)[1]
    found = np.cumsum(
        np.add.reduceat(weights[:, order] * (truth[order] == 1), ranks, axis=1), axis=1
    )
    alarms = np.cumsum(
        np.add.reduceat(weights[:, order] * (truth[order] == 0), ranks, axis=1), axis=1
    )
    # 1e-12: 1 - 0.9 is a little below 0.1, which would forbid 1 false alarm of 10 negatives.
    allowed = (1 - specificity + 1e-12) * (weights * (truth == 0)).sum(axis=1, keepdims=True)
    # initial: without any unit there is no column, and numpy refuses the maximum of nothing.
    best = np.where(alarms <= allowed, found, 0.0).max(axis=1, initial=0.0)
    return where_both_classes(truth, weights, ratio(best, (weights * (truth == 1)).sum(axis=1)))
