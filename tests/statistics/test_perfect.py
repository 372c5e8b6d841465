"""An AUROC of 1 has an interval that isn't a point, also where resampling shows no spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.statistics.intervals import FoldScores, Score, score_with_bootstrap
from clearbench.statistics.perfect import auroc_interval, with_perfect_scores

SIZES = st.integers(2, 500)


def test_more_patients_give_a_narrower_interval() -> None:
    lows = [auroc_interval(1.0, n, n)[0] for n in (5, 12, 50, 500)]
    assert lows == sorted(lows)
    assert 0.8 < lows[1] < 0.92, "12 and 12 patients"
    assert lows[-1] > 0.99


@given(SIZES, SIZES)
def test_turned_scores_give_the_turned_interval(positive: int, negative: int) -> None:
    low, high = auroc_interval(1.0, positive, negative)
    assert 0 < low < high == 1.0
    assert auroc_interval(0.0, negative, positive) == pytest.approx((0.0, 1 - low))


@given(st.floats(0.02, 0.98), SIZES, SIZES)
def test_the_interval_holds_its_value(value: float, positive: int, negative: int) -> None:
    low, high = auroc_interval(value, positive, negative)
    assert 0 <= low < value < high <= 1


def test_it_is_the_inverse_of_the_score_test() -> None:
    """At its end, the value is 1.96 standard errors of Hanley and McNeil away."""
    low, _ = auroc_interval(0.9, 20, 30)
    q1, q2, size = low / (2 - low), 2 * low**2 / (1 + low), 24
    variance = (low * (1 - low) + size * (q1 - low**2) + size * (q2 - low**2)) / 600
    assert (0.9 - low) / variance**0.5 == pytest.approx(1.959964, abs=1e-5)


def heads(truth: list[float], scores: list[list[float]]) -> list[FoldScores]:
    patients = tuple(f"p{n}" for n in range(len(truth)))
    return [FoldScores(0, 0, 0, patients, np.array(truth)[:, None], np.array(scores))]


def test_only_scores_that_are_points_at_an_end_change() -> None:
    truth = [0.0] * 12 + [1.0] * 12
    perfect = heads(truth, [[t] for t in truth])
    scores = score_with_bootstrap("binary", perfect, resamples=50)
    assert (scores["auroc"].low, scores["auroc"].high) == (1.0, 1.0)
    found = with_perfect_scores(scores, "binary", perfect)
    assert found["auroc"] == Score(1.0, *auroc_interval(1.0, 12, 12))
    known = {"auroc": Score(0.5, 0.5, 0.5), "f1": Score(1.0, 0.8, 1.0)}
    assert with_perfect_scores(known, "binary", perfect) == known


@pytest.mark.parametrize("target", ["binary", "multiclass", "ordinal"])
def test_a_score_at_its_end_never_has_a_point_for_an_interval(target: str) -> None:
    """Whatever the metric: where no method is known, there is no interval."""
    classes = 2 if target == "binary" else 3
    truth = [float(n % classes) for n in range(30)]
    ordinal = [[float(t >= cut) for cut in (1, 2)] for t in truth]
    shown = {
        "binary": [[t] for t in truth],
        "multiclass": np.eye(3)[[int(t) for t in truth]].tolist(),
        "ordinal": ordinal,
    }[target]
    perfect = heads(truth, shown)
    scores = score_with_bootstrap(target, perfect, resamples=50)
    found = with_perfect_scores(scores, target, perfect)
    ends = [name for name, score in scores.items() if score.value in (0.0, 1.0)]
    assert len(ends) > 4
    assert not [name for name in ends if found[name].low == found[name].high]
    assert [name for name in ends if np.isnan(found[name].low)]


def test_of_several_classes_each_has_its_own_and_the_mean_theirs() -> None:
    truth = [float(n % 3) for n in range(30)]
    every = heads(truth, np.eye(3)[[n % 3 for n in range(30)]].tolist())
    scores = score_with_bootstrap("multiclass", every, resamples=50)
    found = with_perfect_scores(scores, "multiclass", every)
    low = auroc_interval(1.0, 10, 20)[0]
    assert found["auroc/1"].low == pytest.approx(low)
    assert found["auroc_macro"].low == pytest.approx(low)
