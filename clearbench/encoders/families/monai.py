"""Volume networks of MONAI (extra `volume`): CT-FM's SegResEncoder, and others by their name."""

from pathlib import Path
from typing import Any

import torch
from monai.networks import nets
from monai.networks.nets.segresnet_ds import SegResEncoder
from torch import Tensor, nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights, without_unused
from clearbench.errors import BadCard, UnknownName


class LastMap(nn.Module):
    """A trunk's last feature map, averaged: volumes [b, c, z, y, x] → features [b, dim]."""

    def __init__(self, trunk: nn.Module, pooling: str) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooling = pooling

    def forward(self, volumes: Tensor) -> Tensor:
        """Embed; several maps, from fine to coarse, give their last."""
        found: Any = self.trunk(volumes)
        last = torch.as_tensor(found[-1] if isinstance(found, list | tuple) else found)
        wanted = 5 if self.pooling == "mean" else 2
        if last.ndim != wanted:
            raise BadCard(
                f"the network answers {tuple(last.shape)}: "
                'pooling is "mean" for maps [b, d, z, y, x] and "native" for vectors [b, d]'
            )
        return last.mean(dim=(2, 3, 4)) if self.pooling == "mean" else last


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a network of monai.networks.nets from the card's sizes; weights None: seeded ones.

    Raises UnknownName, BadCard for sizes it doesn't take, WeightsUnavailable for another network's
    weights.
    """
    if card.pooling not in ("mean", "native"):
        raise BadCard(f"{card.title}: pooling of MONAI's networks is mean or native")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        trunk = _create(card)
    if weights is not None:
        load_strictly(trunk, without_unused(read_weights(weights), card), weights)
    return LastMap(trunk, card.pooling)


def _create(card: EncoderCard) -> nn.Module:
    """Make a network by its name."""
    known = {name: made for name, made in vars(nets).items() if callable(made)}
    known["SegResEncoder"] = SegResEncoder  # MONAI has it, and doesn't list it
    if card.net not in known:
        raise UnknownName.among("MONAI network", card.net, known)
    try:
        trunk: nn.Module = known[card.net](**card.sizes)
    except (TypeError, ValueError) as error:
        raise BadCard(
            f"{card.title}: MONAI's {card.net} can't be built of [sizes] ({error})"
        ) from error
    return trunk
