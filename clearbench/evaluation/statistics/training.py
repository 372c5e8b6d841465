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
3 Var|δ|² on average. A few draws can't tell which; one half lies between.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadTask
from clearbench.evaluation.statistics.comparison import Difference
from clearbench.evaluation.statistics.intervals import Score
from clearbench.evaluation.statistics.student import student

Floats = NDArray[np.float64]

SHARE = 0.5


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


def widen(score: Score, tested: float, spread: Spread, bounds: tuple[float, float]) -> Score:
    """Widen one encoder's interval, that of test patients alone, by the variance of training.

    `spread` is here that of the score itself, `tested` its variance over test patients. Both ends
    move away from the value in proportion, and stay within bounds.
    """
    if not tested > 0 or np.isnan([*spread.values, score.low]).any():
        return score
    factor = sqrt(1 + spread.variance / tested)
    low = score.value - factor * (score.value - score.low)
    high = score.value + factor * (score.high - score.value)
    return Score(score.value, max(low, bounds[0]), min(high, bounds[1]))


def compare_trained(value: float, tested: float, spread: Spread) -> Difference:
    """Test a difference against 0, `tested` its variance over test patients.

    Degrees of freedom after Satterthwaite, "An approximate distribution of estimates of variance
    components", Biometrics Bulletin 2, 1946.
    """
    trained = spread.variance
    total = tested + trained
    df = total**2 / trained**2 * (len(spread.values) - 1) if trained else inf
    return student(value, sqrt(total), df)
