"""Bodies in one frame, wherever they were in the field of view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clearbench.evaluation.guards import frame
from clearbench.evaluation.guards.frame import same_frame


def ellipse(centre_px: tuple[float, float], radius_px: float) -> NDArray[np.uint8]:
    """A soft bright ellipse in the dark [1, 8, 32, 32]."""
    y, x = np.mgrid[:32, :32]
    away = np.hypot((y - centre_px[0]) / 1.3, x - centre_px[1]) / radius_px
    picture = 20 + 200 / (1 + np.exp(12 * (away - 1)))
    return np.broadcast_to(picture.astype(np.uint8), (1, 8, 32, 32))


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@settings(max_examples=40, deadline=None)
@given(st.floats(13.5, 17.5), st.floats(13.5, 17.5), st.floats(6, 9))
def test_place_and_size_do_not_matter(row: float, column: float, radius: float) -> None:
    usual, other = ellipse((15.5, 15.5), 7.5), ellipse((row, column), radius)
    assert difference(same_frame(usual), same_frame(other)) < 4
    assert difference(same_frame(usual), same_frame(other)) <= difference(usual, other) + 1.5


def test_what_lies_in_the_frame_stays() -> None:
    once = same_frame(ellipse((12, 18), 8))
    assert difference(once, same_frame(once)) < 2


@pytest.mark.parametrize("grey", [0, 7, 255])
def test_a_flat_picture_stays_flat(grey: int) -> None:
    flat = np.full((2, 8, 32, 32), grey, np.uint8)
    np.testing.assert_array_equal(same_frame(flat), flat)


def test_a_single_bright_pixel_is_not_blown_up_without_limit() -> None:
    dot = np.zeros((1, 8, 32, 32), np.uint8)
    dot[:, :, 20, 9] = 255
    found = same_frame(dot)
    assert 0 < (found[0, 0] > 100).sum() <= 9


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.concatenate([ellipse((14, 16), radius) for radius in (6, 7, 8, 9, 10)])
    whole = same_frame(many)
    monkeypatch.setattr(frame, "BLOCK", 2)
    np.testing.assert_array_equal(same_frame(many), whole)
    assert same_frame(many[:0]).shape == (0, 8, 32, 32)
