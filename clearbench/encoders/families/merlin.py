"""Merlin's image tower (arXiv 2406.06512): a ResNet-152 inflated to three dimensions.

The network comes from the package merlin-vlm (extra `merlin`); its text tower is not built.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before torchvision

# isort: split
from merlin.models.i3res import I3ResNet
from torchvision.models import resnet152

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights
from clearbench.errors import WeightsUnavailable

PREFIX = "encode_image.i3_resnet."
PHENOTYPES = 1692


class Tower(nn.Module):
    """Merlin's image embedding: volumes [b, 1, x, y, z] → features [b, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        flat = resnet152(weights=None)
        self.i3_resnet = I3ResNet(flat, class_nb=PHENOTYPES, conv_class=True, ImageEmbedding=True)

    def forward(self, volumes: Tensor) -> Tensor:
        """Embed a batch of volumes."""
        with warnings.catch_warnings():
            # its gradient checkpoints warn that there is no gradient
            warnings.simplefilter("ignore")
            return torch.as_tensor(self.i3_resnet(volumes))[0]


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build Merlin's image tower; without `weights` they are random, seeded.

    Raises WeightsUnavailable if the file has no image tower of Merlin.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        tower = Tower()
    if weights is not None:
        state = read_weights(weights, card.weights.ema)
        own = {key[len(PREFIX) :]: value for key, value in state.items() if key.startswith(PREFIX)}
        if not own:
            raise WeightsUnavailable(f"{weights}: no keys under {PREFIX}, so not a file of Merlin")
        load_strictly(tower.i3_resnet, own, weights)
    return tower
