import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import find_encoder, find_weights
from clearbench.encoders.families.timm import Pooled, build
from clearbench.encoders.weights import read_weights
from clearbench.errors import BadCard, UnknownName, WeightsUnavailable

# isort: split
import timm
from timm.layers import resample_abs_pos_embed

MakeCard = Callable[..., EncoderCard]
DINO = {"net": "vit_small_patch14_dinov2", "dim": 384, "input": {"size_px": 28}}
MAMBAOUT = {"net": "mambaout_femto", "dim": 288, "pooling": "mean", "input": {"size_px": 32}}
HIERA = {"net": "sam2_hiera_tiny", "dim": 768, "pooling": "mean", "input": {"size_px": 64}}
CONVNEXT = {"net": "convnext_atto", "dim": 320, "pooling": "mean", "input": {"size_px": 32}}


def published(net: str, **options: Any) -> torch.nn.Module:
    """Return a network as timm publishes it, classifier and all, with random weights."""
    torch.manual_seed(3)
    model: torch.nn.Module = timm.create_model(net, pretrained=False, **options)
    for parameter in model.parameters():  # norms and biases begin as ones and zeros
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, std=0.5)
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
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's chance is untouched"


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
        with pytest.raises(BadCard, match=rf"can't be pooled by {re.escape(pooling)}"):
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
    with pytest.raises(BadCard, match=r"can't be built of \[sizes\].*depht"):
        build(make_card(sizes={"depht": 2}), None)
