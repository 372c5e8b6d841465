"""Lungs without lesions: vessels, breathing depth, and diffuse disease of a given extent."""

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Float32s
from clearbench.datasets.synthetic.grid import Grid
from clearbench.datasets.synthetic.textures import smooth_field

_CARINA_MM = (200.0, 10.0)  # (z, y): vessels are thinner further away from it


def add_vessels(
    hu: Float32s, lung: NDArray[np.bool_], grid: Grid, rng: np.random.Generator
) -> None:
    """Draw vessels, breathing depth and denser dependent lung (at the back), in place.

    ``hu`` [z, y, x]; ``lung`` [z, y, x] is True in the voxels that may change.
    """
    course = smooth_field(rng, grid.shape, 1.2, across=0.4)
    away_mm = np.hypot(grid.y - _CARINA_MM[1], 0.8 * grid.x)
    caliber = np.clip(1.25 - away_mm / 110, 0.25, 1.0)
    vessels = 720 * np.clip((course - 1.6) / 0.8, 0, 1) * caliber
    gravity = rng.uniform(10, 70) * np.clip((grid.y - 5) / 70, 0, 1) ** 2
    shift_hu = rng.uniform(-20, 30)
    hu[lung] += (vessels + gravity + shift_hu)[lung]


def add_disease(
    hu: Float32s, lung: NDArray[np.bool_], grid: Grid, extent: float, rng: np.random.Generator
) -> None:
    """Draw ground glass and reticulation in a share ``extent`` (0..1) of the lung, in place.

    Disease begins in the lower lung and near the chest wall. ``hu`` and ``lung`` [z, y, x].
    """
    seat = smooth_field(rng, grid.shape, 6.0, across=0.8)
    seat += 0.9 * np.clip((210 - grid.z) / 70, -1, 1)[:, None, None]
    seat += 0.9 * np.clip(np.hypot(grid.y / 80, grid.x / 120) - 0.7, -1, 1)[None]
    onset = np.quantile(seat[lung], 1 - extent)
    depth = np.clip((seat - onset) / 0.5, 0, 1)
    threads = np.exp(-np.square(smooth_field(rng, grid.shape, 1.7) / 0.3))
    glass_hu, net_hu = rng.uniform(70, 190), rng.uniform(80, 220)
    hu[lung] += (depth * (glass_hu + net_hu * threads))[lung]
