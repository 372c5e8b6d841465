"""A card that is written can be read again, and is written whole or not at all."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from clearbench.cards import Card, read_card, write_card
from clearbench.encoders.card import EncoderCard, Training
from clearbench.encoders.registry import encoder_names, find_encoder


class Inner(Card):
    """A table within a card."""

    size: float | None = None
    names: tuple[str, ...] = ()


class Fruit(Card):
    """A card with some defaults."""

    title: str
    note: str = ""
    inner: Inner = Inner()
    more: dict[str, Any] = Field(default_factory=dict)


@pytest.mark.parametrize("name", encoder_names())
def test_every_card_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    card = find_encoder(name).card
    write_card(card, tmp_path / f"{name}.toml")
    assert read_card(tmp_path / f"{name}.toml", EncoderCard) == card


def test_how_it_was_trained_comes_back(tmp_path: Path) -> None:
    training = Training(
        method="LeCL",
        data='"own" slices, größer',
        patients=4,
        patients_file="mine.patients.txt",
        slices=9,
        lesion_slices=3,
        epochs=2,
        seconds=1.5,
        settings={"lr": 1e-4, "augment": "clear", "clip": 0.0, "seed": 3},
    )
    card = find_encoder("lecl-vit-mini").card.model_copy(update={"training": training})
    write_card(card, tmp_path / "mine.toml")
    assert read_card(tmp_path / "mine.toml", EncoderCard) == card


def test_what_is_blank_or_the_default_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "apple.toml"
    write_card(Fruit(title="Apple", note="", inner=Inner(size=None, names=("a",))), path)
    assert path.read_text() == 'title = "Apple"\n\n[inner]\nnames = [\n    "a",\n]\n'


@pytest.mark.parametrize(
    "card",
    [
        Fruit(title='quotes " and \\ and\nlines'),
        Fruit(title="Größe – 中文", note="= [x]"),
        Fruit(title="x", inner=Inner(size=0.1), more={"a": [1, 2], "b": {"c": True, "d": 1e-30}}),
    ],
)
def test_any_text_or_number_comes_back(tmp_path: Path, card: Fruit) -> None:
    write_card(card, tmp_path / "a.toml")
    assert read_card(tmp_path / "a.toml", Fruit) == card


def test_the_folder_is_made_and_an_older_card_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "apple.toml"
    for title in ("A longer title than the next", "Apple"):
        write_card(Fruit(title=title), path)
        assert read_card(path, Fruit).title == title
    assert [file.name for file in path.parent.iterdir()] == ["apple.toml"]


def failing(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_disk_that_refuses_leaves_the_older_card(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "apple.toml"
    write_card(Fruit(title="older"), path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, failing)
        with pytest.raises(OSError, match="No space left"):
            write_card(Fruit(title="newer"), path)
    assert read_card(path, Fruit).title == "older"


def test_what_toml_cannot_hold_leaves_the_older_card(tmp_path: Path) -> None:
    path = tmp_path / "apple.toml"
    write_card(Fruit(title="older"), path)
    with pytest.raises(ValueError, match="serialize"):
        write_card(Fruit(title="newer", more={"a": object()}), path)
    assert read_card(path, Fruit).title == "older"
    assert [file.name for file in tmp_path.iterdir()] == ["apple.toml"]
