"""Intervals, tests and ranks; arrays in, records out."""

from clearbench.statistics.intervals import (
    INTERVAL_RESAMPLES,
    LEVEL,
    FoldScores,
    Score,
    score_with_bootstrap,
)

__all__ = ["INTERVAL_RESAMPLES", "LEVEL", "FoldScores", "Score", "score_with_bootstrap"]
