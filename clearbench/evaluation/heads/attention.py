"""The attention-MIL head of CLEAR (arXiv 2411.16803), with padding masked.

Attention pooling after Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance
Learning", ICML 2018.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

HIDDEN = 256
DROPOUT = 0.5


class HeadOutput(NamedTuple):
    """What a head answers: logits [b, outputs] and attention [b, n] that sums to 1 over a bag."""

    logits: Tensor
    attention: Tensor


class AttentionMIL(nn.Module):
    """Weigh a bag's instances, sum them, classify the sum.

    bags [b, n, dim], mask [b, n] (true where an instance stands) → logits [b, outputs],
    attention [b, n], 0 where there is padding.
    """

    def __init__(
        self, dim: int, outputs: int, hidden: int = HIDDEN, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU())
        self.aggregator = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.head = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden),
            nn.Dropout(dropout),
            nn.SiLU(),
            nn.Linear(hidden, outputs),
        )

    def forward(self, bags: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Classify a batch of bags; without a mask every instance counts."""
        instances = self.encoder(bags)
        scores = self.aggregator(instances).squeeze(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        attention = torch.softmax(scores, dim=1)
        pooled = torch.einsum("bn,bnd->bd", attention, instances)
        return HeadOutput(self.head(pooled), attention)
