"""A small honest network, and a way to have it, or one with a planted fault, checked."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import clearbench.encoders.registry as registry
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.conformance.findings import Conformance
from clearbench.encoders.conformance.suite import check_encoder

DIM = 6


class Honest(nn.Module):
    """Coarse pixels, mixed by a seeded matrix: images [b, 3, s, s] → features [b, 6]."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.mix = nn.Parameter(torch.randn(3 * 16, DIM, generator=rng))

    def forward(self, images: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(images, 4).flatten(1) @ self.mix


CheckNetwork = Callable[..., Conformance]


@pytest.fixture
def check_network(
    monkeypatch: pytest.MonkeyPatch, make_card: Callable[..., EncoderCard]
) -> CheckNetwork:
    """Register a network and check it: its class, facts of its card, options of check_encoder."""
    monkeypatch.setattr(registry, "_registered", {})

    def check(
        network: Callable[[], nn.Module], card: dict[str, Any] | None = None, **options: Any
    ) -> Conformance:
        facts = make_card(**{"dim": DIM, "facts": {"parameters_m": 0.0003}} | (card or {}))
        registry.register_encoder(facts, lambda *_: network(), name="planted")
        return check_encoder("planted", **{"device": "cpu"} | options)

    return check


@pytest.fixture
def honest() -> type[nn.Module]:
    return Honest
