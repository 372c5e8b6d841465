"""One result in a comparison: its stored predictions, and its metric under weights of its units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from clearbench.arrays import Floats
from clearbench.errors import BadRequest
from clearbench.metrics import score_outputs
from clearbench.results.predictions import (
    HeadKey,
    StoredPredictions,
    predictions_path,
    read_predictions,
)
from clearbench.results.record import Result
from clearbench.statistics.bootstrap import Resampled, Resampling, bootstrap

RETRAINED_RESAMPLES = 1000  # bootstrap samples of the test patients, for each retrained head


@dataclass(frozen=True)
class ComparedResult:
    """One result, and all its predictions by head."""

    result: Result
    stored: dict[HeadKey, StoredPredictions]
    _resampled: dict[frozenset[str], dict[str, Resampled]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name that a board shows."""
        return self.result.reference

    @cached_property
    def predictions(self) -> dict[HeadKey, StoredPredictions]:
        """Return the predictions of the heads that were trained on all their training patients."""
        return {key: each for key, each in self.stored.items() if not key.draw}

    @cached_property
    def by_fold(self) -> dict[tuple[int, int], list[StoredPredictions]]:
        """Return the predictions of each repeat and fold, in the order of their seeds."""
        found: dict[tuple[int, int], list[StoredPredictions]] = {}
        for key, each in sorted(self.predictions.items()):
            found.setdefault((key.repeat, key.fold), []).append(each)
        return found

    @cached_property
    def retrained(self) -> dict[int, StoredPredictions]:
        """Return the predictions of the heads retrained on bootstrapped patients, by sample."""
        return {key.draw: each for key, each in self.stored.items() if key.draw}

    @cached_property
    def units(self) -> frozenset[str]:
        """Return every unit that was tested."""
        return frozenset(unit for each in self.predictions.values() for unit in each.units)

    @cached_property
    def truths(self) -> dict[str, tuple[float, ...]]:
        """Return the truth of every unit that was tested."""
        return {
            unit: tuple(map(float, truth))
            for each in self.predictions.values()
            for unit, truth in zip(each.units, each.truth, strict=True)
        }

    @property
    def unscored(self) -> tuple[int, ...]:
        """Return the outputs that are too rare to count."""
        rare = self.result.not_scored
        outputs = enumerate(self.result.outputs)
        return tuple(k for k, name in outputs if any(n.startswith(f"{name}: ") for n in rare))

    def measure(self, predictions: StoredPredictions, weights: Floats) -> Floats:
        """Return the task's metric of one head under weights of its units [b, n] → [b]."""
        metric = self.result.metric
        found = score_outputs(
            self.result.target,
            predictions.truth,
            predictions.scores,
            weights,
            self.unscored,
            only=metric,
        )
        return found[metric]

    def resampled(self, units: frozenset[str]) -> dict[str, Resampled]:
        """Return the metric on some units under bootstrap samples of their patients.

        The samples are the same for every result. "original" is the mean over seeds, "retrained"
        has one row per retrained head. The answer is kept, because each encoder is compared with
        all others on mostly the same units.
        """
        if units not in self._resampled:
            self._resampled[units] = self._resample(units)
        return self._resampled[units]

    def _resample(self, units: frozenset[str]) -> dict[str, Resampled]:
        """Take the metric under bootstrap samples."""
        original = [each.among(units) for each in self.predictions.values()]
        retrained = [self.retrained[draw].among(units) for draw in sorted(self.retrained)]
        patients = original[0].patients

        def mean(weights: Floats) -> dict[str, Floats]:
            return {"metric": np.mean([self.measure(each, weights) for each in original], axis=0)}

        found = {"original": bootstrap([mean], Resampling(patients))["metric"]}
        if retrained:
            measures = [
                # head=head keeps this turn's head; without it all would use the last one.
                lambda weights, head=head: {"metric": self.measure(head, weights)}
                for head in retrained
            ]
            few = Resampling(patients, resamples=RETRAINED_RESAMPLES)
            found["retrained"] = bootstrap(measures, few)["metric"]
        return found


def read_compared(results: Sequence[Result]) -> tuple[list[ComparedResult], tuple[str, ...]]:
    """Read the predictions next to results.

    Returns the results that can be compared, and one note with the reason for each of the others:
    no readable predictions, or other truths than those of the newest result.
    """
    found, lost = [], []
    for result in results:
        named = f"{result.encoder}, {result.head}"
        if not predictions_path(result).is_file():
            lost.append(f"{named}: not compared; there are no predictions next to the result")
            continue
        try:
            found.append(ComparedResult(result, read_predictions(result)))
        except BadRequest as error:
            lost.append(f"{named}: not compared; {error}")
    if not found:
        return [], tuple(lost)
    newest = max(found, key=lambda each: each.result.created)
    odd = {each.name: _other_truths(newest, each) for each in found}
    lost += [
        f"{each.result.encoder}, {each.result.head}: not compared; unit {odd[each.name]} has "
        f"another label there than in the result of {newest.result.encoder}; evaluate again"
        for each in found
        if odd[each.name]
    ]
    return [each for each in found if not odd[each.name]], tuple(lost)


def _other_truths(newest: ComparedResult, other: ComparedResult) -> str:
    """Return the first unit of both whose truths differ, "" without one."""
    known = newest.truths
    return next(
        (
            unit
            for unit, truth in other.truths.items()
            if unit in known and not np.array_equal(known[unit], truth, equal_nan=True)
        ),
        "",
    )
