"""The metrics, one row each: add a metric here, and nowhere else.

A row has the targets of a metric, what its function takes, its bounds, and whether a task may rank
encoders by it. Every function takes truth and scores [n] and weights [b, n] (how often each
resample has each unit), and returns [b].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from clearbench.arrays import Floats
from clearbench.errors import UnknownName
from clearbench.metrics.calibration import brier, expected_calibration_error
from clearbench.metrics.decisions import (
    balanced_accuracy,
    f1,
    label_balanced_accuracy,
    quadratic_kappa,
)
from clearbench.metrics.order import auroc, average_precision, sensitivity_at
from clearbench.metrics.survival import uno_c

Takes = Literal["score", "decision", "classes", "risk"]

LABELS = ("binary", "multilabel")
EVERY_CLASS = (*LABELS, "multiclass", "ordinal")


@dataclass(frozen=True)
class Metric:
    """One metric of some targets.

    takes   "score": truth (0 or 1) and score of one output; "decision": truth and decision (0 or 1)
            of one output; "classes": the number of the true and of the predicted class;
            "risk": time and event, and a risk
    ranks   the targets whose tasks may rank encoders by it, by default all that have it
    pooled  taken over all folds of a repeat together, because one fold is too small for it
    """

    name: str
    function: Callable[..., Floats]
    targets: tuple[str, ...]
    takes: Takes = "score"
    ranks: tuple[str, ...] | None = None
    low: float = 0.0
    high: float = 1.0
    less_is_better: bool = False
    pooled: bool = False

    @property
    def per_output(self) -> bool:
        """Tell whether it is taken of each output separately."""
        return self.takes in ("score", "decision")

    def shown_as(self, target: str) -> str:
        """Return its name among a target's scores; several outputs are averaged ("_macro")."""
        averaged = self.per_output and target != "binary"
        return f"{self.name}_macro" if averaged else self.name

    def ranks_for(self, target: str) -> bool:
        """Tell whether a task of this target may rank encoders by it."""
        return target in (self.targets if self.ranks is None else self.ranks)


# The order matters: the first metric that may rank a target is its default.
METRICS: tuple[Metric, ...] = (
    Metric("auroc", auroc, EVERY_CLASS),
    Metric("average_precision", average_precision, EVERY_CLASS),
    Metric("balanced_accuracy", label_balanced_accuracy, LABELS, "decision"),
    Metric("balanced_accuracy", balanced_accuracy, ("multiclass",), "classes"),
    Metric("f1", f1, (*LABELS, "multiclass"), "decision"),
    Metric("sensitivity_at_95_specificity", sensitivity_at, LABELS, ranks=("binary",)),
    Metric("brier", brier, LABELS, ranks=(), less_is_better=True),
    Metric(
        "expected_calibration_error",
        expected_calibration_error,
        LABELS,
        ranks=(),
        less_is_better=True,
        pooled=True,
    ),
    Metric("quadratic_kappa", quadratic_kappa, ("ordinal",), "classes", low=-1.0),
    Metric("uno_c", uno_c, ("survival",), "risk"),
)


def metrics_of(target: str, only: str = "") -> list[Metric]:
    """Return the metrics of a target, or with `only` the one of a score's name."""
    wanted = plain_name(only)
    return [m for m in METRICS if target in m.targets and wanted in ("", m.name)]


def plain_name(score: str) -> str:
    """Return the metric's name in a score's: auroc of auroc_macro and auroc/liver."""
    return score.partition("/")[0].removesuffix("_macro")


def ranking_metrics(target: str) -> tuple[str, ...]:
    """Return the scores by which a task of this target may rank encoders, the default first."""
    return tuple(m.shown_as(target) for m in METRICS if target in m.targets and m.ranks_for(target))


def find_metric(score: str) -> Metric:
    """Return the metric of a score's name; raises UnknownName with the nearest ones."""
    name = plain_name(score)
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise UnknownName.among("metric", score, {metric.name for metric in METRICS})


def bounds_of(score: str) -> tuple[float, float]:
    """Return the least and the greatest value that a score can have."""
    metric = find_metric(score)
    return metric.low, metric.high


def less_is_better(score: str) -> bool:
    """Tell whether a lower value of this score is the better one; False for what isn't a metric."""
    return any(m.less_is_better for m in METRICS if m.name == plain_name(score))


def pooled_metrics(target: str) -> list[Metric]:
    """Return the metrics of a target that are taken over all folds of a repeat together."""
    return [metric for metric in metrics_of(target) if metric.pooled]


def is_pooled(score: str) -> bool:
    """Tell whether this score is taken over all folds of a repeat together."""
    return any(m.pooled for m in METRICS if m.name == plain_name(score))
