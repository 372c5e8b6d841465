import numpy as np

from clearbench.statistics.mean_score import mean_score


def test_the_mean_counts_every_value_and_its_interval_draws_patients() -> None:
    values, patients = np.array([0.0, 0.0, 0.0, 1.0]), ("a", "a", "a", "b")
    found = mean_score(values, patients)
    assert found.value == 0.25
    assert (found.low, found.high) == (0.0, 1.0)  # half of the resamples have one patient twice


def test_an_interval_has_the_width_of_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = mean_score(values, tuple(map(str, range(400))))
    assert abs(found.value - values.mean()) < 1e-12
    assert abs((found.high - found.low) / (2 * 1.96 * values.std() / 20) - 1) < 0.1


def test_one_patient_has_no_interval_and_none_no_mean() -> None:
    one = mean_score(np.array([0.2, 0.4]), ("a", "a"))
    assert abs(one.value - 0.3) < 1e-12
    assert np.isnan([one.low, one.high]).all()
    assert np.isnan(mean_score(np.zeros(0), ()).value)
