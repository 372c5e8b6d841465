from collections.abc import Callable
from typing import Any

import pytest

import clearbench.encoders.fingerprint as module
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.fingerprint import fingerprint
from clearbench.encoders.inputs.views import choose_views

MakeCard = Callable[..., EncoderCard]


def of(
    card: EncoderCard,
    views: tuple[str, ...] = (),
    weights: str = "a" * 64,
    precision: Any = "float32",
    dtype: str = "float32",
) -> str:
    return fingerprint(card, choose_views(card, views), weights, precision, dtype)


@pytest.mark.parametrize(
    "facts",
    [
        {"input": {"size_px": 64}},
        {"input": {"mean": [0.4, 0.5, 0.5]}},
        {"input": {"std": [0.4, 0.5, 0.5]}},
        {"input": {"resample": "bilinear"}},
        {"input": {"default_views": ["lung"]}},
        {"pooling": "mean"},
        {"net": "vit_small_patch16_224"},
        {"family": "open_clip"},
        {"slicing": {"spacing_mm": 5.0}},
    ],
)
def test_it_changes_with_what_changes_features(make_card: MakeCard, facts: dict[str, Any]) -> None:
    assert of(make_card(**facts)) != of(make_card())


@pytest.mark.parametrize(
    "options",
    [
        {"views": ("bone",)},
        {"views": ("mediastinum", "lung")},
        {"views": ("lung=-1350:151", "mediastinum")},
        {"weights": "b" * 64},
        {"precision": "bfloat16"},
        {"dtype": "float16"},
    ],
)
def test_it_changes_with_how_features_are_made(
    make_card: MakeCard, options: dict[str, Any]
) -> None:
    assert of(make_card(), **options) != of(make_card())


@pytest.mark.parametrize(
    "facts",
    [
        {"title": "Another title"},
        {"facts": {"parameters_m": 3.0, "paper": "x"}},
        {"weights": {"licence": "other", "licence_url": "y", "gated": True}},
        {"revision": "abc", "source": "random:1"},
    ],
)
def test_it_stays_when_words_change(make_card: MakeCard, facts: dict[str, Any]) -> None:
    assert of(make_card(**facts)) == of(make_card())


def test_typing_the_default_views_changes_nothing(make_card: MakeCard) -> None:
    assert of(make_card(), views=("lung", "mediastinum")) == of(make_card())


def test_the_version_of_features_is_in_it(
    make_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of(make_card())
    assert len(before) == 64
    monkeypatch.setattr(module, "FEATURES_VERSION", 999)
    assert of(make_card()) != before


def test_an_average_has_another_than_the_raw_weights_of_its_file(make_card: MakeCard) -> None:
    """Both have the hash of the file; cards without the fact are of raw weights."""
    assert of(make_card(weights={"ema": True})) != of(make_card())
    assert of(make_card(weights={"ema": False, "part": "state_dict"})) == of(make_card())


def test_stating_what_the_network_leaves_out_changes_nothing(make_card: MakeCard) -> None:
    assert of(make_card(input={"unseen_px": [0, 8, 0, 8]})) == of(make_card())
