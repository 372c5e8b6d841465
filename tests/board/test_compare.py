from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student_t

from clearbench.board.compare import BOOTSTRAP, DELONG, compare, method_of
from clearbench.board.compared import ComparedResult
from clearbench.board.standings import make_standings
from clearbench.errors import BadTask
from clearbench.results.predictions import HeadKey, StoredPredictions, read_predictions
from clearbench.results.record import Result
from clearbench.statistics.comparison import Difference
from clearbench.statistics.delong import compare_areas, delong_areas

Make = Callable[..., Result]

FIXED = {"crossed": False, "folds": 1, "repeats": 1}
N = 120
TRUTH = (np.arange(N) % 3 == 0) * 1.0


def head(quality: float, noise: np.ndarray) -> StoredPredictions:
    names = tuple(f"p{i:03}" for i in range(N))
    return StoredPredictions(names, names, TRUTH[:, None], (quality * TRUTH + noise)[:, None])


def result_(
    make_result: Make, encoder: str, wobble: float, seed: int, **facts: object
) -> ComparedResult:
    """A head of quality 1 and ten retrained ones, whose qualities vary."""
    noise = np.random.default_rng(seed).normal(size=N)
    qualities = 1 + wobble * np.random.default_rng(100 + seed).normal(size=10)
    stored = {HeadKey(0, 0, 0): head(1.0, noise)}
    stored |= {HeadKey(0, 0, 0, k): head(q, noise) for k, q in enumerate(qualities, start=1)}
    return ComparedResult(replace(make_result(encoder, 1.0, **FIXED), **facts), stored)


def test_a_fixed_test_set_is_compared_by_delong_and_by_bootstrap(make_result: Make) -> None:
    one, other = make_result("one", 3.0, **FIXED), make_result("other", 0.5, seed=1, **FIXED)
    found = make_standings([one, other])
    assert found is not None
    assert found.method.startswith(DELONG)
    assert "one, other has no retrained heads" in found.method
    by_areas = found.pairs[0].difference
    changed = [replace(r, metric="average_precision") for r in (one, other)]
    compared = [ComparedResult(r, read_predictions(r)) for r in changed]
    assert method_of(compared[0]) == BOOTSTRAP
    by_bootstrap = compare(*compared)
    assert by_areas.value > 0.2
    assert by_bootstrap.value > 0.2
    assert by_areas.p < 0.01
    assert by_bootstrap.p < 0.01


@pytest.mark.parametrize("facts", [{}, {"metric": "average_precision"}])
def test_heads_that_hang_on_their_training_patients_are_compared_less_surely(
    make_result: Make, facts: dict[str, object]
) -> None:
    def compared(wobble: float) -> Difference:
        one, other = (result_(make_result, n, wobble, k, **facts) for k, n in enumerate("ab"))
        return compare(one, other)

    steady, shaken = compared(0.0), compared(1.0)
    assert shaken.value == steady.value
    assert shaken.se > 1.2 * steady.se
    assert shaken.p > steady.p
    assert shaken.df < 100 < steady.df


def test_heads_that_always_agree_leave_delongs_error_with_students_tails(make_result: Make) -> None:
    one, other = (result_(make_result, n, 0.0, k) for k, n in enumerate("ab"))
    scores = np.hstack([each.predictions[HeadKey(0, 0, 0)].scores for each in (one, other)])
    found, plain = compare(one, other), compare_areas(delong_areas(TRUTH, scores), 0, 1)
    assert (found.value, found.se) == pytest.approx((plain.value, plain.se))
    assert found.df == pytest.approx(len(TRUTH) - 1)
    assert found.p == pytest.approx(2 * student_t.sf(abs(plain.value) / plain.se, len(TRUTH) - 1))


def test_an_auroc_is_the_mean_over_seeds_as_the_board_shows_it(make_result: Make) -> None:
    rng = np.random.default_rng(5)
    stored = {HeadKey(0, 0, k): head(1.0, rng.normal(size=N)) for k in range(3)}
    one = ComparedResult(make_result("one", 1.0, **FIXED), stored)
    other = ComparedResult(
        make_result("two", 1.0, **FIXED), {run: head(0, TRUTH * 0) for run in stored}
    )
    once = np.ones((1, N))
    mean = np.mean([one.measure(predictions, once)[0] for predictions in stored.values()])
    assert compare(one, other).value == pytest.approx(mean - 0.5)


@pytest.mark.parametrize("facts", [FIXED, {"crossed": True}], ids=["areas", "folds"])
def test_a_head_without_seeds_meets_the_mean_over_the_others_seeds(
    make_result: Make, facts: dict[str, object]
) -> None:
    rng = np.random.default_rng(5)
    folds = range(1 if facts is FIXED else 3)
    stored = {HeadKey(0, f, k): head(1.0, rng.normal(size=N)) for f in folds for k in range(3)}
    alone = {HeadKey(0, f, 0): head(0.2, rng.normal(size=N)) for f in folds}
    result = replace(make_result("one", 1.0, **FIXED), **facts)
    one, other = ComparedResult(result, stored), ComparedResult(result, alone)
    once = np.ones((1, N))
    first, second = (
        np.mean([each.measure(predictions, once)[0] for predictions in each.predictions.values()])
        for each in (one, other)
    )
    assert compare(one, other).value == pytest.approx(first - second)
    assert compare(other, one).value == pytest.approx(second - first)


def test_a_metric_that_few_resamples_have_is_refused_and_no_silent_nan(make_result: Make) -> None:
    """One patient of each class: over half of the resamples lack one of them."""

    def rare(encoder: str, seed: int) -> ComparedResult:
        scores = np.random.default_rng(seed).normal(size=(4, 1))
        truth = np.array([[1.0], [np.nan], [np.nan], [0.0]])
        names = ("a", "b", "c", "d")
        facts = replace(make_result(encoder, 1.0, **FIXED), metric="balanced_accuracy")
        return ComparedResult(
            facts, {HeadKey(0, 0, 0): StoredPredictions(names, names, truth, scores)}
        )

    with pytest.raises(BadTask, match="of 10000 resamples have no score; resample within strata"):
        compare(rare("one", 0), rare("two", 1))


def test_draws_are_made_once_however_many_are_met(make_result: Make) -> None:
    one = result_(make_result, "one", 0.2, 0, metric="average_precision")
    assert one.resampled(one.units) is one.resampled(one.units)
    assert one.resampled(one.units)["retrained"].resampled.shape == (10, 1000)
