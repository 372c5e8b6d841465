"""The guard against duplicates: copies that it finds, copies that it misses, and its cost.

    python benchmarks/guards.py [--ct-ich FOLDER] [-o REPORT.md]

Every sixth scan is copied with one change at a time, of the changes that archives and exports make,
and searched for among all patients under another id. The baseline is the most similar pair of
unrelated patients. Without a folder of CT-ICH, that data set is left out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from embedding import write_scans
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate, shift

from clearbench.arrays import Float32s
from clearbench.datasets.synthetic.cohort import plan_scans
from clearbench.datasets.synthetic.scan import draw_scan
from clearbench.evaluation.guards import duplicates
from clearbench.evaluation.guards.duplicates import find_duplicates
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.thumbnail import BROAD_HU, GREY, thumbnail

EVERY = 6  # every sixth scan is copied
TURNS = 5
ONE_READER = """
import sys, time
from pathlib import Path
from clearbench.scans.slices import ScanSource, pixels_signature, read_scan, source_signature
from clearbench.scans.thumbnail import take_sketch

for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.process_time()
    source_signature(path)
    scan = read_scan(ScanSource(path))
    pixels_signature(scan)
    read = time.process_time()
    take_sketch(scan)
    end = time.process_time()
    print((end - read) / (end - start))
"""
MANY = 2000


@dataclass(frozen=True)
class Sample:
    """One cohort: pixels [n, y, x] and patient of each scan, and the range of pixel values."""

    name: str
    pixels: list[NDArray[np.generic]]
    patients: list[str]
    window: tuple[float, float]

    @property
    def grey(self) -> float:
        """Return the step of one of 255 grey levels, in the unit of the pixels."""
        return (self.window[1] - self.window[0]) / 255


def heads(folder: Path) -> Sample:
    """Read CT-ICH in its bone window."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    scans = [read_scan(ScanSource(path)) for path in folders]
    pixels = [scan.pixels[scan.present[:, 0], 0] for scan in scans]
    return Sample("CT-ICH, 82 patients", pixels, [path.name for path in folders], GREY)


def bodies() -> Sample:
    """Draw the synthetic cohort."""
    plan = plan_scans(60, 2411)
    pixels = [draw_scan(scan.patient, scan.technique, scan.seeds).hu for scan in plan]
    return Sample("synthetic, 60 patients", pixels, [s.patient.patient_id for s in plan], BROAD_HU)


def turned(pixels: Float32s, angle_deg: float) -> Float32s:
    """Rotate every slice, with air in the corners."""
    air = float(pixels.min())
    return rotate(pixels, angle_deg, (1, 2), reshape=False, order=1, cval=air)


def moved(pixels: Float32s, share: float) -> Float32s:
    """Shift every slice sideways by a share of its width."""
    return shift(pixels, (0, 0, share * pixels.shape[2]), order=1, mode="nearest")


def copies(pixels: Float32s, grey: float) -> Iterator[tuple[str, Float32s]]:
    """Yield one scan's copies, each with the name of its change."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, grey, pixels.shape).astype(np.float32)
    edge = pixels.shape[1] // 40
    yield "another file format", pixels
    yield "gain 1.1, offset", pixels * 1.1 + 4 * grey
    yield "noise, σ of 6 grey levels", pixels + 6 * noise
    yield "softer kernel", gaussian_filter(pixels, (0, 1.5, 1.5))
    yield "every second slice", pixels[::2]
    yield "lowest 6 % of slices cut off", pixels[max(1, round(0.06 * len(pixels))) :]
    yield "turned by 3°", turned(pixels, 3)
    yield "turned by 3°, gain, offset, noise", turned(pixels, 3) * 1.1 + 4 * grey + 3 * noise
    yield "turned by 5°", turned(pixels, 5)
    yield "moved by 2 % of the width", moved(pixels, 0.02)
    yield "field of view 95 %", pixels[:, edge:-edge, edge:-edge]


def search_copies(sample: Sample) -> list[str]:
    """Search for each copy; return the lines of the report."""
    usual = np.stack([thumbnail(pixels, sample.window) for pixels in sample.pixels])
    found: dict[str, list[tuple[float, float]]] = {}
    false = len(find_duplicates(usual, sample.patients).pairs)
    for row in range(0, len(usual), EVERY):
        for change, pixels in copies(sample.pixels[row].astype(np.float32), sample.grey):
            picture = thumbnail(pixels, sample.window)[None]
            search = find_duplicates(np.concatenate([usual, picture]), [*sample.patients, "copy"])
            hits = [p for p in search.pairs if (p.first, p.second) == (row, len(usual))]
            false += len(search.pairs) - len(hits)
            score = (hits[0].similarity, hits[0].times_nearer) if hits else (np.nan, np.nan)
            found.setdefault(change, []).append(score)
    lines = [f"## {sample.name}", "", unrelated(usual, sample.patients), ""]
    lines += ["| copy | found | lowest similarity | lowest times nearer |", "|---|--:|--:|--:|"]
    for change, scores in found.items():
        hit = [score for score in scores if score[0] == score[0]]  # NaN: not found
        least = [f"{min(values):.3g}" for values in zip(*hit, strict=True)] or ["–", "–"]
        lines.append(f"| {change} | {len(hit)}/{len(scores)} | {least[0]} | {least[1]} |")
    return [*lines, "", f"False alarms in all these searches: {false}.", ""]


def unrelated(usual: NDArray[np.uint8], patients: list[str]) -> str:
    """Return the highest scores of unrelated patients: without thresholds, every pair counts."""
    limits = {"FLOOR": -1.0, "LEAST_TIMES": 1e-9, "MOST_TIMES": 1e-9}
    before = {name: getattr(duplicates, name) for name in limits}
    try:
        for name, value in limits.items():
            setattr(duplicates, name, value)
        pairs = find_duplicates(usual, patients).pairs
    finally:
        for name, value in before.items():
            setattr(duplicates, name, value)
    similarity, times = max(p.similarity for p in pairs), max(p.times_nearer for p in pairs)
    return f"Unrelated patients: similarity at most {similarity:.3f}, {times:.1f} times nearer."


def search_seconds(sample: Sample) -> float:
    """Time the search among 2,000 scans: those of this cohort, each with random changes."""
    rng = np.random.default_rng(0)
    usual = np.stack([thumbnail(pixels, sample.window) for pixels in sample.pixels])
    noise = gaussian_filter(rng.normal(0, 150, (MANY, *usual.shape[1:])), (0, 0, 4, 4))
    many = np.clip(usual[rng.integers(0, len(usual), MANY)] + noise, 0, 255).astype(np.uint8)
    start = time.perf_counter()
    find_duplicates(many, list(map(str, range(MANY))))
    return time.perf_counter() - start


def sketch_share() -> float:
    """Return the sketch's share of the time to read DICOM series, in a process with one thread.

    Readers have one thread too. Reading includes both signatures.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_scans(Path(folder), TURNS, 40)
        done = subprocess.run(
            [sys.executable, "-c", ONE_READER, folder],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    return median(map(float, done.stdout.split()))


def measure(ct_ich: Path | None) -> str:
    """Measure everything and write the report."""
    drawn = bodies()
    samples = [*([heads(ct_ich)] if ct_ich else []), drawn]
    lines = ["# The guard against duplicates", "", "`python benchmarks/guards.py --ct-ich …`", ""]
    for sample in samples:
        lines += search_copies(sample)
    lines += [
        "## Cost",
        "",
        f"{os.cpu_count()} cores. The search among {MANY:,} scans takes "
        f"{search_seconds(drawn):.1f} s. The sketch takes {sketch_share():.1%} of the time of "
        "reading an uncompressed DICOM series of 40 slices, 512 × 512.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct-ich", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report = measure(options.ct_ich)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
