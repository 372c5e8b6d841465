"""What a pretraining leaves behind: an encoder that loads, and no name of a patient."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from clearbench.cards import read_card
from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set
from clearbench.encoders.card import EncoderCard, Training
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.errors import WeightsUnavailable
from clearbench.pretraining.outcome import (
    patient_hash,
    training_facts,
    write_encoder,
    write_log,
)
from clearbench.pretraining.settings import EpochFacts, PretrainSettings

CARD = Path(__file__).resolve().parents[1] / "cards" / "lecl-tiny.toml"
PATIENTS = ("MRN-1", "MRN-2", "MRN-10")
SETTINGS = PretrainSettings(epochs=2, batch_size=8)
EPOCH = EpochFacts(
    epoch=1,
    loss=5.5,
    lr=1e-4,
    momentum=0.99,
    slices_per_s=80.0,
    seconds=12.34,
    knn=0.4,
    chance=0.25,
    spread=0.8,
)
HISTORY = (EPOCH, replace(EPOCH, epoch=2, loss=4.5, knn=0.5, seconds=10.0))


@pytest.fixture
def card() -> EncoderCard:
    return read_card(CARD, EncoderCard)


@pytest.fixture
def network(card: EncoderCard) -> nn.Module:
    """A network that is none of the card's own."""
    return build_net(check_sizes(card.net, card.sizes, ""), card.input.size_px, seed=7)


@pytest.fixture
def slices(tmp_path: Path) -> SliceSet:
    """Nine slices of three patients, two of them with a lesion."""
    rows = [
        SliceRow(PATIENTS[i % 3], f"{i}.png", boxes=((0.0, 0.0, 2.0, 2.0),) if i < 2 else ())
        for i in range(9)
    ]
    return slice_set("chests", tmp_path, rows)


@pytest.fixture
def training(slices: SliceSet) -> Training:
    return training_facts(slices, SETTINGS, HISTORY, "mine")


@pytest.fixture
def written(
    network: nn.Module, card: EncoderCard, training: Training, tmp_path: Path
) -> tuple[Path, Path]:
    """Paths of a new card and its weights."""
    return write_encoder(network, card, training, PATIENTS, tmp_path / "registry" / "mine")


def test_the_log_tells_settings_and_epochs(tmp_path: Path) -> None:
    write_log(tmp_path, HISTORY[:1], SETTINGS)
    write_log(tmp_path, HISTORY, SETTINGS)
    log = json.loads((tmp_path / "log.json").read_text())
    assert [EpochFacts(**epoch) for epoch in log["epochs"]] == list(HISTORY)
    assert PretrainSettings(**log["settings"]) == SETTINGS


def test_the_curve_is_a_whole_picture_and_grows_with_the_epochs(tmp_path: Path) -> None:
    pictures = []
    for history in (HISTORY[:1], HISTORY):
        write_log(tmp_path, history, SETTINGS)
        with Image.open(tmp_path / "loss.png") as image:
            pictures.append(np.asarray(image.convert("L")))
    assert pictures[0].std() > 1
    assert not np.array_equal(*pictures)
    assert {path.name for path in tmp_path.iterdir()} == {"log.json", "loss.png"}


def test_epochs_without_a_probe_are_drawn_too(tmp_path: Path) -> None:
    unasked = [replace(epoch, knn=None, chance=None) for epoch in HISTORY]
    write_log(tmp_path, unasked, SETTINGS)
    with Image.open(tmp_path / "loss.png") as image:
        image.verify()
    assert json.loads((tmp_path / "log.json").read_text())["epochs"][0]["knn"] is None


def test_a_patient_is_known_again_by_a_hash_that_never_changes() -> None:
    """Encoders of earlier years hold these hashes; a leak is found by comparing them."""
    assert patient_hash("MRN-1") == "cc25384c58afe2ce"
    assert len({patient_hash(patient) for patient in PATIENTS}) == 3


@pytest.mark.parametrize("patient", ["1", "MRN-1", "000001", "Jürgen"])
def test_a_hash_is_16_hex_digits_that_don_t_show_the_id(patient: str) -> None:
    digits = patient_hash(patient)
    assert len(digits) == 16
    assert set(digits) <= set("0123456789abcdef")
    assert len(patient) == 1 or patient not in digits


def test_a_new_card_loads_as_an_encoder_with_the_network_s_features(
    written: tuple[Path, Path], network: nn.Module
) -> None:
    encoder = load_encoder(str(written[0]), device="cpu", precision="float32")
    hu = np.random.default_rng(0).integers(-1000, 400, (3, 40, 40)).astype(np.int16)
    images = encoder.prepare(hu, ())
    with torch.inference_mode():
        expected = network.eval()(images.flatten(0, 1)).reshape(3, 2, 16)
    np.testing.assert_allclose(encoder.embed(hu), expected.numpy(), atol=1e-5)
    untrained = load_encoder(str(CARD), device="cpu", precision="float32")
    assert np.abs(untrained.embed(hu) - encoder.embed(hu)).max() > 1e-3
    assert encoder.fingerprint != untrained.fingerprint


def test_a_new_card_is_found_by_its_name(written: tuple[Path, Path]) -> None:
    encoder = load_encoder("mine", device="cpu", registry=[written[0].parent])
    assert encoder.name == "mine"
    assert encoder.card.title.endswith(", pretrained as mine")


def test_weights_are_the_network_s_and_the_card_knows_them(
    written: tuple[Path, Path], network: nn.Module
) -> None:
    state = load_file(written[1])
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    with written[1].open("ab") as file:
        file.write(b"\0")
    with pytest.raises(WeightsUnavailable, match=r"mine.safetensors: sha256 .* is not the card's"):
        load_encoder(str(written[0]), device="cpu")


def test_a_card_says_how_its_weights_were_made(
    written: tuple[Path, Path], card: EncoderCard
) -> None:
    new = read_card(written[0], EncoderCard)
    made = new.training
    assert made is not None
    assert made.method == "LeCL (MoCo v3 with the lesion-enhanced loss)"
    assert (made.data, made.patients, made.slices, made.lesion_slices) == ("chests", 3, 9, 2)
    assert (made.epochs, made.seconds) == (2, 22.3)
    assert PretrainSettings(**made.settings) == SETTINGS
    assert new.facts.pretraining == ("chests",)
    assert new.weights.licence == "your own"
    assert (new.input, new.sizes, new.net, new.dim) == (card.input, card.sizes, card.net, card.dim)


def test_without_a_lesion_weight_it_was_moco(slices: SliceSet) -> None:
    plain = replace(SETTINGS, lesion_weight=0.0)
    assert training_facts(slices, plain, HISTORY, "mine").method == "MoCo v3"


def test_patients_are_listed_as_hashes_and_named_nowhere(written: tuple[Path, Path]) -> None:
    folder = written[0].parent
    made = read_card(written[0], EncoderCard).training
    assert made is not None
    listed = (folder / made.patients_file).read_text().split()
    assert listed == sorted(patient_hash(patient) for patient in PATIENTS)
    names = {"mine.toml", "mine.safetensors", "mine.patients.txt"}
    assert {path.name for path in folder.iterdir()} == names
    for name in names:
        assert b"MRN" not in (folder / name).read_bytes()


def test_writing_again_replaces_the_encoder(
    written: tuple[Path, Path], card: EncoderCard, training: Training
) -> None:
    other = build_net(check_sizes(card.net, card.sizes, ""), card.input.size_px, seed=8)
    before = load_encoder(str(written[0]), device="cpu")
    write_encoder(other, card, training, PATIENTS[:1], written[0].with_suffix(""))
    after = load_encoder(str(written[0]), device="cpu")
    assert after.weights_sha256 != before.weights_sha256
    assert len((written[0].parent / "mine.patients.txt").read_text().split()) == 1
