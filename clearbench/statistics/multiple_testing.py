"""Holm's adjustment: all pairs of a task's encoders are one family of tests.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
6, 1979: the probability of one or more false differences in the family stays under ALPHA.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from statsmodels.stats.multitest import multipletests

from clearbench.statistics.comparison import Difference, Pair

ALPHA = 0.05


def compare_all(
    encoders: Sequence[str], compare: Callable[[int, int], Difference]
) -> tuple[Pair, ...]:
    """Compare every two encoders, by their positions, and adjust p for all of them."""
    places = list(combinations(range(len(encoders)), 2))
    names = [(encoders[one], encoders[other]) for one, other in places]
    return adjust(names, [compare(one, other) for one, other in places])


def adjust(names: Sequence[tuple[str, str]], differences: Sequence[Difference]) -> tuple[Pair, ...]:
    """Adjust p of some comparisons, given by name, as one family."""
    if not differences:
        return ()
    rejected, adjusted, *_ = multipletests([each.p for each in differences], ALPHA, method="holm")
    return tuple(
        Pair(*pair, difference, float(p), bool(separable))
        for pair, difference, p, separable in zip(
            names, differences, adjusted, rejected, strict=True
        )
    )
