"""CT-CLIP's image tower (arXiv 2403.17834): CTViT tokens, averaged over depth, projected to 512.

Its code is not on a package index, and its licence is CC BY-NC-SA: it is imported, not copied.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before CT-CLIP, which imports torchvision

# isort: split
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights
from clearbench.errors import BadCard, MissingExtra, WeightsUnavailable

try:
    from transformer_maskgit import CTViT
except ImportError as error:
    raise MissingExtra(
        "CT-CLIP's network comes from its authors' repository: "
        "git clone https://github.com/ibrahimethemhamamci/CT-CLIP && "
        "pip install ./CT-CLIP/transformer_maskgit"
        f" (missing here: {error.name})"
    ) from error

PARTS = ("visual_transformer.", "to_visual_latent.")


class Tower(nn.Module):
    """CT-CLIP's image embedding: volumes [b, 1, z, y, x] → features [b, dim], not normalised."""

    def __init__(self, sizes: dict[str, Any], tokens: int, dim: int) -> None:
        super().__init__()
        self.visual_transformer = CTViT(**sizes)
        self.to_visual_latent = nn.Linear(tokens, dim, bias=False)

    def forward(self, volumes: Tensor) -> Tensor:
        """Embed; tokens [b, t, h, w, d] are averaged over depth, then flattened."""
        tokens = self.visual_transformer(volumes, return_encoded_tokens=True)
        latent: Tensor = self.to_visual_latent(tokens.mean(dim=1).flatten(1))
        return latent


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build CT-CLIP's image tower; the card's sizes are CTViT's arguments.

    Without `weights` they are random, seeded. Raises BadCard for sizes that CTViT refuses,
    WeightsUnavailable for another file.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        try:
            side = card.sizes["image_size"] // card.sizes["patch_size"]
            tower = Tower(card.sizes, side * side * card.sizes["dim"], card.dim)
        except (TypeError, KeyError) as error:
            raise BadCard(f"{card.title}: [sizes] must be CTViT's arguments ({error})") from error
    if weights is not None:
        state = {
            k: value
            for k, value in read_weights(weights, card.weights.ema).items()
            if k.startswith(PARTS)
        }
        if not state:
            raise WeightsUnavailable(f"{weights}: no keys under {' or '.join(PARTS)}")
        load_strictly(tower, state, weights)
    return tower
