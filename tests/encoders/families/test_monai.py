from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import build_encoder
from clearbench.encoders.registry import Registered
from clearbench.errors import BadCard, UnknownName, WeightsUnavailable

pytest.importorskip("monai", reason="needs the extra `volume`")

from monai.networks.nets.segresnet_ds import SegResEncoder

from clearbench.encoders.families.monai import build

SMALL = {"spatial_dims": 3, "init_filters": 4, "in_channels": 1, "blocks_down": [1, 1, 1]}


@pytest.fixture
def volume_card() -> Callable[..., EncoderCard]:
    """Make a card of a small network like CT-FM's."""

    def make(**facts: Any) -> EncoderCard:
        plain = {
            "title": "Small",
            "family": "monai",
            "net": "SegResEncoder",
            "source": "random:0",
            "scope": "volume",
            "dim": 16,
            "pooling": "mean",
            "sizes": SMALL,
            "weights": {"licence": "MIT"},
            "volume": {"clip_hu": [-1024.0, 2048.0]},
        }
        return check_card(plain | facts, EncoderCard, "card")

    return make


MakeCard = Callable[..., EncoderCard]


def test_features_are_the_mean_of_the_last_map(tmp_path: Path, volume_card: MakeCard) -> None:
    torch.manual_seed(5)
    network = SegResEncoder(**SMALL).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    card = volume_card(source=f"file:{tmp_path}")
    encoder = build_encoder(Registered(name="v", card=card), device="cpu", precision="float32")
    hu = np.random.default_rng(0).integers(-1024, 2048, (8, 16, 16)).astype(np.float32)
    found = encoder.embed(hu, (3.0, 1.0, 1.0))
    with torch.inference_mode():
        maps = network(torch.from_numpy((hu + 1024) / 3072)[None, None])
    np.testing.assert_allclose(found[0, 0], maps[-1].mean(dim=(2, 3, 4))[0], rtol=1e-4, atol=1e-6)


def test_random_weights_are_those_of_the_seed(volume_card: MakeCard) -> None:
    states = [build(volume_card(source=f"random:{n}"), None).state_dict() for n in (1, 1, 2)]
    key = "trunk.conv_init.weight"
    assert torch.equal(states[0][key], states[1][key])
    assert not torch.equal(states[0][key], states[2][key])


def test_a_network_that_answers_vectors_has_pooling_native(volume_card: MakeCard) -> None:
    sizes = {"spatial_dims": 3, "n_input_channels": 1, "feed_forward": False}
    facts = {"net": "resnet10", "sizes": sizes, "dim": 512}
    network = build(volume_card(pooling="native", **facts), None).eval()
    volumes = torch.randn(1, 1, 16, 16, 16)
    assert network(volumes).shape == (1, 512)
    wrong = build(volume_card(pooling="mean", **facts), None).eval()
    with pytest.raises(BadCard, match='"native" for vectors'):
        wrong(volumes)


@pytest.mark.parametrize(
    ("facts", "error", "fault"),
    [
        ({"net": "SegResEncodr"}, UnknownName, "did you mean SegResEncoder"),
        ({"sizes": SMALL | {"filters": 2}}, BadCard, r"can't build .* with \[sizes\].*filters"),
        ({"pooling": "cls"}, BadCard, "mean or native"),
    ],
)
def test_a_card_that_makes_no_network_is_refused(
    volume_card: MakeCard, facts: dict[str, Any], error: type[Exception], fault: str
) -> None:
    with pytest.raises(error, match=fault):
        build(volume_card(**facts), None)


def test_unused_keys_are_those_that_the_card_lists(tmp_path: Path, volume_card: MakeCard) -> None:
    state = SegResEncoder(**SMALL).state_dict() | {"head.weight": torch.ones(2)}
    file = tmp_path / "model.safetensors"
    save_file(state, file)
    build(volume_card(weights={"licence": "MIT", "unused": ["head."]}), file)
    with pytest.raises(WeightsUnavailable, match=r"1 left over \(e.g. head.weight\)"):
        build(volume_card(), file)
