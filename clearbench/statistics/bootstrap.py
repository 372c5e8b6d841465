"""Bootstrap over patients: intervals and paired differences of any metric on a fixed test set.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: the percentile interval (ch. 13).
p is twice the smaller share of resamples on either side of 0, with one resample added to each
(Davison and Hinkley, "Bootstrap Methods and their Application", 1997, ch. 4). Patients are
resampled with all their units, because units of one patient are not independent. All encoders are
scored on the same resamples, so that differences are paired.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.errors import BadTask
from clearbench.metrics import score_outputs
from clearbench.statistics.comparison import Difference
from clearbench.statistics.intervals import LEVEL, Score

Measure = Callable[[Floats], Mapping[str, Floats]]  # weights [b, n] → {metric: [b]}

RESAMPLES = 10_000  # of the patients of a fixed test set
CHUNK = 500_000  # weights held at once: 4 MB


@dataclass(frozen=True)
class Resampling:
    """Which patients are resampled, how often, with which seed and within which strata.

    patients and strata [n] are those of each unit; a patient's stratum is the highest of its units.
    With the class as stratum, every resample has as many positive patients as the sample.
    """

    patients: tuple[str, ...]
    strata: tuple[int, ...] | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def weights(self, chunk: int | None = None) -> Iterator[Floats]:
        """Yield how often each resample has each unit [b, n]: `chunk` resamples at a time."""
        rng = np.random.default_rng(self.seed)
        # np.unique sorts, so one seed draws the same patients whatever the order of the units.
        names, column = np.unique(np.array(self.patients), return_inverse=True)
        groups = self._groups(len(names), column)
        step = chunk or max(1, CHUNK // max(1, len(column)))
        for start in range(0, self.resamples, step):
            size = min(step, self.resamples - start)
            counts = np.zeros((size, len(names)))
            for group in groups:
                # Counts of a draw with replacement are multinomial: no indices are needed.
                even = np.full(len(group), 1 / len(group))
                counts[:, group] = rng.multinomial(len(group), even, size=size)
            yield counts[:, column]

    def _groups(self, patients: int, column: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Return the patients of each stratum."""
        if self.strata is None:
            return [np.arange(patients)]
        highest = np.full(patients, np.iinfo(np.int64).min)
        # A plain assignment would keep only the last of a patient's units.
        np.maximum.at(highest, column, np.array(self.strata))
        return [np.flatnonzero(highest == stratum) for stratum in np.unique(highest)]


@dataclass(frozen=True)
class Resampled:
    """One metric of several encoders.

    values [encoders] on the sample; resampled [encoders, resamples] on every resample
    """

    values: Floats
    resampled: Floats

    def joined(self, other: "Resampled") -> "Resampled":
        """Add other encoders that were scored on the same resamples."""
        return Resampled(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.resampled, other.resampled]),
        )


def measure_outputs(
    target: str,
    truth: Floats,
    scores: Floats,
    unscored: Collection[int] = (),
    *,
    censoring: Floats | None = None,
) -> Measure:
    """Return the measure of one encoder's scores [n, outputs]: every metric of the target."""
    return partial(score_outputs, target, truth, scores, unscored=unscored, censoring=censoring)


def bootstrap(measures: Sequence[Measure], resampling: Resampling) -> dict[str, Resampled]:
    """Take every metric of every encoder, one measure each, on the sample and the same resamples.

    Only the metrics are kept, so memory hardly grows with the number of resamples.
    """
    sample = np.ones((1, len(resampling.patients)))
    every = chain([sample], resampling.weights())
    parts = [[measure(weights) for measure in measures] for weights in every]
    return {name: _gather(name, parts) for name in parts[0][0]}


def _gather(name: str, parts: Sequence[Sequence[Mapping[str, Floats]]]) -> Resampled:
    """Join one metric's chunks; the first is that of the sample."""
    every = np.concatenate([np.stack([found[name] for found in part]) for part in parts], axis=1)
    return Resampled(every[:, 0], every[:, 1:])


def percentile_interval(resampled: Resampled, encoder: int) -> Score:
    """Return one encoder's value with its percentile interval at LEVEL.

    All NaN where the sample has no value. Raises BadTask if over half of the resamples have none.
    """
    value, resamples = float(resampled.values[encoder]), resampled.resampled[encoder]
    if np.isnan(value):
        return Score(value, value, value)
    return Score(value, *_ends(_known(resamples)))


def compare_resampled(resampled: Resampled, one: int, other: int) -> Difference:
    """Return how much encoder `one` scores above `other`, on the same resamples.

    Raises BadTask where the sample has no value of either, or over half of the resamples have none.
    """
    value = float(resampled.values[one] - resampled.values[other])
    if np.isnan(value):
        raise BadTask(
            "a metric without a value can't be compared; test on patients of both classes"
        )
    known = _known(resampled.resampled[one] - resampled.resampled[other])
    # One is added, because p = 0 cannot be shown by a finite number of resamples.
    beyond = min((known <= 0).sum(), (known >= 0).sum())
    # With many resamples at 0 the smaller side can hold over half, and twice that is over 1.
    p = min(1.0, 2 * (float(beyond) + 1) / (len(known) + 1))
    return Difference(value, *_ends(known), p, float(known.std(ddof=1)))


def _known(resamples: Floats) -> Floats:
    """Return the resamples that have a value."""
    known = resamples[~np.isnan(resamples)]
    # At least 2: one value alone has no standard deviation.
    if len(known) < max(2, len(resamples) / 2):
        raise BadTask(
            f"{len(resamples) - len(known)} of {len(resamples)} resamples have no score; resample "
            "within strata"
        )
    return known


def _ends(resamples: Floats) -> tuple[float, float]:
    """Return the ends of the percentile interval."""
    low, high = np.quantile(resamples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
