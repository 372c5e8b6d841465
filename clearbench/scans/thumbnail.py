"""A sketch of a scan, made while it is read: thumbnails and a histogram.

Thumbnails find the same scan under another id. They are pixel data of a patient and stay in the
store. The histogram is the input of a floor: a prediction without any encoder.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Float32s

if TYPE_CHECKING:
    from clearbench.scans.volume import Scan  # which loads scipy; the store reads sketches without

SIZE_PX = 32
LEVELS = 8
BROAD_HU = (-1000.0, 1000.0)
BINS = 64
GREY = (0.0, 255.0)
PLANES_AT_ONCE = 32
STEP_PX = 4  # the histogram counts every fourth row and column; that takes a tenth of the time


@dataclass(frozen=True)
class Sketch:
    """The small part of a scan's pixels that is kept; the same for every encoder.

    thumbnail  [levels, 32, 32] uint8, feet to head: area means, -1000 to 1000 HU or 8-bit grey
    histogram  [64] float32, shares that sum to 1, over the same range
    slices     the number of slices in the source
    source     "HU", or the window of the 8-bit images that were used
    """

    thumbnail: NDArray[np.uint8]
    histogram: Float32s
    slices: int
    source: str = "HU"


def take_sketch(scan: "Scan") -> Sketch:
    """Make the thumbnails and the histogram of a scan from all of its slices.

    For 8-bit images in several windows, the first window that any slice has is used.
    """
    pixels, source = _plane_stack(scan)
    window = GREY if scan.windows else BROAD_HU
    return Sketch(
        thumbnail=thumbnail(pixels, window),
        histogram=histogram(pixels, window),
        slices=len(scan),
        source=source,
    )


def _plane_stack(scan: "Scan") -> tuple[NDArray[Any], str]:
    """Return the slices to use [n, y, x], and what their values are: "HU" or a window."""
    if not scan.windows:
        return scan.pixels, "HU"
    column = int(scan.present.any(axis=0).argmax())
    rows = np.flatnonzero(scan.present[:, column])
    return scan.pixels[rows, column], scan.windows[column]


def thumbnail(pixels: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Shrink slices [n, y, x] to [8, 32, 32] uint8: area means at eight positions along the scan.

    A position between two slices is their weighted mean, so that the slice distance doesn't change
    the picture. Values are clipped to `window`; its ends become 0 and 255.
    """
    count, rows, columns = pixels.shape
    down, across = _area_weights(SIZE_PX, rows), _area_weights(SIZE_PX, columns).T
    places = np.clip((np.arange(LEVELS) + 0.5) * count / LEVELS - 0.5, 0, count - 1)
    pictures = [down @ _between(pixels, place, window) @ across for place in places]
    low, high = window
    grey = (np.stack(pictures) - low) * (255 / (high - low))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _area_weights(cells: int, pixels: int) -> Float32s:
    """Return the weight of each pixel in the mean of each cell [cells, pixels]; rows sum to 1."""
    edges = np.linspace(0, pixels, cells + 1)
    left, right = edges[:-1, None], edges[1:, None]
    pixel = np.arange(pixels)
    shared = np.clip(np.minimum(right, pixel + 1) - np.maximum(left, pixel), 0, None)
    weights: Float32s = (shared * (cells / pixels)).astype(np.float32)
    return weights


def _between(pixels: NDArray[Any], place: float, window: tuple[float, float]) -> Float32s:
    """Return the clipped plane [y, x] at a position between two slices."""
    below = int(place)
    share = np.float32(place - below)
    plane = _clipped(pixels[below], window)
    # at the last slice the share is 0, and there is no next slice
    if share:
        plane += share * (_clipped(pixels[below + 1], window) - plane)
    return plane


def _clipped(plane: NDArray[Any], window: tuple[float, float]) -> Float32s:
    """Return a plane as float32, clipped to a window."""
    values = plane.astype(np.float32)
    return np.clip(values, *window, out=values)


def histogram(pixels: NDArray[Any], window: tuple[float, float]) -> Float32s:
    """Return the shares of values of slices [n, y, x] in 64 equal bins of `window`.

    Every fourth row and column is counted; values outside the window count in the end bins.
    """
    few = pixels[:, ::STEP_PX, ::STEP_PX]
    if few.dtype == np.int16:
        counts = _int16_counts(few, window)
    else:
        places = (_bins(plane.astype(np.float32), window).reshape(-1) for plane in few)
        counts = np.sum([np.bincount(some, minlength=BINS) for some in places], axis=0)
    shares: Float32s = (counts / counts.sum()).astype(np.float32)
    return shares


def _int16_counts(pixels: NDArray[np.int16], window: tuple[float, float]) -> NDArray[Any]:
    """Count int16 values by bin: each value first, then its bin, which is the same and faster."""
    counts = np.zeros(2**16, np.int64)
    for start in range(0, len(pixels), PLANES_AT_ONCE):
        some = pixels[start : start + PLANES_AT_ONCE].reshape(-1).view(np.uint16)
        counts += np.bincount(some, minlength=2**16)
    every = np.arange(2**16).astype(np.uint16).view(np.int16).astype(np.float32)
    # Whole numbers up to 2 ** 53 are exact as weights.
    return np.bincount(_bins(every, window), weights=counts, minlength=BINS)


def _bins(values: Float32s, window: tuple[float, float]) -> NDArray[np.intp]:
    """Return the number of each value's bin."""
    low, high = window
    place = (values - low) * (BINS / (high - low))
    bins: NDArray[np.intp] = np.clip(place, 0, BINS - 1).astype(np.intp)
    return bins
