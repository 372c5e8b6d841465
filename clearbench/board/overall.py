"""The average rank of encoders over several tasks, with its interval.

Only tasks on which an encoder beats the floors count, because ranks on other tasks are noise. Only
encoders with a result of the declared head on each of these tasks count, because a rank depends on
who else is ranked. An encoder has its name, or name@fp8 where a task has several sets of its
features.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from clearbench.arrays import Floats
from clearbench.board.compared import ComparedResult, read_compared
from clearbench.board.standings import Standings
from clearbench.errors import BadTask
from clearbench.metrics.weighted import mean_known
from clearbench.results.predictions import StoredPredictions
from clearbench.results.record import Result
from clearbench.statistics.average_rank import AverageRank, RankedTask, average_ranks

Entry = tuple[Result | None, ...]  # one encoder's results, task by task

FEWEST = 2  # tasks, and encoders
RANK_RESAMPLES = 1000  # few, since each scores every fold of every encoder and task


@dataclass(frozen=True)
class TaskResults:
    """The results of one task and split, and the standings of those of one preset."""

    results: tuple[Result, ...]
    standings: Standings | None

    @property
    def first(self) -> Result:
        """Return the first result, for what all have in common."""
        return self.results[0]

    @property
    def name(self) -> str:
        """Return the name that is shown."""
        tested = self.first.test_cohort
        return f"{self.first.task} (tested on {tested})" if tested else self.first.task

    @cached_property
    def compared(self) -> list[ComparedResult]:
        """Return the encoders to rank: results of the declared head, with their predictions."""
        declared = [
            r for r in one_preset(self.results) if not r.floor and r.head == r.declared_head
        ]
        return read_compared([r for r in declared if r.score()["value"] is not None])[0]

    @property
    def ranked(self) -> list[Result]:
        """Return the results to rank."""
        return [each.result for each in self.compared]


@dataclass(frozen=True)
class Overall:
    """Encoders by their average rank over tasks, best first; `notes` name what is left out.

    There are no ranks with fewer than two tasks or encoders.
    """

    preset: str
    tasks: tuple[str, ...]
    ranks: tuple[AverageRank, ...]
    notes: tuple[str, ...]


def one_preset(results: Sequence[Result]) -> list[Result]:
    """Return the results of one preset, the default if any has it; others can't be compared."""
    presets = {result.preset for result in results}
    preset = "default" if "default" in presets else min(presets)
    return [result for result in results if result.preset == preset]


def rank_overall(tasks: Sequence[TaskResults], resamples: int = RANK_RESAMPLES) -> Overall | None:
    """Rank encoders over all tasks with a signal; None unless two tasks have results to rank."""
    if len(tasks) < FEWEST:  # so that predictions are not read for nothing
        return None
    rankable = _latest(task for task in tasks if task.ranked)
    if len(rankable) < FEWEST:
        return None
    preset = one_preset([task.ranked[0] for task in rankable])[0].preset
    why = {task.name: _why_not(task, preset) for task in rankable}
    notes = [f"{name} doesn't count: {reason}" for name, reason in why.items() if reason]
    counted = [task for task in rankable if not why[task.name]]
    names = tuple(task.name for task in counted)
    if len(counted) < FEWEST:
        return Overall(preset, names, (), (*notes, "fewer than two tasks count, so none is ranked"))
    entries = _entries(counted)
    complete = {name: entry for name, entry in entries.items() if None not in entry}
    notes += [_lacking(n, entries[n], counted, preset) for n in entries if n not in complete]
    if len(complete) < FEWEST:
        notes.append("fewer than two encoders have a result on every task, so none is ranked")
        return Overall(preset, names, (), tuple(notes))
    try:
        ranks = average_ranks(list(complete), _ranked_tasks(counted, complete), resamples=resamples)
    except BadTask as error:
        return Overall(preset, names, (), (*notes, str(error)))
    return Overall(preset, names, ranks, tuple(notes))


def _latest(tasks: Iterable[TaskResults]) -> list[TaskResults]:
    """Return one per task and test cohort: the newest version, the split with most encoders."""
    found: dict[str, TaskResults] = {}
    for task in sorted(tasks, key=lambda each: (each.first.task_version, len(each.ranked))):
        found[task.name] = task
    return [found[name] for name in sorted(found)]


def _why_not(task: TaskResults, preset: str) -> str:
    """Return why a task doesn't count; "" if it does."""
    standings = task.standings
    if task.ranked[0].preset != preset:
        return f"no result with the preset {preset}"
    if standings is None or standings.signal is None:
        return "no floor was evaluated"
    return "" if standings.signal else "no encoder beats every floor"


def _entries(tasks: Sequence[TaskResults]) -> dict[str, Entry]:
    """Return every encoder's results, task by task, None where it has none."""
    found: dict[str, Entry] = {}
    for name in sorted({r.encoder for task in tasks for r in task.ranked}):
        by_task = [[r for r in task.ranked if r.encoder == name] for task in tasks]
        if all(len(results) <= 1 for results in by_task):
            found[name] = tuple(next(iter(results), None) for results in by_task)
            continue
        for fingerprint in sorted({r.fingerprint for results in by_task for r in results}):
            found[f"{name}@{fingerprint[:8]}"] = tuple(
                next((r for r in results if r.fingerprint == fingerprint), None)
                for results in by_task
            )
    return found


def _lacking(name: str, entry: Entry, tasks: Sequence[TaskResults], preset: str) -> str:
    """Return the note on an encoder without results on some tasks, with the command to run."""
    missed = [task for result, task in zip(entry, tasks, strict=True) if result is None]
    names = dict.fromkeys(task.first.task for task in missed)
    options = "".join(f" --task {task}" for task in names)
    with_preset = "" if preset == "default" else f" --preset {preset}"
    return (
        f"{name} is left out: no result of the declared head on "
        f"{', '.join(task.name for task in missed)}; run: "
        f"clearbench evaluate{options} --model {name}{with_preset}"
    )


def _ranked_tasks(tasks: Sequence[TaskResults], entries: dict[str, Entry]) -> list[RankedTask]:
    """Return every task for ranking, its encoders in the order of `entries`."""
    found = []
    for task, results in zip(tasks, zip(*entries.values(), strict=True), strict=True):
        by_path = {each.result.path: each for each in task.compared}
        found.append(_ranked_task(task, [by_path[r.path] for r in results if r is not None]))
    return found


def _ranked_task(task: TaskResults, encoders: Sequence[ComparedResult]) -> RankedTask:
    """Return one task's patients and metric, on the units and heads that all encoders have."""
    common = frozenset.intersection(*(each.units for each in encoders))
    keys = sorted(set.intersection(*(set(each.predictions) for each in encoders)))
    heads = [[each.predictions[key].among(common) for key in keys] for each in encoders]
    patients = tuple(sorted({p for predictions in heads[0] for p in predictions.patients}))
    measures = [
        partial(_mean_over_folds, each, predictions, patients)
        for each, predictions in zip(encoders, heads, strict=True)
    ]
    first = task.first
    return RankedTask(
        task.name, first.test_cohort or first.cohort, patients, partial(_side_by_side, measures)
    )


def _side_by_side(measures: Sequence[Callable[[Floats], Floats]], weights: Floats) -> Floats:
    """Return each encoder's metric under weights [b, patients] → [b, encoders]."""
    return np.stack([measure(weights) for measure in measures], axis=1)


def _mean_over_folds(
    compared: ComparedResult,
    heads: Sequence[StoredPredictions],
    patients: tuple[str, ...],
    weights: Floats,
) -> Floats:
    """Return the mean of the metric over folds, repeats and seeds, as in a result → [b]."""
    place = {patient: column for column, patient in enumerate(patients)}
    columns = [[place[patient] for patient in head.patients] for head in heads]
    pairs = zip(heads, columns, strict=True)
    return mean_known(np.stack([compared.measure(head, weights[:, own]) for head, own in pairs]))
