"""Thresholds: the score from which a unit is positive, chosen on the tuning units."""

import numpy as np

from clearbench.arrays import Floats
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.protocol.encoder_data import rows_of
from clearbench.evaluation.protocol.evaluate import Evaluation

RULE = (
    "the greatest balanced accuracy over the tuning units of every fold and seed together, each "
    "scored by its head before that head was fitted to it; a score counts as positive from the "
    "threshold on"
)


def choose_threshold(truth: Floats, scores: Floats) -> float | None:
    """Return the cut of scores [n] with the greatest balanced accuracy against truth [n], 0 or 1.

    Cuts are halfway between neighbouring scores; of equally good cuts the middle one is taken.
    Units of unknown truth (NaN) don't count. None without both classes, or with one score only.
    """
    positives = np.sort(scores[truth == 1])
    negatives = np.sort(scores[truth == 0])
    values = np.unique(np.concatenate([positives, negatives]))
    if not len(positives) or not len(negatives) or len(values) < 2:
        return None
    cuts = (values[1:] + values[:-1]) / 2
    sensitivity = 1 - np.searchsorted(positives, cuts) / len(positives)
    specificity = np.searchsorted(negatives, cuts) / len(negatives)
    total = sensitivity + specificity
    # Equally good cuts may differ by rounding.
    best = np.flatnonzero(total >= total.max() - 1e-12)
    return float(cuts[best[len(best) // 2]])


def choose_thresholds(evaluation: Evaluation) -> tuple[float | None, ...]:
    """Return one threshold per output of an evaluation that kept its heads; see RULE.

    None for an output without both classes, for a multiclass target (the most probable class is
    taken) and for a risk.
    """
    card = evaluation.prepared.task.card
    targets = make_targets(card.target, evaluation.units.targets, len(card.classes))
    if targets.output_type != "labels":
        return (None,) * len(card.outputs)
    tuning = [
        (targets.values[rows_of(each.fold.tune, evaluation.units)], each.head.tuning_)
        for each in evaluation.fold_results
        if each.head is not None
    ]
    truth, scores = (np.concatenate(parts) for parts in zip(*tuning, strict=True))
    return tuple(choose_threshold(truth[:, k], scores[:, k]) for k in range(targets.outputs))
