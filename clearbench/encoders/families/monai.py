"""Volume networks of MONAI (extra `volume`): CT-FM's SegResEncoder, and others by name."""

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
    """The mean of a trunk's last feature map: volumes [b, c, z, y, x] → features [b, dim]."""

    def __init__(self, trunk: nn.Module, pooling: str) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooling = pooling

    def forward(self, volumes: Tensor) -> Tensor:
        """Embed; of several maps, from fine to coarse, the last is used."""
        found: Any = self.trunk(volumes)
        last = torch.as_tensor(found[-1] if isinstance(found, list | tuple) else found)
        axes = 5 if self.pooling == "mean" else 2
        if last.ndim != axes:
            raise BadCard(
                f"the network returns {tuple(last.shape)}; use pooling "
                '"mean" for maps [b, d, z, y, x], "native" for vectors [b, d]'
            )
        return last.mean(dim=(2, 3, 4)) if self.pooling == "mean" else last


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a network of monai.networks.nets from the card's sizes.

    Without `weights` they are random, seeded. Raises UnknownName, BadCard for sizes that the
    network refuses, WeightsUnavailable for another network's weights.
    """
    if card.pooling not in ("mean", "native"):
        raise BadCard(f"{card.title}: pooling of MONAI's networks must be mean or native")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        trunk = _create(card)
    if weights is not None:
        load_strictly(trunk, without_unused(read_weights(weights, card.weights.ema), card), weights)
    return LastMap(trunk, card.pooling)


def _create(card: EncoderCard) -> nn.Module:
    """Make a network by its name."""
    known = {name: made for name, made in vars(nets).items() if callable(made)}
    known["SegResEncoder"] = SegResEncoder  # MONAI has it, but doesn't list it
    if card.net not in known:
        raise UnknownName.among("MONAI network", card.net, known)
    try:
        trunk: nn.Module = known[card.net](**card.sizes)
    except (TypeError, ValueError) as error:
        raise BadCard(
            f"{card.title}: MONAI can't build {card.net} with [sizes] ({error})"
        ) from error
    return trunk
