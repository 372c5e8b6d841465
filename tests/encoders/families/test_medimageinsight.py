import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.families.medimageinsight import build, published_names
from clearbench.errors import BadCard, WeightsUnavailable

# isort: split
import timm
from timm.models.davit import _convert_florence2

MakeCard = Callable[..., EncoderCard]
SMALL = {"net": "davit_test", "family": "medimageinsight", "dim": 8, "pooling": "projection"}
SIZES = {
    "depths": (1, 1),
    "embed_dims": (16, 32),
    "num_heads": (2, 4),
    "window_size": 4,
    "down_kernel_size": 3,
    "channel_attn_v2": True,
    "named_blocks": True,
}


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published network's make, in a size for tests."""
    make = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda _, **facts: make("davit_huge_fl", **facts, **SIZES)
    )


def theirs(key: str) -> str:
    """Return the name of one of timm's parts in Microsoft's code."""
    key = re.sub(r"^stem\.", "convs.0.", key)
    key = re.sub(r"stages\.(\d+)\.downsample", r"convs.\1", key)
    key = re.sub(r"(convs\.\d+)\.conv", r"\1.proj", key)
    key = re.sub(r"stages\.(\d+)\.blocks", r"blocks.\1", key)
    kind = "window" if "spatial" in key else "channel"
    key = key.replace(".norm1.", f".{kind}_attn.norm.").replace(".attn.", f".{kind}_attn.fn.")
    key = key.replace(".norm2.", ".ffn.norm.").replace(".mlp.", ".ffn.fn.net.")
    return re.sub(r"cpe([12])\.proj", r"conv\1.fn.dw", key).replace("head.norm.", "norms.")


def published(network: Any) -> dict[str, torch.Tensor]:
    """Return a file's tensors: the image tower, the projection and a text tower."""
    state = {f"image_encoder.{theirs(k)}": v.clone() for k, v in network.trunk.state_dict().items()}
    return state | {
        "image_projection": network.image_projection.detach().clone(),
        "lang_encoder.weight": torch.ones(2),
    }


def test_a_published_file_gives_the_towers_features(tmp_path: Path, make_card: MakeCard) -> None:
    network: Any = build(make_card(**SMALL, source="random:4"), None).eval()
    save_file(published(network), tmp_path / "published.safetensors")
    again = build(make_card(**SMALL), tmp_path / "published.safetensors").eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pooled = network.trunk(images)
        torch.testing.assert_close(again(images), pooled @ network.image_projection)
    assert pooled.shape == (2, 32)


def test_the_names_are_those_that_timm_gives(make_card: MakeCard) -> None:
    """timm renames the same parts of Florence-2, whose last norm it doesn't have."""
    state = published(build(make_card(**SMALL), None))
    ours = published_names(state, Path("file"))
    florence = {key.replace("image_encoder.", "vision_tower."): v for key, v in state.items()}
    expected = {f"trunk.{key}" for key in _convert_florence2(florence, None)}
    plain = {key.replace("head.norm.", "norms.") for key in ours} - {"image_projection"}
    assert plain == expected


def test_another_file_or_card_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsUnavailable, match="no keys image_encoder"):
        build(make_card(**SMALL), tmp_path / "a.safetensors")
    with pytest.raises(BadCard, match="and pooling projection"):
        build(make_card(**SMALL | {"pooling": "cls"}), None)
