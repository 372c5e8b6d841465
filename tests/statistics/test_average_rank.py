from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadTask
from clearbench.statistics.average_rank import RankedTask, average_ranks


def names(n: int) -> tuple[str, ...]:
    return tuple(f"p{i:03}" for i in range(n))


def accuracy(hits: Any) -> Callable[[Any], Any]:
    """Return the share of right answers [b, encoders] of hits [n, encoders], under weights."""
    return lambda weights: weights @ hits / weights.sum(axis=1, keepdims=True)


def task(hits: Any, name: str = "t", cohort: str = "c") -> RankedTask:
    return RankedTask(name, cohort, names(len(hits)), accuracy(hits))


def close_hits(seed: int) -> Any:
    return (np.random.default_rng(seed).random((40, 3)) < [0.7, 0.6, 0.5]) * 1.0


def test_an_encoder_that_is_better_on_every_patient_is_surely_first() -> None:
    hits = np.c_[np.ones(20), np.arange(20) % 2, np.zeros(20)]
    found = average_ranks("abc", [task(hits), task(hits, cohort="other")], resamples=200)
    assert [rank.encoder for rank in found] == ["a", "b", "c"]
    assert (found[0].value, found[0].low, found[0].high) == (1.0, 1.0, 1.0)
    assert (found[2].value, found[2].low, found[2].high) == (3.0, 3.0, 3.0)


def test_equal_encoders_share_their_ranks() -> None:
    hits = close_hits(0)[:, [0, 0]]
    for rank in average_ranks("ab", [task(hits)], resamples=50):
        assert (rank.value, rank.low, rank.high) == (1.5, 1.5, 1.5)


def test_the_value_is_the_mean_of_the_tasks_ranks() -> None:
    first, second = np.c_[np.ones(9), np.zeros(9)], np.c_[np.zeros(9), np.ones(9)]
    third = np.c_[np.ones(9), np.ones(9)]
    found = average_ranks("ab", [task(first), task(first), task(second), task(third)], resamples=20)
    by_name = {rank.encoder: rank.value for rank in found}
    assert by_name == {"a": pytest.approx((1 + 1 + 2 + 1.5) / 4), "b": pytest.approx(6.5 / 4)}


def test_tasks_of_one_cohort_are_resampled_together_and_others_apart() -> None:
    """The same task twice on the same patients adds nothing; on other patients it does."""
    hits = close_hits(1)
    once = average_ranks("abc", [task(hits)], resamples=1000)
    twice = average_ranks("abc", [task(hits), task(hits, "again")], resamples=1000)
    apart = average_ranks("abc", [task(hits), task(hits, "again", "other")], resamples=1000)
    assert twice == once
    assert apart != once
    width = [sum(rank.high - rank.low for rank in ranks) for ranks in (once, apart)]
    assert width[1] < width[0]


def test_tasks_of_one_cohort_may_have_different_patients() -> None:
    hits = close_hits(2)
    some = RankedTask("some", "c", names(40)[10:], accuracy(hits[10:]))
    found = average_ranks("abc", [task(hits), some], resamples=600, seed=3)
    assert all(rank.low <= rank.value <= rank.high for rank in found)
    assert found == average_ranks("abc", [task(hits), some], resamples=600, seed=3)
    assert found != average_ranks("abc", [task(hits), some], resamples=600, seed=4)


def sparse(weights: Any) -> Any:
    """A metric without a value in resamples without the first patient."""
    values = np.tile([0.2, 0.6], (len(weights), 1))
    values[weights[:, 0] == 0] = np.nan
    return values


def test_a_draw_that_lacks_a_metric_leaves_the_task_out() -> None:
    found = average_ranks(
        "ab",
        [RankedTask("sparse", "c", names(20), sparse), task(np.c_[np.ones(20), np.zeros(20)])],
        resamples=400,
    )
    by_name = {rank.encoder: rank for rank in found}
    assert (by_name["a"].value, by_name["a"].low, by_name["a"].high) == (1.5, 1.0, 1.5)


def test_what_cannot_be_ranked_is_refused_by_name() -> None:
    with pytest.raises(BadTask, match="at least one task"):
        average_ranks("ab", [])
    with pytest.raises(BadTask, match="odd: b has no score"):
        average_ranks("ab", [task(np.c_[np.ones(5), np.full(5, np.nan)], "odd")])
    with pytest.raises(BadTask, match="odd: 3 scores for 2 encoders"):
        average_ranks("ab", [task(np.ones((5, 3)), "odd")])
    rare = RankedTask("rare", "c", names(20), lambda w: sparse(np.where(w == 1, w, 0)))
    with pytest.raises(BadTask, match="resamples have no ranks"):
        average_ranks("ab", [rare], resamples=100)
