import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearbench.encoders import torchvision_patch  # noqa: F401  torchsurv imports torchvision
from clearbench.metrics import score_outputs, uno_c

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torchsurv calls torch.jit.script
    from torchsurv.metrics.cindex import ConcordanceIndex
    from torchsurv.stats.ipcw import get_ipcw

quickly = settings(max_examples=50, deadline=None)


def follow_up(rng: np.random.Generator, n: int, *, ties: bool = False) -> tuple[Any, Any]:
    """Times and events [n, 2], a third of them censored, and risks that predict a little."""
    hazard = rng.normal(size=n)
    fails, lost = rng.exponential(np.exp(-hazard)), rng.exponential(2.0, n)
    time = np.minimum(fails, lost)
    risk = hazard + rng.normal(size=n)
    if ties:
        time, risk = np.ceil(time * 3), np.round(risk)
    return np.c_[time, fails <= lost], risk


def by_hand(truth: Any, risk: Any, kept: Any) -> float:
    """Take every pair in turn, as the paper's sum is written."""
    right = pairs = 0.0
    for i, (time, event) in enumerate(truth):
        for j, (other, other_event) in enumerate(truth):
            if event and (other > time or (other == time and not other_event)):
                pairs += kept[i] ** -2
                right += kept[i] ** -2 * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return right / pairs


def kept_by_hand(truth: Any, at: float) -> float:
    """Multiply the share of those not lost over the earlier times of loss."""
    share = 1.0
    for time in sorted({time for time, event in truth if not event and time < at}):
        lost = sum(t == time and not e for t, e in truth)
        share *= 1 - lost / sum(t > time or (t == time and not e) for t, e in truth)
    return share


@quickly
@given(st.integers(0, 10**6), st.integers(8, 60))
def test_it_is_torchsurvs_where_no_times_are_tied(seed: int, n: int) -> None:
    truth, risk = follow_up(np.random.default_rng(seed), n)
    truth[truth[:, 0].argmin(), 1] = 1  # at least one pair
    time, event = torch.tensor(truth[:, 0]).float(), torch.tensor(truth[:, 1] == 1)
    weight = get_ipcw(event, time)
    expected = ConcordanceIndex()(torch.tensor(risk).float(), event, time, weight=weight)
    assert uno_c(truth, risk, np.ones((1, n)))[0] == pytest.approx(float(expected), abs=1e-5)


@quickly
@given(st.integers(0, 10**6))
def test_ties_of_times_and_risks_are_counted_as_by_hand(seed: int) -> None:
    truth, risk = follow_up(np.random.default_rng(seed), 25, ties=True)
    kept = [kept_by_hand(truth, time) for time in truth[:, 0]]
    found = uno_c(truth, risk, np.ones((1, 25)))[0]
    assert found == pytest.approx(by_hand(truth, risk, kept))


@quickly
@given(st.integers(0, 10**6))
def test_censoring_can_be_estimated_from_training_units(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (truth, risk), (training, _) = follow_up(rng, 20), follow_up(rng, 60)
    training[training[:, 0].argmax(), 1] = 1  # followed to the end
    kept = [kept_by_hand(training, time) for time in truth[:, 0]]
    found = score_outputs("survival", truth, risk[:, None], np.ones((1, 20)), censoring=training)
    assert found["uno_c"][0] == pytest.approx(by_hand(truth, risk, kept))


def test_events_after_the_last_training_time_count_for_nothing() -> None:
    truth = np.array([[1.0, 1.0], [2.0, 1.0], [6.0, 1.0], [7.0, 1.0]])
    risk = np.array([4.0, 3.0, 1.0, 2.0])
    training = np.array([[1.5, 1.0], [5.0, 0.0]])
    assert uno_c(truth, risk, np.ones((1, 4)))[0] == pytest.approx(5 / 6)
    assert uno_c(truth, risk, np.ones((1, 4)), training)[0] == 1.0


def test_without_losses_it_is_harrells() -> None:
    """Of the 10 pairs of 5 failures 7 are in order and one is tied."""
    truth = np.c_[np.arange(1.0, 6.0), np.ones(5)]
    risk = np.array([5.0, 2.0, 3.0, 3.0, 1.0])
    assert uno_c(truth, risk, np.ones((1, 5)))[0] == pytest.approx(0.75)


@quickly
@given(st.integers(0, 10**6), st.booleans())
def test_a_weight_is_a_repeated_unit(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    truth, risk = follow_up(rng, 20, ties=ties)
    weights = rng.integers(0, 4, (4, 20)).astype(float)
    found = uno_c(truth, risk, weights)
    for row, weight in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(20), weight)
        alone = uno_c(truth[rows], risk[rows], np.ones((1, len(rows))))
        np.testing.assert_allclose(found[row], alone[0])


@pytest.mark.parametrize(
    "truth",
    [
        np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]),
        np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]]),
        np.zeros((0, 2)),
    ],
    ids=["all lost", "the last alone failed", "nobody"],
)
def test_without_a_pair_there_is_no_score(truth: Any) -> None:
    found = uno_c(truth, np.arange(len(truth)) * 1.0, np.ones((3, len(truth))))
    assert np.isnan(found).all()
    assert found.shape == (3,)


def test_a_draw_without_a_failure_is_missing_the_others_are_not() -> None:
    truth = np.array([[1.0, 1.0], [2.0, 0.0], [3.0, 0.0]])
    found = uno_c(truth, np.array([1.0, 0.0, 2.0]), np.array([[1.0, 1, 1], [0, 2, 1]]))
    assert found[0] == pytest.approx(0.5)
    assert np.isnan(found[1])
