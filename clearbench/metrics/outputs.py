"""All metrics of a target, macro and per output."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from clearbench.arrays import Floats
from clearbench.metrics.cuts import THRESHOLD, balanced
from clearbench.metrics.registry import Metric, metrics_of
from clearbench.metrics.weighted import mean_known


@dataclass(frozen=True)
class _Output:
    """One output: truth and decision [n] (0 or 1), score [n], weights [b, n]."""

    truth: Floats
    score: Floats
    decision: Floats
    weights: Floats


class _Scores(NamedTuple):
    """Scores [n, outputs] as heads give them, and balanced, so that decisions are taken at 0.5."""

    given: Floats
    balanced: Floats


@dataclass(frozen=True)
class _Scored:
    """The input of metrics: each output, and all outputs together.

    truth, predicted, weights: class numbers of the whole target, or time and event with a risk
    """

    outputs: tuple[_Output, ...]
    truth: Floats
    predicted: Floats
    weights: Floats


def score_outputs(  # noqa: PLR0913  all are facts of one scoring
    target: str,
    truth: Floats,
    scores: Floats,
    weights: Floats,
    unscored: Collection[int] = (),
    *,
    cuts: Floats | None = None,
    censoring: Floats | None = None,
    only: str = "",
) -> dict[str, Floats]:
    """Return every metric of a target by name, macro and per output, each [b].

    truth [n, labels] (class number for multiclass and ordinal, time and event for survival, NaN
    unknown), scores [n, outputs]. Outputs that are `unscored` have NaN and don't count in the macro
    metrics. `cuts` [outputs] are where scores become decisions (see `metrics.cuts`), by default
    0.5. `censoring` [m, 2] are the times and events from which survival estimates censoring, by
    default those of the units. With `only`, the name of one score, no other metric is taken, which
    is several times faster. Names: auroc, average_precision, … for binary; uno_c for survival;
    auroc_macro and auroc/<output number> otherwise.
    """
    decidable = balanced(target, scores, cuts)
    prepared = _PREPARE[target](truth, _Scores(scores, decidable), weights, unscored)
    found: dict[str, Floats] = {}
    for metric in metrics_of(target, only):
        found |= _take(metric, target, prepared, censoring)
    return found


def truth_of_output(targets: Floats, column: int, target: str) -> Floats:
    """Return the truth of one output [n], 0 or 1: its label, class, cut of classes, or the event.

    targets [n, labels] as `score_outputs` takes truth; NaN where unknown.
    """
    if target == "multiclass":
        return np.equal(targets[:, 0], column).astype(float)
    if target == "ordinal":
        return np.where(np.isnan(targets[:, 0]), np.nan, targets[:, 0] > column)
    found: Floats = targets[:, 1] if target == "survival" else targets[:, column]
    return found


def _take(
    metric: Metric, target: str, scored: _Scored, censoring: Floats | None
) -> dict[str, Floats]:
    """Take one metric: of each output and their mean, or of all outputs together."""
    if metric.takes == "risk":
        parts = scored.truth, scored.predicted, scored.weights
        return {metric.name: metric.function(*parts, censoring)}
    if metric.takes == "classes":
        return {metric.name: metric.function(scored.truth, scored.predicted, scored.weights)}
    values = [
        metric.function(
            one.truth, one.decision if metric.takes == "decision" else one.score, one.weights
        )
        for one in scored.outputs
    ]
    if target == "binary":
        return {metric.name: values[0]}
    each = {f"{metric.name}/{number}": value for number, value in enumerate(values)}
    return {metric.shown_as(target): mean_known(np.stack(values))} | each


def _labels(truth: Floats, scores: _Scores, weights: Floats, unscored: Collection[int]) -> _Scored:
    """Prepare labels: each on the units where it is known."""
    outputs = []
    for column in range(scores.given.shape[1]):
        known = ~np.isnan(truth[:, column]) & (column not in unscored)
        score = scores.given[known, column]
        decision = (scores.balanced[known, column] >= THRESHOLD).astype(float)
        outputs.append(_Output(truth[known, column], score, decision, weights[:, known]))
    return _Scored(tuple(outputs), truth, scores.given, weights)


def _classes(truth: Floats, scores: _Scores, weights: Floats, unscored: Collection[int]) -> _Scored:
    """Prepare classes: one against the rest, and the class that is the most likely if balanced."""
    classes, predicted = truth[:, 0], scores.balanced.argmax(axis=1).astype(float)
    outputs = tuple(
        _Output(
            (classes == k).astype(float),
            scores.given[:, k],
            (predicted == k).astype(float),
            # Weights of 0 make the output NaN, so the macro mean leaves it out.
            weights * (k not in unscored),
        )
        for k in range(scores.given.shape[1])
    )
    scored = weights * ~np.isin(classes, list(unscored))
    return _Scored(outputs, classes, predicted, scored)


def _steps(truth: Floats, scores: _Scores, weights: Floats, unscored: Collection[int]) -> _Scored:
    """Prepare each step, "class k or above", and the predicted class: how many steps are passed."""
    known = ~np.isnan(truth[:, 0])
    classes, given, weights = truth[known, 0], scores.given[known], weights[:, known]
    passed = scores.balanced[known] >= THRESHOLD
    outputs = tuple(
        _Output(
            (classes > step).astype(float),
            given[:, step],
            passed[:, step].astype(float),
            weights * (step not in unscored),
        )
        for step in range(given.shape[1])
    )
    return _Scored(outputs, classes, passed.sum(axis=1).astype(float), weights)


def _risk(truth: Floats, scores: _Scores, weights: Floats, _: Collection[int]) -> _Scored:
    """Prepare times, events and risks, where they are known."""
    known = ~np.isnan(truth).any(axis=1)
    return _Scored((), truth[known], scores.given[known, 0], weights[:, known])


_PREPARE: MappingProxyType[str, Callable[..., _Scored]] = MappingProxyType(
    {
        "binary": _labels,
        "multilabel": _labels,
        "multiclass": _classes,
        "ordinal": _steps,
        "survival": _risk,
    }
)
