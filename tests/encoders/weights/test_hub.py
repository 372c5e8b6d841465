import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

import clearbench.encoders.weights.files as weight_files
import clearbench.encoders.weights.hub as module
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.hub import HUB_ERROR, fetch_code, fetch_file
from clearbench.encoders.weights.load import find_weights
from clearbench.errors import WeightsUnavailable

MakeCard = Callable[..., EncoderCard]
HUB = "hf-hub:someone/something"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and a hub whose name is not known."""

    def refuse(*_: Any) -> Any:
        raise socket.gaierror("no network in tests")

    def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(weight_files, "try_to_load_from_cache", nothing)
    for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def hub_error(kind: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    """Build a real error of the hub's client, with a real response of its HTTP library."""
    library = __import__(HUB_ERROR.__module__.partition(".")[0])
    request = library.Request("GET", "https://huggingface.co/api")
    return kind("refused", response=library.Response(status, request=request))


@pytest.fixture
def answering(offline: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Let the hub answer: an error is raised, a path returned."""
    del offline

    def answer(what: Any) -> None:
        def reply(*_: Any, **__: Any) -> Any:
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr(module, "_hub_answers", lambda: True)
        monkeypatch.setattr(module, "list_repo_files", lambda *_, **__: ["a.md", "w.safetensors"])
        monkeypatch.setattr(module, "hf_hub_download", reply)

    return answer


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_message_says_what_to_do(make_card: MakeCard) -> None:
    with pytest.raises(WeightsUnavailable) as refusal:
        find_weights(make_card(source=HUB))
    for part in ("can't be reached", "connect", "its folder as weights", "someone/something"):
        assert part in str(refusal.value)


@pytest.mark.usefixtures("offline")
def test_a_hub_switched_off_is_said(make_card: MakeCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE is set; unset it, or download"):
        find_weights(make_card(source=HUB))


@pytest.mark.usefixtures("offline")
def test_the_cache_needs_no_network(
    make_card: MakeCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def cached(repository: str, name: str, revision: str | None, repo_type: str) -> str | None:
        asked.append((repository, name, revision, repo_type))
        return str(tmp_path / name) if name == "pytorch_model.bin" else None

    monkeypatch.setattr(weight_files, "try_to_load_from_cache", cached)
    found = find_weights(make_card(source=HUB, revision="abc"))
    assert found == tmp_path / "pytorch_model.bin"
    assert asked[0] == ("someone/something", "model.safetensors", "abc", "model")
    card = make_card(source="hf-dataset:a/b", weights={"file": "models/pytorch_model.bin"})
    with pytest.raises(WeightsUnavailable, match="or download a/b elsewhere"):
        find_weights(card)
    assert asked[-1] == ("a/b", "models/pytorch_model.bin", None, "dataset")


def test_a_gated_repository_names_its_page_and_the_token(
    make_card: MakeCard, answering: Callable[[Any], None]
) -> None:
    answering(hub_error(GatedRepoError, 403))
    with pytest.raises(WeightsUnavailable) as refusal:
        find_weights(make_card(source=HUB, title="Secret"))
    page = "https://huggingface.co/someone/something"
    assert f"Secret is gated: accept its licence at {page}, then set HF_TOKEN" in str(refusal.value)


def test_a_small_file_comes_out_of_the_cache_or_the_hub(
    answering: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answering(str(tmp_path / "fetched.json"))
    assert fetch_file("a/b", "config.json") == tmp_path / "fetched.json"
    cached = str(tmp_path / "cached.json")
    monkeypatch.setattr(weight_files, "try_to_load_from_cache", lambda *_, **__: cached)
    assert fetch_file("a/b", "config.json", "abc") == Path(cached)


def test_a_small_file_that_cant_be_had_says_what_to_do(answering: Callable[[Any], None]) -> None:
    answering(hub_error(GatedRepoError, 403))
    with pytest.raises(WeightsUnavailable, match="a/b is gated: accept its licence at https://hug"):
        fetch_file("a/b", "config.json")
    answering(hub_error(RepositoryNotFoundError, 404))
    with pytest.raises(WeightsUnavailable, match=r"the hub has no a/b \(revision abc\)"):
        fetch_file("a/b", "config.json", "abc")


@pytest.mark.usefixtures("offline")
def test_a_small_file_needs_a_network_or_a_folder() -> None:
    with pytest.raises(WeightsUnavailable, match=r"a/b: the model hub can't .*give its folder"):
        fetch_file("a/b", "config.json")


def test_a_repository_that_is_none_is_named(
    make_card: MakeCard, answering: Callable[[Any], None]
) -> None:
    answering(hub_error(RepositoryNotFoundError, 404))
    with pytest.raises(WeightsUnavailable, match=r"the hub has no someone/something \(revision r1"):
        find_weights(make_card(source=HUB, revision="r1"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LocalEntryNotFoundError("x"), "can't be reached"),
        (HUB_ERROR("refused"), "broke off; run the command again"),
        (ConnectionError(104, "reset by peer"), "broke off; run the command again"),
        (OSError("Consistency check failed"), "broke off; run the command again"),
        (hub_error(HfHubHTTPError, 503), "answers with error 503; try again later"),
        (OSError(errno.ENOSPC, "No space left"), r"kept in .* \(No space left\); set HF_HOME"),
    ],
)
def test_a_download_that_fails_says_why(
    make_card: MakeCard, answering: Callable[[Any], None], error: Exception, said: str
) -> None:
    answering(error)
    with pytest.raises(WeightsUnavailable, match=f"{said}.*or download someone/something"):
        find_weights(make_card(source=HUB))


def test_the_one_file_of_weights_is_fetched(
    make_card: MakeCard, answering: Callable[[Any], None], tmp_path: Path
) -> None:
    answering(str(tmp_path / "w.safetensors"))
    assert find_weights(make_card(source=HUB)) == tmp_path / "w.safetensors"


REVISION = "a" * 40


@pytest.fixture
def trusted(make_card: MakeCard) -> EncoderCard:
    facts = {"family": "transformers", "weights": {"remote_code": True}}
    return make_card(source=HUB, revision=REVISION, **facts)


def test_code_beside_weights_of_ones_own_is_that_which_runs(
    trusted: EncoderCard, tmp_path: Path, answering: Callable[[Any], None]
) -> None:
    answering(ConnectionError("the hub is not asked"))
    assert fetch_code(trusted, tmp_path / "model.safetensors") == tmp_path


def test_code_is_fetched_at_the_cards_revision(
    trusted: EncoderCard,
    tmp_path: Path,
    answering: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(ConnectionError("not this one"))
    weights, asked = tmp_path / "model.safetensors", []

    def snapshot(repository: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(weight_files, "try_to_load_from_cache", lambda *_, **__: str(weights))
    monkeypatch.setattr(module, "snapshot_download", snapshot)
    assert fetch_code(trusted, weights) == tmp_path
    assert asked == [("someone/something", REVISION, ["*.py", "*.json"])]


@pytest.mark.usefixtures("offline")
def test_without_a_network_code_must_lie_in_the_cache(
    trusted: EncoderCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "model.safetensors"
    monkeypatch.setattr(weight_files, "try_to_load_from_cache", lambda *_, **__: str(weights))
    with pytest.raises(WeightsUnavailable, match="its code is not in the cache"):
        fetch_code(trusted, weights)
    (tmp_path / "own.py").write_text("")
    assert fetch_code(trusted, weights) == tmp_path
