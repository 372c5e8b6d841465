"""Tests and intervals for repeated cross-validation, whose folds are not independent.

Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003: the variance
of a mean over J folds is σ² · (1 / J + n_test / n_train); for repeated folds Bouckaert and Frank,
"Evaluating the replicability of significance tests for comparing learning algorithms", PAKDD 2004.

Both take σ² over all folds, with J − 1 degrees of freedom, as if every fold brought patients of its
own. Repeats share them: their means differ little, and pooled with the folds make σ² too small. So
it is taken within repeats. And it is known less well than J − 1 says: given the patients' values, R
repeats are R draws of a partition into K folds, and by the law of total variance
1 / df = 1 / (n − 1) + (1 / (K − 1) − 1 / (n − 1)) / R: K − 1 of one repeat, and never more than
n − 1 of n patients however often they are repeated. Of 5 × 5 folds of 100 patients it is 17. How
often it errs, heads trained, is in benchmarks/reports/protocol.md.

It takes two folds to correlate as their share of test units says. Heads that depend more than that
on who trained them make it too sure as well (benchmarks/comparisons.py), if less than other tests.
"""

from dataclasses import dataclass
from math import asin, inf, isfinite, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import LEVEL, Score
from clearbench.statistics.student import NO_SPREAD, student

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """How the folds of a cross-validation hang together.

    `test_per_train` is n_test / n_train of a fold, 1 / 4 for five folds; `repeats` [folds] tells
    which repeat each belongs to; `patients` counts those that are tested.
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
        if not contrasts:  # a fold a repeat: draws of a test side
            return float(values[known].var(ddof=1)), len(repeats) - 1
        means = np.bincount(place, values[known]) / np.bincount(place)
        within = float(((values[known] - means[place]) ** 2).sum()) / contrasts
        each = contrasts / len(names)
        rest = 1 / max(self.patients - 1, each)
        return within, 1 / (rest + (1 / each - rest) / len(names))


def compare_folds(one: Floats, other: Floats, design: Design) -> Difference:
    """Return how much one encoder's mean over folds lies above another's, tested against 0.

    one and other [folds] are scores on the same folds (with several heads a fold, their mean);
    folds that lack either don't count. Raises BadTask with fewer than two folds.
    """
    if len(one) != len(other):
        raise BadTask(f"{len(one)} folds can't be paired with {len(other)}; use one split for both")
    return student(*_corrected(one - other, design))


def cv_interval(scores: Floats, design: Design, bounds: tuple[float, float] = (-inf, inf)) -> Score:
    """Return an encoder's mean over folds [folds] with its interval at LEVEL.

    Between finite bounds it is taken of the angle whose squared sine the score is, which varies
    about equally wherever the score lies (Bartlett, "The use of transformations", Biometrics 3,
    1947): near a bound the interval reaches further away from it than towards it. Raises BadTask
    with fewer than two folds.
    """
    value, se, df = _corrected(scores, design)
    low, high = bounds
    if not (isfinite(low) and isfinite(high)) or se < NO_SPREAD:
        found = student(value, se, df)
        return Score(value, max(found.low, low), min(found.high, high))
    width = high - low
    place = (value - low) / width
    half = float(student_t.ppf((1 + LEVEL) / 2, df)) * se / width / sqrt(4 * place * (1 - place))
    angles = np.clip(asin(sqrt(place)) + np.array([-half, half]), 0, pi / 2)
    ends = low + width * np.sin(angles) ** 2
    return Score(value, float(ends[0]), float(ends[1]))


def _corrected(values: Floats, design: Design) -> tuple[float, float, float]:
    """Return the mean of values over folds, its standard error and degrees of freedom, without NaN.

    Raises BadTask where they can't be told.
    """
    known = ~np.isnan(values)
    count = int(known.sum())
    if count < 2:
        raise BadTask(f"{count} folds with a score can't be tested; use more folds or repeats")
    if not design.test_per_train > 0:
        raise BadTask(f"n_test / n_train must be above 0, not {design.test_per_train}")
    variance, df = design.spread(values)
    se = np.sqrt(variance * (1 / count + design.test_per_train))
    return float(values[known].mean()), float(se), df
