"""From the boards of several tasks to one order of encoders: the average rank, and how sure it is.

Only tasks on which an encoder beats the floors count, and only encoders that have the declared
head's result on each of them: a rank among others would mean something else. An encoder is known
by its name, or by name@fp8 where some task has several sets of its features.
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
RANK_RESAMPLES = 1000  # every fold of every encoder and task is scored in each


@dataclass(frozen=True)
class TaskResults:
    """The results of one task and split, and what those of one preset allow one to say."""

    results: tuple[Result, ...]
    standings: Standings | None

    @property
    def first(self) -> Result:
        """Return a result, for what all have in common."""
        return self.results[0]

    @property
    def name(self) -> str:
        """Return what people call it."""
        tested = self.first.test_cohort
        return f"{self.first.task} (tested on {tested})" if tested else self.first.task

    @cached_property
    def compared(self) -> list[ComparedResult]:
        """Return the encoders to rank: results of the declared head, with their predictions."""
        ours = [r for r in one_preset(self.results) if not r.floor and r.head == r.declared_head]
        return read_compared([r for r in ours if r.score()["value"] is not None])[0]

    @property
    def entrants(self) -> list[Result]:
        """Return the results to rank."""
        return [each.result for each in self.compared]


@dataclass(frozen=True)
class Overall:
    """Encoders by their average rank over tasks, best first; `notes` say who and what is left out.

    No ranks with fewer than two tasks or encoders.
    """

    preset: str
    tasks: tuple[str, ...]
    ranks: tuple[AverageRank, ...]
    notes: tuple[str, ...]


def one_preset(results: Sequence[Result]) -> list[Result]:
    """Return the results that may be compared: those of one preset, the default if it is there."""
    presets = {result.preset for result in results}
    preset = "default" if "default" in presets else min(presets)
    return [result for result in results if result.preset == preset]


def rank_overall(
    contests: Sequence[TaskResults], resamples: int = RANK_RESAMPLES
) -> Overall | None:
    """Rank encoders over all tasks with a signal; None unless two tasks have results to rank."""
    if len(contests) < FEWEST:  # before predictions are read once more
        return None
    there = _latest(contest for contest in contests if contest.entrants)
    if len(there) < FEWEST:
        return None
    preset = one_preset([each.entrants[0] for each in there])[0].preset
    why = {each.name: _why_not(each, preset) for each in there}
    notes = [f"{name} doesn't count: {reason}" for name, reason in why.items() if reason]
    able = [each for each in there if not why[each.name]]
    names = tuple(each.name for each in able)
    if len(able) < FEWEST:
        return Overall(preset, names, (), (*notes, "fewer than two tasks count, so none is ranked"))
    entries = _entries(able)
    complete = {name: entry for name, entry in entries.items() if None not in entry}
    notes += [_lacking(n, entries[n], able, preset) for n in entries if n not in complete]
    if len(complete) < FEWEST:
        notes.append("fewer than two encoders have a result on every task, so none is ranked")
        return Overall(preset, names, (), tuple(notes))
    try:
        ranks = average_ranks(list(complete), _tasks(able, complete), resamples=resamples)
    except BadTask as error:
        return Overall(preset, names, (), (*notes, str(error)))
    return Overall(preset, names, ranks, tuple(notes))


def _latest(contests: Iterable[TaskResults]) -> list[TaskResults]:
    """Return one contest per task and test cohort: the newest version, the fullest split."""
    found: dict[str, TaskResults] = {}
    for contest in sorted(contests, key=lambda c: (c.first.task_version, len(c.entrants))):
        found[contest.name] = contest
    return [found[name] for name in sorted(found)]


def _why_not(contest: TaskResults, preset: str) -> str:
    """Say why a task's ranks would mean nothing here; empty where they do."""
    standings = contest.standings
    if contest.entrants[0].preset != preset:
        return f"no result with the preset {preset}"
    if standings is None or standings.signal is None:
        return "no floor was evaluated beside"
    return "" if standings.signal else f"no encoder beats the floor {standings.floor}"


def _entries(contests: Sequence[TaskResults]) -> dict[str, Entry]:
    """Return every encoder's results, task by task, None where it has none."""
    found: dict[str, Entry] = {}
    for name in sorted({r.encoder for contest in contests for r in contest.entrants}):
        own = [[r for r in contest.entrants if r.encoder == name] for contest in contests]
        if all(len(some) <= 1 for some in own):
            found[name] = tuple(next(iter(some), None) for some in own)
            continue
        for fingerprint in sorted({r.fingerprint for some in own for r in some}):
            found[f"{name}@{fingerprint[:8]}"] = tuple(
                next((r for r in some if r.fingerprint == fingerprint), None) for some in own
            )
    return found


def _lacking(name: str, entry: Entry, contests: Sequence[TaskResults], preset: str) -> str:
    """Name an encoder that misses tasks, and the command that completes it."""
    pairs = zip(entry, contests, strict=True)
    missed = [contest for result, contest in pairs if result is None]
    tasks = dict.fromkeys(contest.first.task for contest in missed)
    options = "".join(f" --task {task}" for task in tasks)
    trained = "" if preset == "default" else f" --preset {preset}"
    return (
        f"{name} is left out, without a result of the declared head on "
        f"{', '.join(contest.name for contest in missed)}: "
        f"clearbench evaluate{options} --model {name}{trained}"
    )


def _tasks(contests: Sequence[TaskResults], entries: dict[str, Entry]) -> list[RankedTask]:
    """Return every task as it is ranked, the encoders in the order of their entries."""
    tasks = []
    for contest, results in zip(contests, zip(*entries.values(), strict=True), strict=True):
        by_path = {each.result.path: each for each in contest.compared}
        tasks.append(_ranked(contest, [by_path[r.path] for r in results if r is not None]))
    return tasks


def _ranked(contest: TaskResults, encoders: Sequence[ComparedResult]) -> RankedTask:
    """Return one task's patients and metric, on the units and runs that all encoders have."""
    common = frozenset.intersection(*(each.units for each in encoders))
    runs = sorted(set.intersection(*(set(each.predictions) for each in encoders)))
    heads = [[each.predictions[run].among(common) for run in runs] for each in encoders]
    patients = tuple(sorted({p for spoken in heads[0] for p in spoken.patients}))
    measures = [
        partial(_mean_over_folds, each, spoken, patients)
        for each, spoken in zip(encoders, heads, strict=True)
    ]
    first = contest.first
    return RankedTask(
        contest.name, first.test_cohort or first.cohort, patients, partial(_side_by_side, measures)
    )


def _side_by_side(measures: Sequence[Callable[[Floats], Floats]], weights: Floats) -> Floats:
    """Return each encoder's metric under weights [b, patients] → [b, encoders]."""
    return np.stack([measure(weights) for measure in measures], axis=1)


def _mean_over_folds(
    of: ComparedResult,
    heads: Sequence[StoredPredictions],
    patients: tuple[str, ...],
    weights: Floats,
) -> Floats:
    """Return the mean of the metric over folds, repeats and seeds, as scores are taken → [b]."""
    place = {patient: column for column, patient in enumerate(patients)}
    columns = [[place[patient] for patient in spoken.patients] for spoken in heads]
    pairs = zip(heads, columns, strict=True)
    return mean_known(np.stack([of.measure(spoken, weights[:, own]) for spoken, own in pairs]))
