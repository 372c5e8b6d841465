"""How two results of one task are compared: the method depends on the split and the metric.

Cross-validated results are compared fold by fold (corrected resampled t-test). On a fixed or
external test set the variance over test patients comes from DeLong where it applies, and from the
bootstrap elsewhere; the variance over training sets comes from heads retrained on bootstrapped
training patients.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from clearbench.arrays import Floats
from clearbench.board.compared import ComparedResult
from clearbench.errors import BadTask
from clearbench.results.predictions import StoredPredictions
from clearbench.statistics.bootstrap import compare_resampled
from clearbench.statistics.comparison import Difference
from clearbench.statistics.delong import Areas, compare_areas, delong_areas, mean_areas
from clearbench.statistics.resampled import Design, compare_folds
from clearbench.statistics.training_variance import Sampled, Spread, compare_trained

FOLDS = "corrected resampled t-test over folds"
DELONG = "DeLong"
BOOTSTRAP = "paired bootstrap over patients"


def method_of(compared: ComparedResult) -> str:
    """Return how this result is compared."""
    if compared.result.crossed:
        return FOLDS
    heads = list(compared.predictions.values())
    # DeLong needs independent units: one per patient.
    alone = all(len(set(each.patients)) == len(each.patients) for each in heads)
    return DELONG if compared.result.metric == "auroc" and alone else BOOTSTRAP


def method_sentence(compared: Sequence[ComparedResult]) -> str:
    """Return the method in words, and the encoders without training variance."""
    method = method_of(compared[0])
    if method == FOLDS:
        return method
    bare = sorted({each.result.encoder for each in compared if len(each.retrained) < 2})
    whole = f"{method}, with the variance over retrained heads"
    if not bare:
        return whole
    return f"{whole}; {', '.join(bare)} has no retrained heads (evaluate with --draws 10)"


def compare(one: ComparedResult, other: ComparedResult) -> Difference:
    """Return how much `one` scores above `other`, on the units and folds that both have.

    Heads of one fold count as their mean, however many seeds either has. Raises BadTask if the two
    have nothing in common, or one of them has no value there.
    """
    common = one.units & other.units
    if not common or not set(one.by_fold) & set(other.by_fold):
        raise BadTask(f"{one.name} and {other.name} were not tested on the same patients")
    methods = {FOLDS: _by_folds, DELONG: _by_areas, BOOTSTRAP: _by_bootstrap}
    return methods[method_of(one)](one, other, common)


def _by_folds(one: ComparedResult, other: ComparedResult, common: frozenset[str]) -> Difference:
    """Compare fold by fold, heads of one fold averaged."""
    folds = sorted(set(one.by_fold) & set(other.by_fold))
    first, second = (
        np.array([_fold_value(each, fold, common) for fold in folds]) for each in (one, other)
    )
    rows = one.result.fold_scores
    if not rows:
        raise BadTask(f"the result of {one.name} doesn't say how large its folds are")
    shares = [row["test"] / (row["train"] + row["tune"]) for row in rows]
    repeats = tuple(repeat for repeat, _ in folds)
    design = Design(float(np.mean(shares)), repeats, _count_patients(one, common))
    return compare_folds(first, second, design)


def _count_patients(compared: ComparedResult, units: frozenset[str]) -> int:
    """Return how many patients some units belong to."""
    return len(
        {
            patient
            for each in compared.predictions.values()
            for unit, patient in zip(each.units, each.patients, strict=True)
            if unit in units
        }
    )


def _fold_value(compared: ComparedResult, fold: tuple[int, int], common: frozenset[str]) -> float:
    """Return the metric on one fold, the mean over its heads."""
    heads = [each.among(common) for each in compared.by_fold[fold]]
    found = [float(compared.measure(each, np.ones((1, len(each.units))))[0]) for each in heads]
    return float(np.mean(found))


def _by_areas(one: ComparedResult, other: ComparedResult, common: frozenset[str]) -> Difference:
    """Compare two AUROCs, each the mean over seeds."""

    def areas(heads: Sequence[tuple[StoredPredictions, StoredPredictions]]) -> list[Areas]:
        return [_areas(first.among(common), second.among(common)) for first, second in heads]

    pairs = _head_pairs(list(one.predictions.values()), list(other.predictions.values()))
    found = compare_areas(mean_areas(areas(pairs)), 0, 1)
    retrained = areas(
        [(one.retrained[draw], other.retrained[draw]) for draw in _common_draws(one, other)]
    )
    if not retrained:
        return found
    each = [compare_areas(area, 0, 1) for area in retrained]
    spread = Spread(
        values=np.array([difference.value for difference in each]),
        tested=np.array([difference.se**2 for difference in each]),
        together=compare_areas(mean_areas(retrained), 0, 1).se ** 2,
    )
    tested = Sampled(found.se**2, _count_patients(one, common))
    return compare_trained(found.value, tested, spread)


def _head_pairs(
    first: Sequence[StoredPredictions], second: Sequence[StoredPredictions]
) -> list[tuple[StoredPredictions, StoredPredictions]]:
    """Pair the heads of two results so that each comes equally often."""
    same = len(first) == len(second)
    return list(zip(first, second, strict=True) if same else product(first, second))


def _areas(first: StoredPredictions, second: StoredPredictions) -> Areas:
    """Return both AUROCs of one pair of heads, where truth is known."""
    known = ~np.isnan(first.truth[:, 0])
    scores = np.stack([first.scores[known, 0], second.scores[known, 0]], axis=1)
    return delong_areas(first.truth[known, 0], scores)


def _common_draws(one: ComparedResult, other: ComparedResult) -> list[int]:
    """Return the bootstrap samples of training patients that both have; one alone has no spread."""
    both = sorted(set(one.retrained) & set(other.retrained))
    return both if len(both) > 1 else []


def _by_bootstrap(one: ComparedResult, other: ComparedResult, common: frozenset[str]) -> Difference:
    """Compare under the same bootstrap samples of patients, the metric averaged over seeds."""
    first, second = one.resampled(common), other.resampled(common)
    found = compare_resampled(first["original"].joined(second["original"]), 0, 1)
    both = _common_draws(one, other)
    if not both:
        return found
    # The rows of `resampled` are in the order of the sorted draws.
    rows = [np.searchsorted(sorted(each.retrained), both) for each in (one, other)]
    values: Floats = first["retrained"].values[rows[0]] - second["retrained"].values[rows[1]]
    resampled: Floats = (
        first["retrained"].resampled[rows[0]] - second["retrained"].resampled[rows[1]]
    )
    tested = Sampled(found.se**2, _count_patients(one, common))
    return compare_trained(found.value, tested, Spread.of(values, resampled))
