"""Intervals, tests and ranks that can be trusted; arrays in, frozen records out."""

from clearbench.statistics.intervals import (
    INTERVAL_RESAMPLES,
    LEVEL,
    FoldScores,
    Score,
    score_protocol,
)

__all__ = ["INTERVAL_RESAMPLES", "LEVEL", "FoldScores", "Score", "score_protocol"]
