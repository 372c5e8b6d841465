"""A machine that others use too: embedding next to one busy core, and on a quiet machine.

OpenMP's threads spin at every barrier while the thread they wait for has no core. This measures
EfficientNet-Lite0 over synthetic slices and the training of one head on synthetic bags, in a new
process for each setting, settings in turn, on a quiet machine and next to one process that needs a
whole core.

    python benchmarks/busy.py -o benchmarks/reports/busy.md
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from clearbench.cores import SPINS, WAIT_SETTINGS, usable_cores

SLICES = 160
BAGS = 32
ROUNDS = 5
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SETTINGS: dict[str, dict[str, str]] = {
    "as it is (threads spin)": {"GOMP_SPINCOUNT": ""},
    **{f"{count:,} spins": {"GOMP_SPINCOUNT": str(count)} for count in (100, 1_000, 10_000)},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": ONE_THREAD,
}
BUSY = "while True: pass"
EMBED = f"""
import time
import numpy as np
from clearbench.encoders.encoder import load_encoder
encoder = load_encoder("efficientnet-lite0", device="cpu")
slices = np.random.default_rng(0).integers(-1000, 400, ({SLICES}, 128, 128)).astype(np.float32)
encoder.embed(slices[:16])
start = time.perf_counter()
encoder.embed(slices)
print(len(slices) / (time.perf_counter() - start))
"""
TRAIN = f"""
import time
import numpy as np
from clearbench.evaluation.heads import MILClassifier
rng = np.random.default_rng(0)
bags = list(rng.normal(size=({BAGS}, 100, 768)).astype(np.float32))
truth = np.arange({BAGS})[:, None] % 2 * 1.0
start = time.perf_counter()
MILClassifier("abmil", "binary", 1).fit(bags, truth)
print(60 / (time.perf_counter() - start))
"""
WORK = {"slices embedded per s": EMBED, "heads trained per min": TRAIN}


def speed(work: str, setting: dict[str, str]) -> float:
    """Run the work in a new process under some environment variables, and return its speed."""
    plain = {k: v for k, v in os.environ.items() if k not in (*WAIT_SETTINGS, *ONE_THREAD)}
    environment = plain | {name: value for name, value in setting.items() if value}
    done = subprocess.run(
        [sys.executable, "-c", work], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep some cores busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(rounds: int) -> dict[tuple[str, str], dict[str, float]]:
    """Return the median speeds of each setting by kind of work and scene; settings take turns."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for kind, work in WORK.items():
        for scene, count in (("quiet", 0), ("busy", 1)):
            runs: dict[str, list[float]] = {name: [] for name in SETTINGS}
            with busy_cores(count):
                for _ in range(rounds):
                    for name, setting in SETTINGS.items():
                        runs[name].append(speed(work, setting))
            found[kind, scene] = {name: median(each) for name, each in runs.items()}
    return found


def report(found: dict[tuple[str, str], dict[str, float]], rounds: int) -> str:
    """Write the tables."""
    first = next(iter(SETTINGS))
    lines = [
        "# A machine that others use too",
        "",
        "`python benchmarks/busy.py -o benchmarks/reports/busy.md`",
        "",
        f"A new process for each run, median of {rounds} runs, settings in turn. {usable_cores()} "
        f"cores. Embedding: EfficientNet-Lite0, {SLICES} synthetic slices, one view. Training: one "
        f"`abmil` head on {BAGS} synthetic bags of 100 instances × 768. Busy: one other process "
        "computes all the time. Ratios are to the first row.",
    ]
    for kind in WORK:
        lines += [
            "",
            f"| {kind} | quiet | ratio | next to one busy core | ratio |",
            "|---|--:|--:|--:|--:|",
        ]
        for name in SETTINGS:
            speeds = [found[kind, scene] for scene in ("quiet", "busy")]
            cells = [f"{each[name]:.1f} | {each[name] / each[first]:.2f}" for each in speeds]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    default = f"{SPINS:,} spins"
    sums = [
        f"{kind} × {found[kind, 'quiet'][default] / found[kind, 'quiet'][first]:.2f} on a quiet "
        f"machine, × {found[kind, 'busy'][default] / found[kind, 'busy'][first]:.2f} on a busy one"
        for kind in WORK
    ]
    lines += [
        "",
        f"clearbench's default, {SPINS:,} spins, against spinning threads: {'; '.join(sums)}. "
        "Commands set it before torch is loaded; the user's own `OMP_WAIT_POLICY`, "
        "`GOMP_SPINCOUNT`, `KMP_BLOCKTIME` and `OMP_NUM_THREADS` win.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print the report, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    text = report(measure(options.rounds), options.rounds)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
