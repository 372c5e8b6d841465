"""Where a score becomes a decision.

Scores are probabilities of the true frequencies, so a rare label seldom reaches 0.5. Metrics of
decisions ask whether a bag looks more like the label than not if both were as frequent: a score
above the label's frequency in training, its cut.
"""

from clearbench.arrays import Floats

THRESHOLD = 0.5  # of balanced scores


def balanced(target: str, scores: Floats, cuts: Floats | None) -> Floats:
    """Return scores [n, outputs] as if all classes were as frequent; no output changes its order.

    `cuts` [outputs] are the frequencies in training, which become THRESHOLD; without them, scores
    are balanced already. Of classes, each score is divided by its cut, and the greatest is taken.
    A risk is returned as it is.
    """
    if cuts is None or target == "survival":
        return scores
    if target == "multiclass":
        ratio: Floats = scores / cuts
        return ratio
    yes, no = scores * (1 - cuts), (1 - scores) * cuts
    found: Floats = yes / (yes + no)
    return found
