"""Many tests at once: Holm's adjustment of a family, and the test that one beats all rivals.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
6, 1979: the probability of one or more false differences in the family stays under ALPHA.

Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982: the
claim that one beats every rival has the largest p of its comparisons (intersection–union test), and
needs no adjustment for the number of rivals.
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


def compare_with_floors(
    encoders: Sequence[str], floors: Sequence[str], compare: Callable[[int, int], Difference]
) -> tuple[Pair, ...]:
    """Compare each encoder with the floor that it beats least surely; Holm over encoders.

    A pair's p is that of beating every floor: the largest p, 1 where the encoder is not better.
    `compare` takes the positions of an encoder and a floor.
    """
    if not floors:
        return ()
    hardest = []
    for one in range(len(encoders)):
        found = [compare(one, other) for other in range(len(floors))]
        ps = [each.p if each.value > 0 else 1.0 for each in found]
        # of several with p = 1, the one that is farthest ahead
        place = max(range(len(floors)), key=lambda k: (ps[k], -found[k].value))
        hardest.append((floors[place], found[place], ps[place]))
    names = [(one, floor) for one, (floor, _, _) in zip(encoders, hardest, strict=True)]
    return adjust(names, [each for _, each, _ in hardest], [p for _, _, p in hardest])


def adjust(
    names: Sequence[tuple[str, str]],
    differences: Sequence[Difference],
    ps: Sequence[float] | None = None,
) -> tuple[Pair, ...]:
    """Adjust p of some comparisons, given by name, as one family.

    ps: their p, by default those of the differences.
    """
    if not differences:
        return ()
    every = [each.p for each in differences] if ps is None else ps
    rejected, adjusted, *_ = multipletests(every, ALPHA, method="holm")
    return tuple(
        Pair(*pair, difference, float(p), bool(separable))
        for pair, difference, p, separable in zip(
            names, differences, adjusted, rejected, strict=True
        )
    )
