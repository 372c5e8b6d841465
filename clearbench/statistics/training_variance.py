"""Two encoders on a fixed test set: variance over test patients plus variance over training sets.

A test of fixed heads compares these heads, not their encoders: it has too many false alarms for
encoders of equal quality (benchmarks/comparisons.py, heads that wobble). So the variance of the
difference over training sets is added. It comes from draws: heads retrained on training patients
drawn with replacement. These heads also differ because the test patients are few. That part is in
the test variance already, so it is subtracted first, as in a two-way layout of training sets by
test patients (Chen, Gallas and Yousef, "Classifier variability: accounting for training and
testing", Pattern Recognition 45, 2012).

SHARE of the rest is added. Where a score depends on the training set linearly, the bootstrap shows
the true variance, and all of it should be added. Where heads scatter around an optimum the
dependence is quadratic, and the bootstrap shows three times the variance: for normal δ and δ* of
equal variance, Var(|δ + δ*|² | δ) is 3 Var|δ|² on average. A few draws can't show which case
holds; 2 / 3 is midway between 1 and 1 / 3.

Degrees of freedom are those of Satterthwaite, "An approximate distribution of estimates of variance
components", Biometrics Bulletin 2, 1946: draws − 1 for the variance over training sets, and
patients − 1 for the variance over test patients.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from clearbench.arrays import Floats
from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import LEVEL, Score
from clearbench.statistics.t_test import t_test

SHARE = 2 / 3  # between linear (1) and quadratic (1 / 3) dependence on the training set


@dataclass(frozen=True)
class Spread:
    """How a score, or the difference of two encoders, varies over training sets.

    values [draws]: of the retrained heads on the one test set; tested [draws]: their variances over
    test patients; together: the variance over test patients of the mean over draws
    """

    values: Floats
    tested: Floats
    together: float

    @classmethod
    def of(cls, values: Floats, resampled: Floats) -> "Spread":
        """Gather values [draws], and the same on resamples of test patients [draws, resamples]."""
        return cls(
            values=values,
            tested=np.nanvar(resampled, axis=1, ddof=1),
            together=float(np.nanvar(resampled.mean(axis=0), ddof=1)),
        )

    @property
    def variance(self) -> float:
        """Return the variance over training sets; raises BadTask with fewer than two draws."""
        count = len(self.values)
        if count < 2:
            raise BadTask(f"{count} retrained heads show no spread; retrain 2 or more")
        # Expected variance over draws that comes from the few test patients alone.
        few = (float(self.tested.mean()) - self.together) * count / (count - 1)
        # Both are estimates, and differences of them can be negative by chance.
        return SHARE * max(0.0, float(self.values.var(ddof=1)) - max(0.0, few))


@dataclass(frozen=True)
class Sampled:
    """The variance of a score or difference over test patients, and the number of patients."""

    variance: float
    patients: int

    def with_training(self, spread: Spread) -> tuple[float, float]:
        """Return the variance over test patients and training sets, and its degrees of freedom."""
        trained = spread.variance
        total = self.variance + trained
        parts = trained**2 / (len(spread.values) - 1) + self.variance**2 / max(1, self.patients - 1)
        return total, total**2 / parts


def widen(score: Score, tested: Sampled, spread: Spread, bounds: tuple[float, float]) -> Score:
    """Widen one encoder's interval over test patients by the variance over training sets.

    Both ends move away from the value by the same factor, and stay within bounds.
    """
    if not tested.variance > 0 or np.isnan([*spread.values, score.low]).any():
        return score
    total, df = tested.with_training(spread)
    quantile = (1 + LEVEL) / 2
    # Few draws need Student's tails; the bootstrap's interval has about normal ones.
    tails = float(student_t.ppf(quantile, df) / norm.ppf(quantile))
    factor = sqrt(total / tested.variance) * tails
    low = score.value - factor * (score.value - score.low)
    high = score.value + factor * (score.high - score.value)
    return Score(score.value, max(low, bounds[0]), min(high, bounds[1]))


def compare_trained(value: float, tested: Sampled, spread: Spread) -> Difference:
    """Test a difference against 0, over test patients and training sets."""
    if not tested.variance + spread.variance > 0:
        return t_test(value, 0.0)
    total, df = tested.with_training(spread)
    return t_test(value, sqrt(total), df)
