"""MedImageInsight's image tower (arXiv 2410.06542): timm's DaViT and a projection.

The published file holds image and text tower under the names of Microsoft's code, and is
safetensors in spite of its suffix. Names of the parts: read in that code and in timm's.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_cure  # noqa: F401  before timm, which imports torchvision

# isort: split
import timm

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights
from clearbench.errors import BadCard, WeightsUnavailable

TOWER, PROJECTION = "image_encoder.", "image_projection"
NAMES = (  # theirs, as a pattern → timm's, in this order
    (r"^norms\.", "head.norm."),
    (r"convs\.(\d+)", r"stages.\1.downsample"),
    (r"blocks\.(\d+)", r"stages.\1.blocks"),
    (r"downsample\.proj", "downsample.conv"),
    (r"stages\.0\.downsample", "stem"),
    (r"(?:window|channel)_attn\.norm\.", "norm1."),
    (r"(?:window|channel)_attn\.fn\.", "attn."),
    (r"ffn\.norm\.", "norm2."),
    (r"ffn\.fn\.net\.", "mlp."),
    (r"conv([12])\.fn\.dw", r"cpe\1.proj"),
)


class Tower(nn.Module):
    """DaViT, pooled and normed, then projected: images [b, 3, s, s] → features [b, dim]."""

    def __init__(self, net: str, dim: int) -> None:
        super().__init__()
        self.trunk = timm.create_model(net, pretrained=False, num_classes=0)
        width = self.trunk.num_features
        self.image_projection = nn.Parameter(torch.randn(width, dim) / width**0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch; not scaled to unit length."""
        features: Tensor = self.trunk(images) @ self.image_projection
        return features


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build the image tower; `weights` None means seeded random ones.

    Raises BadCard for another pooling or network, WeightsUnavailable for another file.
    """
    if card.pooling != "projection" or not card.net.startswith("davit"):
        raise BadCard(f"{card.title}: net is one of timm's davit_…, and pooling = projection")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        tower = Tower(card.net, card.dim)
    if weights is not None:
        load_strictly(tower, published_names(read_weights(weights), weights), weights)
    return tower


def published_names(state: dict[str, Any], where: Path) -> dict[str, Any]:
    """Rename the published image tower's keys to ours, and leave out the text tower's.

    Raises WeightsUnavailable if the file holds no such tower.
    """
    tower = {key: value for key, value in state.items() if key.startswith(TOWER)}
    if not tower or PROJECTION not in state:
        raise WeightsUnavailable(f"{where}: holds no {TOWER}… and {PROJECTION}")
    renamed = {f"trunk.{_timms(key[len(TOWER) :])}": value for key, value in tower.items()}
    return renamed | {PROJECTION: state[PROJECTION]}


def _timms(key: str) -> str:
    """Return timm's name of a part."""
    for theirs, ours in NAMES:
        key = re.sub(theirs, ours, key)
    return key
