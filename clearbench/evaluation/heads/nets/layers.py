"""The parts that the attention heads share."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.evaluation.bags.bagset import Affine

HIDDEN = 256
DROPOUT = 0.5


class HeadOutput(NamedTuple):
    """A head's output: logits [b, outputs], and importance [b, n] that sums to 1 over a bag."""

    logits: Tensor
    attention: Tensor


class StandardisedLinear(nn.Linear):
    """A linear layer whose input is standardised within it: W · (x - shift) / spread + b.

    The weights are those of a layer with standardised input. Shift and spread are folded into them
    at each call, so that no standardised copy of the input is made.
    """

    shift: Tensor | None
    spread: Tensor | None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        # Not saved: they belong to a set of bags, and are set before each use.
        self.register_buffer("shift", None, persistent=False)
        self.register_buffer("spread", None, persistent=False)

    def standardise(self, affine: Affine) -> None:
        """Set shift and spread."""
        self.shift, self.spread = affine

    def forward(self, instances: Tensor) -> Tensor:
        """Standardise and transform [..., inputs] → [..., outputs]."""
        if self.shift is None or self.spread is None:
            return super().forward(instances)
        weight = self.weight / self.spread
        # In float32, because bfloat16 would round the shift of every instance.
        with torch.autocast(device_type=weight.device.type, enabled=False):
            bias = self.bias - weight @ self.shift
        return functional.linear(instances, weight, bias)


class Tanh(nn.Module):
    """tanh(x) = 2 σ(2x) - 1: on CPUs the sigmoid takes a sixth of the time of tanh."""

    def forward(self, values: Tensor) -> Tensor:
        """Return tanh."""
        return torch.sigmoid(values + values).mul(2).sub(1)


class Dropout(nn.Module):
    """Dropout with the head's own generator, so that heads can train at the same time."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Drop and scale up, in training only."""
        if not self.training or not self.share:
            return values
        # functional.dropout takes no generator.
        keep = torch.empty_like(values).bernoulli_(1 - self.share, generator=self.generator)
        return values * keep / (1 - self.share)


def instance_encoder(dim: int, hidden: int) -> nn.Sequential:
    """Return the first layer of every head: Linear, ReLU."""
    return nn.Sequential(StandardisedLinear(dim, hidden), nn.ReLU())


class Exact(nn.Sequential):
    """Layers that run in float32 even under autocast, so that close scores don't become ties."""

    def forward(self, values: Tensor) -> Tensor:
        """Run the layers."""
        with torch.autocast(device_type=values.device.type, enabled=False):
            return torch.as_tensor(super().forward(values.float()))  # type: ignore[no-untyped-call]


def classifier(hidden: int, outputs: int, dropout: float) -> Exact:
    """Return the last layers of every head."""
    return Exact(
        nn.LayerNorm(hidden),
        nn.Linear(hidden, hidden),
        Dropout(dropout),
        nn.SiLU(),
        nn.Linear(hidden, outputs),
    )


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return the softmax over a bag's instances [..., n] in float32, 0 where there is padding."""
    scores = scores.float()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.softmax(scores, dim=-1)


def weighted_sum(weights: Tensor, instances: Tensor) -> Tensor:
    """Sum instances [b, n, hidden] by weights [b, n] → [b, hidden], float32."""
    # A product and a sum would make a second array of the size of the instances.
    return torch.bmm(weights.to(instances.dtype).unsqueeze(1), instances).squeeze(1).float()
