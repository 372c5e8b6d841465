"""How often decisions are right.

Truth and predicted [n] are class numbers, weights [b, n] how often each unit is drawn; returns [b].
Definitions as in scikit-learn.
"""

import numpy as np

from clearbench.metrics.weighted import Floats, both_drawn, mean_known, ratio


def balanced_accuracy(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return the mean recall of the classes of `truth`; predicted and truth are class numbers."""
    recalls = [
        ratio(
            (weights * ((truth == k) & (predicted == k))).sum(axis=1),
            (weights * (truth == k)).sum(axis=1),
        )
        for k in np.unique(truth)
    ]
    return mean_known(np.stack(recalls)) if recalls else np.full(len(weights), np.nan)


def label_balanced_accuracy(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return the balanced accuracy of one label (0 or 1); NaN unless both classes are drawn."""
    return both_drawn(truth, weights, balanced_accuracy(truth, predicted, weights))


def f1(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return 2·TP / (2·TP + FP + FN) of the positive class; NaN where no positive is drawn."""
    hit = (weights * ((truth == 1) & (predicted == 1))).sum(axis=1)
    wrong = (weights * (truth != predicted)).sum(axis=1)
    return np.where(
        (weights * (truth == 1)).sum(axis=1) > 0, ratio(2 * hit, 2 * hit + wrong), np.nan
    )


def quadratic_kappa(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return the agreement beyond chance, errors counted by the square of the classes between.

    Cohen, "Weighted kappa", Psychological Bulletin 70, 1968. With squares, the expected error is
    that of two independent draws: E[t²] + E[g²] − 2·E[t]·E[g]. NaN where both are one
    and the same class throughout.
    """
    total = weights.sum(axis=1)
    error = ratio(weights @ (truth - predicted) ** 2, total)
    squares = ratio(weights @ (truth**2 + predicted**2), total)
    means = ratio(weights @ truth, total) * ratio(weights @ predicted, total)
    return 1 - ratio(error, np.maximum(squares - 2 * means, 0.0))
