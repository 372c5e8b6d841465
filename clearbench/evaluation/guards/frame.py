"""Thumbnails in one frame: the body in the middle, at one size, for any field of view."""

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats

BACKGROUND = 0.1  # this share of a picture is darker than any body
RADIUS = 0.27  # of the width: the mean radius of a body after zooming
ZOOM = (0.5, 2.0)
BLOCK = 512


def same_frame(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Move and zoom thumbnails [n, levels, size, size] so that bodies overlap.

    The centre and mean radius of the bright pixels over all levels are used, so a reconstruction
    with another field of view gets the same frame. Pixels from outside repeat the edge.
    """
    parts = [
        _framed(thumbnails[start : start + BLOCK]) for start in range(0, len(thumbnails), BLOCK)
    ]
    return np.concatenate(parts) if parts else thumbnails


def _framed(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Move and zoom one block; see same_frame."""
    size = thumbnails.shape[-1]
    grid = np.indices((size, size)) - (size - 1) / 2
    centre, radius = _moments(thumbnails.mean(axis=1), grid)
    zoom = np.clip(radius / (RADIUS * size), *ZOOM)
    source = centre[:, :, None, None] + zoom[:, None, None, None] * grid + (size - 1) / 2
    return _sampled(thumbnails, np.clip(source, 0, size - 1))


def _moments(pictures: Floats, grid: Floats) -> tuple[Floats, Floats]:
    """Return the centre [n, 2], from the middle, and mean radius [n] of the brightness, in px.

    For a flat picture: the middle and RADIUS.
    """
    flat = pictures.reshape(len(pictures), -1)
    weight = np.clip(flat - np.quantile(flat, BACKGROUND, axis=1, keepdims=True), 0, None)
    total = weight.sum(axis=1, keepdims=True)
    usual = RADIUS * pictures.shape[-1]
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    places = grid.reshape(2, -1)
    centre = share @ places.T
    away = places[None] - centre[:, :, None]
    radius = np.sqrt(np.einsum("np,ncp->n", share, away**2))
    return centre, np.where(total[:, 0] > 0, radius, usual)


def _sampled(thumbnails: NDArray[np.uint8], source: Floats) -> NDArray[np.uint8]:
    """Interpolate (bilinear) every level at source [n, 2, size, size] in px."""
    count, levels, size, _ = thumbnails.shape
    flat = thumbnails.reshape(count, levels, -1)
    low = np.minimum(source.astype(np.int64), size - 2)
    part = (source - low).astype(np.float32)
    total = np.zeros(thumbnails.shape, np.float32)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        place = ((low[:, 0] + i) * size + low[:, 1] + j).reshape(count, 1, -1)
        weight = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
        corner = np.take_along_axis(flat, place, axis=2).reshape(thumbnails.shape)
        total += weight[:, None] * corner
    return np.rint(total).astype(np.uint8)
