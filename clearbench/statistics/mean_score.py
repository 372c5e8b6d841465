"""A mean over units with its interval: a bootstrap of patients, each with all their values."""

from collections.abc import Sequence

import numpy as np

from clearbench.arrays import Floats
from clearbench.statistics.bootstrap import Resampling, bootstrap, percentile_interval
from clearbench.statistics.intervals import INTERVAL_RESAMPLES, Score

FEWEST_PATIENTS = 2  # one patient has no spread


def mean_score(
    values: Floats, patients: Sequence[str], *, resamples: int = INTERVAL_RESAMPLES, seed: int = 0
) -> Score:
    """Return the mean of values [n] and its percentile interval over patients [n].

    NaN without values; no interval with fewer than two patients.
    """
    if not len(values):
        return Score(float("nan"), float("nan"), float("nan"))
    names, column = np.unique(np.array(patients), return_inverse=True)
    sums, counts = np.bincount(column, values), np.bincount(column)
    if len(names) < FEWEST_PATIENTS:
        return Score(float(values.mean()), float("nan"), float("nan"))

    def mean(weights: Floats) -> dict[str, Floats]:
        # Sums and counts per patient: the weights need one column per patient, not per value.
        return {"mean": weights @ sums / (weights @ counts)}

    found = bootstrap([mean], Resampling(tuple(names), resamples=resamples, seed=seed))
    return percentile_interval(found["mean"], 0)
