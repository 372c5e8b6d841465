"""Likeness of two thumbnails over small turns and shifts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

from clearbench.evaluation.guards.alignment import aligned_similarity, centred


def pictures(seed: int, count: int = 1) -> NDArray[np.uint8]:
    """Smooth random thumbnails [count, 8, 32, 32]."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(count, 8, 32, 32)), (0, 1, 3, 3))
    grey = 128 + 60 * noise / noise.std()
    return np.clip(grey, 0, 255).astype(np.uint8)


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    both = np.concatenate([one, other])
    return float(aligned_similarity(both, np.array([[0, 1]]))[0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 1.0), st.integers(0, 60))
def test_gain_and_offset_do_not_matter(seed: int, gain: float, offset: int) -> None:
    one = pictures(seed) // 2 + 20
    other = np.rint(one * gain + offset).clip(0, 255).astype(np.uint8)
    assert likeness(one, other) > 0.998


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_strangers_are_unlike_and_order_hardly_matters(seed: int) -> None:
    one, other = pictures(seed), pictures(seed + 1)
    assert likeness(one, other) < 0.8
    assert likeness(one, other) == pytest.approx(likeness(other, one), abs=0.05)


@pytest.mark.parametrize("angle_deg", [-4.5, -3, 3, 4])
def test_a_small_turn_is_undone(angle_deg: float) -> None:
    one = pictures(3)
    turned = rotate(one.astype(float), angle_deg, (2, 3), reshape=False, order=1, mode="nearest")
    other = turned.astype(np.uint8)
    assert likeness(one, other) > 0.985
    straight = [centred(part).ravel() for part in (one, other)]
    assert np.corrcoef(*straight)[0, 1] < likeness(one, other) - 0.01


@pytest.mark.parametrize("levels", [1, -1])
def test_a_shift_along_the_scan_is_undone(levels: int) -> None:
    one = pictures(4)
    assert likeness(one, np.roll(one, levels, axis=1)) > 0.999


def test_a_large_turn_is_not() -> None:
    one = pictures(5)
    assert likeness(one, np.rot90(one, axes=(2, 3))) < 0.6


def test_a_flat_picture_is_like_nothing() -> None:
    flat = np.full((1, 8, 32, 32), 7, np.uint8)
    assert likeness(flat, pictures(6)) == likeness(flat, flat) == 0


def test_pairs_are_answered_in_their_order_across_blocks() -> None:
    many = pictures(7, count=40)
    pairs = np.array([(i, j) for i in range(40) for j in range(i + 1, 40)])
    found = aligned_similarity(many, pairs)
    assert len(found) == 780
    some = [0, 123, 600, 779]
    np.testing.assert_allclose(found[some], aligned_similarity(many, pairs[some]), atol=1e-5)
