"""Find the same scan under two patients' ids by thumbnails.

Similarity alone can't decide: on CT-ICH unrelated patients reach a correlation of 0.93 (0.96 with
their heads in one frame), synthetic bodies 0.99, and so does a rotated and noisy copy of either. So
the distance is compared with that of the scan's other neighbours, as Lowe does with key points
("Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004): a copy is several times
nearer, a patient with similar anatomy is not. Detection rates are in benchmarks/reports/guards.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from clearbench.evaluation.guards.alignment import Floats32, Indices, aligned_similarity, centred
from clearbench.evaluation.guards.frame import same_frame

NEIGHBOURS = 8
BLOCK = 1000
FEWEST_PATIENTS = 10  # fewer give no threshold
FLOOR = 0.95  # a lower similarity is never a copy
CERTAIN = 0.998  # a higher similarity, without moving or zooming, is always a copy
FALSE_ALARM = 0.05  # probability of a false alarm in a cohort without copies
LEAST_TIMES, MOST_TIMES = 3.3, 5.0  # limits of the threshold
NEAREST = 1e-6  # smallest distance, since its logarithm is taken


@dataclass(frozen=True)
class CopyPair:
    """Two scans (rows, in order) of different patients that are copies, and their similarity.

    `times_nearer` is how many times nearer they are to each other than to their other neighbours;
    NaN with too few neighbours.
    """

    first: int
    second: int
    similarity: float
    times_nearer: float


@dataclass(frozen=True)
class Duplicates:
    """The copies found, the most similar first, and the thresholds.

    A pair is a copy from a similarity of `certain` on, or from `floor` on if it is
    `threshold_times` nearer than its neighbours (NaN with too few patients).
    """

    pairs: tuple[CopyPair, ...]
    scans: int
    threshold_times: float
    floor: float
    certain: float
    calibration: str


def find_duplicates(signatures: NDArray[np.uint8], patients: Sequence[str]) -> Duplicates:
    """Find scans that are stored under two patients' ids.

    signatures [scans, levels, size, size] thumbnails; `patients` [scans]. Thumbnails are compared
    as they are, and again with their bodies moved into one frame. Memory grows with the number of
    scans, not of pairs: only a scan's 8 nearest of other patients are aligned and compared, so of
    more than 8 copies not every pair is listed.
    """
    _, codes = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    plain, framed = (_compare(part, codes) for part in (signatures, same_frame(signatures)))
    few = len(set(patients)) < FEWEST_PATIENTS
    thresholds = [float("nan") if few else _threshold(part.ordinary) for part in (plain, framed)]
    threshold = max(thresholds)
    found = {(pair.first, pair.second): pair for pair in _alike(framed, threshold)}
    found |= {(pair.first, pair.second): pair for pair in _alike(plain, threshold, CERTAIN)}
    return Duplicates(
        pairs=tuple(sorted(found.values(), key=lambda pair: -pair.similarity)),
        scans=len(signatures),
        threshold_times=float(np.exp(threshold)),
        floor=FLOOR,
        certain=CERTAIN,
        calibration=_calibration(len(set(patients)), float(np.exp(threshold))),
    )


@dataclass(frozen=True)
class _Compared:
    """Pairs of neighbours [pairs, 2], their similarity and closeness [pairs].

    Closeness is the logarithm of how many times nearer a pair is than its surroundings, the nearer
    surroundings of its two scans. `ordinary` [scans] is the closeness of a second neighbour.
    """

    pairs: Indices
    similarity: Floats32
    closeness: NDArray[np.float64]
    ordinary: NDArray[np.float64]


def _compare(signatures: NDArray[np.uint8], codes: Indices) -> _Compared:
    """Compare each scan with its nearest scans of other patients."""
    near = _nearest(signatures, codes)
    pairs = _unordered(near)
    similarity = aligned_similarity(signatures, pairs)
    distance = np.maximum(1 - similarity, NEAREST)
    surroundings = _surroundings(distance, pairs, near)
    closeness = surroundings.around[pairs].min(axis=1) - np.log(distance)
    return _Compared(pairs, similarity, closeness, surroundings.ordinary)


def _alike(compared: _Compared, threshold: float, certain: float = np.inf) -> list[CopyPair]:
    """Return the pairs that are copies."""
    alike = (compared.similarity >= FLOOR) & (compared.closeness >= threshold)
    rows = np.flatnonzero(alike | (compared.similarity >= certain))
    return [
        CopyPair(
            first=int(compared.pairs[row, 0]),
            second=int(compared.pairs[row, 1]),
            similarity=float(compared.similarity[row]),
            times_nearer=float(np.exp(compared.closeness[row])),
        )
        for row in rows
    ]


def _nearest(signatures: NDArray[np.uint8], codes: Indices) -> Indices:
    """Return the rows of each scan's nearest scans of other patients [scans, 8], -1 for none."""
    count = len(signatures)
    best = np.full((count, NEIGHBOURS), -np.inf, np.float32)
    rows = np.full((count, NEIGHBOURS), -1, np.int64)
    starts = range(0, count, BLOCK)
    for start in starts:
        own = slice(start, min(start + BLOCK, count))
        first = _normalised(signatures[own])
        # Similarity is symmetric, so each pair of blocks is multiplied once and used both ways.
        for other in starts[start // BLOCK :]:
            others = slice(other, min(other + BLOCK, count))
            similarity = first @ (first if other == start else _normalised(signatures[others])).T
            # This leaves out each scan itself too.
            similarity[codes[own, None] == codes[None, others]] = -np.inf
            _keep_best(best[own], rows[own], similarity, other)
            if other != start:
                _keep_best(best[others], rows[others], similarity.T, start)
    return rows


def _normalised(signatures: NDArray[np.uint8]) -> Floats32:
    """Return thumbnails as centred vectors of length 1 [scans, pixels]; flat ones stay 0."""
    vectors = centred(signatures).reshape(len(signatures), -1)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, length, out=vectors, where=length > 0)
    return vectors


def _keep_best(best: Floats32, rows: Indices, similarity: Floats32, offset: int) -> None:
    """Update the nearest so far, in place, with a block that begins at row `offset`."""
    values = np.concatenate([best, similarity], axis=1)
    names = np.broadcast_to(np.arange(offset, offset + similarity.shape[1]), similarity.shape)
    names = np.concatenate([rows, names], axis=1)
    # Not a full sort: the order among the nearest doesn't matter.
    top = np.argpartition(-values, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    best[:] = np.take_along_axis(values, top, axis=1)
    rows[:] = np.where(np.isfinite(best), np.take_along_axis(names, top, axis=1), -1)


def _unordered(near: Indices) -> Indices:
    """List each pair of neighbours once [pairs, 2], the lower row first."""
    first = np.repeat(np.arange(len(near)), near.shape[1])
    pairs = np.sort(np.stack([first, near.ravel()], axis=1), axis=1)
    # A missing neighbour is -1, which the sort has put first.
    found: Indices = np.unique(pairs[pairs[:, 0] >= 0], axis=0)
    return found


@dataclass(frozen=True)
class _Surroundings:
    """Log distances of a scan's neighbours [scans]; NaN with fewer than 4 neighbours.

    `around` is the mean over the further half; `ordinary` is how much nearer the second neighbour
    is. The second, because the first may be a copy and the second rarely is.
    """

    around: NDArray[np.float64]
    ordinary: NDArray[np.float64]


def _surroundings(distance: Floats32, pairs: Indices, near: Indices) -> _Surroundings:
    """Measure each scan's surroundings from the distances of its pairs."""
    place = {(int(a), int(b)): row for row, (a, b) in enumerate(pairs)}
    around, ordinary = np.full((2, len(near)), np.nan)
    for scan, others in enumerate(near):
        rows = [place[min(scan, int(o)), max(scan, int(o))] for o in others if o >= 0]
        if len(rows) >= NEIGHBOURS // 2:
            logs = np.sort(np.log(distance[rows].astype(np.float64)))
            around[scan] = logs[len(logs) // 2 :].mean()
            ordinary[scan] = around[scan] - logs[1]
    return _Surroundings(around, ordinary)


def _threshold(ordinary: NDArray[np.float64]) -> float:
    """Return the closeness, a logarithm, from which on a pair counts as a copy.

    In one of 20 cohorts, the maximum of as many normal values as scans would reach it. The normal
    distribution has the median and upper quartile of the ordinary neighbours, since quartiles are
    robust to a few copies. The limits are 3.3 and 5 times.
    """
    middle, upper = np.quantile(ordinary, [0.5, 0.75])
    spread = (upper - middle) / NormalDist().inv_cdf(0.75)
    beyond = NormalDist().inv_cdf((1 - FALSE_ALARM) ** (1 / len(ordinary)))
    return float(np.clip(middle + beyond * spread, np.log(LEAST_TIMES), np.log(MOST_TIMES)))


def _calibration(patients: int, times: float) -> str:
    """Return how the threshold was found, in words."""
    if patients < FEWEST_PATIENTS:
        return (
            f"not calibrated: {patients} patients are too few ({FEWEST_PATIENTS} are needed), so "
            f"only a similarity from {CERTAIN} on counts"
        )
    return (
        f"similarity from {CERTAIN} on, or from {FLOOR} on if {times:.1f} times nearer than their "
        f"other neighbours; calibrated on the neighbours of these {patients} patients"
    )
