import pytest

from clearbench.statistics.comparison import Difference
from clearbench.statistics.multiple_testing import compare_all


def difference(p: float, value: float = 0.1) -> Difference:
    return Difference(value, value - 1, value + 1, p, 0.5)


def test_holm_multiplies_the_smallest_p_by_the_number_of_pairs_and_goes_on() -> None:
    """Sorted .01, .03, .04: 3 × .01, 2 × .03, and 1 × .04, which may not be under .06."""
    ps = {(0, 1): 0.01, (0, 2): 0.04, (1, 2): 0.03}
    pairs = compare_all("abc", lambda one, other: difference(ps[one, other]))
    assert [(pair.one, pair.other) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.adjusted_p for pair in pairs] == pytest.approx([0.03, 0.06, 0.06])
    assert [pair.separable for pair in pairs] == [True, False, False]


def test_the_winner_is_the_one_above_only_where_separable() -> None:
    values = {(0, 1): difference(0.001, -0.2), (0, 2): difference(0.5), (1, 2): difference(0.001)}
    pairs = compare_all("abc", lambda one, other: values[one, other])
    assert [pair.winner for pair in pairs] == ["b", None, "b"]


def test_one_encoder_has_no_pairs() -> None:
    assert compare_all(["alone"], lambda _one, _other: difference(0.0)) == ()
