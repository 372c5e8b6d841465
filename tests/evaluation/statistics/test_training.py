import numpy as np
import pytest
from scipy.stats import norm

from clearbench.errors import BadTask
from clearbench.evaluation.statistics import Score
from clearbench.evaluation.statistics.training import SHARE, Spread, compare_trained, widen


def spread(values: list[float], tested: float = 0.0, together: float = 0.0) -> Spread:
    return Spread(np.array(values), np.full(len(values), tested), together)


def test_the_variance_over_draws_is_added_by_its_share() -> None:
    values = [0.01, 0.05, 0.03, 0.07]
    found = compare_trained(0.04, 0.0009, spread(values))
    assert found.se**2 == pytest.approx(0.0009 + SHARE * np.var(values, ddof=1))
    assert found.df < 100
    assert found.low == pytest.approx(0.08 - found.high)


def test_what_comes_of_few_test_patients_is_taken_off() -> None:
    """Four heads, each tested with variance .0008, their mean with .0002: all of it is chance."""
    values = [0.01, 0.05, 0.03, 0.07]
    chance = spread(values, tested=0.0008, together=0.0002)
    assert chance.variance == 0


def test_heads_that_agree_leave_the_normal_test() -> None:
    found = compare_trained(0.05, 0.02**2, spread([0.05, 0.05, 0.05]))
    assert found.p == pytest.approx(2 * norm.sf(2.5))
    assert found.df > 1e6


def test_one_draw_has_no_spread() -> None:
    with pytest.raises(BadTask, match="1 draws of training patients have no spread"):
        compare_trained(0.0, 1.0, spread([0.1]))


def test_a_quadratic_score_is_shown_three_times_as_variable_by_the_bootstrap() -> None:
    """Why a share is taken: δ scatters around an optimum, the bootstrap adds δ* of the same law."""
    chance = np.random.default_rng(0)
    drawn = chance.normal(size=(4000, 30))
    true = (drawn**2).sum(axis=1).var()
    again = [((one + chance.normal(size=(200, 30))) ** 2).sum(axis=1).var() for one in drawn[:500]]
    assert np.mean(again) / true == pytest.approx(3, abs=0.3)


def test_an_interval_is_widened_in_proportion_and_within_bounds() -> None:
    values = spread([0.01, 0.05, 0.03, 0.07])
    tested = SHARE * float(np.var(values.values, ddof=1)) / 3  # a quarter of the whole variance
    found = widen(Score(0.8, 0.7, 0.85), tested, values, (0, 1))
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.6, 0.9))
    assert widen(Score(0.8, 0.7, 0.95), tested, values, (0, 1)).high == 1
    unmoved = Score(0.8, 0.7, 0.85)
    assert widen(unmoved, 0.0, values, (0, 1)) == unmoved
