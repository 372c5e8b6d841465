import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.evaluation.bundles.thresholds import choose_threshold


def balanced(truth: np.ndarray, scores: np.ndarray, cut: float) -> float:
    return float((np.mean(scores[truth == 1] >= cut) + np.mean(scores[truth == 0] < cut)) / 2)


pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, float("nan")]), st.integers(-5, 5)), max_size=30
)


@given(pairs)
def test_no_other_cut_between_scores_tells_the_kinds_better(rows: list[tuple[float, int]]) -> None:
    truth = np.array([row[0] for row in rows])
    scores = np.array([row[1] / 3 for row in rows])
    cut = choose_threshold(truth, scores)
    known = scores[~np.isnan(truth)]
    if cut is None:
        assert not {0.0, 1.0} <= set(truth.tolist()) or len(set(known)) < 2
        return
    inner = np.unique(known)[1:]
    best = max(balanced(truth, scores, other) for other in inner)
    assert balanced(truth, scores, cut) == pytest.approx(best)


def test_a_wide_gap_is_cut_in_the_middle() -> None:
    assert choose_threshold(np.array([0, 0, 1, 1.0]), np.array([0.1, 0.2, 0.8, 0.9])) == 0.5
