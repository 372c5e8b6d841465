"""MedImageInsight's image tower (arXiv 2410.06542): timm's DaViT and a projection.

The published file has image and text tower under the names of Microsoft's code. It is safetensors
despite its suffix. The names of the parts come from that code and from timm's.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before timm, which imports torchvision

# isort: split
import timm

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights
from clearbench.errors import BadCard, WeightsUnavailable

TOWER, PROJECTION = "image_encoder.", "image_projection"
NAMES = (  # pattern in the published names → timm's name, applied in this order
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
    """DaViT, pooled, normed and projected: images [b, 3, s, s] → features [b, dim]."""

    def __init__(self, net: str, dim: int) -> None:
        super().__init__()
        self.trunk = timm.create_model(net, pretrained=False, num_classes=0)
        width = self.trunk.num_features
        self.image_projection = nn.Parameter(torch.randn(width, dim) / width**0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch; features are not scaled to unit length."""
        features: Tensor = self.trunk(images) @ self.image_projection
        return features


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build the image tower; without `weights` they are random, seeded.

    Raises BadCard for another pooling or network, WeightsUnavailable for another file.
    """
    if card.pooling != "projection" or not card.net.startswith("davit"):
        raise BadCard(f"{card.title}: net must be one of timm's davit_…, and pooling projection")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        tower = Tower(card.net, card.dim)
    if weights is not None:
        load_strictly(
            tower, published_names(read_weights(weights, card.weights.ema), weights), weights
        )
    return tower


def published_names(state: dict[str, Any], where: Path) -> dict[str, Any]:
    """Rename the published image tower's keys, and leave out the text tower's.

    Raises WeightsUnavailable if the file has no such tower.
    """
    tower = {key: value for key, value in state.items() if key.startswith(TOWER)}
    if not tower or PROJECTION not in state:
        raise WeightsUnavailable(f"{where}: no keys {TOWER}… and {PROJECTION}")
    renamed = {f"trunk.{_timms(key[len(TOWER) :])}": value for key, value in tower.items()}
    return renamed | {PROJECTION: state[PROJECTION]}


def _timms(key: str) -> str:
    """Return timm's name of a part."""
    for pattern, name in NAMES:
        key = re.sub(pattern, name, key)
    return key
