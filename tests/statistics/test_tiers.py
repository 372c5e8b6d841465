from itertools import combinations
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Difference, Pair
from clearbench.statistics.tiers import rank_encoders


def pairs_of(values: dict[str, float], separable: set[str]) -> list[Pair]:
    """Compare all pairs; `separable` names those that differ, as "ab"."""
    return [
        Pair(
            one,
            other,
            Difference(values[one] - values[other], -1, 1, 0.5, 0.1),
            0.01 if one + other in separable else 1.0,
            one + other in separable,
        )
        for one, other in combinations(values, 2)
    ]


def test_tiers_are_made_from_the_best_down() -> None:
    """a ~ b, b ~ c, but a > c; d is under all, e ties with d alone."""
    values = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.5, "e": 0.4}
    found = rank_encoders(values, pairs_of(values, {"ac", "ad", "ae", "bd", "be", "cd", "ce"}))
    tiers = [(s.encoder, s.tier, s.rank_low, s.rank_high) for s in found]
    assert tiers == [
        ("a", 1, 1, 2),
        ("b", 1, 1, 3),
        ("c", 2, 2, 3),
        ("d", 3, 4, 5),
        ("e", 3, 4, 5),
    ]


def test_without_any_difference_there_is_one_tier_of_all_ranks() -> None:
    values = {"a": 0.1, "b": 0.3, "c": 0.2}
    found = rank_encoders(values, pairs_of(values, set()))
    assert [s.encoder for s in found] == ["b", "c", "a"]
    assert {(s.tier, s.rank_low, s.rank_high) for s in found} == {(1, 1, 3)}


def test_an_encoder_alone_is_first() -> None:
    (only,) = rank_encoders({"a": 0.5}, [])
    assert (only.tier, only.rank_low, only.rank_high) == (1, 1, 1)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_a_rank_lies_in_its_interval_and_tiers_fall_with_value(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values = {name: float(value) for name, value in zip("abcdefgh"[:n], rng.random(n), strict=True)}
    apart = {one + other for one, other in combinations(values, 2) if rng.random() < 0.5}
    found = rank_encoders(values, pairs_of(values, apart))
    assert found[0].tier == 1
    for place, standing in enumerate(found, start=1):
        assert 1 <= standing.rank_low <= place <= standing.rank_high <= n
    heads = {s.tier: s for s in reversed(found)}
    assert list(range(1, len(heads) + 1)) == sorted(heads)
    for standing in found:
        best = heads[standing.tier]
        assert best.value >= standing.value
        assert not {best.encoder + standing.encoder, standing.encoder + best.encoder} & apart


def test_an_encoder_without_a_score_is_refused_by_name() -> None:
    values = {"a": 0.5, "b": nan}
    with pytest.raises(BadTask, match="b has no score"):
        rank_encoders(values, pairs_of(values, set()))


def test_pairs_that_are_missing_or_strange_are_refused() -> None:
    values = {"a": 0.5, "b": 0.4, "c": 0.3}
    pairs = pairs_of(values, set())
    for wrong in (pairs[:2], [*pairs[:2], pairs[0]], pairs_of({**values, "d": 0.2}, set())[2:5]):
        with pytest.raises(BadTask, match="3 encoders have 3 pairs"):
            rank_encoders(values, wrong)
