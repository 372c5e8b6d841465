"""Random fields: the texture of tissues, of noise and of diseased lung."""

import numpy as np
from scipy import ndimage

from clearbench.arrays import Float32s


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int, int], grain_px: float, across: float = 0.0
) -> Float32s:
    """Return a random field [z, y, x] of mean 0 and standard deviation 1.

    Its patches are about ``grain_px`` wide, and ``across`` slices high; 0: independent slices.
    """
    field: Float32s = rng.standard_normal(shape, dtype=np.float32)
    ndimage.gaussian_filter(field, (across, grain_px, grain_px), output=field, truncate=2.5)
    field /= field.std()  # smoothing lowers it
    return field


def soften(hu: Float32s, width_px: float) -> None:
    """Blur each slice in place, like a scanner's limited resolution."""
    ndimage.gaussian_filter(hu, (0, width_px, width_px), output=hu, truncate=3)
