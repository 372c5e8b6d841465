"""Promises over every card of registry/ and tasks/; a new card is tested by being there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clearbench.cards import list_cards, write_card
from clearbench.encoders.encoder import FAMILIES, Encoder, load_encoder
from clearbench.encoders.families import timm as timm_family
from clearbench.encoders.registry import find_encoder
from clearbench.encoders.views import choose_views
from clearbench.evaluation.tasks import METRICS, find_task

ROOT = Path(__file__).resolve().parents[2]
ENCODERS = sorted(path.stem for path in (ROOT / "registry").glob("*.toml"))
TASKS = sorted(path.stem for path in (ROOT / "tasks").glob("*.toml"))
OFFLINE = [
    name for name in ENCODERS if find_encoder(name).card.source.startswith(("random:", "pypi:"))
]
TO_TRAIN = [name for name in ENCODERS if find_encoder(name).card.source == "none"]
N = 3

each_encoder = pytest.mark.parametrize("name", ENCODERS)
each_task = pytest.mark.parametrize("name", TASKS)


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards yet to be trained, with seeded random weights; they win over the registry's."""
    folder = tmp_path_factory.mktemp("cards")
    for name in TO_TRAIN:
        card = find_encoder(name).card.model_copy(update={"source": "random:1"})
        write_card(card, folder / f"{name}.toml")
    return folder


@pytest.fixture(scope="module", params=[*OFFLINE, *TO_TRAIN])
def encoder(request: pytest.FixtureRequest, cards: Path) -> Encoder:
    """An encoder whose weights need no network."""
    return load_encoder(request.param, device="cpu", precision="float32", registry=[cards])


@pytest.fixture(scope="module")
def slices() -> NDArray[np.int16]:
    """Slices with structure at several scales, no two alike [n, y, x]."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(-1200, 600, (N, 12, 12))
    return (np.kron(blocks, np.ones((8, 8))) + rng.normal(0, 30, (N, 96, 96))).astype(np.int16)


@pytest.fixture(scope="module")
def features(encoder: Encoder, slices: NDArray[np.int16]) -> NDArray[np.float32]:
    return encoder.embed(slices)


def test_there_are_cards_to_be_tested() -> None:
    assert {"efficientnet-lite0", "random-vit-tiny"} <= set(OFFLINE)
    assert set(ENCODERS) <= set(list_cards("registry"))
    assert set(TASKS) <= set(list_cards("tasks"))


@each_encoder
def test_a_card_is_read_and_serves_its_own_views(name: str) -> None:
    card = find_encoder(name).card
    assert card.family in FAMILIES
    assert choose_views(card)
    assert card.weights.licence
    assert card.family != "timm" or timm_family.timm.is_model(card.net)


@each_encoder
def test_a_hash_comes_with_a_revision(name: str) -> None:
    """What a hub's branch holds may change; a file that is hashed must be pinned."""
    card = find_encoder(name).card
    if card.source.startswith("hf-hub:"):
        assert card.weights.sha256 is None or card.revision is not None


@each_task
def test_a_task_is_read(name: str) -> None:
    task = find_task(name)
    assert task.card.primary in METRICS[task.card.target]
    assert len(task.sha256) == 64
    assert len(set(task.card.outputs)) == len(task.card.outputs)


def test_dim_and_dtype_are_the_cards(encoder: Encoder, features: NDArray[np.float32]) -> None:
    assert features.shape == (N, len(encoder.views), encoder.card.dim)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_a_slice_is_embedded_alone(
    encoder: Encoder, slices: NDArray[np.int16], features: NDArray[np.float32]
) -> None:
    """No batch norm in training mode, no dropout: neighbours must not matter."""
    alone = np.concatenate([encoder.embed(one[None]) for one in slices])
    np.testing.assert_allclose(features, alone, rtol=1e-4, atol=1e-5)


def test_the_order_does_not_matter(
    encoder: Encoder, slices: NDArray[np.int16], features: NDArray[np.float32]
) -> None:
    turned = encoder.embed(slices[::-1])[::-1]
    np.testing.assert_allclose(features, turned, rtol=1e-4, atol=1e-5)


def test_slices_and_views_are_told_apart(features: NDArray[np.float32]) -> None:
    flat = features.reshape(-1, features.shape[-1])
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    scale = np.linalg.norm(flat, axis=-1).mean()
    assert (distances[~np.eye(len(flat), dtype=bool)] > 1e-3 * scale).all()


def test_a_fresh_load_gives_the_same_features(
    encoder: Encoder, slices: NDArray[np.int16], features: NDArray[np.float32], cards: Path
) -> None:
    np.testing.assert_array_equal(encoder.embed(slices), features)
    fresh = load_encoder(encoder.name, device="cpu", precision="float32", registry=[cards])
    np.testing.assert_array_equal(fresh.embed(slices), features)
    assert fresh.fingerprint == encoder.fingerprint


def published() -> list[tuple[str, tuple[str, ...], str, str]]:
    """Name, views, precision and fingerprint of the encoders with published results."""
    facts = [json.loads(path.read_text()) for path in (ROOT / "leaderboard").rglob("*.json")]
    return sorted(
        {
            (each["encoder"], tuple(each["views"]), each["precision"], each["fingerprint"])
            for each in facts
            if each["encoder"] in OFFLINE
        }
    )


@pytest.mark.parametrize(("name", "views", "precision", "fingerprint"), published())
def test_published_results_can_be_made_again(
    name: str, views: tuple[str, ...], precision: str, fingerprint: str
) -> None:
    """A card, or how it is hashed, changes with the results that stand on it."""
    again = load_encoder(name, device="cpu", precision=precision, views=views)
    assert again.fingerprint == fingerprint


def test_the_network_is_frozen_in_eval_mode(encoder: Encoder) -> None:
    assert not any(module.training for module in encoder.network.modules())
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())


def test_the_parameters_are_those_of_the_card(encoder: Encoder) -> None:
    count = sum(parameter.numel() for parameter in encoder.network.parameters()) / 1e6
    assert encoder.card.facts.parameters_m == pytest.approx(count, abs=0.05)


@pytest.mark.slow
def test_half_precision_stays_near(
    encoder: Encoder, slices: NDArray[np.int16], features: NDArray[np.float32], cards: Path
) -> None:
    """A card that lets auto choose bfloat16 promises a cosine of 0.999."""
    half = load_encoder(encoder.name, device="cpu", precision="bfloat16", registry=[cards])
    found = half.embed(slices)
    cosine = (found * features).sum(-1) / np.linalg.norm(found, axis=-1)
    least = 0.999 if encoder.card.precision == "bfloat16" else 0.98
    assert (cosine / np.linalg.norm(features, axis=-1) > least).all()
    assert half.fingerprint != encoder.fingerprint


@pytest.mark.weights
@pytest.mark.parametrize("name", sorted(set(ENCODERS) - set(OFFLINE) - set(TO_TRAIN)))
def test_hub_weights_load_and_give_the_cards_dim(name: str) -> None:
    encoder = load_encoder(name, device="cpu", precision="float32")
    size = encoder.card.input.size_px
    answer = encoder.forward(torch.zeros(1, len(encoder.card.input.mean), size, size))
    assert answer.shape == (1, encoder.card.dim)
