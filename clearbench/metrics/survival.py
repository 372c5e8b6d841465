"""Uno's C: do patients at higher risk have the event earlier? Some are censored before it.

Uno, Cai, Pencina, D'Agostino and Wei, "On the C-statistics for evaluating overall adequacy of risk
prediction procedures with censored survival data", Statistics in Medicine 30, 2011. Each pair of an
event and a later unit counts 1 / G², where G is the probability of not being censored before the
event (Kaplan-Meier estimate of censoring). Without censoring it is Harrell's C.

A unit censored at the time of an event counts as censored just after it.
"""

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.metrics.weighted import ratio


def uno_c(truth: Floats, risk: Floats, weights: Floats, censoring: Floats | None = None) -> Floats:
    """Return the share of pairs in which the higher risk has the event first; ties count half.

    truth [n, 2] (time, event 0 or 1), risk [n], weights [b, n] → [b]. G is estimated from
    `censoring` (time and event of the training units [m, 2]; events after their last time count for
    nothing), by default from the units of each resample. NaN where a resample has no pair.
    """
    time, event = truth[:, 0], truth[:, 1]
    events = np.flatnonzero(event == 1)
    kept = _kept(truth, weights) if censoring is None else _kept_by(time, censoring)
    each = weights[:, events] * _inverse_square(kept[:, events])
    later = _outlived(time, event, events)
    order = np.sign(risk[events, None] - risk) / 2 + 0.5
    # As a matrix product, so that no array [b, events, n] is made.
    right = (each * (weights @ (later * order).T)).sum(axis=1)
    return ratio(right, (each * (weights @ later.T)).sum(axis=1))


def _outlived(time: Floats, event: Floats, events: NDArray[np.intp]) -> Floats:
    """Return which units outlived each event [events, n]."""
    at = time[events, None]
    later: NDArray[np.bool_] = (time > at) | ((time == at) & (event == 0))
    return later.astype(np.float64)


def _inverse_square(kept: Floats) -> Floats:
    """Return 1 / kept², 0 where `kept` is 0."""
    found: Floats = np.divide(1.0, kept**2, out=np.zeros_like(kept), where=kept > 0)
    return found


def _kept_by(time: Floats, censoring: Floats) -> Floats:
    """Return the probability [1, n] of no censoring before each time, from other units."""
    curve = _kept_curve(censoring, np.ones((1, len(censoring))))
    # left: censoring at the very time of an event counts as after it.
    return curve[:, np.searchsorted(np.unique(censoring[:, 0]), time, side="left")]


def _kept(truth: Floats, weights: Floats) -> Floats:
    """Return the probability [b, n] of no censoring before the time of each unit."""
    return _kept_curve(truth, weights)[:, np.unique(truth[:, 0], return_inverse=True)[1]]


def _kept_curve(truth: Floats, weights: Floats) -> Floats:
    """Return the probability of no censoring before each time, and after all [b, times + 1].

    Kaplan and Meier, Journal of the American Statistical Association 53, 1958.
    """
    order = np.argsort(truth[:, 0], kind="stable")
    starts = np.unique(truth[order, 0], return_index=True)[1]
    censored = np.add.reduceat(weights[:, order] * (truth[order, 1] == 0), starts, axis=1)
    every = np.add.reduceat(weights[:, order], starts, axis=1)
    # Units with an event at this time are gone before those that are censored at it.
    at_risk = np.cumsum(every[:, ::-1], axis=1)[:, ::-1] - (every - censored)
    share = np.divide(censored, at_risk, out=np.zeros_like(censored), where=at_risk > 0)
    curve: Floats = np.c_[np.ones((len(weights), 1)), np.cumprod(1 - share, axis=1)]
    return curve
