"""Thumbnails of real heads and synthetic bodies, and copies of scans as archives make them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate, shift

from clearbench.datasets.synthetic.cohort import plan_scans
from clearbench.datasets.synthetic.scan import draw_scan
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.thumbnail import BROAD_HU, GREY, thumbnail

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """Scans of one cohort: pixels [n, y, x] each, their patients, thumbnails [scans, 8, 32, 32]."""

    pixels: list[NDArray[np.generic]]
    patients: list[str]
    thumbnails: NDArray[np.uint8]
    window: tuple[float, float]


def sample(
    pixels: list[NDArray[np.generic]], patients: list[str], window: tuple[float, float]
) -> Sample:
    return Sample(pixels, patients, np.stack([thumbnail(p, window) for p in pixels]), window)


@pytest.fixture(scope="session")
def heads(shared_data: Path) -> Sample:
    """The 82 patients of CT-ICH, under the bone window, as the store sees them."""
    folders = sorted(path for path in (shared_data / "ct-ich").iterdir() if path.is_dir())
    scans = [read_scan(ScanSource(folder)) for folder in folders]
    kept = [scan.pixels[scan.present[:, 0], 0] for scan in scans]
    return sample(kept, [folder.name for folder in folders], GREY)


@pytest.fixture(scope="session")
def bodies() -> Sample:
    """32 synthetic scans of 30 patients."""
    plan = plan_scans(30, 2411)
    scans = [draw_scan(scan.patient, scan.technique, scan.seeds).hu for scan in plan]
    return sample(scans, [scan.patient.patient_id for scan in plan], BROAD_HU)


@pytest.fixture
def copied() -> Callable[[Sample, int, str], NDArray[np.uint8]]:
    """Make the thumbnail of a copy of a scan: turned, sharpened away, thinned out, …"""

    def copy(of: Sample, row: int, how: str) -> NDArray[np.uint8]:
        rng = np.random.default_rng(row)
        pixels = of.pixels[row].astype(np.float32)
        unit = (of.window[1] - of.window[0]) / 255  # one grey level
        made: dict[str, Callable[[], Pixels]] = {
            "turned, gain, noise": lambda: _noisy(_turned(pixels, 3), rng, unit),
            "turned back": lambda: _turned(pixels, -3),
            "softer kernel": lambda: gaussian_filter(pixels, (0, 1.2, 1.2)),
            "sharper and noisier": lambda: pixels + rng.normal(0, 6 * unit, pixels.shape),
            "without its lowest slice": lambda: pixels[1:],
            "moved aside": lambda: _moved(pixels, 0.012),
            "closer field of view": lambda: _closer(pixels, 40),
        }
        return thumbnail(made[how]().astype(np.float32), of.window)

    return copy


def _turned(pixels: Pixels, angle_deg: float) -> Pixels:
    return rotate(pixels, angle_deg, (1, 2), reshape=False, order=1, cval=float(pixels.min()))


def _noisy(pixels: Pixels, rng: np.random.Generator, unit: float) -> Pixels:
    return pixels * 1.05 + 4 * unit + rng.normal(0, 3 * unit, pixels.shape)


def _moved(pixels: Pixels, share: float) -> Pixels:
    return shift(pixels, (0, 0, share * pixels.shape[2]), order=1, mode="nearest")


def _closer(pixels: Pixels, part: int) -> Pixels:
    edge = pixels.shape[1] // part
    return pixels[:, edge:-edge, edge:-edge]
