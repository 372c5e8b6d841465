"""Localisation by attention: does it fall on the slices that a reader marked?

Slices are ranked by a head's attention, and the ranking is scored by the average precision of the
marked slices. Two rankings that use no pixel are scored too: a random order, and the middle of the
scan first. Tied slices have no order, so the average precision is the expectation over all their
orders (McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in
the Presence of Tied Scores", ECIR 2008). With all slices tied it is that of a random order
(Bestgen, "Exact Expected Average Precision of the Random Baseline for System Evaluation", Prague
Bulletin of Mathematical Linguistics 103, 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.task.marks import Marks
from clearbench.statistics import Score
from clearbench.statistics.mean_score import mean_score


@dataclass(frozen=True)
class UnitSlices:
    """The slices of one positive unit, scan after scan, with one head's attention.

    attention [n] summed over views; marked [n] by a reader; central [n]: 0 in the middle of the
    slice's scan, down to -1/2 at its ends
    """

    unit: str
    patient: str
    attention: Floats
    marked: NDArray[np.bool_]
    central: Floats

    @property
    def can_be_ranked(self) -> bool:
        """Tell whether there are both marked and unmarked slices."""
        return bool(self.marked.any() and not self.marked.all())


@dataclass(frozen=True)
class Localisation:
    """Mean average precision of marked slices, by attention and by two priors.

    units: number of units ranked; left_out: units whose slices are all marked, or none is
    """

    attention: Score
    uniform: Score
    central: Score
    units: int
    left_out: int


def slices_of(
    bag: Bag, weights: NDArray[np.float32], marks: Mapping[str, Marks], unit: str, patient: str
) -> UnitSlices:
    """Sum the importance of a bag's instances [n] by slice; `marks` are by scan id."""
    names, scan = np.unique(np.array(bag.scan_ids), return_inverse=True)
    keys, place = np.unique(np.stack([scan, bag.slice_index]), axis=1, return_inverse=True)
    scans = [keys[0] == number for number in range(len(names))]
    marked = np.zeros(keys.shape[1], bool)
    for name, here in zip(names, scans, strict=True):
        marked[here] = np.isin(keys[1, here], marks.get(str(name), ()))
    return UnitSlices(
        unit=unit,
        patient=patient,
        # ravel: some versions of numpy 2 return this inverse with two dimensions.
        attention=np.bincount(place.ravel(), weights).astype(np.float64),
        marked=marked,
        central=np.concatenate([_central(int(here.sum())) for here in scans]),
    )


def _central(count: int) -> Floats:
    """Return how near each slice is to the middle of the scan: 0 there, down to -1/2."""
    middle = (count - 1) / 2
    found: Floats = -np.abs(np.arange(count) - middle) / max(count - 1, 1)
    return found


def localisation(slices: Sequence[UnitSlices], *, seed: int = 0) -> Localisation:
    """Rank each unit's slices and average over units; intervals are over patients.

    A unit may occur once per head that was tested on it. Scores are NaN if none can be ranked.
    """
    kept = [each for each in slices if each.can_be_ranked]
    patients = [each.patient for each in kept]

    def mean(scores: Sequence[Floats]) -> Score:
        pairs = zip(scores, kept, strict=True)
        found = [expected_average_precision(score, each.marked) for score, each in pairs]
        return mean_score(np.array(found), patients, seed=seed)

    units = {each.unit for each in kept}
    return Localisation(
        attention=mean([each.attention for each in kept]),
        uniform=mean([np.zeros(len(each.marked)) for each in kept]),
        central=mean([each.central for each in kept]),
        units=len(units),
        left_out=len({each.unit for each in slices} - units),
    )


def expected_average_precision(scores: Floats, marked: NDArray[np.bool_]) -> float:
    """Return the average precision of marked slices [n] under falling scores [n].

    It is the expectation over all orders of tied slices; NaN without a marked slice.
    """
    if not marked.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranks = np.arange(len(scores))
    # inf is put before the first score, so that it begins a group.
    first = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    size = np.diff(np.append(first, len(scores)))
    hits = np.add.reduceat(marked[order].astype(np.float64), first)
    tie = np.repeat(np.arange(len(first)), size)
    before = (np.cumsum(hits) - hits)[tie]
    # Given a hit at this rank, the other hits of its tie are spread evenly over the rest.
    within_tie = ((hits - 1) / np.maximum(size - 1, 1))[tie] * (ranks - first[tie])
    precision = (before + 1 + within_tie) / (ranks + 1)
    return float(((hits / size)[tie] * precision).sum() / marked.sum())
