import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t

from clearbench.errors import BadTask
from clearbench.statistics import Score
from clearbench.statistics.training_variance import SHARE, Sampled, Spread, compare_trained, widen

MANY = 10**9  # test patients


def spread(values: list[float], tested: float = 0.0, together: float = 0.0) -> Spread:
    return Spread(np.array(values), np.full(len(values), tested), together)


def test_the_variance_over_draws_is_added_by_its_share() -> None:
    values = [0.01, 0.05, 0.03, 0.07]
    found = compare_trained(0.04, Sampled(0.0009, MANY), spread(values))
    assert found.se**2 == pytest.approx(0.0009 + SHARE * np.var(values, ddof=1))
    assert found.df < 100
    assert found.low == pytest.approx(0.08 - found.high)


def test_what_comes_of_few_test_patients_is_taken_off() -> None:
    """Four heads, each tested with variance .0008, their mean with .0002: no training variance."""
    values = [0.01, 0.05, 0.03, 0.07]
    rng = spread(values, tested=0.0008, together=0.0002)
    assert rng.variance == 0


def test_heads_that_agree_leave_the_test_of_the_patients() -> None:
    alike = spread([0.05, 0.05, 0.05])
    many, few = (compare_trained(0.05, Sampled(0.02**2, n), alike) for n in (MANY, 21))
    assert many.p == pytest.approx(2 * norm.sf(2.5))
    assert few.df == pytest.approx(20)
    assert few.p == pytest.approx(2 * student_t.sf(2.5, 20))
    equal = compare_trained(0.0, Sampled(0.0, 21), spread([0.0, 0.0]))
    assert (equal.p, equal.se) == (1.0, 0.0)


def test_one_draw_has_no_spread() -> None:
    with pytest.raises(BadTask, match="1 retrained heads show no spread"):
        compare_trained(0.0, Sampled(1.0, 50), spread([0.1]))


def test_a_quadratic_score_is_shown_three_times_as_variable_by_the_bootstrap() -> None:
    """Why a share is taken: δ scatters around an optimum, the bootstrap adds δ* of the same law."""
    rng = np.random.default_rng(0)
    deltas = rng.normal(size=(4000, 30))
    true = (deltas**2).sum(axis=1).var()
    again = [((one + rng.normal(size=(200, 30))) ** 2).sum(axis=1).var() for one in deltas[:500]]
    assert np.mean(again) / true == pytest.approx(3, abs=0.3)


def test_an_interval_is_widened_in_proportion_and_within_bounds() -> None:
    """By √(total / tested) = 2, and by Student's tails: 9 · (4 / 3)² degrees of freedom are 16."""
    values = spread([0.01, 0.02, 0.04, 0.05, 0.07, 0.03, 0.06, 0.08, 0.03, 0.01])
    trained = SHARE * float(np.var(values.values, ddof=1))
    tested = Sampled(trained / 3, MANY)
    found = widen(Score(0.8, 0.7, 0.85), tested, values, (0, 1))
    wider = 2 * student_t.ppf(0.975, 16) / norm.ppf(0.975)
    assert (found.low, found.high) == pytest.approx((0.8 - 0.1 * wider, 0.8 + 0.05 * wider))
    assert widen(Score(0.8, 0.7, 0.95), tested, values, (0, 1)).high == 1
    unmoved = Score(0.8, 0.7, 0.85)
    assert widen(unmoved, Sampled(0.0, MANY), values, (0, 1)) == unmoved
