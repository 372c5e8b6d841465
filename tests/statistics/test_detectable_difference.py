import pytest
from scipy.stats import nct, norm, t

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference
from clearbench.statistics.detectable_difference import detectable_difference


def of(se: float, **df: float) -> Difference:
    return Difference(0.0, -2 * se, 2 * se, 1.0, se, **df)


def test_a_normal_test_finds_2_8_standard_errors() -> None:
    """1.96 for the two-sided 5 %, 0.84 for the power of 80 %."""
    expected = norm.ppf(0.975) + norm.ppf(0.8)
    assert detectable_difference([of(0.02)]) == pytest.approx(0.02 * expected, rel=1e-4)
    assert expected == pytest.approx(2.80, abs=0.005)


@pytest.mark.parametrize("df", [4, 24])
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_a_t_test_has_that_power_at_that_difference(df: int, power: float) -> None:
    found = detectable_difference([of(0.02, df=df)], power) / 0.02
    edge = t.ppf(0.975, df)
    assert nct.sf(edge, df, found) + nct.cdf(-edge, df, found) == pytest.approx(power, abs=1e-4)


def test_a_task_has_the_median_of_its_pairs_and_equal_encoders_do_not_count() -> None:
    several = [of(0.0), of(0.01), of(0.02), of(0.09), of(0.0)]
    assert detectable_difference(several) == pytest.approx(detectable_difference([of(0.02)]))


@pytest.mark.parametrize("pairs", [[], [of(0.0)]])
def test_without_a_pair_that_differs_there_is_no_number(pairs: list[Difference]) -> None:
    with pytest.raises(BadTask, match="no pair of encoders"):
        detectable_difference(pairs)
