"""What the checks of a scan cost: grouping, scales, values and the sketch, against reading it.

    python benchmarks/reading.py [-o REPORT.md]

A synthetic DICOM series and the same volume as .nii.gz are read whole; then each check runs alone
on what was read. Files are in the page cache, as in the second of two runs: a disk makes the share
of the checks smaller.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

import clearbench.scans.slices as slices_module
from clearbench.cores import usable_cores
from clearbench.scans.dicom.grouping import group_series
from clearbench.scans.dicom.headers import read_slices
from clearbench.scans.dicom.records import LeftOut, Slice
from clearbench.scans.dicom.scaling import check_scales
from clearbench.scans.hu import NO_RULES, SAMPLED, check_values, sample_of
from clearbench.scans.slices import ScanSource, files_under, read_scan
from clearbench.scans.thumbnail import take_sketch
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series, write_nifti

SLICES, SIDE, ROUNDS = 300, 512, 5  # a chest in slices of 1 mm
HEADER = DicomHeader(
    patient_id="synthetic",
    study_uid=seeded_uid("study"),
    series_uid=seeded_uid("series"),
    accession_number="",
    thickness_mm=1.0,
    kernel="B30f",
    contrast=False,
    manufacturer="none",
    model="none",
    kvp=120.0,
    series_description="synthetic",
)


def body() -> np.ndarray:
    """Return a synthetic volume in HU: noise, soft tissue, air around it."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE / 2) - 1
    plane = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000)
    return (plane + rng.normal(0, 12, (SLICES, SIDE, SIDE))).clip(-1020).astype(np.int16)


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of some runs."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def measure(folder: Path) -> list[tuple[str, float, float, float]]:
    """Return the format, and the seconds of reading, of the checks and of the sketch."""
    hu = body()
    write_dicom_series(folder / "dicom", hu, (1.0, 0.7, 0.7), header=HEADER)
    write_nifti(folder / "volume.nii.gz", hu, (1.0, 0.7, 0.7))
    read = [read_slices(file) for file in files_under(folder / "dicom")]
    slices = [item for some in read if not isinstance(some, LeftOut) for item in some]
    return [
        _of_format("DICOM", folder / "dicom", slices),
        _of_format(".nii.gz", folder / "volume.nii.gz", []),
    ]


def _of_format(name: str, path: Path, slices: list[Slice]) -> tuple[str, float, float, float]:
    """Time reading, checks and sketch of one scan; `slices` are those of DICOM."""
    scan = read_scan(ScanSource(path))

    def checks() -> None:
        for group in group_series(slices):
            check_scales(group, NO_RULES)
        check_values(sample_of(scan.pixels, SAMPLED))

    def reads() -> None:
        slices_module._headers.cache_clear()  # each scan's headers are read once
        read_scan(ScanSource(path))

    reading = seconds(reads)
    return name, reading, seconds(checks), seconds(lambda: take_sketch(scan))


def report(found: list[tuple[str, float, float, float]]) -> str:
    """Write the table."""
    lines = [
        "# What the checks of a scan cost",
        "",
        "`python benchmarks/reading.py -o benchmarks/reports/reading.md`",
        "",
        f"{SLICES} synthetic slices of {SIDE} × {SIDE}, median of {ROUNDS} runs, files in the page "
        f"cache, one process; {usable_cores()} cores. Checks: which slices are one scan, how "
        "stored values become HU, whether they are HU. The sketch is what the guards compare.",
        "",
        "| format | reading, s | checks, ms | sketch, ms | both of reading |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {read:.2f} | {check * 1e3:.0f} | {sketch * 1e3:.0f} | "
        f"{(check + sketch) / read:.1%} |"
        for name, read, check, sketch in found
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print the report, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(measure(Path(folder)))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
