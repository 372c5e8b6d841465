"""Scores of predictions, for one weighting of units or thousands at once."""

from clearbench.evaluation.metrics.calibration import brier, expected_calibration_error
from clearbench.evaluation.metrics.decisions import balanced_accuracy, f1, quadratic_kappa
from clearbench.evaluation.metrics.order import auroc, average_precision, sensitivity_at
from clearbench.evaluation.metrics.outputs import bounds_of, score_outputs
from clearbench.evaluation.metrics.survival import uno_c

__all__ = [
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bounds_of",
    "brier",
    "expected_calibration_error",
    "f1",
    "quadratic_kappa",
    "score_outputs",
    "sensitivity_at",
    "uno_c",
]
