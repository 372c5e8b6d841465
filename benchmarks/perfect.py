"""Does the interval of an AUROC near 1 cover the truth? Resampling alone, and with the bound at 1.

    python benchmarks/perfect.py -o benchmarks/reports/perfect.md

Scores of a fixed test set are drawn from two normal distributions whose true AUROC is known. Where
every positive patient scores above every negative one, a bootstrap of patients gives 1 to 1, which
never covers; clearbench then gives the interval of Newcombe (method 5, 2006).
"""

import argparse
from pathlib import Path
from statistics import NormalDist

import numpy as np

from clearbench.statistics.intervals import FoldScores, score_with_bootstrap
from clearbench.statistics.perfect import METHOD, with_perfect_scores

TRUE = (0.90, 0.95, 0.98, 0.99, 0.995)
PATIENTS = (24, 40, 100)


def covered(true: float, patients: int, draws: int, seed: int) -> tuple[float, float, float]:
    """Return the share of perfect samples, and the coverage without and with the bound."""
    rng = np.random.default_rng(seed)
    shift = NormalDist().inv_cdf(true) * 2**0.5
    truth = (np.arange(patients) % 2).astype(float)[:, None]
    names = tuple(map(str, range(patients)))
    perfect, plain, bound = [], [], []
    for _ in range(draws):
        scores = rng.normal(size=(patients, 1)) + shift * truth
        heads = [FoldScores(0, 0, 0, names, truth, scores)]
        before = score_with_bootstrap("binary", heads, resamples=300)
        after = with_perfect_scores(before, "binary", heads)["auroc"]
        perfect.append(after.value == 1)
        plain.append(before["auroc"].low <= true <= before["auroc"].high)
        bound.append(after.low <= true <= after.high)
    return float(np.mean(perfect)), float(np.mean(plain)), float(np.mean(bound))


def report(draws: int) -> str:
    """Return the report as Markdown."""
    lines = [
        "# Coverage of AUROC intervals near 1",
        "",
        f"Simulated scores, fixed test set, half of the patients positive, {draws:,} samples each;",
        f"intervals at 95 %. Where a sample is separated perfectly, the interval is {METHOD}.",
        "",
        "Made by `python benchmarks/perfect.py -o benchmarks/reports/perfect.md`.",
        "",
        "| patients | true AUROC | samples of 1 | coverage, bootstrap alone | with the bound |",
        "|---|---|---|---|---|",
    ]
    for patients in PATIENTS:
        for number, true in enumerate(TRUE):
            perfect, plain, bound = covered(true, patients, draws, seed=number)
            lines.append(f"| {patients} | {true:g} | {perfect:.1%} | {plain:.1%} | {bound:.1%} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run the simulation and write its report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    text = report(options.draws)
    if options.output:
        options.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
