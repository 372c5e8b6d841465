"""Every metric of a target, macro and per output."""

from collections.abc import Callable, Collection
from types import MappingProxyType

import numpy as np

from clearbench.evaluation.metrics.calibration import brier, expected_calibration_error
from clearbench.evaluation.metrics.decisions import balanced_accuracy, f1, quadratic_kappa
from clearbench.evaluation.metrics.order import auroc, average_precision, sensitivity_at
from clearbench.evaluation.metrics.survival import uno_c
from clearbench.evaluation.metrics.weighted import Floats, both_drawn, mean_known

THRESHOLD = 0.5
LOWEST = MappingProxyType({"quadratic_kappa": -1.0})  # every other metric begins at 0


def bounds_of(metric: str) -> tuple[float, float]:
    """Return the least and the greatest value that a metric can have."""
    return LOWEST.get(metric, 0.0), 1.0


def score_outputs(  # noqa: PLR0913  what is scored, and by what
    target: str,
    truth: Floats,
    scores: Floats,
    weights: Floats,
    unscored: Collection[int] = (),
    *,
    censoring: Floats | None = None,
    only: str = "",
) -> dict[str, Floats]:
    """Return every metric of a target by name, macro and per output, each [b].

    truth [n, labels] (class number for multiclass and ordinal, time and event for survival, NaN
    unknown), scores [n, outputs]; outputs that are `unscored` have NaN and don't count in the macro
    metrics. `censoring` [m, 2] is what survival takes its losses from, else the units themselves.
    With `only`, the name of one metric, labels are scored by no other: several times as fast.
    Names: auroc, average_precision, … for binary; uno_c for survival; auroc_macro and
    auroc/<output number> otherwise.
    """
    if target == "multiclass":
        return _multiclass(truth[:, 0], scores, weights, unscored)
    if target == "ordinal":
        return _ordinal(truth[:, 0], scores, weights, unscored)
    if target == "survival":
        known = ~np.isnan(truth).any(axis=1)
        return {"uno_c": uno_c(truth[known], scores[known, 0], weights[:, known], censoring)}
    found: dict[str, list[Floats]] = {}
    for column in range(scores.shape[1]):
        known = ~np.isnan(truth[:, column]) & (column not in unscored)
        one = _binary(truth[known, column], scores[known, column], weights[:, known], only)
        for name, values in one.items():
            found.setdefault(name, []).append(values)
    if target == "binary":
        return {name: values[0] for name, values in found.items()}
    return _with_macro(found)


def _balanced(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the balanced accuracy of a label, where both classes are drawn."""
    return both_drawn(truth, weights, balanced_accuracy(truth, _guess(score), weights))


def _f1(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return F1 of a label."""
    return f1(truth, _guess(score), weights)


def _guess(score: Floats) -> Floats:
    """Tell classes apart at 0.5, for which heads are class-weighted."""
    return (score >= THRESHOLD).astype(float)


BINARY: MappingProxyType[str, Callable[[Floats, Floats, Floats], Floats]] = MappingProxyType(
    {
        "auroc": auroc,
        "average_precision": average_precision,
        "balanced_accuracy": _balanced,
        "f1": _f1,
        "sensitivity_at_95_specificity": sensitivity_at,
        "brier": brier,
        "expected_calibration_error": expected_calibration_error,
    }
)


def _binary(truth: Floats, score: Floats, weights: Floats, only: str) -> dict[str, Floats]:
    """Score one label by every metric, or by one and its namesakes."""
    wanted = only.partition("/")[0].removesuffix("_macro")
    return {
        name: measure(truth, score, weights)
        for name, measure in BINARY.items()
        if wanted in ("", name)
    }


def _multiclass(
    truth: Floats, scores: Floats, weights: Floats, unscored: Collection[int]
) -> dict[str, Floats]:
    """Score classes one against the rest, and the most probable class."""
    found: dict[str, list[Floats]] = {}
    guess = scores.argmax(axis=1).astype(float)
    for k in range(scores.shape[1]):
        one, drawn = (truth == k).astype(float), weights * (k not in unscored)
        found.setdefault("auroc", []).append(auroc(one, scores[:, k], drawn))
        found.setdefault("average_precision", []).append(
            average_precision(one, scores[:, k], drawn)
        )
        found.setdefault("f1", []).append(f1(one, (guess == k).astype(float), drawn))
    scored = weights * ~np.isin(truth, list(unscored))
    return _with_macro(found) | {"balanced_accuracy": balanced_accuracy(truth, guess, scored)}


def _ordinal(
    truth: Floats, scores: Floats, weights: Floats, unscored: Collection[int]
) -> dict[str, Floats]:
    """Score each cut, "class k or above", and the class that the cuts passed make."""
    known = ~np.isnan(truth)
    truth, scores, weights = truth[known], scores[known], weights[:, known]
    found: dict[str, list[Floats]] = {}
    for cut in range(scores.shape[1]):
        above, drawn = (truth > cut).astype(float), weights * (cut not in unscored)
        found.setdefault("auroc", []).append(auroc(above, scores[:, cut], drawn))
        found.setdefault("average_precision", []).append(
            average_precision(above, scores[:, cut], drawn)
        )
    guess = (scores > THRESHOLD).sum(axis=1).astype(float)
    return _with_macro(found) | {"quadratic_kappa": quadratic_kappa(truth, guess, weights)}


def _with_macro(found: dict[str, list[Floats]]) -> dict[str, Floats]:
    """Name each output's score, and their mean."""
    macro = {f"{name}_macro": mean_known(np.stack(values)) for name, values in found.items()}
    each = {
        f"{name}/{k}": value for name, values in found.items() for k, value in enumerate(values)
    }
    return macro | each
