from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from clearbench.errors import BadTask
from clearbench.metrics import auroc
from clearbench.statistics.delong import area_interval, compare_areas, delong_areas

quickly = settings(max_examples=60, deadline=None)

# Albumin, total protein, K-G score and outcome of 43 of the 49 patients of DeLong et al. 1988, as
# printed in the SAS/STAT 14.1 User's Guide, example 72.8 "Comparing Receiver Operating
# Characteristic Curves": https://support.sas.com/documentation/cdl/en/statug/68162/HTML/default/
# statug_logistic_examples08.htm. The data were compared with that page; its result tables were not
# at hand, so that the numbers below are as they were remembered of it.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3  5 1  3.9 6.8  3 1  2.8 4.8  6 0  3.2 5.8  3 1  0.9 4.0  5 0  2.5 5.7  8 0
1.6 5.6  5 1  3.8 5.7  5 1  3.7 6.7  6 1  3.2 5.4  4 1  3.8 6.6  6 1  4.1 6.6  5 1  3.6 5.7  5 1
4.3 7.0  4 1  3.6 6.7  4 0  2.3 4.4  6 1  4.2 7.6  4 0  4.0 6.6  6 0  3.5 5.8  6 1  3.8 6.8  7 1
3.0 4.7  8 0  4.5 7.4  5 1  3.7 7.4  5 1  3.1 6.6  6 1  4.1 8.2  6 1  4.3 7.0  5 1  4.3 6.5  4 1
3.2 5.1  5 1  2.6 4.7  6 1  3.3 6.8  6 0  1.7 4.0  7 0  3.7 6.1  5 1  3.3 6.3  7 1  4.2 7.7  6 1
3.5 6.2  5 1  2.9 5.7  9 0  2.1 4.8  7 1  2.8 6.2  8 0  4.0 7.0  7 1  3.3 5.7  6 1  3.7 6.9  5 1
3.6 6.6  5 1
"""


def ovarian() -> tuple[Any, Any]:
    """Return the outcome, and albumin, K-G score (falling) and total protein as scores."""
    rows = np.array(OVARIAN.split(), dtype=float).reshape(43, 4)
    return rows[:, 3], np.c_[rows[:, 0], -rows[:, 2], rows[:, 1]]


@st.composite
def cases(draw: Any) -> tuple[Any, Any]:
    """Truth with two or more of each class and two encoders' scores, many of them tied."""
    n = draw(st.integers(4, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    truth = np.r_[0, 0, 1, 1, rng.integers(0, 2, n)].astype(float)
    scores = rng.integers(0, draw(st.sampled_from([2, 5, 10**6])), (len(truth), 2)).astype(float)
    return truth, scores


def by_pairs(truth: Any, scores: Any) -> tuple[Any, Any]:
    """Return areas and covariance from every pair of a positive and a negative."""
    positive, negative = scores[truth == 1], scores[truth == 0]
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    parts = [np.cov(above.mean(axis=1 - axis), rowvar=False) for axis in (0, 1)]
    return above.mean(axis=(0, 1)), parts[0] / len(positive) + parts[1] / len(negative)


def test_the_areas_of_the_ovarian_example_are_the_published_ones() -> None:
    truth, scores = ovarian()
    areas = delong_areas(truth, scores)
    np.testing.assert_allclose(areas.values[1:], [0.7258, 0.6478], atol=5e-5)
    errors = np.sqrt(np.diag(areas.covariance))
    np.testing.assert_allclose(errors[1:], [0.1028, 0.1000], atol=5e-5)
    interval = area_interval(areas, 1)
    assert (interval.low, interval.high) == pytest.approx((0.5243, 0.9273), abs=1e-4)


def test_the_comparisons_of_the_ovarian_example_are_the_published_ones() -> None:
    truth, scores = ovarian()
    areas = delong_areas(truth, scores)
    found = compare_areas(areas, 2, 1)
    assert found.value == pytest.approx(-0.0780, abs=5e-5)
    assert found.se == pytest.approx(0.1046, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((-0.2830, 0.1271), abs=1e-4)
    assert found.p == pytest.approx(0.4561, abs=5e-5)
    contrast = np.array([[1, -1, 0], [0, -1, 1]])
    gaps = contrast @ areas.values
    statistic = gaps @ np.linalg.solve(contrast @ areas.covariance @ contrast.T, gaps)
    assert statistic == pytest.approx(2.5340, abs=5e-5)
    assert chi2.sf(statistic, 2) == pytest.approx(0.2817, abs=5e-5)


def test_the_variance_of_the_wfns_grades_is_that_of_proc() -> None:
    """113 patients of the aSAH data, graded 1 to 5, in tests/testthat/test-var.R of R's pROC."""
    good, poor = [37, 20, 3, 8, 4], [2, 12, 1, 8, 18]
    truth = np.repeat([0.0, 1.0], [sum(good), sum(poor)])
    grades = np.repeat([1.0, 2, 3, 4, 5] * 2, good + poor)
    areas = delong_areas(truth, grades[:, None])
    assert areas.values[0] == pytest.approx(0.823678861788618, abs=1e-12)  # its test-auc.R
    assert areas.covariance[0, 0] == pytest.approx(0.00146991470882363, abs=1e-14)
    interval = area_interval(areas, 0)
    assert (interval.low, interval.high) == pytest.approx((0.748534887819453, 0.898822835757783))


def test_the_error_of_hanley_and_mcneils_ratings_is_the_published_one() -> None:
    """109 CT images rated 1 to 5 (Radiology 143, 1982): the counts, and the area 0.8931711.

    Both are at https://stats.stackexchange.com/questions/145566; the error and the interval of
    Stata's [R] roctab are as they were remembered.
    """
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    truth = np.repeat([0.0, 1.0], [sum(normal), sum(abnormal)])
    ratings = np.repeat([1.0, 2, 3, 4, 5] * 2, normal + abnormal)
    areas = delong_areas(truth, ratings[:, None])
    assert areas.values[0] == pytest.approx(0.8932, abs=5e-5)
    assert np.sqrt(areas.covariance[0, 0]) == pytest.approx(0.0307, abs=5e-5)
    interval = area_interval(areas, 0)
    assert (interval.low, interval.high) == pytest.approx((0.83295, 0.95339), abs=2e-5)


@quickly
@given(cases())
def test_midranks_are_all_pairs(case: Any) -> None:
    truth, scores = case
    values, covariance = by_pairs(truth, scores)
    areas = delong_areas(truth, scores)
    np.testing.assert_allclose(areas.values, values, atol=1e-12)
    np.testing.assert_allclose(areas.covariance, covariance, atol=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert compare_areas(areas, 0, 1).se == pytest.approx(np.sqrt(max(variance, 0)), abs=1e-7)


@quickly
@given(cases())
def test_areas_are_the_boards_aurocs_and_sides_may_be_changed(case: Any) -> None:
    truth, scores = case
    areas = delong_areas(truth, scores)
    for column, value in enumerate(areas.values):
        assert value == pytest.approx(auroc(truth, scores[:, column], np.ones((1, len(truth))))[0])
    one, other = compare_areas(areas, 0, 1), compare_areas(areas, 1, 0)
    assert one.value == -other.value
    assert one.p == pytest.approx(other.p)
    assert one.low == pytest.approx(-other.high)
    assert not np.isnan([one.value, one.low, one.high, one.p, one.se]).any()


def test_a_perfect_area_is_a_point_and_compares_by_the_others_spread() -> None:
    truth = np.array([0.0, 0, 0, 1, 1, 1])
    scores = np.c_[truth, [0.1, 0.2, 0.6, 0.5, 0.7, 0.9]]
    areas = delong_areas(truth, scores)
    perfect = area_interval(areas, 0)
    assert (perfect.value, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    assert compare_areas(areas, 0, 1).se == pytest.approx(np.sqrt(areas.covariance[1, 1]))
    assert area_interval(areas, 1).high == 1.0


def test_the_same_scores_are_no_different() -> None:
    truth, scores = ovarian()
    found = compare_areas(delong_areas(truth, np.c_[scores[:, 0], scores[:, 0] * 3 - 1]), 0, 1)
    assert (found.value, found.low, found.high, found.se, found.p) == (0.0, 0.0, 0.0, 0.0, 1.0)


def test_perfect_against_constant_has_no_spread_and_says_so() -> None:
    truth = np.array([0.0, 0, 1, 1])
    found = compare_areas(delong_areas(truth, np.c_[truth, np.ones(4)]), 0, 1)
    assert (found.value, found.low, found.high, found.se, found.p) == (0.5, 0.5, 0.5, 0.0, 0.0)


@pytest.mark.parametrize("positives", [0, 1, 4, 5])
def test_fewer_than_two_of_a_class_are_refused_with_their_number(positives: int) -> None:
    truth = (np.arange(5) < positives) * 1.0
    with pytest.raises(BadTask, match=f"not {positives} positive and {5 - positives} negative"):
        delong_areas(truth, np.random.default_rng(0).random((5, 2)))


def test_a_score_that_is_no_number_is_refused() -> None:
    truth, scores = ovarian()
    scores[3, 1] = np.nan
    with pytest.raises(BadTask, match="not a number"):
        delong_areas(truth, scores)
