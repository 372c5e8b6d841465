"""The calibration line of an evaluation: are its probabilities too extreme, or too high?

A fold has too few patients for a line, so the folds of one repeat (every patient once) are pooled.
The scores are means over repeats and seeds, without an interval.
"""

from collections.abc import Sequence

import numpy as np

from clearbench.metrics.calibration_line import calibration_line
from clearbench.metrics.weighted import mean_known
from clearbench.statistics.intervals import FoldScores, Score, by_repeat


def calibration_scores(heads: Sequence[FoldScores]) -> dict[str, Score]:
    """Return calibration_slope and calibration_intercept of a binary target; NaN without a line."""
    lines = []
    for folds in by_repeat(heads):
        truth, scores = (np.concatenate(part)[:, 0] for part in zip(*folds, strict=True))
        line = calibration_line(truth[~np.isnan(truth)], scores[~np.isnan(truth)])
        lines.append((line.slope, line.intercept))
    slope, intercept = mean_known(np.array(lines)).tolist()
    unknown = float("nan")
    return {
        "calibration_slope": Score(slope, unknown, unknown),
        "calibration_intercept": Score(intercept, unknown, unknown),
    }
