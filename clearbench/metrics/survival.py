"""Whether those at higher risk fail earlier, where some are lost from sight before they fail.

Uno, Cai, Pencina, D'Agostino and Wei, "On the C-statistics for evaluating overall adequacy of risk
prediction procedures with censored survival data", Statistics in Medicine 30, 2011. Each pair of an
earlier failure and a later unit counts 1 / G², G being the chance of not having been lost before
the failure (Kaplan-Meier of the losses). Without losses it is Harrell's C.

Losses at the time of a failure count as just after it: such a unit outlived the failure.
"""

import numpy as np
from numpy.typing import NDArray

from clearbench.metrics.weighted import Floats, ratio


def uno_c(truth: Floats, risk: Floats, weights: Floats, censoring: Floats | None = None) -> Floats:
    """Return the share of pairs in which the higher risk fails first, ties half.

    truth [n, 2] (time, event 0 or 1), risk [n], weights [b, n] → [b]. G is that of `censoring`
    (time and event of the training units [m, 2]; failures after the last of their time count for
    nothing), else that of the drawn units themselves, anew in each draw. NaN where no pair is
    drawn.
    """
    time, event = truth[:, 0], truth[:, 1]
    failed = np.flatnonzero(event == 1)
    kept = _kept(truth, weights) if censoring is None else _kept_by(time, censoring)
    each = weights[:, failed] * _inverse_square(kept[:, failed])
    later = _outlived(time, event, failed)
    order = np.sign(risk[failed, None] - risk) / 2 + 0.5
    right = (each * (weights @ (later * order).T)).sum(axis=1)
    return ratio(right, (each * (weights @ later.T)).sum(axis=1))


def _outlived(time: Floats, event: Floats, failed: NDArray[np.intp]) -> Floats:
    """Tell who outlived each failure [failures, n]."""
    at = time[failed, None]
    later: NDArray[np.bool_] = (time > at) | ((time == at) & (event == 0))
    return later.astype(np.float64)


def _inverse_square(kept: Floats) -> Floats:
    """Return 1 / kept², 0 where nobody is kept."""
    found: Floats = np.divide(1.0, kept**2, out=np.zeros_like(kept), where=kept > 0)
    return found


def _kept_by(time: Floats, censoring: Floats) -> Floats:
    """Return the chance [1, n] of not being lost before each time, by other units' losses."""
    curve = _kept_curve(censoring, np.ones((1, len(censoring))))
    return curve[:, np.searchsorted(np.unique(censoring[:, 0]), time, side="left")]


def _kept(truth: Floats, weights: Floats) -> Floats:
    """Return the chance [b, n] of not being lost before each unit's own time."""
    return _kept_curve(truth, weights)[:, np.unique(truth[:, 0], return_inverse=True)[1]]


def _kept_curve(truth: Floats, weights: Floats) -> Floats:
    """Return the curve of the losses just before each distinct time, and at the end [b, times + 1].

    Kaplan and Meier, Journal of the American Statistical Association 53, 1958.
    """
    order = np.argsort(truth[:, 0], kind="stable")
    starts = np.unique(truth[order, 0], return_index=True)[1]
    lost = np.add.reduceat(weights[:, order] * (truth[order, 1] == 0), starts, axis=1)
    every = np.add.reduceat(weights[:, order], starts, axis=1)
    at_risk = np.cumsum(every[:, ::-1], axis=1)[:, ::-1] - (every - lost)
    share = np.divide(lost, at_risk, out=np.zeros_like(lost), where=at_risk > 0)
    curve: Floats = np.c_[np.ones((len(weights), 1)), np.cumprod(1 - share, axis=1)]
    return curve
