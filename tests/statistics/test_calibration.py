import numpy as np
import pytest

from clearbench.statistics import FoldScores
from clearbench.statistics.calibration import calibration_scores


def folds(slope: float, intercept: float, count: int = 4000) -> list[FoldScores]:
    """Two repeats of two folds whose logits, on that line, give the true probability."""
    rng, found = np.random.default_rng(0), []
    for repeat in range(2):
        logit = rng.normal(size=(2, count))
        truth = (rng.random((2, count)) < 1 / (1 + np.exp(-(intercept + slope * logit)))) * 1.0
        for fold in range(2):
            names = tuple(f"p{i}" for i in range(count))
            scores = 1 / (1 + np.exp(-logit[fold]))
            found.append(FoldScores(repeat, fold, 0, names, truth[fold, :, None], scores[:, None]))
    return found


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.0)])
def test_the_line_is_found(slope: float, intercept: float) -> None:
    found = calibration_scores(folds(slope, intercept))
    assert found["calibration_slope"].value == pytest.approx(slope, abs=0.07)
    assert found["calibration_intercept"].value == pytest.approx(intercept, abs=0.07)
    assert np.isnan(found["calibration_slope"].low)


def test_folds_of_a_repeat_are_put_together() -> None:
    """Each fold alone has one class, and no line; both together have one."""
    [first, second, *_] = folds(1.0, 0.0)
    halves = []
    for fold, label in ((first, 0), (second, 1)):
        rows = fold.truth[:, 0] == label
        names = tuple(np.array(fold.patients)[rows])
        halves.append(FoldScores(0, label, 0, names, fold.truth[rows], fold.scores[rows]))
    assert np.isnan(calibration_scores(halves[:1])["calibration_slope"].value)
    assert calibration_scores(halves)["calibration_slope"].value == pytest.approx(1, abs=0.2)


def test_unknown_labels_are_left_out() -> None:
    each = folds(1.0, 0.0, 300)
    truth = np.where(np.arange(300)[:, None] < 100, np.nan, each[0].truth)
    blank = FoldScores(0, 0, 0, each[0].patients, truth, each[0].scores)
    assert not np.isnan(calibration_scores([blank])["calibration_slope"].value)
