import numpy as np
import pytest

from clearbench.metrics import auroc
from clearbench.statistics import FoldScores
from clearbench.statistics.cross_validation import score_cross_validation
from clearbench.statistics.resampled import Design, cv_interval

SHARE = 1 / 4


def folds(quality: float, repeats: int = 2, seeds: int = 1, *, seed: int = 0) -> list[FoldScores]:
    """Five folds of 20 patients, half of them positive."""
    rng, found = np.random.default_rng(seed), []
    for repeat in range(repeats):
        order = np.concatenate([2 * rng.permutation(50), 2 * rng.permutation(50) + 1])
        for fold in range(5):
            test = order.reshape(2, 5, 10)[:, fold].ravel()
            truth = test % 2.0
            for k in range(seeds):
                scores = 1 / (1 + np.exp(-quality * truth - rng.normal(size=20)))
                names = tuple(f"p{i}" for i in test)
                found.append(FoldScores(repeat, fold, k, names, truth[:, None], scores[:, None]))
    return found


def test_a_score_is_the_mean_over_folds_with_the_corrected_interval() -> None:
    each = folds(1.0)
    one = np.ones((1, 20))
    values = np.array([auroc(f.truth[:, 0], f.scores[:, 0], one)[0] for f in each])
    found = score_cross_validation("binary", each, SHARE)["auroc"]
    assert found == cv_interval(values, Design(SHARE, (0,) * 5 + (1,) * 5, 100), (0, 1))
    assert found.low < found.value < found.high


def test_heads_of_one_fold_are_one_value() -> None:
    """More seeds say more about a head, not about patients: the folds stay ten."""
    each = folds(1.0, seeds=3)
    found = score_cross_validation("binary", each, SHARE)["auroc"]
    assert found.value == pytest.approx(
        np.mean([score_cross_validation("binary", [f], SHARE)["auroc"].value for f in each])
    )
    twice = score_cross_validation("binary", [*each, *each], SHARE)["auroc"]
    assert (twice.value, twice.low) == pytest.approx((found.value, found.low))


def test_intervals_stay_where_a_metric_can_be() -> None:
    perfect = score_cross_validation("binary", folds(3.0), SHARE)
    known = [score for score in perfect.values() if not np.isnan(score.low)]
    assert len(known) > 4
    assert all(0 <= score.low <= score.high <= 1 for score in known)


def test_calibration_is_taken_over_a_whole_repeat() -> None:
    """Bins of one fold hold a patient or two, and look far off however right the scores are."""
    rng, each = np.random.default_rng(0), []
    for fold in range(5):
        scores = rng.random(16)
        truth = (rng.random(16) < scores) * 1.0
        names = tuple(f"{fold}-{i}" for i in range(16))
        each.append(FoldScores(0, fold, 0, names, truth[:, None], scores[:, None]))
    found = score_cross_validation("binary", each, SHARE)["expected_calibration_error"]
    alone = [
        score_cross_validation("binary", [f], SHARE)["expected_calibration_error"] for f in each
    ]
    assert found.value < 0.7 * np.mean([score.value for score in alone])
    assert np.isnan(found.low)


def test_a_metric_without_two_folds_has_no_interval() -> None:
    found = score_cross_validation("binary", folds(1.0)[:1], SHARE)["auroc"]
    assert not np.isnan(found.value)
    assert np.isnan([found.low, found.high]).all()


def test_unscored_outputs_have_no_value() -> None:
    each = [
        FoldScores(f.repeat, f.fold, 0, f.patients, np.tile(f.truth, 2), np.tile(f.scores, 2))
        for f in folds(1.0)
    ]
    found = score_cross_validation("multilabel", each, SHARE, unscored=(1,))
    assert np.isnan(found["auroc/1"].value)
    assert found["auroc_macro"].value == found["auroc/0"].value
