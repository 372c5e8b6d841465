from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.mean_pool import STRENGTHS, MeanPoolClassifier
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.heads.training import LabelledBags

Make = Callable[..., Any]
TRUTH = np.arange(60) % 2 * 1.0
TRAIN, TUNE, TEST = (np.arange(*ends) for ends in ((0, 30), (30, 40), (40, 60)))


@pytest.fixture
def bags(make_bags: Make) -> BagSet:
    return BagSet.of([bag.features for bag in make_bags(TRUTH.tolist())])


def fit(bags: BagSet, values: Any, target: str = "binary", classes: int = 2) -> MeanPoolClassifier:
    targets = make_targets(target, values, classes)
    parts = [LabelledBags(bags.take(rows), targets.take(rows)) for rows in (TRAIN, TUNE)]
    return MeanPoolClassifier(target, classes).fit_labelled(*parts)


def test_it_is_scikit_learns_logistic_regression_on_bag_means(bags: BagSet) -> None:
    head = fit(bags, TRUTH)
    known = np.concatenate([TRAIN, TUNE])
    strength = float(str(head.settings["strength"]))
    assert strength in STRENGTHS
    theirs = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    ).fit(bags.means[known], TRUTH[known])
    log_odds = theirs.decision_function(bags.means[TEST])
    calibrated = head.calibration_.scores(log_odds[:, None])
    np.testing.assert_allclose(head.scores(bags.take(TEST)), calibrated, atol=1e-6)


def test_classes_are_scikit_learns_too_and_an_unseen_one_gets_nearly_zero(make_bags: Make) -> None:
    classes = np.arange(60) % 3 * 1.0
    bags = BagSet.of([bag.features for bag in make_bags(classes.tolist())])
    scores = fit(bags, classes, "multiclass", 4).scores(bags.take(TEST))
    assert scores.shape == (20, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores[:, 3] < 1e-6).all()
    assert (scores.argmax(axis=1) == classes[TEST]).mean() > 0.6


def test_each_label_is_fitted_on_the_units_that_know_it(bags: BagSet) -> None:
    """Units without a label don't change its model, whatever their features."""
    values = np.stack([TRUTH, TRUTH], axis=1)
    values[:20, 1] = np.nan
    head = fit(bags, values, "multilabel")
    means = bags.means[20:40]
    np.testing.assert_allclose(head.models_[1].mean, means.mean(axis=0))
    np.testing.assert_allclose(head.models_[0].mean, bags.means[:40].mean(axis=0))


@pytest.mark.parametrize(("value", "frequency"), [(0.0, 0.0), (1.0, 1.0), (np.nan, 0.5)])
def test_a_label_with_one_value_predicts_its_frequency(
    value: float, frequency: float, bags: BagSet
) -> None:
    values = np.stack([TRUTH, np.full(60, value)], axis=1)
    scores = fit(bags, values, "multilabel").scores(bags)[:, 1]
    assert np.ptp(scores) == 0
    assert scores[0] == pytest.approx(frequency, abs=0.02)


def test_a_risk_grows_where_lives_are_short(bags: BagSet) -> None:
    lives = np.stack([np.where(TRUTH > 0, 2.0, 9.0) + np.arange(60) % 4, np.ones(60)], axis=1)
    risk = fit(bags, lives, "survival").scores(bags.take(TEST))[:, 0]
    assert risk[TRUTH[TEST] > 0].mean() > risk[TRUTH[TEST] == 0].mean() + 0.5
    nobody = np.stack([lives[:, 0], np.zeros(60)], axis=1)
    np.testing.assert_allclose(fit(bags, nobody, "survival").scores(bags), 0, atol=1e-12)
