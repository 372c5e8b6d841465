"""The calibration line: how probabilities would have to be corrected.

Cox, "Two further applications of a model for binary regression", Biometrika 45, 1958: the logit of
the true probability as a line in the logit of the predicted one. Slope 1 and intercept 0 are
perfect; a slope under 1 means too extreme, an intercept under 0 too high.
"""

from dataclasses import dataclass

import numpy as np
from statsmodels.api import Logit, add_constant

from clearbench.arrays import Floats

CLIP = 1e-6  # a probability of 0 or 1 has no logit


@dataclass(frozen=True)
class CalibrationLine:
    """Intercept and slope on the logit scale; both NaN where no line can be fitted."""

    intercept: float
    slope: float


def calibration_line(truth: Floats, score: Floats) -> CalibrationLine:
    """Fit the line to truth [n] (0 or 1) and probabilities [n].

    NaN where there is none: one class, one score, or classes that a threshold separates without an
    error (the slope would be infinite).
    """
    clipped = np.clip(score, CLIP, 1 - CLIP)
    logit = np.log(clipped / (1 - clipped))
    if _has_no_line(truth, logit):
        return CalibrationLine(float("nan"), float("nan"))
    fitted = Logit(truth, add_constant(logit)).fit(disp=False, maxiter=100)
    # add_constant puts the constant first, so the intercept comes before the slope.
    return CalibrationLine(*(float(value) for value in fitted.params))


def _has_no_line(truth: Floats, logit: Floats) -> bool:
    """Tell whether the likelihood has no finite maximum."""
    positive, negative = logit[truth == 1], logit[truth == 0]
    if not len(positive) or not len(negative) or np.ptp(logit) == 0:
        return True
    # Equal ends count too: the slope is infinite even if the classes touch in one score.
    return bool(positive.min() >= negative.max() or positive.max() <= negative.min())
