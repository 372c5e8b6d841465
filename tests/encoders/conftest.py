"""Cards for the occasion, small and offline."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard

MakeCard = Callable[..., EncoderCard]


@pytest.fixture
def make_card() -> MakeCard:
    """Make a card; `input` and `weights` change single facts of those tables."""

    def make(
        *, input: dict[str, Any] | None = None, weights: dict[str, Any] | None = None, **facts: Any
    ) -> EncoderCard:
        plain = {
            "title": "Small",
            "family": "timm",
            "source": "random:0",
            "net": "vit_tiny_patch16_224",
            "dim": 192,
            "pooling": "cls",
            "weights": {"licence": "MIT"} | (weights or {}),
            "input": {
                "size_px": 32,
                "views": "free",
                "default_views": ["lung", "mediastinum"],
                "mean": [0.5, 0.5, 0.5],
                "std": [0.5, 0.5, 0.5],
            }
            | (input or {}),
        }
        return check_card(plain | facts, EncoderCard, "card")

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors on many threads wait for each other, most of all on a shared machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
