"""Random networks made quickly."""

from typing import Any

import pytest
import torch

from clearbench.encoders.families import timm as family


@pytest.fixture(autouse=True)
def quick_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw from a box where timm draws from a cut bell: one pass over the tensor, not five."""

    def draw(tensor: torch.Tensor, _mean: float, std: float, *_: Any) -> torch.Tensor:
        return tensor.uniform_(-std, std)

    monkeypatch.setattr(family.timm.layers.weight_init, "_trunc_normal_", draw)
