"""Promises over every card of registry/ and tasks/; a new card is tested by being there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from clearbench.cards import list_cards
from clearbench.encoders.conformance.findings import Conformance
from clearbench.encoders.conformance.suite import check_encoder
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.families import timm as timm_family
from clearbench.encoders.fingerprint import fingerprint
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.plugins import FAMILIES
from clearbench.encoders.registry import find_encoder
from clearbench.errors import MissingExtra
from clearbench.evaluation.task.card import find_task
from clearbench.metrics.registry import ranking_metrics

ROOT = Path(__file__).resolve().parents[2]
ENCODERS = sorted(path.stem for path in (ROOT / "registry").glob("*.toml"))
GOLDEN = ROOT / "tests" / "golden"
TASKS = sorted(path.stem for path in (ROOT / "tasks").glob("*.toml"))
OFFLINE = [
    name for name in ENCODERS if find_encoder(name).card.source.startswith(("random:", "pypi:"))
]
HARDLY_ANY_WORK, LITTLE_WORK, MUCH_WORK = 1, 90, 1000
SHORT = ("features", "finite", "padding", "input size", "parameters")
EXCUSED = {"weights", "parameters"}  # warnings that a card may have: no hash, another count
# a class token that layer scale keeps still until it is trained, or that hardly sees the image
UNTRAINED = {"apart", "window shift"}


def work(name: str) -> float:
    """Say how long a slice takes: millions of parameters, as if each saw 224 × 224 px."""
    card = find_encoder(name).card
    return (card.facts.parameters_m or 1.0) * (card.seen.size_px / 224) ** 2


OWN_CODE = [name for name in ENCODERS if find_encoder(name).card.facts.code]
SLICES = [
    name for name in ENCODERS if find_encoder(name).card.scope == "slice" and name not in OWN_CODE
]
BORROWED = [name for name in SLICES if name not in OFFLINE]  # their weights are not here
MINI = [name for name in BORROWED if work(name) <= HARDLY_ANY_WORK]
MIDDLE = [name for name in BORROWED if HARDLY_ANY_WORK < work(name) <= MUCH_WORK]
VOLUMES = [name for name in ENCODERS if name not in (*SLICES, *OWN_CODE)]
HUGE = [name for name in BORROWED if work(name) > MUCH_WORK]

each_encoder = pytest.mark.parametrize("name", ENCODERS)
each_task = pytest.mark.parametrize("name", TASKS)


def check(name: str, **options: Any) -> Conformance:
    """Check a card with its own weights where they are here, else with random ones."""
    borrowed = name in (*BORROWED, *VOLUMES)
    try:
        return check_encoder(name, device="cpu", random_weights=borrowed, **options)
    except MissingExtra as error:
        pytest.skip(str(error))


def conforms(found: Conformance) -> None:
    """Assert that no check failed, and that no promise is only nearly kept."""
    excused = EXCUSED | UNTRAINED if found.random_weights else EXCUSED
    assert [one for one in found.findings if one.status == "fail"] == []
    assert {one.check for one in found.findings if one.status == "warn"} <= excused


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The suite is timed for one core, and threads of small networks wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_there_are_cards_to_be_tested() -> None:
    assert {"efficientnet-lite0", "random-vit-tiny"} <= set(OFFLINE)
    assert set(ENCODERS) <= set(list_cards("registry"))
    assert set(TASKS) <= set(list_cards("tasks"))


@each_encoder
def test_a_card_is_read_and_serves_its_own_views(name: str) -> None:
    card = find_encoder(name).card
    assert card.family in FAMILIES or card.facts.code.startswith("https://")
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
    assert task.card.primary in ranking_metrics(task.card.target)
    assert len(task.sha256) == 64
    assert len(set(task.card.outputs)) == len(task.card.outputs)


@pytest.mark.parametrize("name", OFFLINE)
def test_an_encoder_whose_weights_are_here_keeps_every_promise(name: str) -> None:
    """With its reference vectors, so that changed features are found, in any library."""
    found = check(name, count=2)
    conforms(found)
    assert {one.check for one in found.findings if one.status == "skip"} <= {"weights", "memory"}


def test_reference_vectors_are_small_and_of_cards_that_are_checked() -> None:
    files = list(GOLDEN.glob("*"))
    assert {file.name for file in files} == {f"{name}.safetensors" for name in OFFLINE}
    assert max(file.stat().st_size for file in files) < 100_000


@pytest.mark.parametrize("name", MINI)
def test_a_small_network_keeps_every_promise_whatever_its_weights(name: str) -> None:
    conforms(check(name))


@pytest.mark.parametrize("name", [name for name in MIDDLE if work(name) <= LITTLE_WORK])
def test_a_network_answers_as_its_card_says(name: str) -> None:
    """One slice; the rest is for the night."""
    conforms(check(name, count=1, only=SHORT))


@pytest.mark.slow
@pytest.mark.parametrize("name", MIDDLE)
def test_a_network_keeps_every_promise_whatever_its_weights(name: str) -> None:
    conforms(check(name, count=2))


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_network_answers_as_its_card_says(name: str) -> None:
    conforms(check(name, count=1, only=SHORT))


@pytest.mark.slow
@pytest.mark.parametrize("name", VOLUMES)
def test_a_volume_network_answers_as_its_card_says(name: str) -> None:
    conforms(check(name, only=("features", "finite", "repeat", "parameters")))


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


@each_encoder
def test_a_fingerprint_never_changes_silently(name: str) -> None:
    """Of each card with weights of one hash; a change of a card is written into the file too."""
    kept = json.loads((Path(__file__).parent / "fingerprints.json").read_text())
    if name not in kept:
        pytest.skip("a card that is newer than the file")
    card = find_encoder(name).card
    assert fingerprint(card, choose_views(card), "a" * 64, "float32") == kept[name]


@pytest.mark.weights
@pytest.mark.parametrize("name", [n for n in BORROWED if find_encoder(n).card.source != "none"])
def test_an_encoder_of_a_hub_keeps_every_promise(name: str) -> None:
    conforms(check_encoder(name, device="cpu", count=2))
