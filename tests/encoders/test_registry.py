import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clearbench.encoders.registry as registry
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import (
    encoder_files,
    encoder_names,
    find_encoder,
    register_encoder,
)
from clearbench.errors import BadCard, UnknownName

CARD = """
title   = "Small"
family  = "timm"
source  = "random:0"
net     = "vit_tiny_patch16_224"
dim     = 192
pooling = "cls"

[weights]
licence = "MIT"

[input]
size_px       = 32
views         = "free"
default_views = ["lung"]
mean          = [0.5]
std           = [0.5]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(CARD)
    return tmp_path


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget encoders registered meanwhile."""
    monkeypatch.setattr(registry, "_registered", {})
    return


def test_a_card_is_found_by_name_and_by_path(folder: Path) -> None:
    by_name = find_encoder("small", [folder])
    by_path = find_encoder(str(folder / "small.toml"))
    assert by_name == by_path
    assert (by_name.name, by_name.card.dim, by_name.build) == ("small", 192, None)
    assert "small" in encoder_names([folder])
    assert encoder_files([folder])["small"].path == (folder / "small.toml").resolve()


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(
        UnknownName, match=r'"biomedclp"; did you mean biomedclip or pubmedclip\? \(`clear'
    ):
        find_encoder("biomedclp")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("pooling =", "poolin =", r"unknown key poolin; did you mean pooling\?"),
        ("size_px  ", "size_pix ", r"unknown key input\.size_pix; did you mean size_px\?"),
        ("licence =", "license =", r"unknown key weights\.license; did you mean licence"),
        ("licence =", "license =", r"weights\.licence is missing"),
        ("dim     = 192\n", "", "dim is missing"),
        ("dim     = 192", "dim = 0", "dim: "),
        ('pooling = "cls"', 'pooling = "max"', "pooling: "),
        ('views         = "free"', 'views = "any"', r"input\.views"),
        ('default_views = ["lung"]\n', "", "free views need default_views"),
        ('views         = "free"', "views = { lung = [-1350, 150] }", "belong to cards with free"),
        (
            'views         = "free"\ndefault_views = ["lung"]',
            "views = { lung = [150, -1350] }",
            "lower HU bound first",
        ),
        ("std           = [0.5]", "std = [0.5, 0.5]", "one value per channel"),
        ("std           = [0.5]", "std = [0.0]", "std above 0"),
        ('licence = "MIT"', 'licence = "MIT"\nsha256 = "abc"', r"weights\.sha256: "),
        ("[weights]", "[weights", "not a TOML file"),
    ],
)
def test_a_faulty_card_is_refused_by_name_and_key(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    assert old in CARD
    path = tmp_path / "card.toml"
    path.write_text(CARD.replace(old, new))
    with pytest.raises(BadCard, match=rf"card\.toml: .*{fault}"):
        find_encoder(str(path))


@pytest.mark.usefixtures("clean")
def test_an_encoder_is_registered_at_run_time() -> None:
    def build(*_: Any) -> Any:
        raise NotImplementedError

    assert register_encoder(tomllib.loads(CARD), build) == "small"
    assert register_encoder(tomllib.loads(CARD), build, name="other") == "other"
    assert find_encoder("other").build is build
    assert {"small", "other"} <= set(encoder_names())
    with pytest.raises(UnknownName, match="did you mean other"):
        find_encoder("othr")


@pytest.mark.usefixtures("clean")
def test_a_faulty_card_is_not_registered() -> None:
    with pytest.raises(BadCard, match="title is missing"):
        register_encoder({}, lambda *_: None)  # type: ignore[arg-type,return-value]
    assert registry._registered == {}


def test_a_card_is_frozen(make_card: Callable[..., EncoderCard]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_card().dim = 7  # type: ignore[misc]
