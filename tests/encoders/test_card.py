from collections.abc import Callable
from typing import Any

import pytest

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadCard, BadRequest

MakeCard = Callable[..., EncoderCard]

VOLUME = {"spacing_mm": [3.0, 1.5, 1.5], "axes": "RAS", "clip_hu": [-1000.0, 1000.0]}


def volume_card(volume: dict[str, Any] | None = None, **facts: Any) -> EncoderCard:
    plain = {
        "title": "Whole",
        "family": "monai",
        "source": "random:0",
        "scope": "volume",
        "dim": 8,
        "pooling": "mean",
        "weights": {"licence": "MIT"},
        "volume": VOLUME | (volume or {}),
    }
    return check_card(plain | facts, EncoderCard, "card")


def test_a_volume_card_says_its_grid() -> None:
    card = volume_card()
    assert card.volume is not None
    assert card.volume.scale_to == (0.0, 1.0)
    with pytest.raises(BadRequest, match="embeds whole volumes, not slices"):
        _ = card.seen


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"scope": "volume"}, r'scope "volume" has \[volume\], and only that'),
        ({"volume": VOLUME}, r'scope "slice" has \[input\], and only that'),
        ({"input": {"clip_hu": [-1000.0, 1000.0]}}, 'clip_hu = .* belongs to channels = "hu"'),
        ({"input": {"channels": "hu", "clip_hu": [5.0, -5.0]}}, "clip_hu"),
        ({"slicing": {"context": 2}}, "context = 2 makes 5 channels"),
        ({"slicing": {"context": 1}, "input": {"channels": "stack"}}, "makes 3 channels"),
    ],
)
def test_a_slice_card_that_contradicts_itself_is_refused(
    make_card: MakeCard, facts: dict[str, Any], fault: str
) -> None:
    with pytest.raises(BadCard, match=fault):
        make_card(**facts)


@pytest.mark.parametrize(
    ("volume", "fault"),
    [
        ({"axes": "RAR"}, 'axes "RAR": one letter each'),
        ({"axes": "XYZ"}, 'axes "XYZ"'),
        ({"clip_hu": [1.0, 1.0]}, "lower bound first"),
        ({"spacing_mm": [0.0, 1.0, 1.0]}, "above 0"),
        ({"size_zyx": [0, 1, 1]}, "above 0"),
        ({"spacing": [1.0, 1.0, 1.0]}, "unknown key volume.spacing; did you mean spacing_mm"),
    ],
)
def test_a_volume_card_that_makes_no_sense_is_refused(volume: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadCard, match=fault):
        volume_card(volume)


def test_random_weights_keep_everything_but_the_weights(make_card: MakeCard) -> None:
    card = make_card(source="hf-hub:a/b", weights={"sha256": "a" * 64, "gated": True})
    random = card.with_random_weights(3)
    assert (random.seed, random.weights.sha256, random.weights.gated) == (3, None, False)
    assert (random.input, random.net, random.dim) == (card.input, card.net, card.dim)


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"source": "file:own"}, 'remote_code belongs to family = "transformers"'),
        ({"family": "transformers", "source": "hf-hub:a/b"}, "needs a revision of 40 hex digits"),
        (
            {"family": "transformers", "source": "hf-hub:a/b", "revision": "main"},
            "needs a revision of 40 hex digits",
        ),
    ],
)
def test_code_that_can_change_is_refused(
    make_card: MakeCard, facts: dict[str, str], fault: str
) -> None:
    with pytest.raises(BadCard, match=fault):
        make_card(weights={"remote_code": True}, **facts)
