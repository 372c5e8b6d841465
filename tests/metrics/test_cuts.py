import numpy as np
import pytest

from clearbench.metrics import score_outputs
from clearbench.metrics.cuts import THRESHOLD, balanced

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("target", ["binary", "multilabel", "ordinal"])
def test_the_cut_becomes_the_threshold_and_the_order_stays(target: str) -> None:
    cuts = np.array([0.1, 0.6])
    found = balanced(target, np.vstack([cuts, RNG.random((50, 2))]), cuts)
    assert found[0].tolist() == [THRESHOLD] * 2
    scores = np.linspace(0.001, 0.999, 200)[:, None].repeat(2, axis=1)
    assert (np.diff(balanced(target, scores, cuts), axis=0) > 0).all()


def test_classes_are_divided_by_their_frequency() -> None:
    cuts = np.array([0.8, 0.1, 0.1])
    given = np.vstack([[0.7, 0.2, 0.1], cuts, RNG.dirichlet(np.ones(3), 20)])
    found = balanced("multiclass", given, cuts)
    assert found[0].argmax() == 1
    assert np.ptp(found[1]) == 0
    np.testing.assert_array_equal(found.argsort(axis=0), given.argsort(axis=0))


def test_a_risk_has_no_cut() -> None:
    risk = RNG.normal(size=(5, 1))
    assert balanced("survival", risk, np.zeros(1)) is risk
    assert balanced("survival", risk, np.full(1, np.nan)) is risk


def test_decisions_are_taken_at_the_cut_and_probabilities_are_scored_as_they_are() -> None:
    """A rare label's probabilities are all under a half, and still decide."""
    truth = np.array([[1.0], [1.0], [0.0], [0.0], [0.0], [0.0]])
    scores = np.array([[0.4], [0.3], [0.35], [0.1], [0.05], [0.02]])
    once = np.ones((1, 6))
    blind = score_outputs("binary", truth, scores, once)
    seeing = score_outputs("binary", truth, scores, once, cuts=np.array([0.2]))
    assert blind["balanced_accuracy"][0] == 0.5
    assert seeing["balanced_accuracy"][0] == pytest.approx((1 + 3 / 4) / 2)
    assert seeing["f1"][0] == pytest.approx(4 / 5)
    for name in ("auroc", "brier", "expected_calibration_error"):
        assert seeing[name] == blind[name]


def test_stages_and_classes_are_decided_at_their_cuts() -> None:
    once = np.ones((1, 4))
    stage = np.array([[0.0], [1.0], [2.0], [2.0]])
    passed = np.array([[0.3, 0.05], [0.6, 0.05], [0.6, 0.2], [0.7, 0.4]])
    cut = score_outputs("ordinal", stage, passed, once, cuts=np.array([0.5, 0.1]))
    assert cut["quadratic_kappa"][0] == 1
    assert score_outputs("ordinal", stage, passed, once)["quadratic_kappa"][0] < 1
    kind = np.array([[0.0], [1.0], [2.0], [0.0]])
    shares = np.array([[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.6, 0.1, 0.3], [0.8, 0.1, 0.1]])
    cuts = np.array([0.7, 0.15, 0.15])
    assert score_outputs("multiclass", kind, shares, once, cuts=cuts)["balanced_accuracy"][0] == 1
    assert score_outputs("multiclass", kind, shares, once)["balanced_accuracy"][0] < 1
