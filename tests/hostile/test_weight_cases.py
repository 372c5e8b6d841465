"""Each malformed file of weights ends in its own sentence, and runs no code."""

from pathlib import Path

import pytest

from clearbench.cards import read_card
from clearbench.encoders.adding.checkpoint import convert_checkpoint
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.families.lecl import build
from clearbench.encoders.weights.load import find_weights
from hostile.cases import Case
from hostile.limits import by_kind, said_by, try_each, usual_part
from hostile.weight_cases import CARD, NAMES, more_damage, weight_cases


@pytest.mark.filterwarnings("ignore")  # torch warns of quantised tensors
@pytest.mark.parametrize("kind", NAMES)
def test_malformed_weights_are_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CARD)
    try_each(usual_part(by_kind(weight_cases())[kind]), tmp_path / "cases", check)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", NAMES)
def test_no_damage_of_weights_is_another_error(kind: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CARD)
    try_each(more_damage(kind, range(10, 400)), tmp_path / "cases", check)


def check(case: Case, folder: Path) -> None:
    card = read_card(folder.parents[1] / "small.toml", EncoderCard)
    path = next(iter(folder.iterdir()))
    used = said_by(lambda: build(card, find_weights(card, path)))
    target = folder / "registry"
    added = said_by(lambda: convert_checkpoint("new", path, "vit", target, num_heads=1))
    if case.refused is not None:
        assert bool(used) == case.refused, used or "read"
    if added:
        assert not target.exists()
    assert not (folder / "ran").exists()


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_with_weights_of_integer_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CARD)
    case = next(case for case in weight_cases() if case.name == "pth/integer keys")
    case.write(tmp_path)
    said = said_by(
        lambda: load_encoder("small", weights=tmp_path / NAMES["pth"], registry=[tmp_path])
    )
    assert "weights of another network" in said
