import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import clearbench.encoders.registry as registry
from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import Encoder, build_encoder, load_encoder
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.registry import Registered
from clearbench.errors import (
    BadCard,
    BadRequest,
    UnknownName,
    UnreadableScan,
    WeightsUnavailable,
)

MakeCard = Callable[..., EncoderCard]


class Means(nn.Module):
    """A network whose features are easy to foretell: each channel's mean, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(0.9)
        self.seen: list[torch.dtype] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.dtype)
        means = images.mean(dim=(2, 3)) * self.scale
        return self.drop(torch.cat([means, means], dim=1))


@pytest.fixture
def build(make_card: MakeCard) -> Callable[..., Encoder]:
    def make(*, card: dict[str, Any] | None = None, **options: Any) -> Encoder:
        facts = make_card(**({"dim": 6} | (card or {})))
        given = {"device": "cpu", "precision": "float32"} | options
        return build_encoder(
            Registered(name="means", card=facts, build=lambda *_: Means()), **given
        )

    return make


@pytest.fixture
def slices() -> Any:
    return np.random.default_rng(0).integers(-1000, 1000, (5, 40, 30)).astype(np.int16)


def test_features_are_slices_by_views_by_dim(build: Callable[..., Encoder], slices: Any) -> None:
    encoder = build(views=["lung", "bone", "brain"])
    features = encoder.embed(slices)
    assert features.shape == (5, 3, 6)
    assert features.dtype == np.float32
    assert len({row.tobytes() for row in features.reshape(-1, 6)}) == 15


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_the_batch_size_does_not_matter(
    build: Callable[..., Encoder], slices: Any, batch_size: int
) -> None:
    encoder = build()
    whole = encoder.embed(slices)
    np.testing.assert_allclose(encoder.embed(slices, batch_size=batch_size), whole, rtol=1e-5)


def test_the_network_is_frozen_and_in_eval_mode(build: Callable[..., Encoder]) -> None:
    network = build().network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_is_the_networks_own(
    build: Callable[..., Encoder], slices: Any, precision: str
) -> None:
    encoder = build(precision=precision)
    assert encoder.embed(slices).dtype == np.float32
    assert encoder.network.seen == [getattr(torch, precision)]  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "uint16", "float64", ">f4"])
def test_any_array_of_numbers_is_taken(
    build: Callable[..., Encoder], slices: Any, dtype: str
) -> None:
    plain = np.abs(slices) % 200
    expected = build().embed(plain.astype(np.float32))
    np.testing.assert_allclose(build().embed(plain.astype(dtype)), expected, rtol=1e-6)


def test_read_only_and_turned_arrays_are_taken(build: Callable[..., Encoder], slices: Any) -> None:
    expected = build().embed(slices)
    frozen = slices.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(build().embed(frozen), expected)
    np.testing.assert_array_equal(build().embed(np.asfortranarray(slices)), expected)
    np.testing.assert_array_equal(build().embed(slices[::-1])[::-1], expected)


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (1, 1, 4, 4)])
def test_another_shape_is_refused(build: Callable[..., Encoder], shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequest, match=r"slices \[n, y, x\] in HU, not an array of shape"):
        build().embed(np.zeros(shape))


def test_a_wrong_dim_on_the_card_is_found(build: Callable[..., Encoder], slices: Any) -> None:
    with pytest.raises(BadCard, match=r"means: the card has dim = 7.*returns \(10, 6\)"):
        build(card={"dim": 7}).embed(slices)


class Answers(torch.nn.Module):
    """A foreign network of 16 features, which may damage them."""

    def __init__(self, spoil: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.spoil = spoil

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.spoil(images.flatten(1)[:, :16])


def strange(make_card: MakeCard, build: Callable[..., Any]) -> Encoder:
    return build_encoder(
        Registered(name="strange", card=make_card(dim=16, pooling="native"), build=build),
        device="cpu",
        precision="float32",
    )


def leave(_: torch.Tensor) -> torch.Tensor:
    sys.exit(0)


def fail(_: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("boom\nand a long trace")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (fail, r"strange: the network fails with RuntimeError: boom$"),
        (leave, r"strange: the network fails with SystemExit: 0$"),
    ],
)
def test_a_network_that_stops_is_named(
    make_card: MakeCard, slices: Any, spoil: Callable[..., Any], words: str
) -> None:
    """A program that ends by itself with 0 looks like success."""
    encoder = strange(make_card, lambda *_: Answers(spoil))
    with pytest.raises(BadCard, match=words):
        encoder.embed(slices)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda *_: 1 // 0, "strange: its builder fails with ZeroDivisionError: "),
        (lambda *_: leave(torch.zeros(1)), "strange: its builder fails with SystemExit: 0"),
        (lambda *_: 3, "strange: its builder returns a int, not a torch module"),
    ],
)
def test_a_builder_that_fails_is_named(
    make_card: MakeCard, build: Callable[..., Any], words: str
) -> None:
    with pytest.raises(BadCard, match=words):
        strange(make_card, build)


def test_features_that_are_no_numbers_are_never_silent(make_card: MakeCard, slices: Any) -> None:
    spoilt = slices.astype(np.float32)
    spoilt[0] = np.nan
    encoder = strange(make_card, lambda *_: Answers(lambda features: features))
    with pytest.raises(BadRequest, match=r"strange: features of 1 of \d+ slices are NaN"):
        encoder.embed(spoilt)


def test_a_slice_without_structure_is_named(make_card: MakeCard, slices: Any) -> None:
    """As a z-score of each image answers it: 0 / 0."""

    def score(features: torch.Tensor) -> torch.Tensor:
        return (features - features.mean(1, keepdim=True)) / features.std(1, keepdim=True)

    encoder = strange(make_card, lambda *_: Answers(score))
    assert encoder.embed(slices).shape
    empty = slices.copy()
    empty[2] = -2000
    with pytest.raises(
        BadRequest, match=r"1 of \d+ slices are NaN .*; slice 2 is uniform: one val"
    ):
        encoder.embed(empty)


def test_windowed_images_must_hold_the_views(build: Callable[..., Encoder]) -> None:
    pixels = np.zeros((2, 2, 8, 8), np.uint8)
    encoder = build(views=["lung", "bone"])
    assert encoder.prepare(pixels, ("bone", "lung")).shape == (2, 2, 3, 32, 32)
    with pytest.raises(UnreadableScan, match="have the windows bone, brain, not lung; use views"):
        encoder.prepare(pixels, ("bone", "brain"))


@pytest.mark.parametrize(
    "input",
    [
        {"channels": "hu", "default_views": []},
        {"views": {"lung": [-1350, 150]}, "default_views": []},
    ],
)
def test_cards_that_need_hu_refuse_windowed_images(
    build: Callable[..., Encoder], input: dict[str, Any]
) -> None:
    with pytest.raises(
        UnreadableScan, match="means needs HU, but these images are already windowed"
    ):
        build(card={"input": input}).check_windows(("lung",))


def test_own_weights_reach_a_registered_builder(make_card: MakeCard, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"scale": torch.ones(1)}, path)
    given = []

    def build(_card: EncoderCard, weights: Path | None) -> nn.Module:
        given.append(weights)
        return Means()

    found = Registered(name="means", card=make_card(dim=6), build=build)
    first = build_encoder(found, device="cpu")
    second = build_encoder(found, device="cpu", weights=path)
    assert given == [None, path]
    assert first.fingerprint != second.fingerprint


def test_weights_decide_the_fingerprint(make_card: MakeCard) -> None:
    def built(seed: int) -> Encoder:
        card = make_card(dim=6, source=f"random:{seed}")

        def build(*_: Any) -> nn.Module:
            network = Means()
            network.scale.data.fill_(seed)
            return network

        return build_encoder(Registered(name="m", card=card, build=build), device="cpu")

    assert built(1).fingerprint == built(1).fingerprint
    assert built(1).fingerprint != built(2).fingerprint


def test_an_encoder_is_loaded_by_name(monkeypatch: pytest.MonkeyPatch, make_card: MakeCard) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    registry.register_encoder(make_card(dim=6), lambda *_: Means(), name="mine")
    encoder = load_encoder("mine", device="cpu", views=["bone"], store_dtype="float16")
    assert (encoder.name, [v.name for v in encoder.views]) == ("mine", ["bone"])
    with pytest.raises(UnknownName, match="did you mean mine"):
        load_encoder("mines")


def test_missing_weights_are_told_before_the_network_is_built(
    make_card: MakeCard, tmp_path: Path
) -> None:
    found = Registered(name="m", card=make_card(source=f"file:{tmp_path}/none"))
    with pytest.raises(WeightsUnavailable, match="no such file"):
        build_encoder(found, device="cpu")


class Levels(nn.Module):
    """Answer each image's mean of every channel, or a volume's lowest, mean and highest value."""

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim == 4:
            return images.mean(dim=(2, 3))
        flat = images.flatten(1)
        return torch.stack([flat.amin(1), flat.mean(1), flat.amax(1)], dim=1)


def levels(make_card: MakeCard, **facts: Any) -> Encoder:
    card = make_card(dim=3, **facts)
    found = Registered(name="levels", card=card, build=lambda *_: Levels())
    return build_encoder(found, device="cpu", precision="float32")


def test_neighbours_are_the_same_whatever_the_batch(make_card: MakeCard) -> None:
    encoder = levels(make_card, slicing={"context": 1}, input={"default_views": ["lung"]})
    hu = np.random.default_rng(0).integers(-1000, 200, (7, 32, 32)).astype(np.int16)
    whole = encoder.embed(hu, batch_size=16)
    for batch_size in (1, 2, 3):
        np.testing.assert_allclose(encoder.embed(hu, batch_size=batch_size), whole, rtol=1e-5)
    np.testing.assert_allclose(whole[1:, 0, 0], whole[:-1, 0, 1], rtol=1e-5)  # the one below
    np.testing.assert_allclose(whole[:-1, 0, 2], whole[1:, 0, 1], rtol=1e-5)


VOLUME = {"scope": "volume", "input": None, "volume": {"clip_hu": [-1000.0, 1000.0]}}


def volume_levels() -> Encoder:
    plain = {"title": "V", "family": "monai", "source": "random:0", "dim": 3, "pooling": "mean"}
    card = check_card(plain | VOLUME | {"weights": {"licence": "MIT"}}, EncoderCard, "card")
    found = Registered(name="levels", card=card, build=lambda *_: Levels())
    return build_encoder(found, device="cpu", precision="float32")


def test_a_volume_encoder_answers_once_a_scan() -> None:
    encoder = volume_levels()
    hu = np.linspace(-2000, 1000, 4 * 5 * 6).reshape(4, 5, 6).astype(np.float32)
    found = encoder.embed(hu, (5.0, 1.0, 1.0))
    assert found.shape == (1, 1, 3)
    assert [view.name for view in encoder.views] == ["volume"]
    scaled = (hu.clip(-1000, 1000) + 1000) / 2000
    np.testing.assert_allclose(found[0, 0], [0, scaled.mean(), 1], rtol=1e-5, atol=1e-6)


def test_a_volume_encoder_says_what_it_lacks() -> None:
    encoder = volume_levels()
    with pytest.raises(BadRequest, match="needs spacing_mm"):
        encoder.embed(np.zeros((2, 4, 4), np.int16))
    with pytest.raises(UnreadableScan, match="needs HU, but these images are already windowed"):
        encoder.check_windows(("lung",))
    with pytest.raises(BadRequest, match="fixed views"):
        choose_views(encoder.card, ("lung",))


def test_a_slice_encoder_takes_no_volume(build: Callable[..., Encoder], slices: Any) -> None:
    with pytest.raises(BadRequest, match="embeds slices, not volumes"):
        build().prepare_volume(slices, (1, 1, 1))
