import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import VitSizes
from clearbench.encoders.nets.vit import sincos_positions

DIM = 32
both_stems = pytest.mark.parametrize("conv_stem", [True, False], ids=["convolutions", "patches"])


def network(size_px: int | tuple[int, int] = 32, *, conv_stem: bool = True) -> nn.Module:
    sizes = VitSizes(embed_dim=DIM, depth=2, num_heads=4, conv_stem=conv_stem)
    return build_net(sizes, size_px, seed=0)


def images(height: int, width: int, count: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=rng)


@both_stems
@pytest.mark.parametrize("side", [(32, 32), (32, 64), (48, 16), (16, 16)], ids=str)
def test_features_are_images_by_dim(side: tuple[int, int], conv_stem: bool) -> None:
    vit = network(side, conv_stem=conv_stem)
    features = vit(images(*side))
    assert features.shape == (3, DIM)
    tokens = side[0] // 16 * (side[1] // 16)
    assert vit.state_dict()["pos_embed"].shape == (1, 1 + tokens, DIM)


def test_a_place_is_sines_and_cosines_of_its_row_then_its_column() -> None:
    places = sincos_positions((3, 5), 16)
    assert places.shape == (15, 16)
    row, column = 2, 4
    waves = [10_000.0 ** -(n / 4) for n in range(4)]
    expected = [
        wave(at * frequency)
        for at in (row, column)
        for wave in (math.sin, math.cos)
        for frequency in waves
    ]
    torch.testing.assert_close(places[row * 5 + column], torch.tensor(expected))
    assert len({tuple(place.tolist()) for place in places}) == 15


def test_places_are_in_the_order_of_the_published_ones(golden: Path) -> None:
    """The golden places are those of MoCo v3 and a little noise; another order is far off."""
    published = load_file(golden / "vit_patch.safetensors")["weights.pos_embed"][0, 1:]
    places = sincos_positions((4, 4), 64)
    assert (published - places).abs().max() < 0.1
    columns_first = places.unflatten(0, (4, 4)).transpose(0, 1).flatten(0, 1)
    assert (published - columns_first).abs().max() > 1


@both_stems
def test_positions_do_not_learn(conv_stem: bool) -> None:
    vit = network((32, 48), conv_stem=conv_stem)
    places = dict(vit.named_parameters())["pos_embed"]
    assert not places.requires_grad
    assert (places[0, 0] == 0).all(), "the class token has no place"
    torch.testing.assert_close(places[0, 1:], sincos_positions((2, 3), DIM))
    vit(images(32, 48)).sum().backward()
    assert places.grad is None


@both_stems
def test_all_else_learns(conv_stem: bool) -> None:
    vit = network(32, conv_stem=conv_stem)
    vit(images(32, 32)).square().sum().backward()
    for name, parameter in vit.named_parameters():
        if name == "pos_embed":
            continue
        assert parameter.grad is not None, name
        values = parameter.grad
        if name.endswith("attn.qkv.bias"):  # a key's bias adds the same to all of a query's scores
            values = torch.cat([values[:DIM], values[2 * DIM :]])
        assert torch.isfinite(values).all(), name
        assert values.abs().max() > 0, name


@both_stems
def test_an_image_is_embedded_alone(conv_stem: bool) -> None:
    vit = network(32, conv_stem=conv_stem).eval()
    with torch.inference_mode():
        whole = vit(images(32, 32))
        alone = torch.cat([vit(image[None]) for image in images(32, 32)])
    torch.testing.assert_close(alone, whole)


@both_stems
def test_features_tell_where_things_are(conv_stem: bool) -> None:
    vit = network(32, conv_stem=conv_stem).eval()
    image = torch.zeros(1, 3, 32, 32)
    image[..., :16, 16:] = 3
    with torch.inference_mode():
        mirrored = vit(image.flip(-1))
        assert not torch.allclose(vit(image), mirrored, atol=1e-4)
        assert not torch.allclose(vit(image.transpose(-1, -2)), vit(image), atol=1e-4)


def test_queries_keys_and_values_start_apart() -> None:
    """MoCo v3: each of the three has the uniform bound of a square matrix of its own."""
    weight = network().state_dict()["blocks.0.attn.qkv.weight"]
    bound = math.sqrt(6 / (DIM + DIM))
    assert weight.shape == (3 * DIM, DIM)
    for part in weight.chunk(3):
        assert 0.95 * bound < part.abs().max() <= bound


def test_the_stem_halves_the_image_four_times() -> None:
    vit = network(64)
    convolutions = [part for part in vit.modules() if isinstance(part, nn.Conv2d)]
    assert [part.stride[0] for part in convolutions] == [2, 2, 2, 2, 1]
    assert [part.out_channels for part in convolutions] == [DIM // 8, DIM // 4, DIM // 2, DIM, DIM]
    assert all(part.bias is None for part in convolutions[:-1])


def test_the_depth_and_the_heads_are_the_sizes() -> None:
    few, many = (
        build_net(VitSizes(embed_dim=DIM, depth=2, num_heads=heads), 32, seed=0).eval()
        for heads in (1, 8)
    )
    many.load_state_dict(few.state_dict())
    assert len({key.split(".")[1] for key in few.state_dict() if key.startswith("blocks.")}) == 2
    with torch.inference_mode():
        assert not torch.allclose(few(images(32, 32)), many(images(32, 32)), atol=1e-4)
