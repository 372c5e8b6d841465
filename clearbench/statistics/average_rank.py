"""The average rank over tasks, with its interval.

Patients are resampled (`bootstrap`), together for all tasks of one cohort, since these tasks share
their patients. Ranks are taken in each resample and averaged over tasks. Ranks jump where encoders
are nearly equal, and there the interval may cover less than LEVEL (Hall and Miller, "Using the
bootstrap to quantify the authority of an empirical ranking", Annals of Statistics 37, 2009).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from clearbench.arrays import Floats
from clearbench.errors import BadTask
from clearbench.statistics.bootstrap import RESAMPLES, Resampling
from clearbench.statistics.intervals import LEVEL

CHUNK = 500  # resamples at once, so that memory does not grow with their number


@dataclass(frozen=True)
class RankedTask:
    """One task's patients, and its metric under weights of them.

    patients [n] are distinct; metric takes weights [b, n] and returns [b, encoders]. Higher is
    better; NaN where a resample has no value.
    """

    name: str
    cohort: str
    patients: tuple[str, ...]
    metric: Callable[[Floats], Floats]


@dataclass(frozen=True)
class AverageRank:
    """An encoder's mean rank over tasks, 1 the best, with its percentile interval at LEVEL."""

    encoder: str
    value: float
    low: float
    high: float


def average_ranks(
    encoders: Sequence[str],
    tasks: Sequence[RankedTask],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[AverageRank, ...]:
    """Return every encoder's average rank over tasks, best first; tied encoders share their ranks.

    Where a resample has no metric of an encoder on a task, that task is left out of the resample.
    Raises BadTask without tasks, where a task has no score of an encoder, or where over half of
    the resamples have no ranks.
    """
    if not tasks:
        raise BadTask("an average rank needs at least one task")
    sample = np.stack([_sample_ranks(task, encoders) for task in tasks]).mean(axis=0)
    resampled = _resampled_ranks(tasks, resamples, seed)
    known = resampled[~np.isnan(resampled).any(axis=1)]
    if len(known) < resamples / 2:
        raise BadTask(
            f"{resamples - len(known)} of {resamples} resamples have no ranks; leave out the tasks "
            "with the fewest patients"
        )
    ends = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    found = [
        AverageRank(name, float(value), float(low), float(high))
        for name, value, low, high in zip(encoders, sample, *ends, strict=True)
    ]
    return tuple(sorted(found, key=lambda rank: (rank.value, rank.encoder)))


def _sample_ranks(task: RankedTask, encoders: Sequence[str]) -> Floats:
    """Return the ranks [encoders] of one task, on its patients as they are."""
    values = task.metric(np.ones((1, len(task.patients))))
    if values.shape != (1, len(encoders)):
        raise BadTask(f"{task.name}: {values.shape[-1]} scores for {len(encoders)} encoders")
    if np.isnan(values).any():
        missing = encoders[int(np.flatnonzero(np.isnan(values[0]))[0])]
        raise BadTask(f"{task.name}: {missing} has no score; leave out the task or the encoder")
    ranks: Floats = _ranks(values)[0]
    return ranks


def _ranks(values: Floats) -> Floats:
    """Rank [b, encoders] from the highest; NaN where a row lacks one."""
    # rankdata gives rank 1 to the smallest value, hence the minus.
    ranks: Floats = rankdata(-values, axis=1, nan_policy="propagate")
    return ranks


def _resampled_ranks(tasks: Sequence[RankedTask], resamples: int, seed: int) -> Floats:
    """Return the average ranks of every resample [resamples, encoders]."""
    # Sorted, so that a cohort's seed doesn't depend on the order of the tasks.
    cohorts = sorted({task.cohort for task in tasks})
    seeds = np.random.SeedSequence(seed).generate_state(len(cohorts))
    patients = [_patients_of(cohort, tasks) for cohort in cohorts]
    columns = [_columns(task, patients[cohorts.index(task.cohort)]) for task in tasks]
    chunks = zip(
        *(
            Resampling(names, resamples=resamples, seed=int(number)).weights(CHUNK)
            for names, number in zip(patients, seeds, strict=True)
        ),
        strict=True,
    )
    return np.concatenate(
        [
            _mean_over_tasks(
                [
                    _ranks(task.metric(weights[cohorts.index(task.cohort)][:, column]))
                    for task, column in zip(tasks, columns, strict=True)
                ]
            )
            for weights in chunks
        ]
    )


def _patients_of(cohort: str, tasks: Sequence[RankedTask]) -> tuple[str, ...]:
    """Return all patients of a cohort that any task has."""
    return tuple(
        sorted({name for task in tasks if task.cohort == cohort for name in task.patients})
    )


def _columns(task: RankedTask, patients: Sequence[str]) -> NDArray[np.intp]:
    """Return the columns of a task's patients among all patients of its cohort."""
    # searchsorted needs sorted names: `_patients_of` sorts them.
    columns: NDArray[np.intp] = np.searchsorted(np.array(patients), np.array(task.patients))
    return columns


def _mean_over_tasks(ranks: Sequence[Floats]) -> Floats:
    """Average [b, encoders] over the tasks that have ranks in a resample."""
    every = np.stack(ranks)
    known = ~np.isnan(every)
    found: Floats = np.divide(
        np.where(known, every, 0.0).sum(axis=0),
        known.sum(axis=0),
        out=np.full(every.shape[1:], np.nan),
        where=known.any(axis=0),
    )
    return found
