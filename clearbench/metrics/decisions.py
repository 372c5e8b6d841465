"""Metrics of decisions.

truth and predicted [n] are class numbers, weights [b, n] how often each resample has each unit
→ [b]. Definitions are those of scikit-learn.
"""

import numpy as np

from clearbench.arrays import Floats
from clearbench.metrics.weighted import mean_known, ratio, where_both_classes


def balanced_accuracy(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return the mean recall over the classes of `truth`."""
    recalls = [
        ratio(
            (weights * ((truth == k) & (predicted == k))).sum(axis=1),
            (weights * (truth == k)).sum(axis=1),
        )
        for k in np.unique(truth)
    ]
    return mean_known(np.stack(recalls)) if recalls else np.full(len(weights), np.nan)


def label_balanced_accuracy(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return the balanced accuracy of one label (0 or 1); NaN without both classes."""
    return where_both_classes(truth, weights, balanced_accuracy(truth, predicted, weights))


def f1(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return 2·TP / (2·TP + FP + FN) of the positive class; NaN without a positive."""
    hit = (weights * ((truth == 1) & (predicted == 1))).sum(axis=1)
    wrong = (weights * (truth != predicted)).sum(axis=1)
    return np.where(
        (weights * (truth == 1)).sum(axis=1) > 0, ratio(2 * hit, 2 * hit + wrong), np.nan
    )


def quadratic_kappa(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return Cohen's kappa, errors weighted by their square: 1 perfect, 0 at chance level.

    Cohen, "Weighted kappa", Psychological Bulletin 70, 1968. With squares, the error at chance
    level is E[t²] + E[p²] − 2·E[t]·E[p], t and p independent. NaN where truth and prediction are
    one and the same class for all units.
    """
    total = weights.sum(axis=1)
    error = ratio(weights @ (truth - predicted) ** 2, total)
    squares = ratio(weights @ (truth**2 + predicted**2), total)
    means = ratio(weights @ truth, total) * ratio(weights @ predicted, total)
    return 1 - ratio(error, np.maximum(squares - 2 * means, 0.0))
