from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from clearbench.cards import write_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.conformance.checked_encoder import example_slices
from clearbench.encoders.conformance.findings import Conformance
from clearbench.encoders.conformance.suite import CHECKS, check_encoder
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.encoders.weights.load import file_sha256
from clearbench.errors import UnknownName, WeightsUnavailable

MakeCard = Callable[..., EncoderCard]
CheckNetwork = Callable[..., Conformance]
SIZES = {"depths": [1, 2], "dims": [8, 12]}


@pytest.fixture
def mine(tmp_path: Path, make_card: MakeCard) -> Callable[..., Path]:
    """Write a small card `mine` and its weights; returns their folder."""
    network = build_net(check_sizes("gated-cnn", SIZES, "test"), 32, seed=5)
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, tmp_path / "mine.safetensors")

    def write(**facts: Any) -> Path:
        plain = {"family": "lecl", "net": "gated-cnn", "sizes": SIZES, "dim": 12}
        more = {"pooling": "mean", "source": "file:mine.safetensors"}
        write_card(make_card(**plain | more | facts), tmp_path / "mine.toml")
        return tmp_path

    return write


def check(folder: Path, *only: str, **options: Any) -> Conformance:
    return check_encoder("mine", registry=[folder], device="cpu", only=only, **options)


def test_example_slices_differ_and_are_always_the_same() -> None:
    slices = example_slices(3, 50)
    assert (slices.shape, slices.dtype) == ((3, 50, 50), np.int16)
    assert len({one.tobytes() for one in slices}) == 3
    np.testing.assert_array_equal(slices, example_slices(3, 50))
    assert slices.min() < -1000
    assert slices.max() > 400


def test_a_card_with_weights_is_checked_whole(mine: Callable[..., Path]) -> None:
    folder = mine(facts={"parameters_m": 0.01})
    found = check(folder)
    assert found.passed
    assert [one.check for one in found.findings] == [one.name for one in CHECKS]
    assert found.weights_sha256 == file_sha256(folder / "mine.safetensors")
    assert found.card_sha256 == file_sha256(folder / "mine.toml")
    assert (found.precision, found.views) == ("float32", ("lung", "mediastinum"))
    assert found.versions["torch"] == version("torch")


@pytest.mark.parametrize(("hashed", "status"), [(True, "pass"), (False, "warn")])
def test_weights_are_compared_with_the_cards_sha256(
    mine: Callable[..., Path], hashed: bool, status: str
) -> None:
    sha256 = file_sha256(mine() / "mine.safetensors")
    [finding] = check(mine(weights={"sha256": sha256} if hashed else {}), "weights").findings
    assert finding.status == status
    assert (f'the card has no hash: add sha256 = "{sha256}"' in finding.sentence) != hashed


def test_another_sha256_is_refused_and_an_own_file_is_a_warning(
    mine: Callable[..., Path],
) -> None:
    folder = mine(weights={"sha256": "ab" * 32})
    with pytest.raises(WeightsUnavailable, match="is not the card's abababababab"):
        check(folder)
    [finding] = check(folder, "weights", weights=folder / "mine.safetensors").findings
    assert finding.status == "warn"
    assert "of your file is not the card's abababababab" in finding.sentence


def test_weights_that_cannot_be_had_offer_random_ones(mine: Callable[..., Path]) -> None:
    folder = mine(source="file:nowhere.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"no such file.*; or use random_weights"):
        check(folder)
    found = check(folder, random_weights=True)
    assert (found.passed, found.random_weights) == (True, True)
    assert check(folder, "features", random_weights=True).fingerprint == found.fingerprint


def test_weights_of_another_network_are_refused_without_that_offer(
    mine: Callable[..., Path],
) -> None:
    folder = mine(sizes={"depths": [1, 1], "dims": [8, 12]})
    with pytest.raises(WeightsUnavailable, match=r"weights of another network: keys \d+ left") as e:
        check(folder)
    assert "random_weights" not in str(e.value)


def test_random_weights_of_a_card_that_has_such_are_its_own(mine: Callable[..., Path]) -> None:
    folder = mine(source="random:7")
    own, asked = check(folder, "features"), check(folder, "features", random_weights=True)
    assert own.fingerprint == asked.fingerprint
    assert not asked.random_weights


def test_an_unknown_check_offers_the_nearest(mine: Callable[..., Path]) -> None:
    with pytest.raises(UnknownName, match='no check is called "ordr"; did you mean order'):
        check(mine(), "ordr")


def test_neighbours_as_channels_are_not_checked_slice_by_slice(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    found = check_network(honest, {"slicing": {"context": 1}}, only=("alone", "order", "padding"))
    assert {one.status for one in found.findings} == {"skip"}
    assert "neighbours of a slice as channels" in found.findings[0].sentence


VOLUME = str(Path(__file__).parents[2] / "cards" / "tiny-volume.toml")


def test_a_volume_encoder_keeps_every_promise_but_those_of_single_slices() -> None:
    found = {one.check: one for one in check_encoder(VOLUME, device="cpu").findings}
    assert {name for name, one in found.items() if one.status == "fail"} == set()
    skipped = {
        name for name, one in found.items() if one.sentence == "it embeds whole scans, one by one"
    }
    assert skipped == {"alone", "order", "padding", "input size"}
    assert found["features"].sentence.startswith("1 × 1 × 16")
    assert found["bfloat16"].measured is not None
    assert found["bfloat16"].measured > 0.99
    assert {"repeat", "fresh load", "window shift"} <= {
        name for name, one in found.items() if one.status == "pass"
    }


def test_a_volume_encoder_with_noise_in_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from clearbench.encoders.families import monai

    whole = monai.LastMap.forward
    monkeypatch.setattr(monai.LastMap, "forward", lambda self, x: whole(self, x) + torch.rand(1))
    found = check_encoder(VOLUME, device="cpu", only=("repeat", "fresh load"))
    assert [one.status for one in found.findings] == ["fail", "fail"]
