"""False alarms of the tests for equal encoders, and the coverage of intervals.

    python benchmarks/comparisons.py [--trials 1000] [-o REPORT.md]

Scores are simulated, no head is trained. A unit's score is the quality of its head, if the unit is
positive, plus a normal part of variance 1 that encoders partly share: some patients are hard for
all. So an AUROC is Φ(quality / √2). In cross-validation every training patient changes the quality
of the heads trained with it a little, so folds that share patients have similar heads; `wobble` is
the standard deviation of the quality over training sets.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from clearbench.arrays import Floats
from clearbench.metrics import auroc
from clearbench.statistics.bootstrap import (
    Resampled,
    Resampling,
    bootstrap,
    compare_resampled,
    percentile_interval,
)
from clearbench.statistics.comparison import Difference, Pair
from clearbench.statistics.delong import area_interval, compare_areas, delong_areas
from clearbench.statistics.detectable_difference import detectable_difference
from clearbench.statistics.multiple_testing import ALPHA, compare_all, compare_with_floors
from clearbench.statistics.resampled import Design, compare_folds, cv_interval

PATIENTS, POSITIVES = 120, 40
FOLDS, REPEATS = 5, 5
DESIGN = Design(1 / (FOLDS - 1), tuple(np.repeat(range(REPEATS), FOLDS)), PATIENTS)
ENCODERS = 6
QUALITY = 1.2  # an AUROC of 0.80
LESS = 0.9  # an AUROC of 0.74
FAR = 1.8  # an AUROC of 0.90
FLOORS = 4
SHARED = 0.6  # share of a score's variance that all encoders have in common
AGAIN = 0.8  # share of the rest that heads of different repeats have in common
WOBBLES = (0.0, 0.15, 0.3)  # 0.15 moves an AUROC by 0.03
RESAMPLES = 1000
PILOT = 100
PILOT_STEPS = 3
TRUTH = (np.arange(PATIENTS) < POSITIVES) * 1.0


@dataclass(frozen=True)
class Row:
    """One line of the report: a share of trials, and what it should be; None for a power."""

    what: str
    wanted: float | None
    hits: Sequence[bool]

    def line(self) -> str:
        """Write the share with its Monte Carlo error, in per cent."""
        share = float(np.mean(self.hits))
        error = sqrt(share * (1 - share) / len(self.hits))
        wanted = "high" if self.wanted is None else f"{self.wanted:.0%}"
        return f"| {self.what} | {wanted} | {share:.1%} ± {error:.1%} |"


@dataclass(frozen=True)
class Crossed:
    """One cross-validation: fold of each patient [repeats, n], scores [encoders, repeats, n]."""

    fold: NDArray[np.int64]
    scores: Floats

    def per_fold(self, encoder: int) -> Floats:
        """Return the AUROC of every fold of every repeat."""
        masks = (self.fold[:, None] == np.arange(FOLDS)[:, None]).astype(float)
        each = zip(self.scores[encoder], masks, strict=True)
        return np.concatenate([auroc(TRUTH, scores, mask) for scores, mask in each])


def area_of(quality: float, wobble: float = 0.0) -> float:
    """Return the AUROC of a quality, on average over training sets."""
    return float(norm.cdf(quality / sqrt(2 + wobble**2)))


def quality_of(area: float, wobble: float = 0.0) -> float:
    """Return the quality of an AUROC."""
    return float(brentq(lambda quality: area_of(quality, wobble) - area, -5, 5))


def simulate_test(
    rng: np.random.Generator, quality: Sequence[float], wobble: float = 0.0
) -> Floats:
    """Simulate the scores [n, encoders] of heads on a separate test set."""
    own = rng.normal(size=(PATIENTS, len(quality)))
    shared = rng.normal(size=(PATIENTS, 1))
    heads = np.array(quality) + wobble * rng.normal(size=len(quality))
    return TRUTH[:, None] * heads + sqrt(SHARED) * shared + sqrt(1 - SHARED) * own


def random_folds(rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random fold for each patient [repeats, n], positives spread evenly."""
    number = np.r_[np.arange(POSITIVES) % FOLDS, np.arange(PATIENTS - POSITIVES) % FOLDS]
    for repeat in (fold := np.tile(number, (REPEATS, 1))):
        rng.shuffle(repeat[:POSITIVES])
        rng.shuffle(repeat[POSITIVES:])
    return fold


def simulate_folds(rng: np.random.Generator, quality: Sequence[float], wobble: float) -> Crossed:
    """Simulate the scores of repeated cross-validation."""
    fold, encoders = random_folds(rng), len(quality)
    training = fold[:, None] != np.arange(FOLDS)[:, None]  # [repeats, folds, n]
    moves = rng.normal(size=(encoders, PATIENTS)) / np.sqrt(PATIENTS * (1 - 1 / FOLDS))
    heads = np.array(quality)[:, None, None] + wobble * np.einsum("en,rfn->erf", moves, training)
    own = rng.normal(size=(encoders, 1, PATIENTS))
    new = rng.normal(size=(encoders, REPEATS, PATIENTS))
    noise = sqrt(SHARED) * rng.normal(size=PATIENTS)
    noise = noise + sqrt(1 - SHARED) * (sqrt(AGAIN) * own + sqrt(1 - AGAIN) * new)
    each = np.take_along_axis(heads, np.broadcast_to(fold, (encoders, *fold.shape)), axis=2)
    return Crossed(fold, TRUTH * each + noise)


def by_delong(scores: Floats) -> Callable[[int, int], Difference]:
    """Compare scores [n, encoders] by DeLong."""
    areas = delong_areas(TRUTH, scores)
    return lambda one, other: compare_areas(areas, one, other)


def by_folds(crossed: Crossed) -> Callable[[int, int], Difference]:
    """Compare encoders by the corrected resampled t-test."""
    found = [crossed.per_fold(encoder) for encoder in range(len(crossed.scores))]
    return lambda one, other: compare_folds(found[one], found[other], DESIGN)


def false_alarm(pairs: Sequence[Pair]) -> bool:
    """Tell whether any pair of a family differs significantly."""
    return any(pair.separable for pair in pairs)


def holds(low: float, high: float, truth: float) -> bool:
    """Tell whether an interval covers the truth."""
    return low <= truth <= high


def test_set_rows(trials: int, rng: np.random.Generator) -> list[Row]:
    """Count false alarms of the tests for a separate test set."""
    alarms: dict[str, list[bool]] = {"delong": [], "moved": [], "boot": [], "holm": [], "raw": []}
    for _ in range(trials):
        scores = simulate_test(rng, [QUALITY] * ENCODERS)
        delong = by_delong(scores)
        alarms["delong"].append(delong(0, 1).p < ALPHA)
        alarms["boot"].append(compare_resampled(_resampled(scores[:, :2], rng), 0, 1).p < ALPHA)
        alarms["holm"].append(false_alarm(compare_all("abcdef", delong)))
        every = combinations(range(ENCODERS), 2)
        alarms["raw"].append(any(delong(*pair).p < ALPHA for pair in every))
        moved = by_delong(simulate_test(rng, [QUALITY] * 2, WOBBLES[1]))
        alarms["moved"].append(moved(0, 1).p < ALPHA)
    pairs = ENCODERS * (ENCODERS - 1) // 2
    named = {
        "delong": "DeLong",
        "boot": "paired bootstrap",
        "moved": f"DeLong, heads that wobble by {WOBBLES[1]}: it compares heads, not encoders",
        "holm": f"DeLong and Holm, any of {pairs} pairs",
        "raw": f"DeLong without Holm, any of {pairs} pairs: not valid, for comparison",
    }
    return [Row(name, ALPHA, alarms[key]) for key, name in named.items()]


def _resampled(scores: Floats, rng: np.random.Generator) -> Resampled:
    """Resample the AUROC of each encoder's scores [n, encoders]."""
    measures = [lambda w, s=column: {"auroc": auroc(TRUTH, s, w)} for column in scores.T]
    patients = tuple(map(str, range(PATIENTS)))
    seed = int(rng.integers(2**31))
    return bootstrap(measures, Resampling(patients, resamples=RESAMPLES, seed=seed))["auroc"]


def crossed_rows(trials: int, rng: np.random.Generator) -> list[Row]:
    """Count false alarms of tests in repeated cross-validation, valid ones and others."""
    rows = []
    for wobble in WOBBLES:
        corrected, holm, naive = [], [], []
        for _ in range(trials):
            crossed = simulate_folds(rng, [QUALITY] * ENCODERS, wobble)
            folds = by_folds(crossed)
            corrected.append(folds(0, 1).p < ALPHA)
            holm.append(false_alarm(compare_all("abcdef", folds)))
            naive.append(by_delong(crossed.scores[:2, 0].T)(0, 1).p < ALPHA)
        rows += [
            Row(f"corrected resampled t, wobble {wobble}", ALPHA, corrected),
            Row(f"corrected resampled t and Holm, any of 15 pairs, wobble {wobble}", ALPHA, holm),
            Row(
                f"DeLong on pooled scores, wobble {wobble}: not valid, for comparison", ALPHA, naive
            ),
        ]
    return rows


def signal_rows(trials: int, rng: np.random.Generator) -> list[Row]:
    """Claims that an encoder beats the floors, where none does; and where one does.

    The hardest case: all floors but one are far below, and the encoders are as good as that one.
    """
    floors = (QUALITY, *[0.0] * (FLOORS - 1))
    rows = []
    for wobble in WOBBLES[:2]:
        cases = {
            "as good as every floor": ((QUALITY,) * ENCODERS, (QUALITY,) * FLOORS, ALPHA),
            "as good as the best floor, the others at chance": (
                (QUALITY,) * ENCODERS, floors, ALPHA,
            ),
            f"one of AUROC {area_of(FAR):.2f} against floors of {area_of(LESS):.2f}: found": (
                (FAR, *[LESS] * (ENCODERS - 1)), (LESS,) * FLOORS, None,
            ),
        }  # fmt: skip
        for what, (encoders, bars, wanted) in cases.items():
            hits = [_signal(rng, (*encoders, *bars), wobble) for _ in range(trials)]
            rows.append(Row(f"{ENCODERS} encoders {what}, wobble {wobble}", wanted, hits))
    return rows


def _signal(rng: np.random.Generator, quality: Sequence[float], wobble: float) -> bool:
    """Tell whether a simulated board claims that an encoder beats every floor."""
    compare = by_folds(simulate_folds(rng, quality, wobble))
    names = [f"e{number}" for number in range(ENCODERS)]
    bars = [f"f{number}" for number in range(FLOORS)]
    pairs = compare_with_floors(names, bars, lambda i, j: compare(i, ENCODERS + j))
    return any(pair.winner == pair.one for pair in pairs)


def coverage_rows(trials: int, rng: np.random.Generator) -> list[Row]:
    """Count the intervals that cover the truth, for encoders that differ."""
    hits: dict[str, list[bool]] = {}
    for _ in range(trials):
        for name, hit in (_test_set_hits(rng) | _crossed_hits(rng)).items():
            hits.setdefault(name, []).append(hit)
    return [Row(name, 0.95, found) for name, found in hits.items()]


def _test_set_hits(rng: np.random.Generator) -> dict[str, bool]:
    """Return which intervals of one test set cover the truth."""
    scores = simulate_test(rng, [QUALITY, LESS])
    areas, resampled = delong_areas(TRUTH, scores), _resampled(scores, rng)
    alone = {
        "DeLong": area_interval(areas, 0),
        "percentile bootstrap": percentile_interval(resampled, 0),
    }
    paired = {
        "DeLong": compare_areas(areas, 0, 1),
        "percentile bootstrap": compare_resampled(resampled, 0, 1),
    }
    one, gap = area_of(QUALITY), area_of(QUALITY) - area_of(LESS)
    return {
        **{
            f"{method}, one AUROC": holds(each.low, each.high, one)
            for method, each in alone.items()
        },
        **{
            f"{method}, difference": holds(each.low, each.high, gap)
            for method, each in paired.items()
        },
    }


def _crossed_hits(rng: np.random.Generator) -> dict[str, bool]:
    """Return which intervals of one cross-validation cover the truth."""
    wobble = WOBBLES[1]
    crossed = simulate_folds(rng, [QUALITY, LESS], wobble)
    found = [crossed.per_fold(encoder) for encoder in (0, 1)]
    one = cv_interval(found[0], DESIGN, (0.0, 1.0))
    two = compare_folds(found[0], found[1], DESIGN)
    gap = area_of(QUALITY, wobble) - area_of(LESS, wobble)
    return {
        f"corrected resampled t, one score, wobble {wobble}": holds(
            one.low, one.high, area_of(QUALITY, wobble)
        ),
        f"corrected resampled t, difference, wobble {wobble}": holds(two.low, two.high, gap),
    }


Compare = Callable[[Sequence[float]], Difference]


def power_rows(trials: int, rng: np.random.Generator) -> list[Row]:
    """Count how often a true difference of the smallest detectable size is found."""
    wobble = WOBBLES[1]
    methods: dict[str, tuple[float, Compare]] = {
        "DeLong": (0.0, lambda quality: by_delong(simulate_test(rng, quality))(0, 1)),
        f"corrected resampled t, wobble {wobble}": (
            wobble,
            lambda quality: by_folds(simulate_folds(rng, quality, wobble))(0, 1),
        ),
    }
    rows = []
    for name, (own, compare) in methods.items():
        less = QUALITY
        for apart in ("equal encoders", "encoders that far apart"):
            for _ in range(1 if less == QUALITY else PILOT_STEPS):
                less, gap = _detectable(compare, less, own)
            found = [compare([QUALITY, less]).p < ALPHA for _ in range(trials)]
            rows.append(Row(f"{name}: {gap:.3f}, estimated from {apart}", 0.8, found))
    return rows


def _detectable(compare: Compare, less: float, wobble: float) -> tuple[float, float]:
    """Return the detectable difference from QUALITY, by pairs with `less`, as quality and gap."""
    gap = detectable_difference([compare([QUALITY, less]) for _ in range(PILOT)])
    return quality_of(area_of(QUALITY, wobble) - gap, wobble), gap


def measure(trials: int) -> str:
    """Run every trial; returns the report."""
    start, rng = time.process_time(), np.random.default_rng(1)
    tables = {
        "False alarms on a separate test set, equal encoders": test_set_rows(trials, rng),
        "False alarms in cross-validation, equal encoders": crossed_rows(trials, rng),
        f"Intervals that cover the truth, AUROC {area_of(QUALITY):.2f} and {area_of(LESS):.2f}": (
            coverage_rows(trials, rng)
        ),
        "The smallest detectable difference, found": power_rows(trials, rng),
        f"A signal, a win over each of {FLOORS} floors (largest p, Holm over encoders)": (
            signal_rows(trials, np.random.default_rng(2))
        ),
    }
    lines = [
        "# Tests and intervals against the truth",
        "",
        "`python benchmarks/comparisons.py`",
        "",
    ]
    lines += [
        f"{PATIENTS} patients, {POSITIVES} positive; {REPEATS} × {FOLDS} folds; {trials:,} trials, "
        f"± their Monte Carlo error; {RESAMPLES:,} bootstrap resamples; "
        f"{time.process_time() - start:.0f} s of CPU. Scores are simulated, no head is trained.",
        "",
    ]
    for title, rows in tables.items():
        lines += [f"| {title} | should be | is |", "|---|--:|--:|", *(row.line() for row in rows)]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    gc.freeze()  # statsmodels collects garbage at every multipletests: 60 ms over all modules
    report = measure(options.trials)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
