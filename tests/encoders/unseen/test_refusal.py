"""A size of which a network leaves out rows is refused by every family, with the nearest sizes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import clearbench.encoders.registry as registry
from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import build_encoder, load_encoder
from clearbench.encoders.registry import Registered, register_encoder
from clearbench.encoders.unseen.refusal import why_unseen
from clearbench.encoders.unseen.wording import in_words, stated, statement
from clearbench.errors import BadCard

MakeCard = Callable[..., EncoderCard]

PATCHES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14}
SWIN = {"embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2], "patch_size": 7, "window_size": 4}
TOWER = {"layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
OPEN_CLIP: dict[str, Any] = {"family": "open_clip", "net": "", "dim": 16, "pooling": "projection"}


def clip(size_px: int) -> dict[str, Any]:
    """Return the card of a tower of open_clip for a size."""
    vision = TOWER | {"image_size": size_px}
    return OPEN_CLIP | {"sizes": {"embed_dim": 16, "vision_cfg": vision}}


# a family's card, a size that its network doesn't see whole, what it leaves out, the nearest sizes
ODD: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "timm's ViT": (
        {"net": "vit_tiny_patch16_224", "dim": 192},
        40,
        "the last 8 rows and columns",
        "32 or 48",
    ),
    "timm's ConvNeXt": (
        {"net": "test_convnext", "dim": 64, "pooling": "mean"},
        70,
        "the last 2 rows and columns",
        "64 or 96",
    ),
    "open_clip": (clip(40), 40, "the last 8 rows and columns", "32 or 48"),
    "transformers": (
        {"family": "transformers", "net": "dinov2", "sizes": PATCHES, "dim": 32},
        60,
        "the last 4 rows and columns",
        "56 or 70",
    ),
    "torchvision": (
        {"family": "torchvision", "net": "convnext_tiny", "dim": 768, "pooling": "native"},
        66,
        "the last 2 rows and columns",
        "64 or 96",
    ),
}  # fmt: skip
EVEN: dict[str, tuple[dict[str, Any], int]] = {
    "timm's ViT": ({"net": "test_vit", "dim": 64}, 96),
    "timm pads": ({"net": "test_vit", "dim": 64, "sizes": {"dynamic_img_pad": True}}, 100),
    "a ResNet at an odd size": ({"net": "test_resnet", "dim": 96, "pooling": "mean"}, 101),
    "transformers' Swin pads": (
        {"family": "transformers", "net": "swin", "sizes": SWIN, "dim": 32, "pooling": "mean"},
        60,
    ),
    "open_clip": (clip(32), 32),
}  # fmt: skip


def loaded(card: EncoderCard) -> Any:
    return build_encoder(Registered(name="mine", card=card), device="cpu", precision="float32")


@pytest.mark.parametrize(("facts", "size_px", "unseen", "nearest"), ODD.values(), ids=ODD)
def test_a_size_that_leaves_rows_out_is_refused_with_the_nearest(
    make_card: MakeCard, facts: dict[str, Any], size_px: int, unseen: str, nearest: str
) -> None:
    card = make_card(input={"size_px": size_px}, **facts)
    with pytest.raises(BadCard, match=rf"size_px = {size_px} is .*, so the network never") as error:
        loaded(card)
    assert f"never sees {unseen}; use {nearest}, " in str(error.value)


@pytest.mark.parametrize(("facts", "size_px", "_", "nearest"), ODD.values(), ids=ODD)
def test_the_nearest_sizes_are_taken(
    make_card: MakeCard, facts: dict[str, Any], size_px: int, _: str, nearest: str
) -> None:
    for side in map(int, nearest.split(" or ")):
        more = (
            clip(side) if facts["family" if "family" in facts else "net"] == "open_clip" else facts
        )
        assert loaded(make_card(input={"size_px": side}, **more)).card.seen.size_px == side
    assert size_px not in map(int, nearest.split(" or "))


@pytest.mark.parametrize(("facts", "size_px"), EVEN.values(), ids=EVEN)
def test_a_network_that_sees_every_pixel_is_taken(
    make_card: MakeCard, facts: dict[str, Any], size_px: int
) -> None:
    assert loaded(make_card(input={"size_px": size_px}, **facts))


def test_a_size_that_the_network_refuses_itself_has_the_nearest_too(make_card: MakeCard) -> None:
    card = make_card(net="test_vit", dim=64, input={"size_px": 100})
    with pytest.raises(BadCard, match=r"100 is not a multiple.* can't take it .*; use 96 or 112"):
        loaded(card)


class Patches(nn.Module):
    """A network of a notebook: patches of 14 px, averaged, perhaps after padding."""

    def __init__(self, pad: bool = False, cut: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.patches = nn.Conv2d(3, 8, 14, stride=14)
        self.pad, self.cut = pad, cut

    def forward(self, images: Tensor) -> Tensor:
        more = -images.shape[-1] % 14 if self.pad else -self.cut
        return torch.as_tensor(
            self.patches(functional.pad(images, (0, more, 0, more))).mean((2, 3))
        )


@pytest.fixture
def in_a_notebook(monkeypatch: pytest.MonkeyPatch, make_card: MakeCard) -> Callable[..., Any]:
    """Register a network for a size, and load it."""
    monkeypatch.setattr(registry, "_registered", {})

    def load(network: nn.Module, size_px: int, **facts: Any) -> Any:
        card = make_card(dim=8, input={"size_px": size_px} | facts)
        register_encoder(card, lambda *_: network, name="mine")
        return load_encoder("mine", device="cpu", precision="float32")

    return load


def test_a_network_of_a_notebook_is_refused_too(in_a_notebook: Callable[..., Any]) -> None:
    with pytest.raises(BadCard, match=r"multiple of its patches of 14 px.*use 28 or 42, the near"):
        in_a_notebook(Patches(), 32)
    assert in_a_notebook(Patches(), 28)
    assert in_a_notebook(Patches(pad=True), 32)


def test_a_card_may_state_what_the_network_leaves_out(in_a_notebook: Callable[..., Any]) -> None:
    assert in_a_notebook(Patches(), 32, unseen_px=[0, 4, 0, 4])
    with pytest.raises(BadCard, match=r"unseen_px = \[0, 4, 0, 4\]"):
        in_a_notebook(Patches(), 32, unseen_px=[0, 3, 0, 4])


def test_new_weights_of_zero_are_no_reason(make_card: MakeCard) -> None:
    """timm's residual branches begin with zeros, so that only shortcuts reach the features."""
    card = make_card(net="resnetblur18", dim=512, pooling="mean", input={"size_px": 64})
    assert loaded(card)


def test_a_volume_names_planes_and_the_axes_sizes() -> None:
    facts = {
        "title": "V", "family": "monai", "source": "random:0", "scope": "volume", "dim": 4,
        "pooling": "mean", "weights": {"licence": "MIT"},
        "volume": {"clip_hu": [0, 1], "size_zyx": [10, 12, 18], "axes": "RAS"},
    }  # fmt: skip
    card = check_card(facts, EncoderCard, "card")

    class Cubes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cubes = nn.Conv3d(1, 4, 4, stride=4)

        def forward(self, volumes: Tensor) -> Tensor:
            return torch.as_tensor(self.cubes(volumes).mean((2, 3, 4)))

    reason = why_unseen(card, Cubes())
    assert "the last 2 planes along x and planes along z; use 16 or 20 planes along x, " in reason
    assert "8 or 12 planes along z" in reason
    assert "unseen_zyx = [0, 2, 0, 0, 0, 2]" in reason
    said = facts | {"volume": facts["volume"] | {"unseen_zyx": [0, 2, 0, 0, 0, 2]}}  # type: ignore[operator]
    assert not why_unseen(check_card(said, EncoderCard, "card"), Cubes())


@pytest.mark.parametrize(
    ("borders", "words"),
    [
        (((0, 0), (0, 0)), ""),
        (((0, 8), (0, 8)), "the last 8 rows and columns"),
        (((0, 8), (0, 6)), "the last 8 rows and the last 6 columns"),
        (((1, 0), (0, 0)), "the first row"),
        (((3, 8), (3, 8)), "the first 3 rows and columns and the last 8 rows and columns"),
        (((0, 1), (0, 1)), "the last row and column"),
    ],
)
def test_borders_in_words(make_card: MakeCard, borders: Any, words: str) -> None:
    assert in_words(make_card(), borders) == words


def test_what_is_stated_is_read_back(make_card: MakeCard) -> None:
    card = make_card(input={"unseen_px": [1, 2, 3, 4]})
    assert stated(card) == ((1, 2), (3, 4))
    assert statement(card, stated(card)) == "unseen_px = [1, 2, 3, 4]"
    with pytest.raises(BadCard, match="unseen_px"):
        make_card(input={"unseen_px": [0, -1, 0, 0]})
