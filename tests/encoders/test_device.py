from typing import Any

import pytest
import torch

from clearbench.encoders.device import choose_device, choose_precision, has_bfloat16
from clearbench.errors import BadRequest

CPU = torch.device("cpu")


def test_a_device_is_taken_by_name() -> None:
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("cuda", [True, False])
def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch, cuda: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device().type == ("cuda" if cuda else "cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device().type == ("cuda" if cuda else "mps")


@pytest.mark.parametrize("wanted", ["cuda", "cuda:1", "mps"])
def test_a_missing_device_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BadRequest, match="finds no such device; use cpu"):
        choose_device(wanted)


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadRequest, match="auto, cpu, cuda, cuda:1 or mps"):
        choose_device("gpu0")


@pytest.mark.parametrize("has", [True, False])
def test_auto_precision_is_the_processors(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    for check in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, check, lambda: has, raising=False)
    assert has_bfloat16(CPU) is has
    assert choose_precision("auto", CPU) == ("bfloat16" if has else "float32")


@pytest.mark.parametrize(("major", "has"), [(7, False), (8, True), (9, True)])
def test_old_cards_lack_bfloat16(monkeypatch: pytest.MonkeyPatch, major: int, has: bool) -> None:
    def capability(_device: Any) -> tuple[int, int]:
        return major, 0

    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    assert has_bfloat16(torch.device("cuda")) is has
    assert has_bfloat16(torch.device("mps")) is False


def test_auto_follows_the_store() -> None:
    assert choose_precision("auto", CPU, "float16") == "float16"
    assert choose_precision("float32", CPU, "float16") == "float32"


def test_auto_keeps_to_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card whose features suffer under rounding is embedded in float32, unless one types it."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert choose_precision("auto", CPU, coarsest="float32") == "float32"
    assert choose_precision("bfloat16", CPU, coarsest="float32") == "bfloat16"


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(BadRequest, match="auto, float32, bfloat16, float16"):
        choose_precision("int8", CPU)
