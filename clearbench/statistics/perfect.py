"""The interval of an AUROC of exactly 1 (or 0), where resampling and DeLong show no spread.

Newcombe, "Confidence intervals for an effect size measure based on the Mann–Whitney statistic.
Part 2: Asymptotic methods and evaluation", Statistics in Medicine 25, 2006: method 5. It inverts
the score test with the variance of Hanley and McNeil (Radiology 143, 1982), in which m − 1 and
n − 1 are both replaced by (m + n) / 2 − 1. Its coverage is in benchmarks/reports/perfect.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq

from clearbench.arrays import Floats
from clearbench.metrics.outputs import truth_of_output
from clearbench.metrics.registry import plain_name
from clearbench.statistics.intervals import LEVEL, FoldScores, Score

METHOD = "Newcombe's method 5 (2006)"
NO_SPREAD = 1e-9  # a narrower interval is rounding
AUROC = "auroc"


def auroc_interval(value: float, positive: int, negative: int) -> tuple[float, float]:
    """Return the interval at LEVEL of an AUROC, for so many positive and negative patients."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    low = 0.0 if value <= 0 else _root(value, positive, negative, z)
    # an AUROC is one minus that of the turned scores
    high = 1.0 if value >= 1 else 1 - _root(1 - value, negative, positive, z)
    return low, high


def _root(value: float, positive: int, negative: int, z: float) -> float:
    """Return the lowest AUROC from which `value` is z standard errors away."""

    def gap(true: float) -> float:
        return value - true - z * sqrt(_variance(true, positive, negative))

    tiny = 1e-12  # at 0 and 1 the variance is 0
    return float(brentq(gap, tiny, min(value, 1.0) - tiny)) if gap(tiny) > 0 else 0.0


def _variance(true: float, positive: int, negative: int) -> float:
    """Return the variance of an estimated AUROC; see the module."""
    size = (positive + negative) / 2 - 1
    spread = 1 + size * (1 - true) / (2 - true) + size * true / (1 + true)
    return true * (1 - true) * spread / (positive * negative)


def with_perfect_scores(
    scores: Mapping[str, Score], target: str, heads: Sequence[FoldScores]
) -> dict[str, Score]:
    """Return scores in which no score of 1 or 0 has an interval that is a point.

    An AUROC has the interval of this module: patients of all folds count once; of several outputs,
    the mean of their intervals. Another metric has none, as no method is known for it.
    """
    found = dict(scores)
    for name, score in scores.items():
        if not _is_degenerate(score):
            continue
        found[name] = replace(score, low=float("nan"), high=float("nan"))
        if plain_name(name) != AUROC:
            continue
        outputs = [int(name.partition("/")[2])] if "/" in name else _outputs(scores, heads)
        ends = [
            auroc_interval(round(score.value), *counts)
            for output in outputs
            if min(counts := _count(target, heads, output))
        ]
        if ends:
            low, high = np.mean(ends, axis=0)
            found[name] = replace(score, low=float(low), high=float(high))
    return found


def _is_degenerate(score: Score) -> bool:
    """Tell whether a score is at an end of the scale, with an interval that is a point or none."""
    at_end = min(abs(score.value), abs(1 - score.value)) < NO_SPREAD
    return at_end and not score.high - score.low > NO_SPREAD


def _outputs(scores: Mapping[str, Score], heads: Sequence[FoldScores]) -> list[int]:
    """Return the outputs that are scored."""
    every = range(heads[0].scores.shape[1])
    return [k for k in every if not np.isnan(scores.get(f"{AUROC}/{k}", Score(0, 0, 0)).value)]


def _count(target: str, heads: Sequence[FoldScores], output: int) -> tuple[int, int]:
    """Return how many patients are positive, and how many negative; one with both is positive."""
    positive: dict[str, bool] = {}
    for head in heads:
        truth: Floats = truth_of_output(head.truth, output, target)
        for patient, value in zip(head.patients, truth, strict=True):
            if not np.isnan(value):
                positive[patient] = positive.get(patient, False) or bool(value)
    ill = sum(positive.values())
    return ill, len(positive) - ill
