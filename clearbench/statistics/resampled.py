"""Tests and intervals for repeated cross-validation, whose folds are not independent.

Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003: the variance
of a mean over J folds is σ² · (1 / J + n_test / n_train); for repeated folds Bouckaert and Frank,
"Evaluating the replicability of significance tests for comparing learning algorithms", PAKDD 2004.

Both take σ² over all folds, with J − 1 degrees of freedom, as if every fold had new patients. But
repeats share their patients: their means differ little, so σ² over all folds is too small. Here σ²
is taken within repeats. J − 1 degrees of freedom are too many as well. Given the patients' values,
R repeats are R random partitions into K folds, so by the law of total variance
1 / df = 1 / (n − 1) + (1 / (K − 1) − 1 / (n − 1)) / R. That is K − 1 for one repeat, and never more
than n − 1 for n patients, however many repeats there are; 5 × 5 folds of 100 patients have 17. The
error rate with trained heads is in benchmarks/reports/protocol.md.

The correction assumes that two folds correlate by their share of test units. Where heads depend
more on their training patients, this test has too many false alarms too, but fewer than other tests
(benchmarks/comparisons.py).
"""

from dataclasses import dataclass
from math import asin, inf, isfinite, pi, sqrt

import numpy as np
from scipy.stats import t as student_t

from clearbench.arrays import Floats
from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import LEVEL, Score
from clearbench.statistics.t_test import NO_SPREAD, t_test


@dataclass(frozen=True)
class Design:
    """The design of a cross-validation: which folds share patients.

    `test_per_train` is n_test / n_train of a fold, 1 / 4 for five folds; `repeats` [folds] is the
    repeat of each fold; `patients` is the number of tested patients.
    """

    test_per_train: float
    repeats: tuple[int, ...]
    patients: int

    def spread(self, values: Floats) -> tuple[float, float]:
        """Return the variance σ² of a fold's value, and its degrees of freedom.

        values [folds], NaN where a fold has none; at least two folds have one.
        """
        known = ~np.isnan(values)
        repeats = np.array(self.repeats)[known]
        names, place = np.unique(repeats, return_inverse=True)
        contrasts = len(repeats) - len(names)
        if not contrasts:  # one fold per repeat: each is a random test set
            return float(values[known].var(ddof=1)), len(repeats) - 1
        means = np.bincount(place, values[known]) / np.bincount(place)
        within = float(((values[known] - means[place]) ** 2).sum()) / contrasts
        each = contrasts / len(names)
        # max, so that 1 / each - rest is never negative.
        rest = 1 / max(self.patients - 1, each)
        return within, 1 / (rest + (1 / each - rest) / len(names))


def compare_folds(one: Floats, other: Floats, design: Design) -> Difference:
    """Return how much one encoder's mean over folds is above another's, tested against 0.

    one and other [folds] are scores on the same folds (the mean over the heads of a fold). Folds
    without a score of either don't count. Raises BadTask with fewer than two folds.
    """
    if len(one) != len(other):
        raise BadTask(f"{len(one)} folds can't be paired with {len(other)}; use one split for both")
    # Subtracted fold by fold: a hard fold is hard for both encoders.
    return t_test(*_corrected(one - other, design))


def cv_interval(scores: Floats, design: Design, bounds: tuple[float, float] = (-inf, inf)) -> Score:
    """Return an encoder's mean over folds [folds] with its interval at LEVEL.

    Between finite bounds the interval is that of arcsin √score, whose variance depends little on
    the score (Bartlett, "The use of transformations", Biometrics 3, 1947). So near a bound the
    interval is longer on the side away from it. Raises BadTask with fewer than two folds.
    """
    value, se, df = _corrected(scores, design)
    low, high = bounds
    # If all folds are at a bound, se is 0, and the division below would fail.
    if not (isfinite(low) and isfinite(high)) or se < NO_SPREAD:
        found = t_test(value, se, df)
        return Score(value, max(found.low, low), min(found.high, high))
    width = high - low
    place = (value - low) / width
    # Delta method: the slope of arcsin √p is 1 / √(4 p (1 - p)).
    half = float(student_t.ppf((1 + LEVEL) / 2, df)) * se / width / sqrt(4 * place * (1 - place))
    # Clipped, because sin² turns back beyond these angles.
    angles = np.clip(asin(sqrt(place)) + np.array([-half, half]), 0, pi / 2)
    ends = low + width * np.sin(angles) ** 2
    return Score(value, float(ends[0]), float(ends[1]))


def _corrected(values: Floats, design: Design) -> tuple[float, float, float]:
    """Return the mean of values over folds, its standard error and degrees of freedom, without NaN.

    Raises BadTask with fewer than two folds, or without test patients.
    """
    known = ~np.isnan(values)
    count = int(known.sum())
    if count < 2:
        raise BadTask(f"{count} folds with a score can't be tested; use more folds or repeats")
    # "not >" refuses NaN too.
    if not design.test_per_train > 0:
        raise BadTask(f"n_test / n_train must be above 0, not {design.test_per_train}")
    variance, df = design.spread(values)
    se = np.sqrt(variance * (1 / count + design.test_per_train))
    return float(values[known].mean()), float(se), df
