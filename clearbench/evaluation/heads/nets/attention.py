"""Attention-MIL heads: the one of CLEAR (arXiv 2411.16803), and the gated one; padding is masked.

Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018.
"""

from torch import Tensor, nn

from clearbench.evaluation.heads.nets.layers import (
    DROPOUT,
    HIDDEN,
    HeadOutput,
    Tanh,
    classifier,
    instance_encoder,
    masked_softmax,
    weighted_sum,
)


class AttentionMIL(nn.Module):
    """Weight a bag's instances, sum them, classify the sum.

    bags [b, n, dim], mask [b, n] (true for an instance, false for padding) → logits [b, outputs],
    attention [b, n], 0 where there is padding.
    """

    def __init__(
        self, dim: int, outputs: int, hidden: int = HIDDEN, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.encoder = instance_encoder(dim, hidden)
        self.aggregator = nn.Sequential(nn.Linear(hidden, hidden), Tanh(), nn.Linear(hidden, 1))
        self.head = classifier(hidden, outputs, dropout)

    def forward(self, bags: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Classify a batch of bags; without a mask every instance counts."""
        instances = self.encoder(bags)
        attention = masked_softmax(self.aggregator(instances).squeeze(-1), mask)
        return HeadOutput(self.head(weighted_sum(attention, instances)), attention)


class Gate(nn.Module):
    """Score instances by tanh(V h) · σ(U h), element by element: [..., hidden] → [..., hidden]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.content = nn.Sequential(nn.Linear(hidden, hidden), Tanh())
        self.gate = nn.Sequential(nn.Linear(hidden, hidden), nn.Sigmoid())

    def forward(self, instances: Tensor) -> Tensor:
        """Gate instances."""
        found: Tensor = self.content(instances) * self.gate(instances)
        return found


class GatedAttentionMIL(AttentionMIL):
    """AttentionMIL whose attention is gated (Ilse et al., eq. 9)."""

    def __init__(
        self, dim: int, outputs: int, hidden: int = HIDDEN, dropout: float = DROPOUT
    ) -> None:
        super().__init__(dim, outputs, hidden, dropout)
        self.aggregator = nn.Sequential(Gate(hidden), nn.Linear(hidden, 1))
