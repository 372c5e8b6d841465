"""How small a difference a task could see: the yardstick beside "not told apart".

The difference that a two-sided test at ALPHA finds in POWER of all samples, by the noncentral t
distribution (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, ch. 2), given
the standard error that the comparison found; for repeated cross-validation that is the corrected
one, and the power holds as nearly as the correction does. For one pair alone, not Holm's family.
Judged by encoders that score alike it is a little too small, since the scores of a weaker encoder
scatter more (benchmarks/comparisons.py).
"""

from collections.abc import Sequence
from statistics import median

from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student_t

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.families import ALPHA

POWER = 0.8
MANY = 1e6  # degrees of freedom from which on t is as good as normal


def detectable_difference(differences: Sequence[Difference], power: float = POWER) -> float:
    """Return the smallest difference that a task's pair of encoders would show, their median.

    Pairs without spread (encoders that score alike) don't count. Raises BadTask if no pair is left.
    """
    found = [each.se * _standard_errors(each.df, power) for each in differences if each.se > 0]
    if not found:
        raise BadTask("no pair of encoders differs in spread; compare two that score differently")
    return median(found)


def _standard_errors(df: float, power: float) -> float:
    """Return how many standard errors the difference must be."""
    free = min(df, MANY)
    critical = float(student_t.ppf(1 - ALPHA / 2, free))

    def lacking(errors: float) -> float:  # the other tail, of the wrong sign, is nothing here
        return 1 - float(nct.cdf(critical, free, errors)) - power

    return float(brentq(lacking, 0.0, 2 * critical + 2))
