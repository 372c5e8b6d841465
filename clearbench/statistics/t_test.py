"""An estimate and its standard error → an interval and a p value.

Student, "The probable error of a mean", Biometrika 6, 1908; with df = ∞ the normal distribution.
"""

from math import inf

from scipy.stats import t as student_t

from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import LEVEL

NO_SPREAD = 1e-12  # a smaller standard error is rounding


def t_test(value: float, se: float, df: float = inf) -> Difference:
    """Return the interval at LEVEL and the two-sided p of a difference against 0."""
    if se < NO_SPREAD:
        return Difference(value, value, value, float(abs(value) < NO_SPREAD), 0.0, df)
    half = float(student_t.ppf((1 + LEVEL) / 2, df)) * se
    # sf, because 1 - cdf rounds very small values to 0.
    p = 2 * float(student_t.sf(abs(value) / se, df))
    return Difference(value, value - half, value + half, p, se, df)
