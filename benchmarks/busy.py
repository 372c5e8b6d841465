"""A machine that others use too: embedding next to one busy core, and on a quiet machine.

OpenMP's threads spin at every barrier while the thread they wait for has no core. This measures
EfficientNet-Lite0 over synthetic slices, in a process of its own for each setting, alternating
between settings, on a quiet machine and next to one process that needs a whole core.

    python benchmarks/busy.py -o benchmarks/reports/busy.md
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from clearbench.cores import SPINS, WAIT_SETTINGS, usable_cores

SLICES = 160
ROUNDS = 5
QUIET_LOSS = 0.02  # what a quiet machine may lose at most
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SETTINGS: dict[str, dict[str, str]] = {
    "as it is (threads spin)": {"GOMP_SPINCOUNT": ""},
    **{
        f"{count:,} spins": {"GOMP_SPINCOUNT": str(count)}
        for count in (1_000, 10_000, 100_000, 1_000_000)
    },
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


def slices_per_s(setting: dict[str, str]) -> float:
    """Embed in a new process under some environment variables."""
    plain = {k: v for k, v in os.environ.items() if k not in (*WAIT_SETTINGS, *ONE_THREAD)}
    environment = plain | {name: value for name, value in setting.items() if value}
    done = subprocess.run(
        [sys.executable, "-c", EMBED], env=environment, capture_output=True, text=True, check=True
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


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return the median slices per second by scene and setting; settings take turns."""
    found: dict[str, dict[str, float]] = {}
    for scene, count in (("quiet", 0), ("busy", 1)):
        runs: dict[str, list[float]] = {name: [] for name in SETTINGS}
        with busy_cores(count):
            for _ in range(rounds):
                for name, setting in SETTINGS.items():
                    runs[name].append(slices_per_s(setting))
                    time.sleep(0.2)
        found[scene] = {name: median(each) for name, each in runs.items()}
    return found


def report(found: dict[str, dict[str, float]], rounds: int) -> str:
    """Write the table."""
    first = next(iter(SETTINGS))
    lines = [
        "# A machine that others use too",
        "",
        "`python benchmarks/busy.py -o benchmarks/reports/busy.md`",
        "",
        f"EfficientNet-Lite0, {SLICES} synthetic slices, one view, a new process for each run, "
        f"median of {rounds} runs, settings in turn. {usable_cores()} cores. Next to one busy "
        "core: one other process computes all the time. Ratios are to the first row.",
        "",
        "| setting | quiet, slices/s | ratio | next to one busy core, slices/s | ratio |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in SETTINGS:
        cells = [
            f"{found[scene][name]:.1f} | {found[scene][name] / found[scene][first]:.2f}"
            for scene in ("quiet", "busy")
        ]
        mine = " (clearbench's default)" if name == f"{SPINS:,} spins" else ""
        lines.append(f"| {name}{mine} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The default is the number of spins that costs a quiet machine at most {QUIET_LOSS:.0%} "
        "and helps a busy one most. Commands set it before torch is loaded; the user's own "
        "`OMP_WAIT_POLICY`, `GOMP_SPINCOUNT`, `KMP_BLOCKTIME` and `OMP_NUM_THREADS` win.",
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
