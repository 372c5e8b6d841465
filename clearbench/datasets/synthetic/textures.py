"""Seeded random fields: the grain of tissues, of noise and of diseased lung."""

import numpy as np
from scipy import ndimage

from clearbench.datasets.synthetic.grid import Floats


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int, int], grain_px: float, across: float = 0.0
) -> Floats:
    """Draw a field [z, y, x] of mean 0 and spread 1 whose patches are about ``grain_px`` wide.

    ``across`` is the like in slices; 0 leaves slices independent.
    """
    field: Floats = rng.standard_normal(shape, dtype=np.float32)
    ndimage.gaussian_filter(field, (across, grain_px, grain_px), output=field, truncate=2.5)
    field /= field.std()
    return field


def soften(hu: Floats, width_px: float) -> None:
    """Blur each slice in place, as a scanner's finite resolution does."""
    ndimage.gaussian_filter(hu, (0, width_px, width_px), output=hu, truncate=3)
