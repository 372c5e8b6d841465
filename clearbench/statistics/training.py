"""Two encoders on a fixed test set: the chance of its patients, and that of the training patients.

A test of fixed heads tells these heads apart, not their encoders, and calls encoders that are alike
different too often (benchmarks/comparisons.py, heads that wobble). So the variance of the
difference over training sets is added, from heads of training patients drawn with replacement. As
in a two-way layout of training sets by test patients (Chen, Gallas and Yousef, "Classifier
variability: accounting for training and testing", Pattern Recognition 45, 2012), what those heads
differ by because the test patients are few is taken off first; it is in the
test variance already.

SHARE of the rest is added. Of a score that depends on the training set linearly the bootstrap shows
the variance as it is. Where heads scatter around an optimum the dependence is quadratic, and it
shows three times the variance: with δ and its draw δ* alike and normal, Var(|δ + δ*|² | δ) is
3 Var|δ|² on average. A few draws can't tell which; two thirds lie midway between 1 and 1 / 3.

Degrees of freedom after Satterthwaite, "An approximate distribution of estimates of variance
components", Biometrics Bulletin 2, 1946: as many as draws less one for the variance over training
sets, as patients less one for that over test patients.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student_t

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import LEVEL, Score
from clearbench.statistics.student import student

Floats = NDArray[np.float64]

SHARE = 2 / 3


@dataclass(frozen=True)
class Spread:
    """How the difference of two encoders, or a score, varies with the training patients.

    values [draws] are those of heads of drawn patients on the one test set, tested
    [draws] their variances over test patients, together the variance of their mean over draws.
    """

    values: Floats
    tested: Floats
    together: float

    @classmethod
    def of(cls, values: Floats, resampled: Floats) -> "Spread":
        """Gather values [draws], and the same under draws of test patients [draws, resamples]."""
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
            raise BadTask(f"{count} draws of training patients have no spread")
        few = (float(self.tested.mean()) - self.together) * count / (count - 1)
        return SHARE * max(0.0, float(self.values.var(ddof=1)) - max(0.0, few))


@dataclass(frozen=True)
class Sampled:
    """The variance of a score or difference over test patients, and how many they are."""

    variance: float
    patients: int

    def beside(self, spread: Spread) -> tuple[float, float]:
        """Return the variance over test and training patients together, and its df."""
        trained = spread.variance
        total = self.variance + trained
        parts = trained**2 / (len(spread.values) - 1) + self.variance**2 / max(1, self.patients - 1)
        return total, total**2 / parts


def widen(score: Score, tested: Sampled, spread: Spread, bounds: tuple[float, float]) -> Score:
    """Widen one encoder's interval, that of test patients alone, by the variance of training.

    Both ends move away from the value in proportion, and stay within bounds.
    """
    if not tested.variance > 0 or np.isnan([*spread.values, score.low]).any():
        return score
    total, df = tested.beside(spread)
    quantile = (1 + LEVEL) / 2
    tails = float(student_t.ppf(quantile, df) / norm.ppf(quantile))
    factor = sqrt(total / tested.variance) * tails
    low = score.value - factor * (score.value - score.low)
    high = score.value + factor * (score.high - score.value)
    return Score(score.value, max(low, bounds[0]), min(high, bounds[1]))


def compare_trained(value: float, tested: Sampled, spread: Spread) -> Difference:
    """Test a difference against 0, over test and training patients."""
    if not tested.variance + spread.variance > 0:
        return student(value, 0.0)
    total, df = tested.beside(spread)
    return student(value, sqrt(total), df)
