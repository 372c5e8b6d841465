import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax

from clearbench.evaluation.heads.calibration import Calibration, fit_calibration
from clearbench.evaluation.heads.targets import Targets, make_targets
from clearbench.metrics import brier
from clearbench.metrics.calibration_line import calibration_line


def binary(truth: np.ndarray) -> Targets:
    return make_targets("binary", truth.astype(float))


def simulated(count: int, share: float, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and the log odds that are right for it if both classes were as frequent."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(count) < share * count) * 1.0
    # Normal scores of equal variance s², their means s² apart, have the log likelihood ratio
    # that they say.
    return truth, (spread * rng.normal(size=count) + spread**2 * (truth - 0.5))[:, None]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("too_sure", [0.3, 1.0, 10.0])
def test_probabilities_are_those_of_the_true_frequencies(share: float, too_sure: float) -> None:
    truth, log_odds = simulated(4000, share, 1.2, 0)
    found = fit_calibration(too_sure * log_odds, binary(truth), binary(truth))
    scores = found.scores(too_sure * log_odds)
    assert scores.mean() == pytest.approx(share, abs=0.02)
    line = calibration_line(truth, scores[:, 0])
    assert line.slope == pytest.approx(1, abs=0.1)
    assert line.intercept == pytest.approx(0, abs=0.15)
    assert found.cuts == pytest.approx([share], abs=0.001)


def test_a_dozen_bags_of_noise_are_not_believed() -> None:
    """Whatever they say, scores of an extreme head without a signal are near a constant."""
    rng, worse = np.random.default_rng(1), []
    test = rng.random(2000) < 0.4
    for _ in range(50):
        tune = binary((np.arange(13) < 5) * 1.0)
        found = fit_calibration(8 * rng.normal(size=(13, 1)), tune, tune)
        scores = found.scores(8 * rng.normal(size=(2000, 1)))[:, 0]
        worse.append(brier(test * 1.0, scores, np.ones((1, 2000)))[0] - 0.24)
    assert np.mean(worse) < 0.03
    assert max(worse) < 0.1, "uncalibrated it is 0.2"


@given(
    seed=st.integers(0, 1000),
    count=st.integers(2, 40),
    scale=st.floats(1e-3, 1e3),
    share=st.floats(0, 1),
)
@settings(deadline=None, max_examples=50)
def test_the_order_never_changes(seed: int, count: int, scale: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    margins, truth = scale * rng.normal(size=(count, 1)), binary((rng.random(count) < share) * 1.0)
    found = fit_calibration(margins, truth, truth)
    assert (found.slope > 0).all()
    # as far outside as the tuning bags are wide: much further, float64 has no numbers left below 1
    span = np.ptp(margins)
    further = np.linspace(margins.min() - span, margins.max() + span, 11)
    scores = found.scores(further[:, None])[:, 0]
    assert (np.diff(scores) > 0).all()
    assert ((scores > 0) & (scores < 1)).all()


def test_what_a_head_takes_for_positive_is_above_the_cut() -> None:
    """A margin of 0 is the balanced threshold, whatever the frequency and the slope."""
    truth, margins = simulated(60, 0.2, 1.0, 2)
    found = fit_calibration(5 * margins, binary(truth), binary(truth))
    scores = found.scores(np.array([[-1e-3], [0.0], [1e-3]]))[:, 0]
    assert scores[0] < found.cuts[0] == scores[1] < scores[2]


def test_each_label_has_its_own_slope_and_unknown_ones_do_not_count() -> None:
    truth, good = simulated(200, 0.5, 2.0, 3)
    noise = 5 * np.random.default_rng(3).normal(size=(200, 1))
    both = np.stack([truth, truth], axis=1)
    margins = np.hstack([good, noise])
    found = fit_calibration(
        margins, make_targets("multilabel", both), make_targets("multilabel", both)
    )
    assert found.slope[0] > 0.6
    assert found.slope[1] < 0.15
    blank = both.copy()
    blank[:100, 0] = np.nan
    rows = make_targets("multilabel", blank[100:])
    few = fit_calibration(margins[100:], rows, rows)
    hidden = make_targets("multilabel", blank)
    assert fit_calibration(margins, rows, hidden).slope[0] == pytest.approx(few.slope[0], rel=0.05)


def test_classes_share_a_slope_and_get_their_frequencies_back() -> None:
    rng = np.random.default_rng(4)
    truth = rng.choice(3, 3000, p=[0.7, 0.2, 0.1])
    log_likelihood = rng.normal(size=(3000, 3)) + np.eye(3)[truth]
    targets = make_targets("multiclass", truth.astype(float), 3)
    found = fit_calibration(4 * log_likelihood, targets, targets)
    assert found.slope * 4 == pytest.approx([1.0], abs=0.1)
    scores = found.scores(4 * log_likelihood)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    np.testing.assert_allclose(scores.mean(axis=0), [0.7, 0.2, 0.1], atol=0.02)
    np.testing.assert_allclose(found.cuts, [0.7, 0.2, 0.1], atol=0.02)


def test_a_risk_stays_as_it_is() -> None:
    times = make_targets("survival", np.array([[3.0, 1], [2, 0], [1, 1]]))
    risk = np.array([[0.3], [-4.0], [9.0]])
    found = fit_calibration(risk, times, times)
    np.testing.assert_array_equal(found.scores(risk), risk)
    assert found.cuts.tolist() == [0.0]


@pytest.mark.parametrize("margins", [np.zeros((0, 1)), np.full((6, 1), 2.0)])
def test_without_bags_that_differ_the_slope_is_one(margins: np.ndarray) -> None:
    truth = binary(np.arange(len(margins)) % 2 * 1.0)
    assert fit_calibration(margins, truth, truth).slope.tolist() == [1.0]


def test_a_label_that_training_never_saw_is_improbable_and_not_impossible() -> None:
    none = binary(np.zeros(20))
    scores = fit_calibration(np.linspace(-1, 1, 20)[:, None], none, none).scores(np.zeros((1, 1)))
    assert 0 < scores[0, 0] < 0.05


def test_scores_are_logistic_or_a_softmax() -> None:
    margins = np.array([[1.0, -2.0, 0.5]])
    labels = Calibration("labels", np.array([1.0, 2.0, 0.1]), np.array([0.0, 1.0, -1.0]))
    expected = [1.0, -3.0, -0.95]
    np.testing.assert_allclose(logit(labels.scores(margins)), [expected])
    np.testing.assert_allclose(labels.cuts, expit([0.0, 1.0, -1.0]))
    classes = Calibration("classes", np.array([2.0]), np.log([0.2, 0.3, 0.5]))
    np.testing.assert_allclose(
        classes.scores(margins), softmax(2 * margins + np.log([0.2, 0.3, 0.5]), axis=1)
    )
