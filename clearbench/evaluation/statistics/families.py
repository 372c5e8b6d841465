"""All pairs of a task's encoders as one family.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
6, 1979: the chance of even one false difference in the family stays under ALPHA.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from statsmodels.stats.multitest import multipletests

from clearbench.evaluation.statistics.comparison import Difference, Pair

ALPHA = 0.05


def compare_all(
    encoders: Sequence[str], compare: Callable[[int, int], Difference]
) -> tuple[Pair, ...]:
    """Compare every two encoders, by their positions, and adjust p for all of them."""
    places = list(combinations(range(len(encoders)), 2))
    differences = [compare(one, other) for one, other in places]
    if not differences:
        return ()
    rejected, adjusted, *_ = multipletests([each.p for each in differences], ALPHA, method="holm")
    return tuple(
        Pair(encoders[one], encoders[other], difference, float(p), bool(separable))
        for (one, other), difference, p, separable in zip(
            places, differences, adjusted, rejected, strict=True
        )
    )
