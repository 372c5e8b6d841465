"""Cards are checked facts, found by name, with the nearest name when there is none."""

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError, field_validator

from clearbench.cards import (
    Card,
    card_folders,
    check_card,
    digest,
    find_card,
    list_cards,
    read_card,
)
from clearbench.errors import BadCard, UnknownName


class Weights(Card):
    """A table within a card."""

    sha256: str = ""


class Fruit(Card):
    """A card of three facts."""

    title: str
    size: int = 1
    weights: Weights | None = None

    @field_validator("size")
    @classmethod
    def _positive(cls, size: int) -> int:
        if size < 1:
            raise ValueError("must be positive")
        return size


def write(folder: Path, name: str, text: str = 'title = "A"') -> Path:
    """Write a card."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_a_card_is_a_frozen_record(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, "a", 'title = "A"\n[weights]\nsha256 = "00"'), Fruit)
    assert (card.title, card.size, card.weights) == ("A", 1, Weights(sha256="00"))
    with pytest.raises(ValidationError):
        card.title = "B"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('titel = "A"', "title is missing; unknown key titel; did you mean title"),
        (
            'title = "A"\n[weights]\nsha265 = ""',
            r"unknown key weights\.sha265; did you mean sha256",
        ),
        ('title = "A"\nsize = 0', "size: must be positive"),
        ('title = "A"\nsize = "many"', "size: input should be a valid integer"),
        ('title = "A"\nweights = "00"', "weights must be a table of keys and values"),
        ("title = ", "not a TOML file"),
        ('title = "A"\nzzz = 1', "unknown key zzz$"),
    ],
)
def test_faults_have_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, "a", text)
    with pytest.raises(BadCard, match=words) as caught:
        read_card(path, Fruit)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_card_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCard, match=r"a\.toml: can't be read \(No such file"):
        read_card(tmp_path / "a.toml", Fruit)
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadCard, match="not a TOML file"):
        read_card(tmp_path / "a.toml", Fruit)
    with pytest.raises(BadCard, match="here: title is missing"):
        check_card({}, Fruit, "here")


def test_later_folders_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "fruits", "apple")
    write(tmp_path / "fruits", "pear")
    mine = write(tmp_path / "mine", "apple")
    cards = list_cards("fruits", [tmp_path / "mine", tmp_path / "nowhere"])
    assert list(cards) == ["apple", "pear"]
    assert cards["apple"].path == mine
    assert list(card_folders("fruits")) == [tmp_path / "fruits"]


def test_the_checkout_s_own_cards_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list_cards("registry")
    assert list_cards("tasks")


def test_a_card_is_found_by_name_or_path(tmp_path: Path) -> None:
    path = write(tmp_path, "apple")
    assert find_card("fruit", "fruits", "apple", [tmp_path]).path == path
    found = find_card("fruit", "fruits", str(path))
    assert (found.name, found.path) == ("apple", path)


def test_an_unknown_card_is_met_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "apple")
    words = r'no fruit is called "aple"; did you mean apple\? \(`clearbench fruits list` shows all'
    with pytest.raises(UnknownName, match=words):
        find_card("fruit", "fruits", "aple", [tmp_path])
    with pytest.raises(UnknownName, match=r"clearbench models list"):
        find_card("encoder", "registry", "biomedclp")


def test_cards_of_a_plug_in_are_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "extra_fruits" / "fruits", "quince")
    (tmp_path / "extra_fruits" / "__init__.py").write_text("raise RuntimeError('imported')")
    info = tmp_path / "extra_fruits-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra-fruits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clearbench.encoders]\nquince = extra_fruits:build\n")
    (info / "RECORD").write_text("extra_fruits/__init__.py,,\nextra_fruits/fruits/quince.toml,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list_cards("fruits")["quince"].path.parent == tmp_path / "extra_fruits" / "fruits"


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "a")
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
