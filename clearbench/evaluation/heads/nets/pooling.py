"""Max-pool: the maximum over instances, feature by feature."""

import torch
from torch import Tensor, nn

from clearbench.evaluation.heads.nets.layers import (
    DROPOUT,
    HIDDEN,
    HeadOutput,
    classifier,
    instance_encoder,
)


class MaxPoolMIL(nn.Module):
    """Take the maximum of each hidden feature over a bag, and classify it.

    bags [b, n, dim], mask [b, n] → logits [b, outputs]; an instance's importance is the share of
    active hidden features of which it is the maximum, 0 where there is padding.
    """

    def __init__(
        self, dim: int, outputs: int, hidden: int = HIDDEN, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.encoder = instance_encoder(dim, hidden)
        self.head = classifier(hidden, outputs, dropout)

    def forward(self, bags: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Classify a batch of bags; without a mask every instance counts."""
        instances = self.encoder(bags)
        if mask is not None:
            instances = instances.masked_fill(~mask.unsqueeze(-1), float("-inf"))
        pooled, places = instances.max(dim=1)
        valid = torch.ones(bags.shape[:2], device=bags.device) if mask is None else mask.float()
        return HeadOutput(self.head(pooled.float()), _shares(pooled, places, valid))


def _shares(pooled: Tensor, places: Tensor, valid: Tensor) -> Tensor:
    """Count how often each instance is a maximum above 0 → [b, n] that sums to 1.

    pooled, places [b, hidden], valid [b, n]; in a bag without active features all instances count
    the same.
    """
    active = (pooled > 0).float()
    shares = torch.zeros_like(valid).scatter_add_(1, places, active)
    shares = torch.where(active.any(dim=1, keepdim=True), shares, valid)
    return shares / shares.sum(dim=1, keepdim=True)
