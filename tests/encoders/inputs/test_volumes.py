from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clearbench.encoders.card import VolumeFacts
from clearbench.encoders.inputs.volumes import prepare_volume
from clearbench.errors import UnreadableScan

CPU = torch.device("cpu")
PLAIN: dict[str, Any] = {"clip_hu": (-1000.0, 1000.0)}


def block(shape: tuple[int, int, int] = (6, 8, 10)) -> NDArray[np.float32]:
    """Return air with a bright box towards the head, the front and the patient's right."""
    hu = np.full(shape, -1000, np.float32)
    z, y, x = shape
    hu[z // 2 :, : y // 2, : x // 2] = 1000  # S; A, for rows run to posterior; R, likewise
    return hu


def bright(volume: torch.Tensor) -> list[float]:
    """Return the place of the bright part's middle along each axis, from 0 to 1."""
    places = (volume[0, 0] > 0.5).nonzero().float().mean(dim=0)
    return (places / (torch.tensor(volume.shape[2:]) - 1)).tolist()


def test_values_are_clipped_and_scaled() -> None:
    hu = np.array([[[-3000, -1000, 0, 1000, 3000]]], np.float32)
    found = prepare_volume(hu, (1, 1, 1), VolumeFacts(**PLAIN, scale_to=(-1.0, 1.0)), CPU)
    assert found.shape == (1, 1, 1, 1, 5)
    torch.testing.assert_close(found.flatten(), torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("axes", "shape", "high"),
    [
        ("SPL", (6, 8, 10), (True, False, False)),
        ("RAS", (10, 8, 6), (True, True, True)),
        ("LPS", (10, 8, 6), (False, False, True)),
        ("SAR", (6, 8, 10), (True, True, True)),
        ("IPL", (6, 8, 10), (False, False, False)),
    ],
)
def test_axes_point_where_the_card_says(
    axes: str, shape: tuple[int, ...], high: tuple[bool, ...]
) -> None:
    """The box is towards head, front and right; a letter says where its axis runs."""
    found = prepare_volume(block(), (1, 1, 1), VolumeFacts(**PLAIN, axes=axes), CPU)
    assert found.shape[2:] == shape
    assert tuple(place > 0.5 for place in bright(found)) == high


def test_the_grid_is_the_cards() -> None:
    """A ramp of HU per millimetre stays that ramp on the new grid."""
    z_mm = np.arange(9, dtype=np.float32) * 2.0
    hu = np.broadcast_to((100 * z_mm - 800)[:, None, None], (9, 6, 6))
    facts = VolumeFacts(**PLAIN, spacing_mm=(1.0, 1.5, 1.5))
    found = prepare_volume(hu, (2.0, 0.75, 0.75), facts, CPU)[0, 0]
    assert found.shape[0] == 17
    assert found.shape[1:] in {(3, 3), (4, 4)}
    steps = found[:, 1, 1].diff() * 2000
    torch.testing.assert_close(steps, torch.full_like(steps, 100.0), rtol=1e-3, atol=0.1)


def test_the_size_is_cut_or_padded_with_air() -> None:
    facts = VolumeFacts(**PLAIN, axes="RAS", size_zyx=(4, 20, 10), scale_to=(-1.0, 1.0))
    found = prepare_volume(np.zeros((6, 8, 10), np.float32), (1, 1, 1), facts, CPU)[0, 0]
    assert found.shape == (10, 20, 4)
    assert found[:, 6:14].eq(0).all()
    assert found[:, :6].eq(-1).all()


def test_the_foreground_is_cut_out() -> None:
    facts = VolumeFacts(**PLAIN, foreground=True)
    assert prepare_volume(block(), (1, 1, 1), facts, CPU).shape == (1, 1, 3, 4, 5)


def test_air_alone_is_no_fault() -> None:
    facts = VolumeFacts(**PLAIN, foreground=True, size_zyx=(4, 4, 4))
    found = prepare_volume(np.full((6, 8, 10), -1000, np.int16), (1, 1, 1), facts, CPU)
    assert found.shape == (1, 1, 4, 4, 4)
    assert not found.any()


def test_a_grid_needs_a_spacing() -> None:
    hu, nan = np.zeros((2, 2, 2), np.int16), float("nan")
    with pytest.raises(UnreadableScan, match="its spacing is unknown"):
        prepare_volume(hu, (nan, 1, 1), VolumeFacts(**PLAIN, spacing_mm=(1.0, 1.0, 1.0)), CPU)
    assert prepare_volume(hu, (nan, 1, 1), VolumeFacts(**PLAIN), CPU).shape == (1, 1, 2, 2, 2)
