from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadTask
from clearbench.metrics import auroc, score_outputs
from clearbench.statistics.bootstrap import (
    Resampling,
    bootstrap,
    compare_resampled,
    measure_outputs,
    percentile_interval,
)
from clearbench.statistics.delong import area_interval, compare_areas, delong_areas


def names(n: int) -> tuple[str, ...]:
    return tuple(f"p{i:04}" for i in range(n))


def sample(n: int, seed: int, apart: float = 0.0) -> tuple[Any, Any]:
    """Truth [n] and two encoders' scores [n, 2], correlated through the patients."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(n) % 3 == 0) * 1.0
    patient = rng.normal(size=n)
    noise = rng.normal(size=(n, 2))
    logits = truth[:, None] * [1.2 + apart, 1.2] + 0.7 * patient[:, None] + 0.7 * noise
    return truth, 1 / (1 + np.exp(-logits))


def of_aurocs(truth: Any, scores: Any, resampling: Resampling) -> Any:
    """Resample the AUROC of each encoder's scores [n, encoders]."""
    measures = [lambda w, s=column: {"auroc": auroc(truth, s, w)} for column in scores.T]
    return bootstrap(measures, resampling)["auroc"]


def test_it_agrees_with_delong_on_a_large_sample() -> None:
    truth, scores = sample(900, 0)
    found = of_aurocs(truth, scores, Resampling(names(900), resamples=4000))
    areas = delong_areas(truth, scores)
    delong, resampled = compare_areas(areas, 0, 1), compare_resampled(found, 0, 1)
    assert resampled.value == pytest.approx(delong.value)
    assert resampled.se == pytest.approx(delong.se, rel=0.06)
    assert resampled.p == pytest.approx(delong.p, abs=0.03)
    interval, exact = percentile_interval(found, 0), area_interval(areas, 0)
    assert interval.value == pytest.approx(exact.value)
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), abs=0.003)


def test_every_metric_of_the_target_is_resampled() -> None:
    truth, scores = sample(60, 1)
    measures = [measure_outputs("binary", truth[:, None], column[:, None]) for column in scores.T]
    found = bootstrap(measures, Resampling(names(60), resamples=20))
    plain = score_outputs("binary", truth[:, None], scores[:, :1], np.ones((1, 60)))
    assert found.keys() == plain.keys()
    for name, resampled in found.items():
        assert resampled.values[0] == plain[name][0]
        assert resampled.resampled.shape == (2, 20)


def test_patients_are_resampled_with_all_their_units() -> None:
    """Every row four times adds no information: the interval must not shrink."""
    truth, scores = sample(50, 2)
    once = of_aurocs(truth, scores, Resampling(names(50), resamples=400))
    often = of_aurocs(
        np.tile(truth, 4), np.tile(scores, (4, 1)), Resampling(names(50) * 4, resamples=400)
    )
    np.testing.assert_allclose(often.resampled, once.resampled)


def test_draws_do_not_depend_on_how_many_are_held_at_once() -> None:
    resampling = Resampling(names(30), resamples=25, seed=5)
    pieces = list(resampling.weights(chunk=4))
    assert [len(piece) for piece in pieces] == [4] * 6 + [1]
    whole = np.concatenate(list(resampling.weights()))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert (whole.sum(axis=1) == 30).all()
    other = np.concatenate(list(Resampling(names(30), resamples=25, seed=6).weights()))
    assert (whole != other).any()


def test_strata_keep_the_number_of_positive_patients() -> None:
    """Three scans a patient, of which some of a positive patient are negative."""
    patients = tuple(np.repeat(names(20), 3))
    truth = np.zeros((20, 3))
    truth[:3, 0] = 1
    resampling = Resampling(patients, tuple(truth.ravel().astype(int)), resamples=300)
    weights = np.concatenate(list(resampling.weights())).reshape(300, 20, 3)
    assert (weights == weights[:, :, :1]).all()
    assert (weights[:, :3, 0].sum(axis=1) == 3).all()
    assert (weights[:, 3:, 0].sum(axis=1) == 17).all()
    free = np.concatenate(list(Resampling(patients, resamples=300).weights())).reshape(300, 20, 3)
    assert (free[:, :3, 0].sum(axis=1) == 0).any()


def test_a_large_difference_is_found_and_none_is_not() -> None:
    truth, scores = sample(200, 3, apart=1.5)
    found = of_aurocs(truth, scores, Resampling(names(200), resamples=999))
    better, worse = compare_resampled(found, 0, 1), compare_resampled(found, 1, 0)
    assert better.low > 0
    assert better.p == pytest.approx(2 / 1000)
    assert worse.p == better.p
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))
    same = of_aurocs(truth, scores[:, [0, 0]], Resampling(names(200), resamples=99))
    equal = compare_resampled(same, 0, 1)
    assert (equal.value, equal.low, equal.high, equal.p) == (0.0, 0.0, 0.0, 1.0)


def test_what_a_p_says_the_interval_says_too() -> None:
    seen = set()
    for seed in range(40):
        truth, scores = sample(60, seed, apart=0.5)
        found = compare_resampled(
            of_aurocs(truth, scores, Resampling(names(60), resamples=499)), 0, 1
        )
        seen.add(found.p < 0.05)
        if abs(found.p - 0.05) > 0.01:
            assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    assert seen == {True, False}


def test_a_sample_without_a_class_has_no_interval_and_no_comparison() -> None:
    scores = np.random.default_rng(0).random((10, 2))
    found = of_aurocs(np.ones(10), scores, Resampling(names(10), resamples=20))
    missing = percentile_interval(found, 0)
    assert np.isnan([missing.value, missing.low, missing.high]).all()
    with pytest.raises(BadTask, match="without a value"):
        compare_resampled(found, 0, 1)


def test_mostly_missing_draws_are_refused_with_their_number() -> None:
    def fickle(weights: Any) -> dict[str, Any]:
        return {"m": np.where(weights[:, 0] == 1, weights[:, 1], np.nan)}

    found = bootstrap([fickle, fickle], Resampling(names(30), resamples=200))["m"]
    lost = int(np.isnan(found.resampled[0]).sum())
    assert 100 < lost < 200
    with pytest.raises(
        BadTask, match=f"{lost} of 200 resamples have no score; resample within strata"
    ):
        percentile_interval(found, 0)
    with pytest.raises(BadTask, match="resamples have no score"):
        compare_resampled(found, 0, 1)
