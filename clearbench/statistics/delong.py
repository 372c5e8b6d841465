"""The variance of AUROCs on one test set, and the test of two of them.

DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
operating characteristic curves", Biometrics 44, 1988; by midranks in O(n log n) after Sun and Xu,
"Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21, 2014.

DeLong assumes independent units and scores of one fixed head. So it serves a test set with one
unit per patient; scores of cross-validation need `resampled`, several units per patient need
`bootstrap`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from clearbench.arrays import Floats
from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import Score
from clearbench.statistics.t_test import t_test


@dataclass(frozen=True)
class Areas:
    """AUROCs of several encoders on the same units.

    values [encoders]; positives [positives, encoders]: the share of negatives below each positive;
    negatives [negatives, encoders]: the share of positives above each negative
    """

    values: Floats
    positives: Floats
    negatives: Floats

    @property
    def covariance(self) -> Floats:
        """Return DeLong's covariance of the areas [encoders, encoders]."""
        shares = (self.positives, self.negatives)
        parts = [np.cov(part, rowvar=False) / len(part) for part in shares]
        # For one encoder np.cov returns a single number.
        return np.atleast_2d(parts[0] + parts[1])


def delong_areas(truth: Floats, scores: Floats) -> Areas:
    """Return the areas of scores [n, encoders] for truth [n] (0 or 1), with their components.

    Raises BadTask without two units of each class, or where a score is not a number.
    """
    positive, negative = scores[truth == 1], scores[truth == 0]
    if min(len(positive), len(negative)) < 2:
        raise BadTask(
            f"DeLong's variance needs two units of each class, not {len(positive)} positive and "
            f"{len(negative)} negative; test on more patients"
        )
    if np.isnan(scores).any():
        raise BadTask("a score of the test set is not a number; evaluate that encoder again")
    # Rank among all minus rank in the own class is the number of the other class below.
    # Tied scores have their mean rank, so a tied pair counts half.
    every = rankdata(np.concatenate([positive, negative]), axis=0)
    above = (every[: len(positive)] - rankdata(positive, axis=0)) / len(negative)
    below = 1 - (every[len(positive) :] - rankdata(negative, axis=0)) / len(positive)
    return Areas(above.mean(axis=0), above, below)


def mean_areas(heads: Sequence[Areas]) -> Areas:
    """Return the mean areas of several heads of each encoder, on the same units."""
    return Areas(
        np.mean([each.values for each in heads], axis=0),
        np.mean([each.positives for each in heads], axis=0),
        np.mean([each.negatives for each in heads], axis=0),
    )


def area_interval(areas: Areas, encoder: int) -> Score:
    """Return one AUROC with its interval at LEVEL, kept within 0 and 1.

    The interval of a perfect AUROC is a point: DeLong's variance is 0 there.
    """
    value = float(areas.values[encoder])
    found = t_test(value, _se(areas.positives[:, encoder], areas.negatives[:, encoder]))
    return Score(value, max(found.low, 0.0), min(found.high, 1.0))


def compare_areas(areas: Areas, one: int, other: int) -> Difference:
    """Return how much the AUROC of encoder `one` is above that of `other`, tested against 0."""
    return t_test(
        float(areas.values[one] - areas.values[other]),
        _se(
            # Subtracted unit by unit, so that the covariance of the two areas counts.
            areas.positives[:, one] - areas.positives[:, other],
            areas.negatives[:, one] - areas.negatives[:, other],
        ),
    )


def _se(positives: Floats, negatives: Floats) -> float:
    """Return the standard error of a mean over positives and negatives."""
    return float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in (positives, negatives))))
