"""Scores of cross-validation, with intervals over training and test patients.

A metric is taken within each test fold and averaged over the heads of a fold, then over folds. The
calibration error is taken over the folds of a repeat together, since one fold can't fill its bins.
The interval is that of the corrected resampled t-test (`resampled`); a bootstrap of test patients
would leave out the variance over training sets. How often the interval covers the truth is in
benchmarks/reports/protocol.md.
"""

from collections.abc import Collection, Sequence

import numpy as np

from clearbench.arrays import Floats
from clearbench.metrics import bounds_of, score_outputs
from clearbench.metrics.registry import is_pooled, pooled_metrics
from clearbench.metrics.weighted import mean_known
from clearbench.statistics.intervals import FoldScores, Score, by_repeat
from clearbench.statistics.resampled import Design, cv_interval


def score_cross_validation(
    target: str,
    folds: Sequence[FoldScores],
    test_per_train: float,
    *,
    unscored: Collection[int] = (),
) -> dict[str, Score]:
    """Return every metric of a cross-validation with its interval.

    `test_per_train` is n_test / n_train of a fold, in patients. Outputs that are `unscored` have
    NaN. A metric that fewer than two folds have gets no interval.
    """
    values: dict[str, dict[tuple[int, int], list[float]]] = {}
    for fold in folds:
        once = np.ones((1, len(fold.patients)))
        found = score_outputs(target, fold.truth, fold.scores, once, unscored, cuts=fold.cuts)
        for name, [value] in found.items():
            of_fold = values.setdefault(name, {}).setdefault((fold.repeat, fold.fold), [])
            of_fold.append(float(value))
    patients = len({patient for fold in folds for patient in fold.patients})
    scores = {
        name: _interval(
            name,
            # Heads of one fold share its test patients, so they count as one value.
            _means(list(each.values())),
            Design(test_per_train, tuple(repeat for repeat, _ in each), patients),
        )
        for name, each in values.items()
        if not is_pooled(name)
    }
    return scores | _pooled(target, folds, unscored)


def _pooled(
    target: str, folds: Sequence[FoldScores], unscored: Collection[int]
) -> dict[str, Score]:
    """Return the metrics taken over all patients of a repeat: means, without an interval."""
    values: dict[str, list[Floats]] = {}
    for heads in by_repeat(folds):
        truth, scores = (np.concatenate(part) for part in zip(*heads, strict=True))
        once = np.ones((1, len(truth)))
        for metric in pooled_metrics(target):
            found = score_outputs(target, truth, scores, once, unscored, only=metric.name)
            for name, value in found.items():
                values.setdefault(name, []).append(value)
    unknown = float("nan")
    return {
        name: Score(float(mean_known(np.stack(each))[0]), unknown, unknown)
        for name, each in values.items()
    }


def _means(heads: Sequence[Sequence[float]]) -> Floats:
    """Return the mean over the heads of each fold; NaN where none has a value."""
    return np.array([float(mean_known(np.array(each)[:, None])[0]) for each in heads])


def _interval(metric: str, scores: Floats, design: Design) -> Score:
    """Return a metric's mean over folds [folds], with its interval where there is one."""
    known = scores[~np.isnan(scores)]
    if len(known) < 2:
        return Score(
            float(known.mean()) if len(known) else float("nan"), float("nan"), float("nan")
        )
    return cv_interval(scores, design, bounds_of(metric))
