import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import clearbench.encoders.families.transformers_cards as cards
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import build_encoder
from clearbench.encoders.families.transformers import build, describe
from clearbench.encoders.families.transformers_towers import configure, measure
from clearbench.encoders.plugins import family_builder
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.errors import BadCard, BadRequest, UnknownName, WeightsUnavailable

# isort: split
import transformers as hf

MakeCard = Callable[..., EncoderCard]
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PATCHED = VIT | {"patch_size": 14, "image_size": 56}
WIDE = PATCHED | {"intermediate_size": 64}
SWIN = {
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "image_size": 56,
    "patch_size": 7,
    "window_size": 4,
}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 50,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CLIP_UNUSED = ("logit_scale", "text_model.", "text_projection.")


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    hf.logging.disable_progress_bar()
    yield
    hf.logging.enable_progress_bar()


def clip() -> Any:
    config = hf.CLIPConfig(text_config=TEXT, vision_config=WIDE, projection_dim=16)
    return hf.CLIPModel(config)


def siglip() -> Any:
    return hf.SiglipModel(hf.SiglipConfig(text_config=TEXT, vision_config=WIDE))


def made(kind: str, sizes: dict[str, Any]) -> Any:
    """Make a published model, its weights large enough that images matter."""
    torch.manual_seed(3)
    makers = {"CLIPModel": clip, "SiglipModel": siglip}
    whole: Any = getattr(hf, kind)
    model = makers[kind]() if kind in makers else whole(whole.config_class(**sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5 if parameter.ndim == 1 else 0.2)
    return model.eval()


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def images(size: int = 56) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def run(network: Any, batch: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(network(batch))


@pytest.fixture
def card_of(make_card: MakeCard) -> MakeCard:
    def make(net: str, sizes: dict[str, Any], pooling: str, dim: int, **facts: Any) -> EncoderCard:
        given = {"family": "transformers", "net": net, "sizes": sizes}
        given |= {"pooling": pooling, "dim": dim, "input": {"size_px": 56}}
        return make_card(**given | facts)

    return make


def tokens(model: Any) -> torch.Tensor:
    return torch.as_tensor(model(images()).last_hidden_state)


DOCUMENTED: list[tuple[str, str, dict[str, Any], str, tuple[str, ...], Any]] = [
    (
        "CLIPModel",
        "clip_vision_model",
        WIDE | {"projection_dim": 16},
        "projection",
        CLIP_UNUSED,
        lambda model: model.get_image_features(pixel_values=images()).pooler_output,
    ),
    (
        "CLIPModel",
        "clip_vision_model",
        WIDE,
        "native",
        (*CLIP_UNUSED, "visual_projection."),
        lambda model: model.vision_model(images()).pooler_output,
    ),
    (
        "SiglipModel",
        "siglip_vision_model",
        WIDE,
        "projection",
        ("logit_bias", "logit_scale", "text_model."),
        lambda model: model.get_image_features(pixel_values=images()).pooler_output,
    ),
    (
        "SiglipModel",
        "siglip_vision_model",
        WIDE,
        "mean",
        ("logit_bias", "logit_scale", "text_model."),
        lambda model: tokens(model.vision_model).mean(dim=1),
    ),
    ("Dinov2Model", "dinov2", PATCHED, "native", (), lambda model: model(images()).pooler_output),
    (
        "Dinov2ForImageClassification",
        "dinov2",
        PATCHED,
        "cls+mean",
        ("classifier.",),
        lambda model: torch.cat(
            [tokens(model.dinov2)[:, 0], tokens(model.dinov2)[:, 1:].mean(dim=1)], dim=1
        ),
    ),
    (
        "Dinov2WithRegistersModel",
        "dinov2_with_registers",
        PATCHED,
        "mean",
        (),
        lambda model: tokens(model)[:, 5:].mean(dim=1),
    ),
    (
        "DINOv3ViTModel",
        "dinov3_vit",
        WIDE | {"num_register_tokens": 3},
        "mean",
        (),
        lambda model: tokens(model)[:, 4:].mean(dim=1),
    ),
    ("ViTModel", "vit", WIDE, "native", (), lambda model: model(images()).pooler_output),
    (
        "ViTForImageClassification",
        "vit",
        WIDE,
        "cls",
        ("classifier.",),
        lambda model: tokens(model.vit)[:, 0],
    ),
    ("SwinModel", "swin", SWIN, "native", (), lambda model: model(images()).pooler_output),
    ("SwinModel", "swin", SWIN, "mean", ("pooler.",), lambda model: tokens(model).mean(dim=1)),
    (
        "ResNetModel",
        "resnet",
        RESNET,
        "native",
        (),
        lambda model: model(images()).pooler_output.flatten(1),
    ),
    ("ResNetModel", "resnet", RESNET, "mean", (), lambda model: tokens(model).mean(dim=(2, 3))),
]


@pytest.mark.parametrize(
    ("kind", "net", "sizes", "pooling", "unused", "documented"),
    DOCUMENTED,
    ids=[f"{row[0]} {row[3]}" for row in DOCUMENTED],
)
def test_published_weights_give_the_librarys_own_features(
    tmp_path: Path,
    card_of: MakeCard,
    kind: str,
    net: str,
    sizes: dict[str, Any],
    pooling: str,
    unused: tuple[str, ...],
    documented: Any,
) -> None:
    model = made(kind, sizes)
    with torch.inference_mode():
        expected = documented(model)
    card = card_of(net, sizes, pooling, expected.shape[1], weights={"unused": unused})
    network = build(card, saved(model, tmp_path))
    torch.testing.assert_close(run(network, images()), expected, rtol=1e-5, atol=1e-5)
    assert not network.training
    told_apart = expected.std(dim=0).mean() / expected.abs().mean()
    assert told_apart > 0.01, "two images are told apart"


def processor_of(model: Any, size: int) -> Any:
    square = {"height": size, "width": size}
    if "Siglip" in type(model).__name__:
        return hf.SiglipImageProcessor(size=square)
    if "CLIP" in type(model).__name__:
        return hf.CLIPImageProcessor(size={"shortest_edge": size}, crop_size=square)
    return hf.BitImageProcessor(size={"shortest_edge": size}, crop_size=square)


@pytest.mark.parametrize("kind", ["CLIPModel", "SiglipModel", "Dinov2Model"])
def test_eight_bit_slices_are_seen_as_the_librarys_processor_shows_them(
    tmp_path: Path, kind: str
) -> None:
    """A described folder, and windowed slices of another size than the network's."""
    model = made(kind, PATCHED)
    saved(model, tmp_path)
    processor_of(model, 56).save_pretrained(tmp_path)
    found = Registered(name="m", card=describe(str(tmp_path)))
    encoder = build_encoder(found, device="cpu", precision="float32", views=["lung", "bone"])
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (3, 2, 8, 8)).astype(np.uint8)
    pixels = np.kron(blocks, np.ones((12, 12), np.uint8))  # [n, windows, y, x]
    ours = encoder.forward(encoder.prepare(pixels, ("bone", "lung")).flatten(0, 1))
    rgb = [
        np.repeat(slice_[column][..., None], 3, axis=2) for slice_ in pixels for column in (1, 0)
    ]
    shown = processor_of(model, 56)(rgb, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        theirs = (
            model(shown).pooler_output
            if kind == "Dinov2Model"
            else model.get_image_features(pixel_values=shown).pooler_output
        )
    assert float(torch.cosine_similarity(ours, theirs).min()) > 0.9999
    centred = theirs - theirs.mean(dim=0)
    assert float(torch.cosine_similarity(ours - theirs.mean(dim=0), centred).min()) > 0.99


@pytest.mark.parametrize(
    ("kind", "pooling", "dim", "unused"),
    [
        ("CLIPModel", "projection", 16, CLIP_UNUSED),
        ("SiglipModel", "native", 32, ("logit_bias", "logit_scale", "text_model.")),
        ("Dinov2Model", "cls", 32, ()),
        ("Dinov2ForImageClassification", "cls", 32, ("classifier.",)),
        ("ViTModel", "cls", 32, ("pooler.",)),
        ("SwinModel", "native", 32, ()),
    ],
)
def test_a_folder_describes_itself(
    tmp_path: Path, kind: str, pooling: str, dim: int, unused: tuple[str, ...]
) -> None:
    sizes = {"SwinModel": SWIN, "ViTModel": WIDE}.get(kind, PATCHED)
    model = made(kind, sizes)
    path = saved(model, tmp_path)
    processor_of(model, 56).save_pretrained(tmp_path)
    card = describe(str(tmp_path))
    assert (card.pooling, card.dim, card.weights.unused) == (pooling, dim, unused)
    assert (card.seen.size_px, card.seen.resample) == (56, "bicubic")
    assert card.source == f"file:{tmp_path}"
    assert "initializer_range" not in card.sizes
    network = build(card, path)
    assert run(network, images()).shape == (2, dim)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert card.facts.parameters_m == round(count / 1e6, 2)


def test_a_described_pooling_may_be_chosen(tmp_path: Path) -> None:
    saved(made("CLIPModel", {}), tmp_path)
    processor_of(clip(), 56).save_pretrained(tmp_path)
    card = describe(str(tmp_path), pooling="cls+mean", size_px=84)
    assert card.seen.size_px == 84
    assert (card.dim, card.weights.unused) == (64, (*CLIP_UNUSED, "visual_projection."))
    assert build(card, tmp_path / "model.safetensors")


def test_a_hubs_revision_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = tmp_path / "0123abc"
    saved(made("Dinov2Model", PATCHED), commit)
    processor_of(None, 56).save_pretrained(commit)
    asked = []

    def fetch(*what: Any) -> Path:
        asked.append(what)
        return commit / str(what[1])

    monkeypatch.setattr(cards, "fetch_file", fetch)
    card = describe("hf-hub:a/b", revision="main")
    assert (card.source, card.revision, card.title) == ("hf-hub:a/b", "0123abc", "b")
    assert asked == [("a/b", "config.json", "main"), ("a/b", "preprocessor_config.json", "main")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resample": 0}, "not bicubic or bilinear"),
        ({"do_rescale": False}, "0…255 isn't scaled to 0…1"),
        ({"size": {"height": 40, "width": 56}, "do_center_crop": False}, "are not square"),
    ],
)
def test_a_processor_that_no_card_can_say_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    saved(made("Dinov2Model", PATCHED), tmp_path)
    processor_of(None, 56).save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadCard, match=words):
        describe(str(tmp_path))


def test_images_that_are_not_normalised_have_mean_0(tmp_path: Path) -> None:
    saved(made("Dinov2Model", PATCHED), tmp_path)
    hf.BitImageProcessor(
        do_normalize=False, resample=2, do_center_crop=False, size={"height": 56, "width": 56}
    ).save_pretrained(tmp_path)
    seen = describe(str(tmp_path)).seen
    assert (seen.mean, seen.std, seen.resample) == ((0.0,) * 3, (1.0,) * 3, "bilinear")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": "dinov22"}'])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    processor_of(None, 56).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadCard, match=r"config\.json: transformers can't read it"):
        describe(str(tmp_path))


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadRequest, match=r"no config\.json and no preprocessor_config\.json in it; g"
    ):
        describe(str(tmp_path))


def test_code_of_a_repository_is_not_run(tmp_path: Path, card_of: MakeCard) -> None:
    """Neither for its network nor for its image processor."""
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = {"model_type": "of_their_own", "auto_map": {"AutoConfig": "own.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"auto_map": {"AutoImageProcessor": "own.Processor"}})
    )
    with pytest.raises(BadCard, match=r"config\.json needs code of its repository"):
        describe(str(tmp_path))
    saved(made("Dinov2Model", PATCHED), tmp_path)
    with pytest.raises(BadCard, match=r"preprocessor_config\.json needs code of its repository"):
        describe(str(tmp_path))
    with pytest.raises(BadRequest, match="code of its repository"):
        family_builder(card_of("dinov2", PATCHED, "cls", 32, weights={"remote_code": True}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("net", ["dinov2", "clip_vision_model", "siglip_vision_model", "vit"])
def test_another_size_is_served_with_resampled_positions(card_of: MakeCard, net: str) -> None:
    sizes = PATCHED if net == "dinov2" else WIDE
    network: Any = build(card_of(net, sizes, "mean", 32, input={"size_px": 84}), None)
    with torch.inference_mode():
        asked = {} if net == "dinov2" else {"interpolate_pos_encoding": True}
        states = network.tower(pixel_values=images(84), **asked).last_hidden_state
    before = states.shape[1] - 36
    assert before == (net != "siglip_vision_model")
    torch.testing.assert_close(run(network, images(84)), states[:, before:].mean(dim=1))


@pytest.mark.parametrize(
    ("net", "sizes", "size_px", "words"),
    [
        ("aimv2_vision_model", WIDE, 84, r"aimv2_vision_model can't take 84 px \("),
        ("dinov2", PATCHED | {"num_channels": 1}, 56, "3 channels, but dinov2 has 1"),
    ],
)
def test_images_that_a_network_cant_take_are_refused(
    card_of: MakeCard, net: str, sizes: dict[str, Any], size_px: int, words: str
) -> None:
    with pytest.raises(BadCard, match=words):
        build(card_of(net, sizes, "native", 32, input={"size_px": size_px}), None)


@pytest.mark.parametrize(
    ("net", "sizes", "words"),
    [
        (
            "dinov2",
            {"hiden_size": 32},
            r"\[sizes\] hiden_size is not a size of dinov2; did you mean",
        ),
        ("dinov2", {"output_attentions": True}, "output_attentions is not a size of dinov2"),
        ("dinov2", {"hidden_size": "a"}, "dinov2 .*int.* got str"),
        ("clip_vision_model", {"hidden_size": 33}, r"clip_vision_model .*33\b"),
        ("dinov2", {"hidden_act": "zzz"}, "can't take 56 px .*zzz"),
        ("clip", {}, 'name its vision tower: net = "clip_vision_model"'),
        ("bert", {}, "is not a vision model"),
        ("vit_mae", {}, 'write net = "vit"'),
    ],
)
def test_sizes_and_models_that_would_be_something_else_are_refused(
    card_of: MakeCard, net: str, sizes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadCard, match=words):
        build(card_of(net, sizes, "cls", 32), None)


def test_an_unknown_model_type_offers_the_nearest(card_of: MakeCard) -> None:
    with pytest.raises(UnknownName, match='type of transformers is called "dinov22"; did you mean'):
        build(card_of("dinov22", {}, "cls", 32), None)


@pytest.mark.parametrize(
    ("net", "sizes", "pooling", "words"),
    [
        ("dinov2", PATCHED, "projection", "dinov2 has no projection"),
        ("siglip_vision_model", WIDE, "cls", "pooling cls needs a network with a class token"),
        ("resnet", RESNET, "cls+mean", "needs a network with a class token"),
        ("vit_msn", WIDE, "native", "has no pooler"),
        ("yolos", WIDE | {"image_size": [56, 56]}, "mean", "117 tokens for 16 patches"),
        ("dinov2", PATCHED, "cls+mean", "the card has dim = 32, but dinov2 returns 64"),
    ],
)
def test_a_pooling_that_a_network_lacks_is_refused(
    card_of: MakeCard, net: str, sizes: dict[str, Any], pooling: str, words: str
) -> None:
    with pytest.raises(BadCard, match=words):
        build(card_of(net, sizes, pooling, 32), None)


def test_weights_of_another_network_are_refused(tmp_path: Path, card_of: MakeCard) -> None:
    path = saved(made("Dinov2Model", PATCHED), tmp_path)
    # Copies: the file is mapped, and is written again below.
    whole = {key: value.clone() for key, value in load_file(path).items()}
    card = card_of("dinov2", PATCHED, "cls", 32)

    def refused(state: dict[str, torch.Tensor], words: str) -> None:
        save_file(state, path)
        with pytest.raises(WeightsUnavailable, match=words):
            build(card, path)

    build(card, path)
    refused(whole | {"text_model.w": torch.ones(1)}, r"1 left over \(e\.g\. text_model\.w\)")
    less = {key: value for key, value in whole.items() if key != "layernorm.bias"}
    refused(less, r"keys 1 missing \(e\.g\. layernorm\.bias\)$")
    misshapen = whole | {"layernorm.bias": torch.ones(3)}
    refused(misshapen, r"keys 1 of another shape \(e\.g\. layernorm\.bias\)$")
    refused({}, "no state dict in it")


def test_text_and_heads_are_left_over_unless_the_card_says_so(
    tmp_path: Path, card_of: MakeCard
) -> None:
    path = saved(made("CLIPModel", {}), tmp_path)
    with pytest.raises(WeightsUnavailable, match=r"left over \(e\.g\. logit_scale\)"):
        build(card_of("clip_vision_model", WIDE, "native", 32), path)


def test_a_pooler_that_the_file_lacks_is_not_made_up(tmp_path: Path, card_of: MakeCard) -> None:
    path = saved(made("ViTForImageClassification", WIDE), tmp_path)
    card = card_of("vit", WIDE, "native", 32, weights={"unused": ["classifier."]})
    with pytest.raises(WeightsUnavailable, match=r"2 missing \(e\.g\. pooler\.dense\.bias\)"):
        build(card, path)


def test_a_pickle_and_half_precision_are_read(tmp_path: Path, card_of: MakeCard) -> None:
    model = made("Dinov2Model", PATCHED)
    state = {key: value.half() for key, value in load_file(saved(model, tmp_path)).items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    network = build(card_of("dinov2", PATCHED, "cls", 32), tmp_path / "pytorch_model.bin")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    expected = model(images()).last_hidden_state[:, 0]
    torch.testing.assert_close(run(network, images()), expected, rtol=0.05, atol=0.05)


def test_one_shard_of_several_is_refused(tmp_path: Path, card_of: MakeCard) -> None:
    made("Dinov2Model", PATCHED).save_pretrained(tmp_path, max_shard_size="50KB")
    shard = min(tmp_path.glob("*.safetensors"))
    with pytest.raises(WeightsUnavailable, match="one part of several; join them first"):
        build(card_of("dinov2", PATCHED, "cls", 32), shard)


@pytest.mark.parametrize("name", ["rad-dino", "medsiglip-448", "pubmedclip"])
def test_the_registrys_cards_describe_networks_that_can_be_built(name: str) -> None:
    card = find_encoder(name).card
    found = measure(card, configure(card.net, card.sizes, name))
    assert (found.dim, round(found.parameters / 1e6, 2)) == (card.dim, card.facts.parameters_m)


def test_random_weights_come_from_the_seed(card_of: MakeCard) -> None:
    state = torch.random.get_rng_state()
    first = build(card_of("dinov2", PATCHED, "cls", 32), None)
    again = build(card_of("dinov2", PATCHED, "cls", 32), None)
    other = build(card_of("dinov2", PATCHED, "cls", 32, source="random:1"), None)
    torch.testing.assert_close(run(first, images()), run(again, images()))
    assert not torch.allclose(run(first, images()), run(other, images()))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's chance is untouched"


def test_attention_is_torchs_own(card_of: MakeCard) -> None:
    for net, sizes in (("dinov2", PATCHED), ("siglip_vision_model", WIDE)):
        network: Any = build(card_of(net, sizes, "mean", 32), None)
        assert network.tower.config._attn_implementation == "sdpa"


def test_the_librarys_reports_stay_out_of_sight(
    tmp_path: Path, card_of: MakeCard, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(made("ViTForImageClassification", WIDE), tmp_path)
    hf.logging.enable_progress_bar()
    said = hf.logging.get_verbosity()
    capfd.readouterr()
    build(card_of("vit", WIDE, "cls", 32, weights={"unused": ["classifier."]}), path)
    assert capfd.readouterr() == ("", "")
    assert (hf.logging.get_verbosity(), hf.logging.is_progress_bar_enabled()) == (said, True)
