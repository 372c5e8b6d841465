"""The family "texture": how strongly filters of several widths answer, and how evenly."""

from pathlib import Path

import torch
from torch import Tensor, nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights


class Textures(nn.Module):
    """Images [b, c, s, s] → features [b, widths × 2 × filters]."""

    def __init__(self, channels: int, filters: int, widths: list[int]) -> None:
        super().__init__()
        self.banks = nn.ModuleList(
            nn.Conv2d(channels, filters, width, padding=width // 2) for width in widths
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean and the spread of each filter's answer over the image."""
        answers = [bank(images).relu().flatten(2) for bank in self.banks]
        return torch.cat([part for a in answers for part in (a.mean(2), a.std(2))], dim=1)


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build the card's network; without a file of weights they are random, from the card's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed if weights is None else 0)
        network = Textures(len(card.seen.mean), **card.sizes)
    if weights is not None:
        load_strictly(network, read_weights(weights), weights)
    return network
