import numpy as np
import pytest

from clearbench.metrics import brier, expected_calibration_error


def test_a_forecast_that_is_always_half_is_calibrated_and_useless() -> None:
    truth, score = np.arange(40) % 2 * 1.0, np.full(40, 0.5)
    assert expected_calibration_error(truth, score, np.ones((1, 40)))[0] == 0.0
    assert brier(truth, score, np.ones((1, 40)))[0] == 0.25


def test_bins_hold_the_same_number_of_units() -> None:
    """30 units in 15 bins of two: scores .01 apart, truth 0 then 1, so each pair is half right."""
    score = np.arange(30) / 100 + 0.3
    truth = np.arange(30) % 2 * 1.0
    pairs = score.reshape(15, 2).mean(axis=1)
    expected = np.abs(pairs - 0.5).mean()
    found = expected_calibration_error(truth, score, np.ones((1, 30)))[0]
    assert found == pytest.approx(expected)


def test_a_calibrated_forecast_has_a_small_error_and_a_bold_one_a_large() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    truth = (rng.random(20_000) < probability) * 1.0
    bold = np.where(probability > 0.5, 0.99, 0.01)
    weights = np.ones((1, 20_000))
    assert expected_calibration_error(truth, probability, weights)[0] < 0.015
    assert expected_calibration_error(truth, bold, weights)[0] == pytest.approx(0.24, abs=0.01)


def test_an_empty_resample_is_missing() -> None:
    truth, score = np.array([0.0, 1.0]), np.array([0.2, 0.6])
    weights = np.array([[1.0, 1.0], [0.0, 0.0]])
    for metric in (brier, expected_calibration_error):
        assert np.isnan(metric(truth, score, weights)).tolist() == [False, True]
        assert np.isnan(metric(truth[:0], score[:0], weights[:, :0])).all()
