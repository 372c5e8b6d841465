"""Time from a plug-in package to its row on a leaderboard.

    python benchmarks/newcomer.py [--ct-ich FOLDER] [-o REPORT.md]

A new user's commands, one after another, on CT-ICH. The sample plug-in package of the tests is
installed to a separate folder, not into this environment.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CT_ICH = ROOT.parent / "shared" / "data" / "ct-ich"
PLUG_IN = ROOT / "tests" / "plugin_sample"
ENCODER, TASK = "texture-small", "ct-ich-hemorrhage"


@dataclass(frozen=True)
class Step:
    """One command, its seconds, and its last line about the encoder."""

    command: str
    seconds: float
    line: str


def run_all(data: Path, work: Path) -> Iterator[Step]:
    """Run every step in an empty folder; raises CalledProcessError if a step fails."""
    packages = work / "installed"
    variables = {**os.environ, "PYTHONPATH": str(packages), "CLEARBENCH_STORE": str(work / "store")}
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    yield run(
        [*pip, str(packages), str(PLUG_IN)], "pip install tests/plugin_sample", work, variables
    )
    for typed in (
        "models list",
        f"models check {ENCODER}",
        f"cohort build ct-ich {data.resolve()} -o ct-ich.csv",
        f"embed ct-ich.csv --model {ENCODER} --views brain,bone",
        f"evaluate --task {TASK} --model {ENCODER} --head mean-logreg",
        f"leaderboard --task {TASK}",
    ):
        shown = f"clearbench {typed}".replace(str(data.resolve()), "CT-ICH/")
        yield run(["clearbench", *typed.split()], shown, work, variables)


def run(module: list[str], shown: str, work: Path, variables: Mapping[str, str]) -> Step:
    """Run a module of Python as a command."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=work, env=dict(variables), check=True, capture_output=True, text=True,
    )  # fmt: skip
    rows = [line for line in done.stdout.splitlines() if ENCODER in line or "slices" in line]
    return Step(shown, time.perf_counter() - start, " ".join(rows[-1].split()) if rows else "")


def report(steps: list[Step]) -> str:
    """Write the steps as a table."""
    whole = sum(step.seconds for step in steps)
    lines = [
        "# From a plug-in to the leaderboard",
        "",
        "`python benchmarks/newcomer.py`",
        "",
        f"From a plug-in package to a row on the leaderboard: **{whole:.0f} s**, {os.cpu_count()} "
        "cores, 82 real CTs (CT-ICH).",
        "",
        "| command | s |",
        "|---|--:|",
        *(f"| `{step.command}` | {step.seconds:.1f} |" for step in steps),
        "",
        "Its row:",
        "",
        f"`{steps[-1].line}`",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct-ich", type=Path, default=CT_ICH)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(list(run_all(options.ct_ich, Path(folder))))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
