"""Peak memory of embedding 8 and 64 scans; it must not grow with the number of scans.

    python benchmarks/memory.py [-o REPORT.md]

Each count runs in its own process; the peak is of that process (network, batches, writer).
Each reader has one scan in memory, for any number of scans.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from embedding import write_scans

ONE_RUN = """
import json, resource, sys
from clearbench import pipeline

models, views = ["random-vit-tiny"], ["abdomen"]
report = pipeline.embed(sys.argv[1], models, views=views, store=sys.argv[2], name="memory")
if report.failed:
    raise SystemExit(str(report.failed))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run = report.runs[0]
print(json.dumps({"scans": len(run.outcomes), "slices": run.slices, "peak": peak}))
"""


def run(scans: Path, store: Path) -> dict[str, int]:
    """Embed a folder in a new process; returns scans, slices and the peak in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(scans), str(store)],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(counts: tuple[int, ...], slices: int) -> str:
    """Measure each count and write the report."""
    rows, peaks = [], []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_scans(Path(folder) / "dicom", count, slices)
            found = run(Path(folder) / "dicom", Path(folder) / "store")
        peak = found["peak"] / 1024
        peaks.append(peak)
        rows.append(f"| {found['scans']} | {found['slices']} | {peak:.0f} |")
    growth = peaks[-1] / peaks[0]
    return "\n".join(
        [
            "# Embedding: peak memory",
            "",
            "`python benchmarks/memory.py`",
            "",
            f"random-vit-tiny, one view, DICOM series of {slices} slices, 512 × 512; "
            f"{os.cpu_count()} cores.",
            "",
            "| scans | slices | peak, MiB |",
            "|--:|--:|--:|",
            *rows,
            "",
            f"{counts[-1]} scans / {counts[0]} scans = {growth:.3f}",
            "",
        ]
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report = measure((8, 64), options.slices)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
