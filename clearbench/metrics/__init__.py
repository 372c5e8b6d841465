"""Metrics of predictions, under one weighting of units or thousands at once."""

from clearbench.metrics.calibration import brier, expected_calibration_error
from clearbench.metrics.decisions import balanced_accuracy, f1, quadratic_kappa
from clearbench.metrics.order import auroc, average_precision, sensitivity_at
from clearbench.metrics.outputs import score_outputs
from clearbench.metrics.registry import METRICS, bounds_of
from clearbench.metrics.survival import uno_c

__all__ = [
    "METRICS",
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
