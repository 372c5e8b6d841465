"""How two results of one task are compared: by its kind of split, and its metric.

Cross-validated results are compared fold by fold (corrected resampled t-test). On a fixed or
external test set DeLong gives the variance over test patients where it holds, draws of them
elsewhere; heads of drawn training patients give that over training sets.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from clearbench.board.contenders import Contender
from clearbench.board.predictions import Spoken
from clearbench.errors import BadTask
from clearbench.evaluation.statistics.bootstrap import compare_draws
from clearbench.evaluation.statistics.comparison import Difference
from clearbench.evaluation.statistics.delong import Areas, compare_areas, delong_areas, mean_areas
from clearbench.evaluation.statistics.resampled import Design, compare_folds
from clearbench.evaluation.statistics.training import Sampled, Spread, compare_trained

Floats = NDArray[np.float64]

FOLDS = "corrected resampled t-test over folds"
AREAS = "DeLong"
DRAWS = "paired bootstrap over patients"


def method_of(contender: Contender) -> str:
    """Return how results of this kind are compared."""
    if contender.result.crossed:
        return FOLDS
    heads = list(contender.spoken.values())
    alone = all(len(set(each.patients)) == len(each.patients) for each in heads)
    return AREAS if contender.result.metric == "auroc" and alone else DRAWS


def told_method(contenders: Sequence[Contender]) -> str:
    """Say how these are compared, and what the comparison leaves out."""
    method = method_of(contenders[0])
    if method == FOLDS:
        return method
    bare = sorted({each.result.encoder for each in contenders if len(each.redrawn) < 2})
    whole = f"{method}, with the variance over training patients drawn anew"
    if not bare:
        return whole
    return f"{whole}; not for {', '.join(bare)}: their heads alone are compared (--draws 10)"


def compare(one: Contender, other: Contender) -> Difference:
    """Return how much `one` scores above `other`, on the units and folds that both have.

    Heads of one fold count as their mean, however many seeds either has.

    Raises BadTask where they have nothing in common, or one of them has no value there.
    """
    common = one.units & other.units
    if not common or not set(one.by_fold) & set(other.by_fold):
        raise BadTask(f"{one.name} and {other.name} were tested on nothing in common")
    ways = {FOLDS: _by_folds, AREAS: _by_areas, DRAWS: _by_draws}
    return ways[method_of(one)](one, other, common)


def _by_folds(one: Contender, other: Contender, common: frozenset[str]) -> Difference:
    """Compare fold by fold, heads of one fold averaged."""
    folds = sorted(set(one.by_fold) & set(other.by_fold))
    mine, its = (np.array([_fold_value(of, fold, common) for fold in folds]) for of in (one, other))
    rows = one.result.fold_scores
    shares = [row["test"] / (row["train"] + row["tune"]) for row in rows]
    repeats = tuple(repeat for repeat, _ in folds)
    return compare_folds(mine, its, Design(float(np.mean(shares)), repeats, _people(one, common)))


def _people(of: Contender, units: frozenset[str]) -> int:
    """Return how many patients some units are of."""
    asked = {
        pair for each in of.spoken.values() for pair in zip(each.units, each.patients, strict=True)
    }
    return len({patient for unit, patient in asked if unit in units})


def _fold_value(of: Contender, fold: tuple[int, int], common: frozenset[str]) -> float:
    """Return the metric on one fold, the mean over its heads."""
    heads = [each.among(common) for each in of.by_fold[fold]]
    found = [float(of.measure(each, np.ones((1, len(each.units))))[0]) for each in heads]
    return float(np.mean(found))


def _by_areas(one: Contender, other: Contender, common: frozenset[str]) -> Difference:
    """Compare two AUROCs, each the mean over seeds."""

    def areas(heads: Sequence[tuple[Spoken, Spoken]]) -> list[Areas]:
        return [_areas(mine.among(common), its.among(common)) for mine, its in heads]

    whole = mean_areas(areas(_beside(list(one.spoken.values()), list(other.spoken.values()))))
    found = compare_areas(whole, 0, 1)
    again = areas([(one.redrawn[draw], other.redrawn[draw]) for draw in _draws(one, other)])
    if not again:
        return found
    each = [compare_areas(area, 0, 1) for area in again]
    spread = Spread(
        values=np.array([difference.value for difference in each]),
        tested=np.array([difference.se**2 for difference in each]),
        together=compare_areas(mean_areas(again), 0, 1).se ** 2,
    )
    return compare_trained(found.value, Sampled(found.se**2, _people(one, common)), spread)


def _beside(mine: Sequence[Spoken], its: Sequence[Spoken]) -> list[tuple[Spoken, Spoken]]:
    """Pair the heads of both so that each is there equally often."""
    return list(zip(mine, its, strict=True) if len(mine) == len(its) else product(mine, its))


def _areas(mine: Spoken, its: Spoken) -> Areas:
    """Return both AUROCs of one pair of heads, where truth is known."""
    known = ~np.isnan(mine.truth[:, 0])
    scores = np.stack([mine.scores[known, 0], its.scores[known, 0]], axis=1)
    return delong_areas(mine.truth[known, 0], scores)


def _draws(one: Contender, other: Contender) -> list[int]:
    """Return the draws of training patients that both have; one alone has no spread."""
    both = sorted(set(one.redrawn) & set(other.redrawn))
    return both if len(both) > 1 else []


def _by_draws(one: Contender, other: Contender, common: frozenset[str]) -> Difference:
    """Compare under the same draws of patients, the metric averaged over seeds."""
    mine, its = one.drawn(common), other.drawn(common)
    found = compare_draws(mine["whole"].beside(its["whole"]), 0, 1)
    both = _draws(one, other)
    if not both:
        return found
    rows = [np.searchsorted(sorted(of.redrawn), both) for of in (one, other)]
    values = mine["redrawn"].values[rows[0]] - its["redrawn"].values[rows[1]]
    draws = mine["redrawn"].draws[rows[0]] - its["redrawn"].draws[rows[1]]
    tested = Sampled(found.se**2, _people(one, common))
    return compare_trained(found.value, tested, Spread.of(values, draws))
