"""Similarity of two thumbnails when one may be rotated or shifted along the scan a little."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ANGLES_DEG = (-4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5)
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # levels of a thumbnail; one of 8 is 12 % of the scan
BLOCK = 512  # pairs at once: memory is bounded

Floats32 = NDArray[np.float32]  # half the memory of Floats; correlations need no more
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Grid:
    """The source of each pixel of the inscribed disc when the picture is rotated.

    corners [4, pixels] flat indices, weights [4, pixels]: bilinear
    """

    corners: NDArray[np.int64]
    weights: Floats32


def centred(thumbnails: NDArray[np.uint8], angle_deg: float = 0.0) -> Floats32:
    """Rotate thumbnails [n, levels, size, size] and subtract the mean of each level.

    Returns [n, levels, pixels] float32: only the inscribed disc, because corners would rotate out
    of the picture.
    """
    grid = _turned_grid(thumbnails.shape[-1], angle_deg)
    flat = thumbnails.reshape(*thumbnails.shape[:2], -1)
    parts = zip(grid.corners, grid.weights, strict=True)
    turned = sum(weight * flat[:, :, corner] for corner, weight in parts if weight.any())
    pixels: Floats32 = np.asarray(turned, np.float32)
    pixels -= pixels.mean(axis=2, keepdims=True)
    return pixels


def _turned_grid(size: int, angle_deg: float) -> _Grid:
    """Return the bilinear weights that rotate a picture about its middle."""
    middle = (size - 1) / 2
    y, x = np.mgrid[:size, :size].reshape(2, -1) - middle
    inside = np.hypot(y, x) <= size / 2
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    source = np.stack([cosine * y - sine * x, sine * y + cosine * x])[:, inside] + middle
    # Rounded, so that an angle of 0 hits pixels exactly and needs one corner of four.
    source = np.clip(source, 0, size - 1).round(6)
    # size - 2, because the corner low + 1 must be inside the picture.
    low = np.minimum(source.astype(np.int64), size - 2)
    part = source - low
    corners = [(low[0] + i) * size + low[1] + j for i in (0, 1) for j in (0, 1)]
    weights = [abs(1 - i - part[0]) * abs(1 - j - part[1]) for i in (0, 1) for j in (0, 1)]
    return _Grid(np.stack(corners), np.stack(weights).astype(np.float32))


def aligned_similarity(thumbnails: NDArray[np.uint8], pairs: Indices) -> Floats32:
    """Return the best correlation of each pair over small rotations and shifts along the scan.

    thumbnails [scans, levels, size, size], pairs [pairs, 2] rows of them → [pairs], -1 to 1. A pair
    with a flat picture has similarity 0.
    """
    best = np.full(len(pairs), -1.0, np.float32)
    for chosen, seconds in _blocks(pairs):
        first = centred(thumbnails[pairs[chosen, 0]])
        place = np.searchsorted(seconds, pairs[chosen, 1])
        for angle_deg in ANGLES_DEG:
            second = centred(thumbnails[seconds], angle_deg)
            found = _best_shift(first, second, place)
            best[chosen] = np.maximum(best[chosen], found)
    return best


def _blocks(pairs: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs in parts of bounded size, and the second rows that occur in each."""
    # Sorted by second row, so that a block rotates each of its second scans only once.
    order = np.argsort(pairs[:, 1], kind="stable")
    for start in range(0, len(order), BLOCK):
        chosen = order[start : start + BLOCK]
        yield chosen, np.unique(pairs[chosen, 1])


def _best_shift(first: Floats32, second: Floats32, place: Indices) -> Floats32:
    """Return the correlation of `first` [pairs, …] and `second[place]` at the best shift."""
    levels = first.shape[1]
    # The products of all levels are taken once; a shift only weighs them.
    crossed = first @ second.transpose(0, 2, 1)[place]
    energy = np.einsum("nlp,nlp->nl", first, first)
    own = second @ second.transpose(0, 2, 1)
    best = np.full(len(first), -1.0, np.float32)
    for shift in SHIFTS:
        between = _level_weights(levels, shift)
        # A sum below 1: the level is partly outside of the other scan. 0.99 allows for rounding.
        valid = between.sum(axis=1) > 0.99
        shared = np.einsum("nij,ij->n", crossed, between * valid[:, None])
        other = np.einsum("li,nij,lj->n", between[valid], own, between[valid])[place]
        size = np.sqrt(energy[:, valid].sum(axis=1) * other)
        found = np.divide(shared, size, out=np.zeros_like(shared), where=size > 0)
        best = np.maximum(best, found)
    return best


def _level_weights(levels: int, shift: float) -> Floats32:
    """Return the share of each level of a scan in each level shifted upwards [levels, levels]."""
    places = np.arange(levels) + shift
    weights: Floats32 = np.clip(1 - np.abs(places[:, None] - np.arange(levels)), 0, None).astype(
        np.float32
    )
    return weights
