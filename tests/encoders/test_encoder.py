import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import clearbench.encoders.encoder as module
import clearbench.encoders.registry as registry
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import Encoder, build_encoder, family_builder, load_encoder
from clearbench.encoders.registry import Registered
from clearbench.errors import (
    BadCard,
    BadRequest,
    MissingExtra,
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
    with pytest.raises(BadCard, match=r"means: the card says dim = 7.*answers \(10, 6\)"):
        build(card={"dim": 7}).embed(slices)


def test_windowed_images_must_hold_the_views(build: Callable[..., Encoder]) -> None:
    pixels = np.zeros((2, 2, 8, 8), np.uint8)
    encoder = build(views=["lung", "bone"])
    assert encoder.prepare(pixels, ("bone", "lung")).shape == (2, 2, 3, 32, 32)
    with pytest.raises(UnreadableScan, match="hold the windows bone, brain, not lung; type --view"):
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
    with pytest.raises(UnreadableScan, match="means needs HU, and these images were windowed"):
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


def test_an_unknown_family_offers_the_known(make_card: MakeCard) -> None:
    known = ", ".join(sorted(module.FAMILIES))
    with pytest.raises(UnknownName, match=rf"did you mean timm\? \(known: {known}\)"):
        family_builder(make_card(family="tim"))


def test_a_missing_extra_is_named_with_its_pip_command(
    make_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = "clearbench.encoders.families.transformers"
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    words = 'family transformers needs transformers: pip install "clearbench[transformers]"'
    with pytest.raises(MissingExtra) as refusal:
        family_builder(make_card(family="transformers"))
    assert str(refusal.value) == words


class FakePlugin:
    name = "plug"
    value = "clearbench_plugin_of_a_test:build"


def test_a_plug_ins_family_is_imported_when_used(
    make_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(*, group: str) -> list[FakePlugin]:
        assert group == "clearbench.encoders"
        return [FakePlugin()]

    monkeypatch.setattr(module.importlib.metadata, "entry_points", entry_points)
    card = make_card(family="plug")
    with pytest.raises(MissingExtra, match="pip install clearbench_plugin_of_a_test"):
        family_builder(card)
    fake: Any = type(sys)("clearbench_plugin_of_a_test")
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    with pytest.raises(BadCard, match="has no build"):
        family_builder(card)
    fake.build = lambda *_: Means()
    assert family_builder(card) is fake.build
