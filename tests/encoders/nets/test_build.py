from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from clearbench.encoders.nets.build import build_net, our_keys
from clearbench.encoders.nets.gated_cnn import GatedCnn
from clearbench.encoders.nets.sizes import Sizes, check_sizes, features_dim
from clearbench.encoders.nets.vssm import Vssm
from clearbench.encoders.registry import find_encoder

FACTS: dict[str, dict[str, Any]] = {
    "vit": {"embed_dim": 16, "depth": 1, "num_heads": 2},
    "vssm": {"depths": [1, 2], "dims": [8, 12], "ssm_d_state": 3},
    "gated-cnn": {"depths": [1, 2], "dims": [8, 12]},
}
GOLDEN = {
    "vit_conv": {"embed_dim": 64, "depth": 2, "num_heads": 4, "conv_stem": True},
    "vit_patch": {"embed_dim": 64, "depth": 2, "num_heads": 4, "conv_stem": False},
    "vssm": {"depths": [1, 1, 2, 1], "dims": [16, 32, 64, 128], "ssm_d_state": 16},
    "mambaout": {"depths": [1, 1, 2, 1], "dims": [16, 32, 64, 96]},
}
each_net = pytest.mark.parametrize("net", FACTS)


def sizes_of(net: str) -> Sizes:
    return check_sizes(net, FACTS[net], net)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in first.state_dict().items())


@each_net
def test_a_seed_gives_the_same_network_each_time(net: str) -> None:
    first, again, other = (build_net(sizes_of(net), 32, seed=seed) for seed in (7, 7, 8))
    assert same(first, again)
    assert not same(first, other)


@each_net
def test_a_seed_leaves_torchs_own_chance_as_it_was(net: str) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    build_net(sizes_of(net), 32, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)


@each_net
def test_without_a_seed_the_callers_chance_decides(net: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        first, second = build_net(sizes_of(net), 32), build_net(sizes_of(net), 32)
        torch.manual_seed(7)
        again = build_net(sizes_of(net), 32)
    assert same(first, build_net(sizes_of(net), 32, seed=7))
    assert same(first, again)
    assert not same(first, second)


@each_net
def test_the_dim_of_the_sizes_is_that_of_the_features(net: str) -> None:
    sizes = sizes_of(net)
    features = build_net(sizes, 32, seed=0)(torch.ones(2, 3, 32, 32))
    assert features.shape == (2, features_dim(sizes))
    assert features.dtype == torch.float32


@each_net
def test_a_cards_network_has_the_cards_parameters(net: str) -> None:
    card = find_encoder(f"lecl-{net}-mini").card
    network = build_net(check_sizes(net, card.sizes, net), card.input.size_px, seed=0)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert card.facts.parameters_m == pytest.approx(count / 1e6, abs=0.005)


@pytest.mark.parametrize("net", ["vssm", "gated-cnn"])
def test_the_image_size_is_nothing_to_networks_that_take_any(net: str) -> None:
    assert same(build_net(sizes_of(net), 32, seed=0), build_net(sizes_of(net), (64, 96), seed=0))
    assert isinstance(build_net(sizes_of(net)), Vssm if net == "vssm" else GatedCnn)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_published_key_has_its_place(golden: Path, name: str) -> None:
    net = {"vssm": "vssm", "mambaout": "gated-cnn"}.get(name, "vit")
    with safe_open(golden / f"{name}.safetensors", "pt") as file:
        published = {
            key.removeprefix("weights."): file.get_slice(key).get_shape()
            for key in file.keys()  # noqa: SIM118  not a dict
            if key.startswith("weights.")
        }
    sizes = check_sizes(net, GOLDEN[name], name)
    ours = {key: list(value.shape) for key, value in build_net(sizes, 64).state_dict().items()}
    found = our_keys(published, sizes)
    assert len(found) == len(published), "no two become one"
    assert found == ours


@each_net
def test_our_own_keys_pass_through(net: str) -> None:
    state = build_net(sizes_of(net), 32, seed=0).state_dict()
    assert list(our_keys(state, sizes_of(net))) == list(state)


def test_an_unheard_of_key_keeps_its_name() -> None:
    assert our_keys({"decoder.norm.weight": 1}, sizes_of("vssm")) == {"decoder.norm.weight": 1}
    assert our_keys({"layers.weight": 1}, sizes_of("vssm")) == {"layers.weight": 1}
