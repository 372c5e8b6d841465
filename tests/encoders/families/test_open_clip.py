import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import clearbench.encoders.families.open_clip as module
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import build_encoder
from clearbench.encoders.families.open_clip import build
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.errors import BadCard, WeightsUnavailable

# isort: split
from open_clip.model import _build_vision_tower

MakeCard = Callable[..., EncoderCard]
SMALL = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}
TIMM = {
    "image_size": 224,
    "timm_model_name": "vit_tiny_patch16_224",
    "timm_model_pretrained": False,
    "timm_pool": "",
    "timm_proj": "linear",
}
BIOMEDCLIP = {
    "timm_model_name": "vit_base_patch16_224",
    "timm_model_pretrained": False,
    "timm_pool": "",
    "timm_proj": "linear",
    "image_size": 224,
}


def hub_folder(folder: Path, vision: dict[str, Any], dim: int, *, prefix: str = "visual.") -> Any:
    """Write a folder shaped like the hub's, with random weights; returns the tower itself."""
    torch.manual_seed(0)
    tower = _build_vision_tower(dim, dict(vision)).eval()
    state = {prefix + key: value.clone() for key, value in tower.state_dict().items()}
    if prefix:
        state |= {"text.token_embedding.weight": torch.ones(3, 4), "logit_scale": torch.ones(1)}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": {"embed_dim": dim, "vision_cfg": vision, "text_cfg": {"width": 64}}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return tower


def card_of(make_card: MakeCard, folder: Path, **facts: Any) -> EncoderCard:
    plain = {"family": "open_clip", "net": "", "source": f"file:{folder}", "dim": 16}
    return make_card(**plain | {"pooling": "projection"} | facts)


def images(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def run(network: Any, batch: torch.Tensor) -> torch.Tensor:
    answer = network.eval()(batch)
    return torch.as_tensor(answer[0] if isinstance(answer, tuple) else answer)


@pytest.mark.parametrize(
    ("vision", "prefix"),
    [(SMALL, "visual."), (SMALL, ""), (TIMM, "visual.")],
    ids=["both towers", "visual tower only", "timm's trunk"],
)
def test_a_hub_shaped_folder_gives_the_towers_features(
    tmp_path: Path, make_card: MakeCard, vision: dict[str, Any], prefix: str
) -> None:
    tower = hub_folder(tmp_path, vision, 16, prefix=prefix)
    size = vision["image_size"]
    card = card_of(make_card, tmp_path, input={"size_px": size})
    encoder = build_encoder(Registered(name="clip", card=card), device="cpu", precision="float32")
    expected = run(tower, images(size))
    torch.testing.assert_close(encoder.forward(images(size)).clone(), expected)
    assert float(expected.norm(dim=1).max() - expected.norm(dim=1).min()) > 0, "not normalised"
    slices = np.zeros((3, 20, 20), np.int16)
    assert encoder.embed(slices).shape == (3, 2, 16)


@pytest.mark.slow
def test_biomedclips_vision_tower_loads(tmp_path: Path) -> None:
    """Its published configuration, random weights; the card as it ships but for the hash."""
    tower = hub_folder(tmp_path, BIOMEDCLIP, 512)
    found = find_encoder("biomedclip")
    encoder = build_encoder(found, device="cpu", precision="float32", weights=tmp_path)
    torch.testing.assert_close(encoder.forward(images(224)).clone(), run(tower, images(224)))
    parameters = sum(p.numel() for p in encoder.network.parameters())
    assert round(parameters / 1e6, 1) == found.card.facts.parameters_m


def test_another_pooling_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    with pytest.raises(BadCard, match="pooling = projection, not cls"):
        build(card_of(make_card, tmp_path, pooling="cls"), tmp_path)


def test_weights_are_needed(tmp_path: Path, make_card: MakeCard) -> None:
    with pytest.raises(BadCard, match=r"need weights; source is hf-hub:… or a folder"):
        build(card_of(make_card, tmp_path, source="random:0"), None)


def test_a_folder_without_configuration_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    hub_folder(tmp_path, SMALL, 16)
    (tmp_path / "open_clip_config.json").unlink()
    with pytest.raises(WeightsUnavailable, match=r"no open_clip_config\.json beside"):
        build(card_of(make_card, tmp_path), tmp_path / "open_clip_model.safetensors")


def test_the_hubs_configuration_is_fetched(
    tmp_path: Path, make_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_folder(tmp_path, SMALL, 16)
    (tmp_path / "open_clip_config.json").rename(tmp_path / "elsewhere.json")
    asked = []

    def download(*what: str, revision: str | None) -> str:
        asked.append((*what, revision))
        return str(tmp_path / "elsewhere.json")

    monkeypatch.setattr(module, "hf_hub_download", download)
    card = card_of(make_card, tmp_path, source="hf-hub:a/b", revision="r")
    build(card, tmp_path / "open_clip_model.safetensors")
    assert asked == [("a/b", "open_clip_config.json", "r")]


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"model_cfg": 1}'])
def test_a_damaged_configuration_is_named(tmp_path: Path, make_card: MakeCard, text: str) -> None:
    hub_folder(tmp_path, SMALL, 16)
    (tmp_path / "open_clip_config.json").write_text(text)
    with pytest.raises(WeightsUnavailable, match="not an open_clip configuration"):
        build(card_of(make_card, tmp_path), tmp_path / "open_clip_model.safetensors")


def test_a_configuration_of_something_else_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    hub_folder(tmp_path, SMALL, 16)
    config = {"model_cfg": {"embed_dim": 16, "vision_cfg": {"unheard_of": 1}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsUnavailable, match="open_clip can't build it"):
        build(card_of(make_card, tmp_path), tmp_path / "open_clip_model.safetensors")


def test_weights_of_another_tower_are_refused(tmp_path: Path, make_card: MakeCard) -> None:
    hub_folder(tmp_path, SMALL, 16)
    config = {"model_cfg": {"embed_dim": 16, "vision_cfg": SMALL | {"layers": 3}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsUnavailable, match=r"weights of another network: keys .* missing"):
        build(card_of(make_card, tmp_path), tmp_path / "open_clip_model.safetensors")
