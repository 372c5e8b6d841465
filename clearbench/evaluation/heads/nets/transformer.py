"""A small set transformer: instances attend to each other before they are pooled.

One pre-norm self-attention block, then pooling by multi-head attention of one learned query (Lee et
al., "Set Transformer", ICML 2019, §3.2). Instances have no position, so their order doesn't matter.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.evaluation.heads.nets.layers import (
    DROPOUT,
    HIDDEN,
    HeadOutput,
    classifier,
    instance_encoder,
    masked_softmax,
)

HEADS = 4
WIDER = 2  # the MLP's hidden features per feature


class TransformerMIL(nn.Module):
    """Mix a bag's instances by self-attention, pool them with a learned query, classify.

    bags [b, n, dim], mask [b, n] → logits [b, outputs], the query's attention [b, n], its mean
    over heads, 0 where there is padding.
    """

    def __init__(
        self, dim: int, outputs: int, hidden: int = HIDDEN, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.encoder = instance_encoder(dim, hidden)
        self.norm, self.mixed = nn.LayerNorm(hidden), nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.mlp = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, WIDER * hidden),
            nn.GELU(),
            nn.Linear(WIDER * hidden, hidden),
        )
        self.query = nn.Parameter(torch.randn(HEADS, hidden // HEADS) * (hidden // HEADS) ** -0.5)
        self.pool_norm, self.pool = nn.LayerNorm(hidden), nn.Linear(hidden, 2 * hidden)
        self.head = classifier(hidden, outputs, dropout)

    def forward(self, bags: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Classify a batch of bags; without a mask every instance counts."""
        instances = self.encoder(bags)
        query, key, value = map(_split, self.mixed(self.norm(instances)).chunk(3, dim=-1))
        seen = None if mask is None else mask[:, None, None]
        looked = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        instances = instances + self.out(looked.transpose(1, 2).flatten(2))
        instances = instances + self.mlp(instances)
        key, value = map(_split, self.pool(self.pool_norm(instances)).chunk(2, dim=-1))
        scores = torch.einsum("hc,bhnc->bhn", self.query.to(key.dtype), key)
        attention = masked_softmax(scores, None if mask is None else mask[:, None])
        pooled = torch.einsum("bhn,bhnc->bhc", attention, value.float()).flatten(1)
        return HeadOutput(self.head(pooled), attention.mean(dim=1))


def _split(parts: Tensor) -> Tensor:
    """Split features by attention head: [b, n, hidden] → [b, heads, n, hidden / heads]."""
    b, n, hidden = parts.shape
    return parts.view(b, n, HEADS, hidden // HEADS).transpose(1, 2)
