import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from clearbench.errors import BadTask
from clearbench.evaluation.statistics.resampled import compare_folds, cv_interval


def test_it_is_the_example_of_scikit_learns_guide() -> None:
    """ "Statistical comparison of models using grid search": t 0.750, one-sided p 0.227."""
    features, labels = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    curved, straight = (
        cross_val_score(SVC(kernel=kernel), features, labels, scoring="roc_auc", cv=folds)
        for kernel in ("rbf", "linear")
    )
    found = compare_folds(curved, straight, test_per_train=10 / 90)
    assert found.value / found.se == pytest.approx(0.750, abs=5e-4)
    assert found.p / 2 == pytest.approx(0.227, abs=5e-4)
    assert found.df == 99


def test_the_interval_is_students_with_the_corrected_variance() -> None:
    """Differences .01 to .05 by .01: mean .03, s² .00025; t(4) at 97.5 % is 2.776 in any table."""
    found = compare_folds(np.array([0.51, 0.62, 0.73, 0.84, 0.95]), np.arange(5, 10) / 10, 1 / 4)
    half = 2.776 * np.sqrt(0.00025 * (1 / 5 + 1 / 4))
    assert (found.low, found.high) == pytest.approx((0.03 - half, 0.03 + half), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.floats(0.01, 2))
def test_it_is_the_plain_t_test_with_a_wider_error(seed: int, folds: int, ratio: float) -> None:
    one, other = np.random.default_rng(seed).random((2, folds))
    found, plain = compare_folds(one, other, ratio), ttest_1samp(one - other, 0)
    assert found.value / found.se == pytest.approx(plain.statistic / np.sqrt(1 + folds * ratio))
    assert found.p > plain.pvalue
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_folds_without_a_score_of_either_are_left_out() -> None:
    one = np.array([0.5, np.nan, 0.7, 0.9, 0.6])
    other = np.array([0.4, 0.3, np.nan, 0.6, 0.7])
    kept = [0, 3, 4]
    assert compare_folds(one, other, 0.25) == compare_folds(one[kept], other[kept], 0.25)


def test_one_encoders_interval_stays_within_its_bounds() -> None:
    scores = np.array([0.9, 1.0, 0.95, 1.0])
    free, kept = cv_interval(scores, 0.25), cv_interval(scores, 0.25, (0.0, 1.0))
    assert free.value == kept.value == pytest.approx(0.9625)
    assert free.high > 1.0
    assert kept.high == 1.0
    assert kept.low == free.low


def test_differences_without_spread_are_a_point() -> None:
    ones = np.ones(5)
    same, apart = compare_folds(ones, ones, 0.25), compare_folds(ones, ones / 2, 0.25)
    assert (same.value, same.p, same.se) == (0.0, 1.0, 0.0)
    assert (apart.low, apart.high, apart.p, apart.se) == (0.5, 0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("one", "other", "ratio", "words"),
    [
        ([0.5], [0.4], 0.25, "1 folds"),
        ([0.5, np.nan], [0.4, 0.4], 0.25, "1 folds"),
        ([0.5, 0.6], [0.4], 0.25, "2 folds can't be paired with 1"),
        ([0.5, 0.6], [0.4, 0.4], 0.0, "above 0"),
        ([0.5, 0.6], [0.4, 0.4], np.nan, "above 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    one: list[float], other: list[float], ratio: float, words: str
) -> None:
    with pytest.raises(BadTask, match=words):
        compare_folds(np.array(one), np.array(other), ratio)
