import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from clearbench.errors import BadTask
from clearbench.statistics.resampled import Design, compare_folds, cv_interval

FIVE = Design(1 / 4, (0,) * 5, 100)


def design(folds: int, ratio: float = 0.25, repeats: int = 1, patients: int = 10**9) -> Design:
    """Return folds that share out evenly among repeats."""
    return Design(ratio, tuple(np.arange(folds) * repeats // folds), patients)


def test_it_is_the_example_of_scikit_learns_guide() -> None:
    """ "Statistical comparison of models using grid search": t 0.750, one-sided p 0.227 by t(99).

    The guide takes all repeated folds as independent; here degrees of freedom are fewer.
    """
    features, labels = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    curved, straight = (
        cross_val_score(SVC(kernel=kernel), features, labels, scoring="roc_auc", cv=folds)
        for kernel in ("rbf", "linear")
    )
    found = compare_folds(curved, straight, design(100, 10 / 90, repeats=100, patients=100))
    assert found.value / found.se == pytest.approx(0.750, abs=5e-4)
    assert found.p / 2 == pytest.approx(0.227, abs=5e-4)
    assert found.df == 99
    repeated = compare_folds(curved, straight, design(100, 10 / 90, repeats=10, patients=100))
    assert repeated.se > found.se
    assert repeated.df == pytest.approx(49.5)


def test_repeats_share_their_patients() -> None:
    """K − 1 degrees of freedom of one repeat, and never more than patients less one."""
    designs = [design(5 * n, repeats=n, patients=100) for n in (1, 2, 5, 1000)]
    free = [each.spread(np.arange(len(each.repeats)) * 1.0)[1] for each in designs]
    assert free == sorted(free)
    assert free[0] == pytest.approx(4)
    assert free[2] == pytest.approx(17.3, abs=0.1)
    assert 95 < free[3] < 99


def test_degrees_of_freedom_are_those_of_the_variance_of_folds_of_normal_values() -> None:
    """A variance varies by twice its square over df: 60 normal values, 5 × 5 folds of 12."""
    rng, folds, found = np.random.default_rng(0), design(25, repeats=5, patients=60), []
    for values in rng.normal(size=(4000, 60)):
        each = np.concatenate([rng.permutation(values).reshape(5, 12) for _ in range(5)])
        found.append(folds.spread(each.mean(axis=1))[0])
    assert np.mean(found) == pytest.approx(1 / 12, rel=0.02)
    true = 2 * np.mean(found) ** 2 / np.var(found)
    assert folds.spread(np.arange(25) * 1.0)[1] == pytest.approx(true, rel=0.1)


def test_what_repeats_differ_by_is_no_part_of_a_folds_variance() -> None:
    folds = np.tile([0.1, 0.2, 0.3, 0.4, 0.5], 5)
    moved = folds + np.repeat(np.arange(5.0), 5)
    twice = design(25, repeats=5)
    assert twice.spread(moved) == pytest.approx(twice.spread(folds))


def test_repeats_of_one_fold_each_are_random_test_sets() -> None:
    found = Design(0.25, (0, 1, 2, 3), 50).spread(np.array([0.1, 0.2, 0.3, 0.4]))
    assert found == pytest.approx((np.var([0.1, 0.2, 0.3, 0.4], ddof=1), 3))


def test_the_interval_is_students_with_the_corrected_variance() -> None:
    """Differences .01 to .05 by .01: mean .03, s² .00025; t(4) at 97.5 % is 2.776 in any table."""
    found = compare_folds(np.array([0.51, 0.62, 0.73, 0.84, 0.95]), np.arange(5, 10) / 10, FIVE)
    half = 2.776 * np.sqrt(0.00025 * (1 / 5 + 1 / 4))
    assert (found.low, found.high) == pytest.approx((0.03 - half, 0.03 + half), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.floats(0.01, 2))
def test_it_is_the_plain_t_test_with_a_wider_error(seed: int, folds: int, ratio: float) -> None:
    one, other = np.random.default_rng(seed).random((2, folds))
    found, plain = compare_folds(one, other, design(folds, ratio)), ttest_1samp(one - other, 0)
    assert found.value / found.se == pytest.approx(plain.statistic / np.sqrt(1 + folds * ratio))
    assert found.p > plain.pvalue
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_folds_without_a_score_of_either_are_left_out() -> None:
    one = np.array([0.5, np.nan, 0.7, 0.9, 0.6])
    other = np.array([0.4, 0.3, np.nan, 0.6, 0.7])
    kept = [0, 3, 4]
    assert compare_folds(one, other, FIVE) == compare_folds(one[kept], other[kept], design(3))


def test_one_encoders_interval_is_that_of_an_angle() -> None:
    """AUROC .75 ± .04 by t(4): 60° is its angle, ± 2.776 · .04 / √(4 · .75 · .25), back again."""
    scores = 0.75 + 0.04 / np.sqrt(0.45) * np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    found = cv_interval(scores, FIVE, (0.0, 1.0))
    half = 2.776 * 0.04 / np.sqrt(4 * 0.75 * 0.25)
    wanted = [np.sin(np.pi / 3 - half) ** 2, np.sin(np.pi / 3 + half) ** 2]
    assert (found.low, found.high) == pytest.approx(wanted, abs=1e-4)
    assert found.value - found.low > found.high - found.value
    kappa = cv_interval(2 * scores - 1, FIVE, (-1.0, 1.0))
    assert (kappa.low, kappa.high) == pytest.approx((2 * found.low - 1, 2 * found.high - 1))


def test_a_score_without_bounds_has_students_interval() -> None:
    scores = np.array([0.9, 1.0, 0.95, 1.0])
    free, kept = cv_interval(scores, design(4)), cv_interval(scores, design(4), (0.0, 1.0))
    assert free.value == kept.value == pytest.approx(0.9625)
    assert kept.low < free.value < kept.high <= 1.0 < free.high
    above = cv_interval(scores, design(4), (0.0, np.inf))
    assert (above.low, above.high) == (free.low, free.high)


def test_a_perfect_score_is_a_point() -> None:
    found = cv_interval(np.ones(5), FIVE, (0.0, 1.0))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_differences_without_spread_are_a_point() -> None:
    ones = np.ones(5)
    same, apart = compare_folds(ones, ones, FIVE), compare_folds(ones, ones / 2, FIVE)
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
        compare_folds(np.array(one), np.array(other), design(len(one), ratio))
