"""Scores with intervals over test patients: of a fixed test set, and of label efficiency.

A metric is taken within each test fold and averaged over folds, repeats and seeds. Its interval is
the percentile bootstrap over patients (Efron and Tibshirani, "An Introduction to the Bootstrap",
1993, ch. 13): patients are resampled with all their units, in every fold and repeat at once. Heads
are not retrained, so the interval shows the variance over test patients, not over training sets.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clearbench.arrays import Floats
from clearbench.metrics import score_outputs

INTERVAL_RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class FoldScores:
    """The predictions of one head on one fold's test units.

    truth [n, labels], scores [n, outputs], patients [n]; cuts [outputs] are where scores become
    decisions (see `metrics.cuts`), 0.5 without them. `networks` are the scores of each network that
    the head averages, () if it averages none.
    """

    repeat: int
    fold: int
    seed: int
    patients: tuple[str, ...]
    truth: Floats
    scores: Floats
    cuts: Floats | None = None
    networks: tuple[Floats, ...] = ()


def by_repeat(heads: Sequence[FoldScores]) -> Iterator[list[tuple[Floats, Floats]]]:
    """Yield truth and scores of the folds of each repeat and seed; each has every patient once."""
    for key in sorted({(head.repeat, head.seed) for head in heads}):
        yield [(h.truth, h.scores) for h in heads if (h.repeat, h.seed) == key]


@dataclass(frozen=True)
class Score:
    """One metric: its value, and the interval at LEVEL; NaN where it can't be taken."""

    value: float
    low: float
    high: float


def score_with_bootstrap(
    target: str,
    folds: Sequence[FoldScores],
    *,
    unscored: Collection[int] = (),
    resamples: int = INTERVAL_RESAMPLES,
    seed: int = 0,
) -> dict[str, Score]:
    """Return every metric, averaged over folds, with its bootstrap interval over test patients.

    Outputs that are `unscored` have NaN.
    """
    # Sorted, so that one seed gives the same resamples whatever the order of the folds.
    patients = sorted({patient for fold in folds for patient in fold.patients})
    place = {patient: column for column, patient in enumerate(patients)}
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), size=resamples
    )
    weights = np.vstack([np.ones((1, len(patients))), counts]).astype(np.float64)
    per_fold: dict[str, list[Floats]] = {}
    for fold in folds:
        columns = [place[patient] for patient in fold.patients]
        found = score_outputs(
            target, fold.truth, fold.scores, weights[:, columns], unscored, cuts=fold.cuts
        )
        for name, values in found.items():
            per_fold.setdefault(name, []).append(values)
    return {name: _score(np.stack(values)) for name, values in per_fold.items()}


def _score(values: Floats) -> Score:
    """Average [folds, 1 + resamples] over folds; the first column is the sample itself."""
    known = ~np.isnan(values)
    mean = np.divide(
        np.where(known, values, 0.0).sum(axis=0),
        known.sum(axis=0),
        out=np.full(values.shape[1], np.nan),
        where=known.any(axis=0),
    )
    resampled = mean[1:][~np.isnan(mean[1:])]
    if np.isnan(mean[0]) or not len(resampled):
        return Score(float(mean[0]), float("nan"), float("nan"))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Score(float(mean[0]), float(low), float(high))
