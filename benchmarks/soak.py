"""Embed thousands of small scans in one run: does anything grow?

    python benchmarks/soak.py [--scans 3000] [--bad 100] [-o REPORT.md]

Memory of the process and of its readers, open files, temporary files and processes, looked at while
it runs. Among the scans are bad ones, cut off at different places. Scans are
synthetic, the encoder is a very small one with random weights.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch

from clearbench import pipeline
from clearbench.engines.events import EmbedReport, EmbedStarted, ScanOutcome

SHOWN = 8  # rows of the table
CARD = """
title = "A very small ViT, seeded random weights"
family = "timm"
source = "random:0"
net = "test_vit"
dim = 64
pooling = "mean"
[weights]
licence = "Apache-2.0"
[input]
size_px = 32
views = { abdomen = [-160.0, 240.0] }
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


@dataclass(frozen=True)
class Look:
    """What the run uses after so many scans."""

    scans: int
    own_mib: float
    readers_mib: float
    files: int
    temporary: int
    processes: int


def write_scans(folder: Path, scans: int, bad: int) -> None:
    """Write small NIfTI files; every so many of them is cut off."""
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 300, (48, 48, 3)).astype(np.int16)
    whole = folder / "first.nii.gz"
    nibabel.Nifti1Image(hu, np.diag([-1.0, -1.0, 5.0, 1.0])).to_filename(whole)
    content, every = whole.read_bytes(), scans // bad
    whole.unlink()
    for number in range(scans):
        wrong = number % every == every - 1
        part = content[: (0, 200, len(content) - 40)[number % 3]] if wrong else content
        (folder / f"scan-{number:05d}.nii.gz").write_bytes(part)


def children(process: int) -> list[int]:
    """Return a process's children, and theirs."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *children(int(child))]
    return found


def resident_mib(process: int) -> float:
    """Return the memory that a process holds."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:  # it has ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def look(scans: int) -> Look:
    """Look at this process, its readers and the temporary files."""
    own, below = os.getpid(), children(os.getpid())
    return Look(
        scans,
        resident_mib(own),
        sum(map(resident_mib, below)),
        len(list(Path("/proc/self/fd").iterdir())),
        sum(len(files) for _, _, files in os.walk(tempfile.gettempdir())),
        1 + len(below),
    )


def soak(folder: Path, scans: int) -> tuple[list[Look], EmbedReport]:
    """Embed the folder; returns what was seen meanwhile, and the report."""
    looks, done = list[Look](), 0

    def see(event: EmbedStarted | ScanOutcome) -> None:
        nonlocal done
        done += isinstance(event, ScanOutcome)
        if done and done % max(1, scans // (4 * SHOWN)) == 0:
            looks.append(look(done))

    card = folder.parent / "tiny.toml"
    card.write_text(CARD)
    report = pipeline.embed(
        folder, [str(card)], store=folder.parent / "store", workers=2, on_event=see, device="cpu"
    )
    return looks, report


def text_of(looks: Sequence[Look], report: EmbedReport, options: argparse.Namespace) -> str:
    """Write the report."""
    run = report.runs[0]
    written, failed = (len(run.of(status)) for status in ("written", "failed"))
    step = max(1, len(looks) // SHOWN)
    rows = [
        f"| {each.scans} | {each.own_mib:.0f} | {each.readers_mib:.0f} | {each.files} "
        f"| {each.temporary} | {each.processes} |"
        for each in looks[::step]
    ]
    # The first quarter warms up: libraries, caches, the first batches.
    rest = looks[len(looks) // 4 :]
    half = len(rest) // 2
    early, late = (max(each.own_mib for each in part) for part in (rest[:half], rest[half:]))
    return "\n".join(
        [
            "# Thousands of scans in one run",
            "",
            f"`python benchmarks/soak.py --scans {options.scans} --bad {options.bad}`",
            "",
            f"{options.scans} small synthetic scans, {options.bad} of them cut off; "
            f"{os.cpu_count()} cores, torch {torch.__version__}, 2 readers. {written} are written, "
            f"{failed} failed with a sentence each, {sum(n for _, n in report.left_out)} were left "
            "out of the inventory.",
            "",
            "| scans done | memory, MiB | memory of readers, MiB | open files | temporary files "
            "| processes |",
            f"|{'--:|' * 6}",
            *rows,
            "",
            f"Peak memory after the first quarter: {early:.0f} MiB, then {late:.0f} MiB "
            f"(× {late / early:.2f}).",
            "",
        ]
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=3000)
    parser.add_argument("--bad", type=int, default=100)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as work:
        folder, temporary = (Path(work).resolve() / name for name in ("scans", "temporary"))
        folder.mkdir()
        temporary.mkdir()
        # Of its own, so that only what this run leaves there is counted.
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        write_scans(folder, options.scans, options.bad)
        text = text_of(*soak(folder, options.scans), options)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
