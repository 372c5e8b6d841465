"""Tests and intervals for repeated cross-validation, whose folds are not independent.

Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003: the variance
of a mean over J folds is σ² · (1 / J + n_test / n_train), t with J − 1 degrees of freedom; for
repeated folds Bouckaert and Frank, "Evaluating the replicability of significance tests for
comparing learning algorithms", PAKDD 2004.

It takes two folds to correlate as their share of test units says. Heads that depend more than that
on who trained them make it too sure as well (benchmarks/comparisons.py), if less than other tests.
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadTask
from clearbench.evaluation.statistics.comparison import Difference
from clearbench.evaluation.statistics.intervals import Score
from clearbench.evaluation.statistics.student import student

Floats = NDArray[np.float64]


def compare_folds(one: Floats, other: Floats, test_per_train: float) -> Difference:
    """Return how much one encoder's mean over folds lies above another's, tested against 0.

    one and other [folds] are scores on the same folds (with several heads a fold, their mean);
    folds that lack either don't count. `test_per_train` is n_test / n_train of a fold: 1 / 4 for
    five folds. Raises BadTask with fewer than two folds.
    """
    if len(one) != len(other):
        raise BadTask(f"{len(one)} folds can't be paired with {len(other)}; use one split for both")
    return _corrected(one - other, test_per_train)


def cv_interval(
    scores: Floats, test_per_train: float, bounds: tuple[float, float] = (-inf, inf)
) -> Score:
    """Return an encoder's mean over folds [folds] with its interval at LEVEL, kept within bounds.

    Raises BadTask with fewer than two folds.
    """
    found = _corrected(scores, test_per_train)
    return Score(found.value, max(found.low, bounds[0]), min(found.high, bounds[1]))


def _corrected(values: Floats, test_per_train: float) -> Difference:
    """Test the mean of values over folds against 0, leaving NaN out."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        raise BadTask(f"{len(known)} folds with a score can't be tested; use more folds or repeats")
    if not test_per_train > 0:
        raise BadTask(f"n_test / n_train must be above 0, not {test_per_train}")
    variance = float(known.var(ddof=1)) * (1 / len(known) + test_per_train)
    return student(float(known.mean()), float(np.sqrt(variance)), len(known) - 1)
