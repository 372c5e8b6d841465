"""What a task's results allow one to say: who stands above whom, and who above the floors.

One head, declared by the task before scores are seen, speaks for every encoder. Cross-validated
results are compared fold by fold (corrected resampled t-test), a fixed or external test set by
draws of its patients (paired bootstrap), or by DeLong where that holds; Holm over all pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clearbench.board.predictions import Run, Spoken, predictions_path, read_predictions
from clearbench.board.results import Result
from clearbench.errors import BadTask
from clearbench.evaluation.metrics import score_outputs
from clearbench.evaluation.statistics.bootstrap import Resampling, bootstrap, compare_draws
from clearbench.evaluation.statistics.comparison import Difference, Pair
from clearbench.evaluation.statistics.delong import compare_areas, delong_areas
from clearbench.evaluation.statistics.detectable import detectable_difference
from clearbench.evaluation.statistics.families import adjust, compare_all
from clearbench.evaluation.statistics.resampled import compare_folds
from clearbench.evaluation.statistics.tiers import Standing, rank_encoders

Floats = NDArray[np.float64]

FOLDS = "corrected resampled t-test over folds"
AREAS = "DeLong"
DRAWS = "paired bootstrap over patients"


@dataclass(frozen=True)
class Contender:
    """One result, and its predictions."""

    result: Result
    spoken: dict[Run, Spoken]

    @property
    def name(self) -> str:
        """Return what a board calls it."""
        return f"{self.result.encoder}@{self.result.fingerprint[:8]}"

    @cached_property
    def units(self) -> frozenset[str]:
        """Return every unit that was tested."""
        return frozenset(unit for each in self.spoken.values() for unit in each.units)

    @property
    def unscored(self) -> tuple[int, ...]:
        """Return the outputs that are too rare to count."""
        rare = self.result.not_scored
        outputs = enumerate(self.result.outputs)
        return tuple(k for k, name in outputs if any(n.startswith(f"{name}: ") for n in rare))

    def measure(self, spoken: Spoken, weights: Floats) -> Floats:
        """Return the task's metric of one head under weights of its units [b, n] → [b]."""
        facts, metric = self.result, self.result.metric
        found = score_outputs(
            facts.target, spoken.truth, spoken.scores, weights, self.unscored, only=metric
        )
        return found[metric]


@dataclass(frozen=True)
class Standings:
    """Who stands where on one task.

    signal: whether any encoder beats the best floor; None without a floor. `places` are empty
    without a signal. detectable: the smallest difference that the task would show; None where
    fewer than two encoders can be compared.
    """

    method: str
    places: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    floor: str | None
    signal: bool | None
    detectable: float | None
    notes: tuple[str, ...] = ()


def stand(results: Sequence[Result]) -> Standings | None:
    """Compare the declared head's results of one task, split and preset; None without any.

    A result without predictions beside it is not compared, and named. Raises BadRequest for
    predictions of another clearbench.
    """
    chosen = [r for r in results if r.floor or r.head == r.declared_head]
    chosen = [r for r in chosen if r.score()["value"] is not None]
    lost = [result for result in chosen if not predictions_path(result).is_file()]
    everyone = [Contender(r, read_predictions(r)) for r in chosen if r not in lost]
    encoders = [each for each in everyone if not each.result.floor]
    floors = [each for each in everyone if each.result.floor]
    if not encoders:
        return None
    pairs = compare_all(
        [each.name for each in encoders], lambda i, j: compare(encoders[i], encoders[j])
    )
    best_floor = max(floors, key=_value, default=None)
    signal = _signal(encoders, best_floor) if best_floor else None
    values = {each.name: _value(each) for each in encoders}
    return Standings(
        method=method_of(encoders[0]),
        places=() if signal is False else rank_encoders(values, pairs),
        pairs=pairs,
        floor=best_floor.result.encoder if best_floor else None,
        signal=signal,
        detectable=_detectable(pairs),
        notes=(*_left_out(encoders), *(_without(result) for result in lost)),
    )


def _value(of: Contender) -> float:
    """Return the score that ranks."""
    return float(of.result.score()["value"] or 0.0)


def _signal(encoders: Sequence[Contender], floor: Contender) -> bool:
    """Tell whether any encoder beats the floor, Holm over encoders."""
    names = [(each.name, floor.name) for each in encoders]
    family = adjust(names, [compare(each, floor) for each in encoders])
    return any(pair.winner == pair.one for pair in family)


def _detectable(pairs: Sequence[Pair]) -> float | None:
    """Return the smallest difference that the task would show, if there is any spread."""
    try:
        return detectable_difference([pair.difference for pair in pairs])
    except BadTask:
        return None


def _without(result: Result) -> str:
    """Tell which result can't be compared."""
    return f"{result.encoder}, {result.head}: no predictions beside the result, so not compared"


def _left_out(encoders: Sequence[Contender]) -> tuple[str, ...]:
    """Tell which encoders lack units that others have."""
    everyone = frozenset.union(*(each.units for each in encoders))
    return tuple(
        f"{each.result.encoder} lacks {len(everyone - each.units)} of {len(everyone)} units; "
        "pairs are compared on those that both have"
        for each in encoders
        if everyone - each.units
    )


def method_of(contender: Contender) -> str:
    """Return how results of this kind are compared."""
    if contender.result.crossed:
        return FOLDS
    heads = list(contender.spoken.values())
    alone = all(len(set(each.patients)) == len(each.patients) for each in heads)
    return AREAS if contender.result.metric == "auroc" and alone else DRAWS


def compare(one: Contender, other: Contender) -> Difference:
    """Return how much `one` scores above `other`, on the units and runs that both have."""
    common = one.units & other.units
    runs = sorted(set(one.spoken) & set(other.spoken))
    if not common or not runs:
        raise BadTask(f"{one.name} and {other.name} were tested on nothing in common")
    ours = {run: one.spoken[run].among(common) for run in runs}
    theirs = {run: other.spoken[run].among(common) for run in runs}
    ways = {FOLDS: _by_folds, AREAS: _by_areas, DRAWS: _by_draws}
    return ways[method_of(one)](one, other, ours, theirs)


def _by_folds(
    one: Contender, other: Contender, ours: dict[Run, Spoken], theirs: dict[Run, Spoken]
) -> Difference:
    """Compare fold by fold, heads of one fold averaged."""
    folds = sorted({(run.repeat, run.fold) for run in ours})
    mine, its = (
        np.array([_fold_value(of, spoken, fold) for fold in folds])
        for of, spoken in ((one, ours), (other, theirs))
    )
    rows = one.result.fold_scores
    shares = [row["test"] / (row["train"] + row["tune"]) for row in rows]
    return compare_folds(mine, its, float(np.mean(shares)))


def _fold_value(of: Contender, spoken: dict[Run, Spoken], fold: tuple[int, int]) -> float:
    """Return the metric on one fold, the mean over its heads."""
    heads = [each for run, each in spoken.items() if (run.repeat, run.fold) == fold]
    found = [float(of.measure(each, np.ones((1, len(each.units))))[0]) for each in heads]
    return float(np.mean(found))


def _by_areas(
    one: Contender, other: Contender, ours: dict[Run, Spoken], theirs: dict[Run, Spoken]
) -> Difference:
    """Compare two AUROCs on one test set, scores averaged over seeds."""
    del one, other
    first = next(iter(ours.values()))
    known = ~np.isnan(first.truth[:, 0])
    scores = [
        np.mean([each.scores[known, 0] for each in of.values()], axis=0) for of in (ours, theirs)
    ]
    return compare_areas(delong_areas(first.truth[known, 0], np.stack(scores, axis=1)), 0, 1)


def _by_draws(
    one: Contender, other: Contender, ours: dict[Run, Spoken], theirs: dict[Run, Spoken]
) -> Difference:
    """Compare under the same draws of patients, the metric averaged over seeds."""
    first = next(iter(ours.values()))

    def measured(of: Contender, spoken: dict[Run, Spoken], weights: Floats) -> dict[str, Floats]:
        values = [of.measure(each, weights) for each in spoken.values()]
        return {"metric": np.mean(values, axis=0)}

    measures = [
        lambda weights: measured(one, ours, weights),
        lambda weights: measured(other, theirs, weights),
    ]
    return compare_draws(bootstrap(measures, Resampling(first.patients))["metric"], 0, 1)
