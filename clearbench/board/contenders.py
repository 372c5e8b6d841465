"""One result as it meets others: its predictions, and its metric under weights of its units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clearbench.board.predictions import Run, Spoken, predictions_path, read_predictions
from clearbench.board.results import Result
from clearbench.errors import BadRequest
from clearbench.evaluation.metrics import score_outputs
from clearbench.evaluation.statistics.bootstrap import Resampled, Resampling, bootstrap

Floats = NDArray[np.float64]

REDRAWN_RESAMPLES = 1000  # of the test patients, for each head of drawn training patients


@dataclass(frozen=True)
class Contender:
    """One result, and its predictions by head."""

    result: Result
    said: dict[Run, Spoken]
    _drawn: dict[frozenset[str], dict[str, Resampled]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what a board calls it."""
        return f"{self.result.encoder}@{self.result.fingerprint[:8]}"

    @cached_property
    def spoken(self) -> dict[Run, Spoken]:
        """Return what heads said that learnt from all their training patients."""
        return {run: each for run, each in self.said.items() if not run.draw}

    @cached_property
    def by_fold(self) -> dict[tuple[int, int], list[Spoken]]:
        """Return the heads of each repeat and fold, in the order of their seeds."""
        found: dict[tuple[int, int], list[Spoken]] = {}
        for run, each in sorted(self.spoken.items()):
            found.setdefault((run.repeat, run.fold), []).append(each)
        return found

    @cached_property
    def redrawn(self) -> dict[int, Spoken]:
        """Return what heads of drawn training patients said, by draw."""
        return {run.draw: each for run, each in self.said.items() if run.draw}

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

    def drawn(self, units: frozenset[str]) -> dict[str, Resampled]:
        """Return the metric on some units under draws of their patients, the same for everyone.

        "whole" is the mean over seeds, "redrawn" one row per head of drawn training patients. Kept,
        since each encoder meets all others on mostly the same units.
        """
        if units not in self._drawn:
            self._drawn[units] = self._draw(units)
        return self._drawn[units]

    def _draw(self, units: frozenset[str]) -> dict[str, Resampled]:
        """Draw."""
        whole = [each.among(units) for each in self.spoken.values()]
        again = [self.redrawn[draw].among(units) for draw in sorted(self.redrawn)]
        patients = whole[0].patients

        def mean(weights: Floats) -> dict[str, Floats]:
            return {"metric": np.mean([self.measure(each, weights) for each in whole], axis=0)}

        found = {"whole": bootstrap([mean], Resampling(patients))["metric"]}
        if again:
            measures = [
                lambda weights, head=head: {"metric": self.measure(head, weights)} for head in again
            ]
            few = Resampling(patients, draws=REDRAWN_RESAMPLES)
            found["redrawn"] = bootstrap(measures, few)["metric"]
        return found


def contend(results: Sequence[Result]) -> tuple[list[Contender], tuple[str, ...]]:
    """Read the predictions beside results; a result whose own can't be read is named, and why."""
    found, lost = [], []
    for result in results:
        named = f"{result.encoder}, {result.head}"
        if not predictions_path(result).is_file():
            lost.append(f"{named}: no predictions beside the result, so not compared")
            continue
        try:
            found.append(Contender(result, read_predictions(result)))
        except BadRequest as error:
            lost.append(f"{named}: not compared; {error}")
    return found, tuple(lost)
