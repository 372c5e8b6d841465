"""Intervals, tests and ranks that can be trusted; arrays in, frozen records out."""

from clearbench.evaluation.statistics.intervals import (
    DRAWS,
    LEVEL,
    FoldScores,
    Score,
    score_protocol,
)

__all__ = ["DRAWS", "LEVEL", "FoldScores", "Score", "score_protocol"]
