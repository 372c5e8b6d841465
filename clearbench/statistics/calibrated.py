"""Whether probabilities of a whole protocol are too extreme, or too high.

A fold has too few patients for a line, so the folds of one repeat (every patient once) are put
together; a mean over repeats and seeds, without an interval.
"""

from collections.abc import Sequence

import numpy as np

from clearbench.metrics.calibration_line import calibration_line
from clearbench.metrics.weighted import mean_known
from clearbench.statistics.intervals import FoldScores, Score, by_repeat


def calibration_scores(heads: Sequence[FoldScores]) -> dict[str, Score]:
    """Return calibration_slope and calibration_intercept of a binary target; NaN without a line."""
    lines = []
    for run in by_repeat(heads):
        truth, scores = (np.concatenate(part)[:, 0] for part in zip(*run, strict=True))
        line = calibration_line(truth[~np.isnan(truth)], scores[~np.isnan(truth)])
        lines.append((line.slope, line.intercept))
    slope, intercept = mean_known(np.array(lines)).tolist()
    nothing = float("nan")
    return {
        "calibration_slope": Score(slope, nothing, nothing),
        "calibration_intercept": Score(intercept, nothing, nothing),
    }
