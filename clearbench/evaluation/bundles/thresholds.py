"""The score from which a unit is called positive, chosen on units that were not yet learnt from."""

import numpy as np

from clearbench.arrays import Floats
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.protocol.encoder_data import rows_of
from clearbench.evaluation.protocol.evaluate import Evaluation

RULE = (
    "the greatest balanced accuracy over the tuning units of every fold and seed together, each "
    "scored by its head before that head learnt from it; a score counts as positive from the "
    "threshold on"
)


def choose_threshold(truth: Floats, scores: Floats) -> float | None:
    """Return the cut of scores [n] with the greatest balanced accuracy against truth [n], 0 or 1.

    Cuts lie halfway between neighbouring scores; of equally good ones the middle one is taken. An
    unknown truth (NaN) counts for nothing. None where one kind, or a second score, is missing.
    """
    positives = np.sort(scores[truth == 1])
    negatives = np.sort(scores[truth == 0])
    values = np.unique(np.concatenate([positives, negatives]))
    if not len(positives) or not len(negatives) or len(values) < 2:
        return None
    cuts = (values[1:] + values[:-1]) / 2
    found = 1 - np.searchsorted(positives, cuts) / len(positives)
    spared = np.searchsorted(negatives, cuts) / len(negatives)
    best = np.flatnonzero(found + spared >= (found + spared).max() - 1e-12)
    return float(cuts[best[len(best) // 2]])


def choose_thresholds(evaluation: Evaluation) -> tuple[float | None, ...]:
    """Return one threshold per output of an evaluation whose heads were kept; see RULE.

    None for an output without both kinds, for classes (the likeliest is taken) and for a risk.
    """
    card = evaluation.prepared.task.card
    targets = make_targets(card.target, evaluation.units.targets, len(card.classes))
    if targets.output_type != "labels":
        return (None,) * len(card.outputs)
    heard = [
        (targets.values[rows_of(answer.fold.tune, evaluation.units)], answer.head.tuning_)
        for answer in evaluation.fold_results
        if answer.head is not None
    ]
    truth, scores = (np.concatenate(parts) for parts in zip(*heard, strict=True))
    return tuple(choose_threshold(truth[:, k], scores[:, k]) for k in range(targets.outputs))
