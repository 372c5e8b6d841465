"""The smallest difference that a task could show: how to read "no significant difference".

A two-sided test at ALPHA finds this difference in POWER of all samples, by the noncentral t
distribution (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, ch. 2), at the
standard error of the comparison. For repeated cross-validation that is the corrected standard
error, so the power is as exact as the correction. It holds for one pair, without Holm's adjustment.
Taken from encoders of equal quality it is a little too small, since scores of a weaker encoder vary
more (benchmarks/comparisons.py).
"""

from collections.abc import Sequence
from statistics import median

from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student_t

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.multiple_testing import ALPHA

POWER = 0.8
MANY = 1e6  # degrees of freedom from which on t is the normal distribution; nct needs a finite df


def detectable_difference(differences: Sequence[Difference], power: float = POWER) -> float:
    """Return the smallest difference that a comparison would show: the median over pairs.

    Pairs without spread (encoders with equal scores) don't count. Raises BadTask if none is left.
    """
    found = [each.se * _standard_errors(each.df, power) for each in differences if each.se > 0]
    if not found:
        raise BadTask("no pair of encoders differs in spread; compare two that score differently")
    return median(found)


def _standard_errors(df: float, power: float) -> float:
    """Return how many standard errors the difference must be."""
    free = min(df, MANY)
    critical = float(student_t.ppf(1 - ALPHA / 2, free))

    def lacking(errors: float) -> float:  # the tail of the wrong sign is negligible
        return 1 - float(nct.cdf(critical, free, errors)) - power

    # brentq needs ends of opposite sign: no effect, and one that is nearly always found.
    return float(brentq(lacking, 0.0, 2 * critical + 2))
