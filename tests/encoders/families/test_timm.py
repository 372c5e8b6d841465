import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import build_encoder, find_encoder, find_weights
from clearbench.encoders.families.timm import Pooled, build, describe
from clearbench.encoders.registry import Registered
from clearbench.encoders.weights.load import read_weights
from clearbench.errors import BadCard, BadRequest, UnknownName, WeightsUnavailable

# isort: split
import timm
from timm.layers import resample_abs_pos_embed

MakeCard = Callable[..., EncoderCard]
GreyImages = Callable[[int], NDArray[np.uint8]]
DINO = {"net": "vit_small_patch14_dinov2", "dim": 384, "input": {"size_px": 28}}
MAMBAOUT = {"net": "mambaout_femto", "dim": 288, "pooling": "mean", "input": {"size_px": 32}}
SWIN = "swin_tiny_patch4_window7_224.ms_in1k"
HIERA = {"net": "sam2_hiera_tiny", "dim": 768, "pooling": "mean", "input": {"size_px": 64}}
CONVNEXT = {"net": "convnext_atto", "dim": 320, "pooling": "mean", "input": {"size_px": 32}}


def published(net: str, *, around: float = 0.0, **options: Any) -> torch.nn.Module:
    """Return a network as timm publishes it, classifier and all, with random weights.

    Norms and biases begin as ones and zeros: they are moved away from there. `around` = 1 leaves
    norms near one, so that images still differ in a deep network.
    """
    torch.manual_seed(3)
    model: torch.nn.Module = timm.create_model(net, pretrained=False, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                drawn = torch.randn_like(parameter)
                parameter.copy_(parameter * around + drawn * (0.1 if around else 0.5))
    return model.eval()


def saved(model: torch.nn.Module, folder: Path) -> Path:
    path = folder / "model.safetensors"
    save_file({key: value.clone() for key, value in model.state_dict().items()}, path)
    return path


def images(size: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def run(network: Any, batch: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(network.eval()(batch))


@torch.inference_mode()
def features(model: Any, batch: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(model.forward_features(batch))


def test_dinov2s_published_keys_load_at_another_size(tmp_path: Path, make_card: MakeCard) -> None:
    """Position embeddings of the published 37 × 37 patches are resampled to the card's 2 × 2."""
    model: Any = published(DINO["net"], img_size=518)
    network: Any = build(make_card(**DINO), saved(model, tmp_path))
    small = resample_abs_pos_embed(model.pos_embed.detach(), (2, 2), num_prefix_tokens=1)
    torch.testing.assert_close(
        network.trunk.pos_embed, torch.nn.Parameter(small), check_stride=False
    )
    expected = features(network.trunk, images(28))[:, 0]
    torch.testing.assert_close(run(network, images(28)), expected)
    assert torch.equal(network.trunk.blocks[3].mlp.fc1.weight, model.blocks[3].mlp.fc1.weight)


def test_vit_with_a_classifier_loads_without_it(tmp_path: Path, make_card: MakeCard) -> None:
    model = published("vit_tiny_patch16_224", img_size=32)
    assert "head.weight" in model.state_dict()
    network = build(make_card(), saved(model, tmp_path))
    torch.testing.assert_close(run(network, images(32)), features(model, images(32))[:, 0])


def test_tokens_are_pooled_as_the_card_says() -> None:
    trunk = published("vit_tiny_patch16_224", img_size=32, num_classes=0)
    tokens = features(trunk, images(32))
    first, mean = tokens[:, 0], tokens[:, 1:].mean(dim=1)
    both = torch.cat([first, mean], dim=1)
    expected = {"cls": first, "mean": mean, "cls+mean": both, "native": first}
    for pooling, answer in expected.items():
        torch.testing.assert_close(run(Pooled(trunk, pooling), images(32)), answer)


def test_a_mean_of_tokens_is_normed_where_the_classifier_norms_it() -> None:
    trunk: Any = published("vit_tiny_patch16_224", img_size=32, num_classes=0, global_pool="avg")
    mean = features(trunk, images(32))[:, 1:].mean(dim=1)
    found = run(Pooled(trunk, "mean"), images(32))
    torch.testing.assert_close(found, run(trunk, images(32)))
    assert not torch.allclose(found, mean, atol=0.1)


def test_mambaouts_mean_is_normed(tmp_path: Path, make_card: MakeCard) -> None:
    model: Any = published(MAMBAOUT["net"])
    network = build(make_card(**MAMBAOUT), saved(model, tmp_path))
    mean = features(model, images(32)).mean(dim=(1, 2))
    found = run(network, images(32))
    torch.testing.assert_close(found, run(model.head.norm, mean))
    assert not torch.allclose(found, mean, atol=0.1)


def test_hieras_mean_is_not_normed(tmp_path: Path, make_card: MakeCard) -> None:
    model: Any = published(HIERA["net"])
    network = build(make_card(**HIERA), saved(model, tmp_path))
    maps = features(model, images(64))
    assert maps.shape == (2, 2, 2, 768)
    torch.testing.assert_close(run(network, images(64)), maps.mean(dim=(1, 2)))


def test_maps_with_channels_first_are_pooled_and_normed(
    tmp_path: Path, make_card: MakeCard
) -> None:
    model: Any = published(CONVNEXT["net"])
    network = build(make_card(**CONVNEXT), saved(model, tmp_path))
    expected = run(model.head.norm, features(model, images(32)).mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(run(network, images(32)), expected.flatten(1))


def test_efficientnets_tensors_map_by_position() -> None:
    """The package's tensors, in its order, are the network's, in its order."""
    card = find_encoder("efficientnet-lite0").card
    path = find_weights(card)
    assert path is not None
    network: Any = build(card, path)
    have = network.trunk.state_dict()
    given = list(read_weights(path).values())[: len(have)]
    for (name, tensor), other in zip(have.items(), given, strict=True):
        assert torch.equal(tensor, other), name
    assert len({tensor.shape for tensor in given}) > 40, "few could be swapped unseen"


def test_only_the_package_is_matched_by_position(tmp_path: Path, make_card: MakeCard) -> None:
    model = published("vit_tiny_patch16_224", img_size=32, num_classes=0)
    path = tmp_path / "model.safetensors"
    renamed = {f"x.{i:04d}": v.clone() for i, v in enumerate(model.state_dict().values())}
    save_file(renamed, path)
    with pytest.raises(WeightsUnavailable, match="weights of another network"):
        build(make_card(source=f"file:{path}"), path)


def test_weights_of_another_network_are_refused(tmp_path: Path, make_card: MakeCard) -> None:
    path = saved(published("vit_small_patch16_224", img_size=32), tmp_path)
    with pytest.raises(WeightsUnavailable, match=r"model\.safetensors: weights of another network"):
        build(make_card(), path)


def test_random_weights_come_from_the_seed(make_card: MakeCard) -> None:
    state = torch.random.get_rng_state()
    first, again = build(make_card(), None), build(make_card(), None)
    other = build(make_card(source="random:1"), None)
    torch.testing.assert_close(run(first, images(32)), run(again, images(32)))
    assert not torch.allclose(run(first, images(32)), run(other, images(32)))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's generator is unchanged"


def test_an_architecture_timm_lacks_offers_the_nearest(make_card: MakeCard) -> None:
    with pytest.raises(UnknownName, match='no timm model is called "vit_tiny_patch16_225"; did yo'):
        build(make_card(net="vit_tiny_patch16_225"), None)


def test_a_projection_is_refused(make_card: MakeCard) -> None:
    with pytest.raises(BadCard, match="no projection; pooling is cls, mean"):
        build(make_card(pooling="projection"), None)


@pytest.mark.parametrize("pooling", ["cls", "cls+mean"])
def test_a_class_token_that_is_not_there_is_refused(pooling: str) -> None:
    for net, options in (
        ("mambaout_femto", {}),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg", "img_size": 32}),
    ):
        network = Pooled(timm.create_model(net, num_classes=0, **options), pooling)
        with pytest.raises(
            BadCard, match=rf"pooling {re.escape(pooling)} needs a network with a class token"
        ):
            run(network, images(32))


def test_grey_networks_take_one_channel(make_card: MakeCard) -> None:
    card = make_card(input={"mean": [0.5], "std": [0.5]})
    found = run(build(card, None), images(32)[:, :1])
    assert found.shape == (2, 192)
    assert found.isfinite().all()


def test_sizes_change_the_named_model(make_card: MakeCard) -> None:
    """One channel, and patches of another size than the model's own."""
    seen = {"size_px": 32, "mean": [0.5], "std": [0.5]}
    network: Any = build(make_card(**DINO | {"sizes": {"patch_size": 16}, "input": seen}), None)
    assert network.trunk.patch_embed.proj.weight.shape == (384, 1, 16, 16)
    assert run(network, images(32)[:, :1]).shape == (2, 384)


def test_sizes_that_a_model_does_not_take_are_refused(make_card: MakeCard) -> None:
    with pytest.raises(BadCard, match=r"can't build .* with \[sizes\].*depht"):
        build(make_card(sizes={"depht": 2}), None)


def test_a_published_swin_loads_with_or_without_its_classifier(
    tmp_path: Path, make_card: MakeCard
) -> None:
    """timm's filter of keys would shift the stages of a file without a classifier."""
    facts = {"net": SWIN, "dim": 768, "pooling": "mean", "input": {"size_px": 64}}
    model = published(SWIN, img_size=64)
    whole = build(make_card(**facts), saved(model, tmp_path))
    headless = build(make_card(**facts), saved(whole.trunk, tmp_path))
    expected = features(model, images(64)).mean(dim=(1, 2))
    for network in (whole, headless):
        torch.testing.assert_close(run(network, images(64)), expected)


def test_keys_that_the_card_names_are_not_used(tmp_path: Path, make_card: MakeCard) -> None:
    model = published("vit_tiny_patch16_224", img_size=32)
    path = tmp_path / "model.safetensors"
    save_file(model.state_dict() | {"decoder.weight": torch.ones(2)}, path)
    build(make_card(weights={"unused": ["decoder."]}), path)
    with pytest.raises(WeightsUnavailable, match=r"1 left over \(e\.g\. decoder\.weight\)"):
        build(make_card(), path)


def test_a_size_that_timm_can_not_build_is_refused(make_card: MakeCard) -> None:
    card = make_card(net="twins_svt_small", input={"size_px": 100}, pooling="native")
    with pytest.raises(BadCard, match="timm can't build twins_svt_small for 100 px"):
        build(card, None)


@pytest.mark.parametrize(
    ("net", "pooling", "dim"),
    [
        ("resnet18.a1_in1k", "mean", 512),
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "cls", 192),
        ("vit_small_patch14_reg4_dinov2.lvd142m", "cls", 384),
        ("vit_base_patch16_siglip_224.webli", "native", 768),  # pooled by attention
        ("deit_tiny_distilled_patch16_224.fb_in1k", "native", 192),  # the mean of two tokens
        ("mobilenetv3_small_050.lamb_in1k", "native", 1024),  # a layer between pool and classes
        ("convnext_tiny.dinov3_lvd1689m", "native", 768),  # normed, though without classes
        (SWIN, "mean", 768),
    ],
)
def test_a_card_says_what_timms_own_classifier_would_see(net: str, pooling: str, dim: int) -> None:
    card = describe(net)
    assert (card.pooling, card.dim, card.net) == (pooling, dim, net)
    assert card.source == f"hf-hub:timm/{net}"


def test_a_card_is_filled_in_from_timms_configuration() -> None:
    card = describe("resnet50.a1_in1k")
    assert card.seen.size_px == 224
    assert (card.seen.mean, card.seen.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert card.seen.default_views == ("lung", "mediastinum")
    assert card.weights.licence == "Apache-2.0"
    assert card.weights.licence_url == "https://huggingface.co/timm/resnet50.a1_in1k"
    assert card.weights.file == "model.safetensors"
    assert card.facts.paper == "https://arxiv.org/abs/2110.00476"
    assert card.facts.parameters_m == 23.51, "25.56 with the classifier"
    assert describe("vgg11.tv_in1k").weights.licence == "BSD-3-Clause"
    assert describe("tf_efficientnet_b0.in1k").seen.resample == "bicubic"
    assert describe("tf_mobilenetv3_small_075.in1k").seen.resample == "bilinear"


def test_the_usual_tag_is_written_down() -> None:
    assert describe("resnet18").net == "resnet18.a1_in1k"
    assert describe("ghostnet_050").source == "none", "timm has no weights of it"


def test_a_card_takes_another_size_and_pooling() -> None:
    net = "vit_small_patch14_reg4_dinov2"
    card = describe(net, size_px=224, pooling="cls+mean")
    assert (card.seen.size_px, card.pooling, card.dim) == (224, "cls+mean", 768)
    assert describe(net).seen.size_px == 518
    with pytest.raises(BadRequest, match="pooling cls needs a network with a class token"):
        describe("resnet18", pooling="cls")
    with pytest.raises(BadRequest, match=r"timm can't build twins_svt_small\.in1k for 100 px"):
        describe("twins_svt_small", size_px=100)
    with pytest.raises(BadRequest, match="levit_128s can't take images of 33 px"):
        describe("levit_128s", size_px=33)


@pytest.mark.parametrize("serve", [describe, lambda net: _built(net)], ids=["added", "built"])
def test_a_tag_timm_lacks_offers_the_nearest(serve: Callable[[str], object]) -> None:
    with pytest.raises(UnknownName, match=r'"resnet18\.a1_in"; did you mean resnet18\.a1_in1k'):
        serve("resnet18.a1_in")


def _built(net: str) -> object:
    return build(describe("resnet18").with_random_weights().model_copy(update={"net": net}), None)


QUICK = ["test_vit.r160_in1k", "test_resnet.r160_in1k"]
KINDS = [
    "resnet18.a1_in1k",
    "convnext_atto.d2_in1k",
    "efficientnet_b0.ra_in1k",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "deit_tiny_patch16_224.fb_in1k",
    "mobilenetv3_small_050.lamb_in1k",
    "regnetx_002.pycls_in1k",
    "resmlp_12_224.fb_in1k",
    "maxvit_nano_rw_256.sw_in1k",
    "densenet121.ra_in1k",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "mambaout_femto.in1k",
    "poolformerv2_s12.sail_in1k",
    "beit_base_patch16_224.in22k_ft_in22k_in1k",
]
kinds = pytest.mark.parametrize(
    "net", [*QUICK, *(pytest.param(net, marks=pytest.mark.slow) for net in KINDS)]
)


@kinds
@pytest.mark.parametrize("resized", [True, False], ids=["resized", "of the network's size"])
def test_features_are_those_of_timms_own_way(
    tmp_path: Path, grey_images: GreyImages, net: str, resized: bool
) -> None:
    """timm's documented transform and forward on the same images; crop_pct = 1: slices go whole."""
    model: Any = published(net, around=1.0)
    card = describe(net)
    facts = {"source": "file:model.safetensors"}
    seen = card.seen.model_copy(update={"default_views": ("lung",)})
    saved(model, tmp_path)
    own = card.model_copy(update=facts | {"input": seen})
    found = Registered(name="own", card=own, folder=tmp_path)
    encoder = build_encoder(found, device="cpu", precision="float32")
    config = timm.data.resolve_model_data_config(
        model, pretrained_cfg=timm.get_pretrained_cfg(net).to_dict()
    )
    transform = timm.data.create_transform(**config | {"crop_pct": 1.0})
    grey = grey_images(512 if resized else seen.size_px)
    batch = torch.stack([transform(Image.fromarray(one[0]).convert("RGB")) for one in grey])
    with torch.inference_mode():
        theirs = model.forward_head(model.forward_features(batch), pre_logits=True)
    ours = encoder.forward(encoder.prepare(grey, ("lung",)).flatten(0, 1))
    assert ours.shape == theirs.shape == (2, card.dim)
    assert float(torch.nn.functional.cosine_similarity(ours, theirs).min()) >= 0.9999
    assert float((ours - theirs).norm()) < 0.05 * float((theirs[0] - theirs[1]).norm())
