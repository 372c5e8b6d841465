import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from clearbench.cards import read_card, write_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import Encoder, build_encoder
from clearbench.encoders.families.open_clip import build, describe
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.errors import BadCard, BadRequest, UnknownName, WeightsUnavailable

# isort: split
import open_clip
from open_clip.model import CLIP, CLIPTextCfg, _build_vision_tower

MakeCard = Callable[..., EncoderCard]
GreyImages = Callable[[int], NDArray[np.uint8]]
SMALL = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}
TIMM = {
    "image_size": 160,
    "timm_model_name": "test_vit",
    "timm_model_pretrained": False,
    "timm_pool": "",
    "timm_proj": "linear",
}
TEXT = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
OWN_TEXT = {"hf_model_name": "microsoft/biomed-bert"}


def hub_folder(
    folder: Path, vision: dict[str, Any], dim: int, *, prefix: str = "visual.", **facts: Any
) -> Any:
    """Write a folder shaped like the hub's, with random weights; returns the tower itself."""
    torch.manual_seed(0)
    tower = _build_vision_tower(dim, dict(vision), bool(facts.get("quick_gelu"))).eval()
    state = {prefix + key: value.clone() for key, value in tower.state_dict().items()}
    if prefix:
        state |= {"text.token_embedding.weight": torch.ones(3, 4), "logit_scale": torch.ones(1)}
    model = {"embed_dim": dim, "vision_cfg": vision, "text_cfg": OWN_TEXT} | facts
    written(folder, state, {"model_cfg": model})
    return tower


def written(folder: Path, state: dict[str, torch.Tensor], config: dict[str, Any]) -> None:
    save_file(
        {k: v.clone().contiguous() for k, v in state.items()},
        folder / "open_clip_model.safetensors",
    )
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def ready(card: EncoderCard) -> Encoder:
    return build_encoder(Registered(name="clip", card=card), device="cpu", precision="float32")


def card_of(make_card: MakeCard, folder: Path, **facts: Any) -> EncoderCard:
    plain = {
        "family": "open_clip",
        "net": "",
        "source": f"file:{folder}",
        "dim": 16,
        "pooling": "projection",
        "sizes": {"embed_dim": 16, "vision_cfg": SMALL},
        "weights": {"unused": ["text.", "logit_scale"]},
    }
    return make_card(**plain | facts)


def images(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def run(network: Any, batch: torch.Tensor) -> torch.Tensor:
    answer = network.eval()(batch)
    return torch.as_tensor(answer[0] if isinstance(answer, tuple) else answer)


@pytest.mark.parametrize(
    ("vision", "prefix"),
    [(SMALL, "visual."), (SMALL, ""), (TIMM, "visual."), (RESNET, "visual.")],
    ids=["both towers", "visual tower only", "timm's trunk", "a ResNet"],
)
def test_a_folder_shaped_like_the_hubs_becomes_an_encoder(
    tmp_path: Path, vision: dict[str, Any], prefix: str
) -> None:
    """Its card is filled in, written and read again, and gives the tower's features."""
    tower = hub_folder(tmp_path, vision, 16, prefix=prefix)
    write_card(describe(str(tmp_path)), tmp_path / "clip.toml")
    card = read_card(tmp_path / "clip.toml", EncoderCard)
    encoder, size = ready(card), vision["image_size"]
    expected = run(tower, images(size))
    torch.testing.assert_close(encoder.forward(images(size)).clone(), expected)
    assert float(expected.norm(dim=1).max() - expected.norm(dim=1).min()) > 0, "not normalised"
    assert encoder.embed(np.zeros((3, 20, 20), np.int16)).shape == (3, 2, 16)
    count = sum(parameter.numel() for parameter in encoder.network.parameters())
    assert card.facts.parameters_m == round(count / 1e6, 2)


def test_quick_gelu_is_kept(tmp_path: Path) -> None:
    tower = hub_folder(tmp_path, SMALL, 16, quick_gelu=True)
    card = describe(str(tmp_path))
    assert card.sizes["quick_gelu"] is True
    found = ready(card).forward(images(32)).clone()
    torch.testing.assert_close(found, run(tower, images(32)))
    plain = {key: value for key, value in card.sizes.items() if key != "quick_gelu"}
    other = ready(card.model_copy(update={"sizes": plain}))
    assert not torch.allclose(found, other.forward(images(32)), atol=1e-4)


def test_what_is_seen_is_the_configurations(tmp_path: Path) -> None:
    hub_folder(tmp_path, SMALL, 16)
    plain = describe(str(tmp_path)).seen
    assert (plain.size_px, plain.resample) == (32, "bicubic")
    assert plain.mean == pytest.approx(open_clip.OPENAI_DATASET_MEAN)
    config = json.loads((tmp_path / "open_clip_config.json").read_text())
    known = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear"}
    config["preprocess_cfg"] = known | {"unheard_of": 1}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    seen = describe(str(tmp_path)).seen
    assert (seen.mean, seen.std, seen.resample) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bilinear")


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"model_cfg": 1}', '{"model_cfg": {}}'])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(text)
    with pytest.raises(BadRequest, match=r"config\.json: not an open_clip configuration"):
        describe(str(tmp_path))


def test_a_place_without_configuration_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadRequest, match=r"no open_clip_config\.json in it; give hf-hub:"):
        describe(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        WeightsUnavailable, match=r"nobody/nothing: its open_clip_config\.json is not in"
    ):
        describe("hf-hub:nobody/nothing")


def test_random_weights_come_from_the_seed(tmp_path: Path, make_card: MakeCard) -> None:
    state = torch.random.get_rng_state()
    card = card_of(make_card, tmp_path)
    first, again = (build(card.with_random_weights(2), None) for _ in range(2))
    other = build(card.with_random_weights(3), None)
    assert torch.equal(run(first, images(32)), run(again, images(32)))
    assert not torch.allclose(run(first, images(32)), run(other, images(32)))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's generator is unchanged"


def test_one_of_open_clips_own_names_is_enough(tmp_path: Path, make_card: MakeCard) -> None:
    named = card_of(
        make_card, tmp_path, net="ViT-S-16", sizes={}, dim=384, input={"size_px": 224}
    ).with_random_weights()
    config = open_clip.get_model_config("ViT-S-16")
    sized = named.model_copy(
        update={"net": "", "sizes": {"embed_dim": 384, "vision_cfg": config["vision_cfg"]}}
    )
    with torch.device("meta"):
        first, again = build(named, None).state_dict(), build(sized, None).state_dict()
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in again.items()}


def test_a_name_open_clip_lacks_offers_the_nearest(tmp_path: Path, make_card: MakeCard) -> None:
    card = card_of(make_card, tmp_path, net="ViT-B-33", sizes={})
    with pytest.raises(UnknownName, match='no open_clip model is called "ViT-B-33"; did you mean'):
        build(card, None)
    with pytest.raises(BadCard, match=r"leave net or \[sizes\] out"):
        build(card_of(make_card, tmp_path, net="ViT-B-32"), None)


@pytest.mark.parametrize(
    ("sizes", "fault"),
    [
        ({"embed_dimm": 16}, r"unknown key sizes\.embed_dimm; did you mean embed_dim\?"),
        ({"text_cfg": {}}, r"unknown key sizes\.text_cfg"),
        (
            {"embed_dim": 16, "vision_cfg": SMALL | {"layer": 2}},
            r"unknown key sizes\.vision_cfg\.layer; did you mean layers",
        ),
        (
            {"embed_dim": 16, "vision_cfg": SMALL | {"timm_model_pretrained": True}},
            "leave sizes.vision_cfg.timm_model_pretrained out",
        ),
        ({"vision_cfg": SMALL}, r"sizes\.embed_dim is missing; add it, or name a model"),
        ({"embed_dim": 16}, r"sizes\.vision_cfg is missing"),
        (
            {"embed_dim": 16, "vision_cfg": 3},
            "sizes.vision_cfg must be a table of open_clip's sizes",
        ),
        (
            {"embed_dim": 16, "vision_cfg": SMALL | {"image_size": 48}},
            "is 32, but image_size is 48",
        ),
        ({"embed_dim": 16, "vision_cfg": SMALL | {"image_size": [32, 48]}}, "padded to squares"),
        (
            {"embed_dim": 16, "vision_cfg": {"timm_model_name": "vit_tini", "image_size": 32}},
            "open_clip can't build these sizes",
        ),
        ({"embed_dim": 16, "vision_cfg": SMALL | {"width": "x"}}, "open_clip can't build these"),
    ],
)
def test_sizes_that_open_clip_does_not_know_are_refused(
    tmp_path: Path, make_card: MakeCard, sizes: dict[str, Any], fault: str
) -> None:
    card = card_of(make_card, tmp_path, sizes=sizes, source="random:0")
    with pytest.raises((BadCard, BadRequest), match=fault):
        build(card, None)


def test_another_pooling_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    with pytest.raises(BadCard, match="must be projection, not cls"):
        build(card_of(make_card, tmp_path, pooling="cls"), tmp_path)


def test_weights_of_another_tower_are_refused(tmp_path: Path, make_card: MakeCard) -> None:
    """Only the card has the architecture; a configuration with the weights can't change it."""
    hub_folder(tmp_path, SMALL, 16)
    sizes = {"embed_dim": 16, "vision_cfg": SMALL | {"layers": 3}}
    with pytest.raises(WeightsUnavailable, match=r"weights of another network: keys .* missing"):
        build(card_of(make_card, tmp_path, sizes=sizes), tmp_path / "open_clip_model.safetensors")


def test_keys_that_the_card_does_not_name_are_refused(tmp_path: Path, make_card: MakeCard) -> None:
    hub_folder(tmp_path, SMALL, 16)
    card = card_of(make_card, tmp_path, weights={"unused": ["logit_scale"]})
    with pytest.raises(WeightsUnavailable, match=r"1 left over \(e\.g\. text\.token_embedding"):
        build(card, tmp_path / "open_clip_model.safetensors")


def both_towers(folder: Path, **facts: Any) -> Any:
    """Write a whole CLIP, with a text tower without a prefix; returns the model."""
    torch.manual_seed(0)
    model = CLIP(16, SMALL, CLIPTextCfg(**TEXT)).eval()
    config = {"embed_dim": 16, "vision_cfg": SMALL, "text_cfg": TEXT}
    written(folder, model.state_dict(), {"model_cfg": config, **facts})
    return model


def agrees_with_open_clip(encode: Any, card: EncoderCard, grey: NDArray[np.uint8]) -> None:
    """Compare with open_clip's documented transform and forward on the same images."""
    encoder, seen = ready(one_view(card)), card.seen
    transform = open_clip.image_transform(
        seen.size_px, is_train=False, mean=tuple(seen.mean), std=tuple(seen.std)
    )
    batch = torch.stack([transform(Image.fromarray(one[0])) for one in grey])
    with torch.inference_mode():
        theirs = encode(batch)
    ours = encoder.forward(encoder.prepare(grey, ("lung",)).flatten(0, 1))
    cosine = torch.nn.functional.cosine_similarity(ours, theirs)
    assert float(cosine.min()) >= 0.9999
    assert float((ours - theirs).norm()) < 0.05 * float((theirs[0] - theirs[1]).norm())


def one_view(card: EncoderCard) -> EncoderCard:
    seen = card.seen.model_copy(update={"default_views": ("lung",)})
    return card.model_copy(update={"input": seen})


def test_features_are_those_of_open_clips_own_way(tmp_path: Path, grey_images: GreyImages) -> None:
    model = both_towers(tmp_path)
    agrees_with_open_clip(model.encode_image, describe(str(tmp_path)), grey_images(300))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["ViT-B-32", "RN50"])
def test_published_architectures_go_open_clips_own_way(
    tmp_path: Path, net: str, grey_images: GreyImages
) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model(net, pretrained=None).eval()
    written(tmp_path, model.state_dict(), {"model_cfg": open_clip.get_model_config(net)})
    agrees_with_open_clip(model.encode_image, describe(str(tmp_path)), grey_images(300))


@pytest.mark.slow
def test_biomedclip_goes_open_clips_own_way(tmp_path: Path, grey_images: GreyImages) -> None:
    """The published card, with random weights of its tower and keys of a text tower."""
    shipped = find_encoder("biomedclip").card
    tower = hub_folder(tmp_path, dict(shipped.sizes["vision_cfg"]), 512)
    facts = shipped.weights.model_copy(update={"sha256": None})
    card = shipped.model_copy(update={"source": f"file:{tmp_path}", "weights": facts})
    agrees_with_open_clip(tower, card, grey_images(300))
    count = sum(parameter.numel() for parameter in ready(card).network.parameters())
    assert round(count / 1e6, 1) == shipped.facts.parameters_m


def test_biomedclips_card_is_what_its_configuration_says(tmp_path: Path) -> None:
    shipped = find_encoder("biomedclip").card
    vision = shipped.sizes["vision_cfg"] | {"timm_model_pretrained": False}
    model = {"embed_dim": 512, "vision_cfg": vision, "text_cfg": OWN_TEXT}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    card = describe(str(tmp_path))
    assert (card.sizes, card.dim, card.pooling) == (shipped.sizes, shipped.dim, shipped.pooling)
    assert card.seen == shipped.seen
    assert card.facts.parameters_m == pytest.approx(shipped.facts.parameters_m, abs=0.05)
