import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clearbench.cards import write_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import Encoder, build_encoder, load_encoder
from clearbench.encoders.families.lecl import build
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.errors import BadCard, WeightsUnavailable

MakeCard = Callable[..., EncoderCard]

FACTS: dict[str, dict[str, Any]] = {
    "vit": {
        "sizes": {"embed_dim": 16, "depth": 1, "num_heads": 2},
        "dim": 16,
        "pooling": "cls",
    },
    "vssm": {
        "sizes": {"depths": [1, 2], "dims": [8, 12], "ssm_d_state": 3},
        "dim": 12,
        "pooling": "mean",
    },
    "gated-cnn": {"sizes": {"depths": [1, 2], "dims": [8, 12]}, "dim": 12, "pooling": "mean"},
}
GOLDEN = {"vit_conv": "vit", "vit_patch": "vit", "vssm": "vssm", "mambaout": "gated-cnn"}
each_net = pytest.mark.parametrize("net", FACTS)


@pytest.fixture
def lecl(make_card: MakeCard) -> MakeCard:
    """Make a small LeCL card."""

    def make(net: str, /, **facts: Any) -> EncoderCard:
        return make_card(**{"family": "lecl", "net": net, **FACTS[net], **facts})

    return make


def ready(card: EncoderCard, folder: Path | None = None, **options: Any) -> Encoder:
    found = Registered(name="mine", card=card, folder=folder)
    return build_encoder(found, device="cpu", precision="float32", **options)


def images(size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def saved(card: EncoderCard, path: Path, seed: int = 5) -> torch.nn.Module:
    """Write the weights of a random network of the card's sizes; returns the network."""
    sizes = check_sizes(card.net, card.sizes, "test")
    network = build_net(sizes, card.input.size_px, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return network.eval()


@torch.inference_mode()
def run(network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(network(batch))


@each_net
def test_a_seed_on_the_card_gives_the_same_encoder_each_time(lecl: MakeCard, net: str) -> None:
    state = torch.random.get_rng_state()
    first, again = (ready(lecl(net, source="random:3")) for _ in range(2))
    other = ready(lecl(net, source="random:4"))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's generator is unchanged"
    assert torch.equal(first.forward(images()), again.forward(images()))
    assert not torch.allclose(first.forward(images()), other.forward(images()), atol=1e-3)
    assert first.fingerprint == again.fingerprint != other.fingerprint


@each_net
def test_slices_become_features_of_the_cards_dim(lecl: MakeCard, net: str) -> None:
    encoder = ready(lecl(net))
    slices = np.random.default_rng(0).integers(-1000, 400, (3, 20, 20)).astype(np.int16)
    features = encoder.embed(slices)
    assert features.shape == (3, 2, FACTS[net]["dim"])
    assert np.isfinite(features).all()
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())


@pytest.mark.parametrize(
    ("net", "size"),
    [*((net, "mini") for net in FACTS), ("vit", "base"), ("vssm", "tiny"), ("gated-cnn", "tiny")],
)
def test_a_card_without_weights_says_how_to_get_some(net: str, size: str) -> None:
    words = rf"no public weights; give a file of .*: clearbench pretrain --net {net} …"
    with pytest.raises(WeightsUnavailable, match=words):
        load_encoder(f"lecl-{net}-{size}", device="cpu")


@each_net
def test_own_weights_serve_a_card_without_any(tmp_path: Path, net: str) -> None:
    card = find_encoder(f"lecl-{net}-mini").card
    network = saved(card, tmp_path / "own.safetensors")
    encoder = load_encoder(
        f"lecl-{net}-mini", device="cpu", precision="float32", weights=tmp_path / "own.safetensors"
    )
    torch.testing.assert_close(encoder.forward(images(96)).clone(), run(network, images(96)))


@each_net
def test_weights_lie_beside_their_card(
    tmp_path: Path, lecl: MakeCard, net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Card and weights can be moved together; the current folder doesn't matter."""
    folder = tmp_path / "registry"
    card = lecl(net, source="file:mine.safetensors")
    network = saved(card, folder / "mine.safetensors")
    write_card(card, folder / "mine.toml")
    moved = folder.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    by_path = load_encoder(str(moved / "mine.toml"), device="cpu", precision="float32")
    by_name = load_encoder("mine", device="cpu", precision="float32", registry=[moved])
    relative = load_encoder("elsewhere/mine.toml", device="cpu", precision="float32")
    expected = run(network, images())
    for encoder in (by_path, by_name, relative):
        torch.testing.assert_close(encoder.forward(images()).clone(), expected)
    assert by_path.fingerprint == by_name.fingerprint == relative.fingerprint
    digest = hashlib.sha256((moved / "mine.safetensors").read_bytes()).hexdigest()
    assert by_path.weights_sha256 == digest


def test_weights_beside_a_card_must_be_there(tmp_path: Path, lecl: MakeCard) -> None:
    write_card(lecl("vssm", source="file:mine.safetensors"), tmp_path / "cards" / "mine.toml")
    with pytest.raises(WeightsUnavailable, match=r"cards/mine\.safetensors: no such file"):
        load_encoder(str(tmp_path / "cards" / "mine.toml"), device="cpu")


def test_weights_beside_a_card_are_those_of_its_hash(tmp_path: Path, lecl: MakeCard) -> None:
    path = tmp_path / "mine.safetensors"
    card = lecl("vssm", source="file:mine.safetensors")
    saved(card, path)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    good = lecl("vssm", source=card.source, weights={"sha256": right})
    assert ready(good, tmp_path).weights_sha256 == right
    saved(card, path, seed=6)
    with pytest.raises(WeightsUnavailable, match=rf"is not the card's {right[:12]}…"):
        ready(good, tmp_path)


@pytest.mark.parametrize(("name", "net"), GOLDEN.items())
def test_published_weights_give_the_published_features(
    golden: Path, tmp_path: Path, make_card: MakeCard, name: str, net: str
) -> None:
    path = golden / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        facts = {key: ast.literal_eval(value) for key, value in file.metadata().items()}
    tensors = load_file(path)
    prefix = "weights."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    save_file(weights, tmp_path / "published.safetensors")
    facts.pop("img_size", None)
    card = make_card(
        family="lecl",
        net=net,
        source="file:published.safetensors",
        sizes=facts,
        dim=tensors["features"].shape[1],
        pooling="cls" if net == "vit" else "mean",
        input={"size_px": 64},
    )
    found = ready(card, tmp_path).forward(tensors["input"])
    torch.testing.assert_close(found.clone(), tensors["features"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("net", "other"), [("vit", "vssm"), ("vssm", "gated-cnn")])
def test_weights_of_another_network_are_refused(
    tmp_path: Path, lecl: MakeCard, net: str, other: str
) -> None:
    saved(lecl(other), tmp_path / "other.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"other\.safetensors: weights of another network"):
        build(lecl(net), tmp_path / "other.safetensors")


def test_weights_of_another_size_are_refused(tmp_path: Path, lecl: MakeCard) -> None:
    saved(lecl("vit", input={"size_px": 48}), tmp_path / "w.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"1 of another shape \(e\.g\. pos_embed\)"):
        build(lecl("vit"), tmp_path / "w.safetensors")


def test_sizes_that_the_weights_do_not_tell_are_in_the_fingerprint(
    tmp_path: Path, lecl: MakeCard
) -> None:
    """The heads of a ViT change its features, and none of its tensors."""
    saved(lecl("vit"), tmp_path / "w.safetensors")
    facts = FACTS["vit"]["sizes"]
    few, many = (
        ready(
            lecl("vit", source="file:w.safetensors", sizes=facts | {"num_heads": heads}), tmp_path
        )
        for heads in (1, 4)
    )
    assert few.weights_sha256 == many.weights_sha256
    assert not torch.allclose(few.forward(images()), many.forward(images()), atol=1e-4)
    assert few.fingerprint != many.fingerprint


@pytest.mark.parametrize(
    ("net", "change", "fault"),
    [
        ("vit", {"dim": 17}, "dim is 17, but the sizes give 16"),
        ("vssm", {"dim": 8}, "dim is 8, but the sizes give 12"),
        ("vit", {"pooling": "mean"}, 'pooling of this network is "cls"'),
        ("gated-cnn", {"pooling": "cls"}, 'pooling of this network is "mean"'),
        ("vssm", {"sizes": {}}, "sizes: depths is missing; dims is missing"),
        ("vssm", {"net": "vit"}, "sizes: embed_dim is missing"),
        ("vssm", {"net": "vsm"}, 'no LeCL network is called "vsm"; did you mean vssm'),
        ("vssm", {"net": ""}, 'no LeCL network is called ""'),
    ],
)
def test_a_card_whose_sizes_contradict_it_is_refused(
    lecl: MakeCard, net: str, change: dict[str, Any], fault: str
) -> None:
    with pytest.raises(BadCard, match=fault):
        lecl(net, **change)
