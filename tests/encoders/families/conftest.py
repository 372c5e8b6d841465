"""Random networks made quickly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clearbench.encoders.families import timm as family


@pytest.fixture(autouse=True)
def quick_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw from a box where timm draws from a cut bell: one pass over the tensor, not five."""

    def draw(tensor: torch.Tensor, _mean: float, std: float, *_: Any) -> torch.Tensor:
        return tensor.uniform_(-std, std)

    monkeypatch.setattr(family.timm.layers.weight_init, "_trunc_normal_", draw)


@pytest.fixture
def grey_images() -> Callable[[int], NDArray[np.uint8]]:
    """Make two images as scanners export them [2, 1, size, size]: 8 bit, with edges and noise."""

    def make(size: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng(0)
        blocks = np.kron(rng.integers(0, 200, (2, 1, 8, 8)), np.ones((-(-size // 8),) * 2))
        square = blocks[..., :size, :size]
        return (square + rng.integers(0, 55, square.shape)).astype(np.uint8)

    return make
