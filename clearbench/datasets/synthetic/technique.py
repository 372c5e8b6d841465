"""Each scan's technique: spacing, kernel, noise, contrast, scanner; independent of findings."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kernel = Literal["soft", "medium", "sharp"]

_SCANNERS = (("Norrland", "Arc 64"), ("Helion", "Spiral 128"), ("Tessera", "T1"))
_KERNELS: tuple[Kernel, ...] = ("soft", "medium", "sharp")
_NOISE_HU = {"soft": 5.0, "medium": 6.0, "sharp": 8.0}
_GRAIN_PX = {"soft": 1.1, "medium": 0.8, "sharp": 0.5}
_TUBE_KV = (100.0, 120.0)
_REACH_MM = (275, 305)


@dataclass(frozen=True)
class Technique:
    """How one scan was made.

    ``noise_hu`` is a standard deviation, ``grain_px`` its correlation length, ``margin_mm`` the
    air on each side of the body, ``start_mm`` the lowest slice in body coordinates.
    """

    slices: int
    thickness_mm: float
    margin_mm: float
    start_mm: float
    kernel: Kernel
    noise_hu: float
    grain_px: float
    contrast: bool
    enhancement: float
    manufacturer: str
    model: str
    kvp: float
    has_table: bool


def draw_technique(seed: int, patient: int, scan: int) -> Technique:
    """Choose a random technique, with its own random numbers: it can't predict a label."""
    rng = np.random.default_rng([seed, 2, patient, scan])
    kernel = _KERNELS[int(rng.integers(len(_KERNELS)))]
    manufacturer, model = _SCANNERS[int(rng.integers(len(_SCANNERS)))]
    contrast = bool(rng.random() < 0.6)
    thickness_mm = float(rng.choice([15.0, 16.0, 17.0]))
    return Technique(
        slices=round(rng.uniform(*_REACH_MM) / thickness_mm),
        thickness_mm=thickness_mm,
        margin_mm=float(rng.uniform(8, 16)),
        start_mm=float(rng.uniform(-12, 8)),
        kernel=kernel,
        noise_hu=_NOISE_HU[kernel] * float(rng.uniform(0.8, 1.25)),
        grain_px=_GRAIN_PX[kernel],
        contrast=contrast,
        enhancement=float(rng.uniform(0.35, 0.5)) if contrast else 0.0,
        manufacturer=manufacturer,
        model=model,
        kvp=float(rng.choice(_TUBE_KV)),
        has_table=bool(rng.random() < 0.2),
    )
