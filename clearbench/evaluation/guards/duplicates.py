"""The same scan under two patients' ids: found by its thumbnails, told apart from mere likeness.

Heads look like heads: on CT-ICH unrelated patients reach a correlation of 0.93 (0.96 with their
heads in one frame), drawn bodies 0.99, and so does a turned and noisy copy of either. So likeness
is measured against the surroundings, as Lowe does with key points ("Distinctive Image Features
from Scale-Invariant Keypoints", IJCV 2004): a copy is several times nearer than the scan's other
neighbours are, a mere twin is not. What is caught: benchmarks/reports/guards.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from clearbench.evaluation.guards.alignment import Floats32, Indices, aligned_similarity, centred
from clearbench.evaluation.guards.frame import same_frame

NEIGHBOURS = 8
SHOWN = 5
BLOCK = 1000
FEWEST_PATIENTS = 10
FLOOR = 0.95  # below it nothing is a copy, however lonely
CERTAIN = 0.998  # from it on everything is, in the pictures as they are
FALSE_ALARM = 0.05  # chance of one in a cohort without copies
LEAST_TIMES, MOST_TIMES = 3.3, 5.0
NEAREST = 1e-6  # a distance that stands for none


@dataclass(frozen=True)
class CopyPair:
    """Two scans (rows, in order) of different patients that are one, and how alike they are.

    `times_nearer` says how many times nearer they are to each other than to their other
    neighbours; NaN where there are too few of those.
    """

    first: int
    second: int
    similarity: float
    times_nearer: float


@dataclass(frozen=True)
class Duplicates:
    """What the search found: pairs, the most alike first, and from when on a pair counts.

    A pair counts with a similarity of `certain`, or one of `floor` if it is `threshold_times`
    nearer than its neighbours (NaN: too few patients to tell).
    """

    pairs: tuple[CopyPair, ...]
    scans: int
    threshold_times: float
    floor: float
    certain: float
    calibration: str


def find_duplicates(signatures: NDArray[np.uint8], patients: Sequence[str]) -> Duplicates:
    """Find scans that lie under two patients' ids.

    signatures [scans, levels, size, size] thumbnails; `patients` names each scan's patient. They
    are compared as they are, and again with their bodies in one frame. Memory grows with the scans,
    not with their pairs: each scan is compared with all, and looked at closely with its 8 nearest
    of other patients only, so of more than 8 copies not every pair is listed.
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


def duplicates_alarm(found: Duplicates, scan_ids: Sequence[str], cohorts: Sequence[str]) -> str:
    """Say which scans are under two patients' ids, and what to do; "" if none are.

    `scan_ids` and `cohorts` are those of the rows that were searched; scans of several cohorts are
    named with theirs.
    """
    if not found.pairs:
        return ""
    several = len(set(cohorts)) > 1
    names = [f"{c}/{s}" if several else s for c, s in zip(cohorts, scan_ids, strict=True)]
    told = [
        f"{names[pair.first]} and {names[pair.second]} ({pair.similarity:.3f})"
        for pair in found.pairs
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return (
        f"{len(told)} × the same scan under two patients' ids, perhaps on two sides of a fold"
        f"{_across(found.pairs, cohorts)}: {', '.join(told[:SHOWN])}{more}; {_cure(found, cohorts)}"
    )


def _across(pairs: Sequence[CopyPair], cohorts: Sequence[str]) -> str:
    """Say how many pairs are of two cohorts, and of which."""
    both = [{cohorts[pair.first], cohorts[pair.second]} for pair in pairs]
    counts = Counter(" and ".join(sorted(two)) for two in both if len(two) > 1)
    told = ", ".join(f"{count} of cohorts {names}" for names, count in counts.items())
    return f" ({told})" if told else ""


def _cure(found: Duplicates, cohorts: Sequence[str]) -> str:
    """Say what to do; an id that two cohorts share makes no one patient of theirs."""
    if all(cohorts[pair.first] != cohorts[pair.second] for pair in found.pairs):
        return "leave one of them out"
    return "give them one patient_id, or leave one of them out"


@dataclass(frozen=True)
class _Compared:
    """Neighbours and how near they are: pairs [pairs, 2], similarity and closeness [pairs].

    Closeness says, as a logarithm, how many times nearer a pair is than its surroundings; of a
    pair's two, the nearer ones count. `ordinary` [scans] is that of a second neighbour.
    """

    pairs: Indices
    similarity: Floats32
    closeness: NDArray[np.float64]
    ordinary: NDArray[np.float64]


def _compare(signatures: NDArray[np.uint8], codes: Indices) -> _Compared:
    """Compare each scan with its nearest of other patients."""
    near = _nearest(signatures, codes)
    pairs = _unordered(near)
    similarity = aligned_similarity(signatures, pairs)
    distance = np.maximum(1 - similarity, NEAREST)
    surroundings = _surroundings(distance, pairs, near)
    closeness = surroundings.around[pairs].min(axis=1) - np.log(distance)
    return _Compared(pairs, similarity, closeness, surroundings.ordinary)


def _alike(compared: _Compared, threshold: float, certain: float = np.inf) -> list[CopyPair]:
    """Return the pairs that count."""
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
    """Return each scan's nearest rows of other patients, [scans, ≤ 8], -1 where there are fewer."""
    count = len(signatures)
    best = np.full((count, NEIGHBOURS), -np.inf, np.float32)
    rows = np.full((count, NEIGHBOURS), -1, np.int64)
    starts = range(0, count, BLOCK)
    for start in starts:
        here = slice(start, min(start + BLOCK, count))
        first = _units(signatures[here])
        for other in starts[start // BLOCK :]:
            there = slice(other, min(other + BLOCK, count))
            alike = first @ (first if other == start else _units(signatures[there])).T
            alike[codes[here, None] == codes[None, there]] = -np.inf
            _keep_best(best[here], rows[here], alike, other)
            if other != start:
                _keep_best(best[there], rows[there], alike.T, start)
    return rows


def _units(signatures: NDArray[np.uint8]) -> Floats32:
    """Return thumbnails as centred vectors of length 1 [scans, pixels]; flat ones stay 0."""
    vectors = centred(signatures).reshape(len(signatures), -1)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, length, out=vectors, where=length > 0)
    return vectors


def _keep_best(best: Floats32, rows: Indices, alike: Floats32, offset: int) -> None:
    """Bring the nearest so far up to date, in place, with a block that begins at row `offset`."""
    values = np.concatenate([best, alike], axis=1)
    names = np.broadcast_to(np.arange(offset, offset + alike.shape[1]), alike.shape)
    names = np.concatenate([rows, names], axis=1)
    top = np.argpartition(-values, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    best[:] = np.take_along_axis(values, top, axis=1)
    rows[:] = np.where(np.isfinite(best), np.take_along_axis(names, top, axis=1), -1)


def _unordered(near: Indices) -> Indices:
    """List each pair of neighbours once [pairs, 2], the lower row first."""
    first = np.repeat(np.arange(len(near)), near.shape[1])
    pairs = np.sort(np.stack([first, near.ravel()], axis=1), axis=1)
    found: Indices = np.unique(pairs[pairs[:, 0] >= 0], axis=0)
    return found


@dataclass(frozen=True)
class _Surroundings:
    """How far a scan's neighbours are, as logarithms: [scans], NaN with fewer than 4.

    `around` is the mean of the further half; `ordinary` says how many times nearer the second
    neighbour is than those. The first may be a copy, the second hardly ever.
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
    """Return the closeness from which on a pair is no chance neighbour, as a logarithm.

    A normal distribution with the median and upper quartile of the ordinary neighbours, as many
    draws as scans, would reach it in one of 20 cohorts; 3.3 and 5 times are its limits.
    """
    middle, upper = np.quantile(ordinary, [0.5, 0.75])
    spread = (upper - middle) / NormalDist().inv_cdf(0.75)
    beyond = NormalDist().inv_cdf((1 - FALSE_ALARM) ** (1 / len(ordinary)))
    return float(np.clip(middle + beyond * spread, np.log(LEAST_TIMES), np.log(MOST_TIMES)))


def _calibration(patients: int, times: float) -> str:
    """Say how the threshold came about."""
    if patients < FEWEST_PATIENTS:
        return (
            f"not calibrated: {patients} patients are too few ({FEWEST_PATIENTS} are needed), "
            f"only a similarity from {CERTAIN} on counts"
        )
    return (
        f"similarity from {CERTAIN} on, or from {FLOOR} on if {times:.1f} times nearer than their "
        f"other neighbours; calibrated on the nearest others of these {patients} patients"
    )
