"""Scores of predictions, for one weighting of units or thousands at once.

All functions take truth [n] (0 or 1), score [n] and weights [b, n] (how often each unit is drawn)
and return [b]; NaN where a draw lacks positives or negatives. Definitions as in scikit-learn.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

THRESHOLD = 0.5


def auroc(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve: the share of pairs in the right order, ties half."""
    order = np.argsort(score, kind="stable")
    ranks = np.unique(score[order], return_index=True)[1]
    positive = np.add.reduceat(weights[:, order] * (truth[order] == 1), ranks, axis=1)
    negative = np.add.reduceat(weights[:, order] * (truth[order] == 0), ranks, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * (below + 0.5 * negative)).sum(axis=1), pairs)


def average_precision(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the mean precision over the recalls of falling thresholds."""
    order = np.argsort(-score, kind="stable")
    ranks = np.unique(-score[order], return_index=True)[1]
    positive = np.add.reduceat(weights[:, order] * (truth[order] == 1), ranks, axis=1)
    every = np.add.reduceat(weights[:, order], ranks, axis=1)
    precision = _ratio(np.cumsum(positive, axis=1), np.cumsum(every, axis=1))
    has_both = (weights * (truth == 0)).sum(axis=1) > 0
    found = _ratio((np.nan_to_num(precision) * positive).sum(axis=1), positive.sum(axis=1))
    return np.where(has_both, found, np.nan)


def balanced_accuracy(truth: Floats, guess: Floats, weights: Floats) -> Floats:
    """Return the mean recall of the classes of `truth`; guess and truth are class numbers."""
    recalls = [
        _ratio(
            (weights * ((truth == k) & (guess == k))).sum(axis=1),
            (weights * (truth == k)).sum(axis=1),
        )
        for k in np.unique(truth)
    ]
    return _mean(np.stack(recalls)) if recalls else np.full(len(weights), np.nan)


def f1(truth: Floats, guess: Floats, weights: Floats) -> Floats:
    """Return 2·TP / (2·TP + FP + FN) of the positive class."""
    hit = (weights * ((truth == 1) & (guess == 1))).sum(axis=1)
    wrong = (weights * (truth != guess)).sum(axis=1)
    return np.where(
        (weights * (truth == 1)).sum(axis=1) > 0, _ratio(2 * hit, 2 * hit + wrong), np.nan
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, NaN where there is nothing to divide by."""
    found: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return found


def _mean(rows: Floats) -> Floats:
    """Return the mean over the first axis, leaving NaN out; NaN where all are."""
    known = ~np.isnan(rows)
    return _ratio(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(float))


def score_outputs(
    target: str,
    truth: Floats,
    scores: Floats,
    weights: Floats,
    unscored: Collection[int] = (),
) -> dict[str, Floats]:
    """Return every metric of a target by name, macro and per output, each [b].

    truth [n, labels] (class number for multiclass, NaN unknown), scores [n, outputs]; outputs that
    are `unscored` have NaN and don't count in the macro metrics. Names: auroc, average_precision, …
    for binary; auroc_macro and auroc/<output number> otherwise.
    """
    if target == "multiclass":
        return _multiclass(truth[:, 0], scores, weights, unscored)
    found: dict[str, list[Floats]] = {}
    for column in range(scores.shape[1]):
        known = ~np.isnan(truth[:, column]) & (column not in unscored)
        one = _binary(truth[known, column], scores[known, column], weights[:, known])
        for name, values in one.items():
            found.setdefault(name, []).append(values)
    if target == "binary":
        return {name: values[0] for name, values in found.items()}
    return _with_macro(found)


def _binary(truth: Floats, score: Floats, weights: Floats) -> dict[str, Floats]:
    """Score one label; classes are told apart at 0.5, for which heads are class-weighted."""
    guess = (score >= THRESHOLD).astype(float)
    return {
        "auroc": auroc(truth, score, weights),
        "average_precision": average_precision(truth, score, weights),
        "balanced_accuracy": _both(truth, weights, balanced_accuracy(truth, guess, weights)),
        "f1": f1(truth, guess, weights),
    }


def _both(truth: Floats, weights: Floats, values: Floats) -> Floats:
    """Keep a value only where both classes were drawn."""
    drawn = [(weights * (truth == k)).sum(axis=1) > 0 for k in (0, 1)]
    return np.where(drawn[0] & drawn[1], values, np.nan)


def _multiclass(
    truth: Floats, scores: Floats, weights: Floats, unscored: Collection[int]
) -> dict[str, Floats]:
    """Score classes one against the rest, and the most probable class."""
    found: dict[str, list[Floats]] = {}
    guess = scores.argmax(axis=1).astype(float)
    for k in range(scores.shape[1]):
        one, drawn = (truth == k).astype(float), weights * (k not in unscored)
        found.setdefault("auroc", []).append(auroc(one, scores[:, k], drawn))
        found.setdefault("average_precision", []).append(
            average_precision(one, scores[:, k], drawn)
        )
        found.setdefault("f1", []).append(f1(one, (guess == k).astype(float), drawn))
    scored = weights * ~np.isin(truth, list(unscored))
    return _with_macro(found) | {"balanced_accuracy": balanced_accuracy(truth, guess, scored)}


def _with_macro(found: dict[str, list[Floats]]) -> dict[str, Floats]:
    """Name each output's score, and their mean."""
    macro = {f"{name}_macro": _mean(np.stack(values)) for name, values in found.items()}
    each = {
        f"{name}/{k}": value for name, values in found.items() for k, value in enumerate(values)
    }
    return macro | each
