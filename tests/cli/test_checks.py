"""`clearbench models check` and `models freeze` as they are typed."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import clearbench.encoders.registry as registry
from clearbench.cli import main
from clearbench.encoders.families import lecl
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.encoders.registry import find_encoder, register_encoder
from clearbench.encoders.weights.load import file_sha256

CARD = """
title   = "Mine"
family  = "lecl"
source  = "file:mine.safetensors"
net     = "gated-cnn"
dim     = 12
pooling = "mean"
[sizes]
depths = [1, 2]
dims   = [8, 12]
[weights]
licence = "MIT"
[input]
size_px       = 32
views         = "free"
default_views = ["lung", "mediastinum"]
mean          = [0.5, 0.5, 0.5]
std           = [0.5, 0.5, 0.5]
"""
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card `mine` in ./registry, and its weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "mine.toml").write_text(CARD)
    sizes = check_sizes("gated-cnn", {"depths": [1, 2], "dims": [8, 12]}, "test")
    state = build_net(sizes, 32, seed=5).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, weights_of(folder))
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def typed(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["clearbench", "models", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)

    return typed


def weights_of(folder: Path) -> Path:
    return folder / "mine.safetensors"


def edit(folder: Path, old: str, new: str) -> None:
    assert old in CARD
    (folder / "mine.toml").write_text(CARD.replace(old, new))


def plant(spoil: Callable[[Tensor], Tensor]) -> None:
    """Register an encoder `planted` whose features are spoilt."""

    def build(card: object, weights: object) -> nn.Module:
        del card, weights
        network = lecl.build(find_encoder("mine").card.with_random_weights(), None)
        network.register_forward_hook(lambda _module, _images, features: spoil(features))
        return network

    register_encoder(find_encoder("mine").card, build, name="planted")


def test_a_report_can_be_pasted_into_a_pull_request(
    mine: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", "mine", "--device", "cpu") == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "## models check mine: passed"
    assert f"- card sha256: {file_sha256(mine / 'mine.toml')}" in lines
    assert f"- weights sha256: {file_sha256(weights_of(mine))}" in lines
    assert f"torch {version('torch')}, timm " in said
    assert "- device: cpu (" in said
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {6}, "five columns in every row"
    assert set(table[1]) <= set("| -")
    assert lines[lines.index(table[0]) - 1] == "", "Markdown wants a blank line before a table"
    assert len({line.split("|")[1].__len__() for line in table}) == 1, "columns line up"
    assert "RANDOM" not in said
    assert lines[-1].endswith("2 warnings, 1 skipped")


def test_random_weights_are_said_aloud(
    mine: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    weights_of(mine).unlink()
    assert run("check", "mine", "--device", "cpu") == 2
    said = capsys.readouterr().err
    assert "or use random_weights (--random-weights) to check the network" in said
    assert run("check", "mine", "--device", "cpu", "--random-weights") == 0
    said = capsys.readouterr().out
    assert "**RANDOM WEIGHTS**" in said
    assert "its real weights were not" in said


def test_json_holds_every_finding(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "mine", "--device", "cpu", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is True
    assert printed["random_weights"] is False
    alone = next(one for one in printed["findings"] if one["check"] == "alone")
    assert alone["status"] == "pass"
    assert 0 <= alone["measured"] <= 1e-4
    assert alone["limit"] == "≤ 0.0001"


@pytest.mark.parametrize(
    ("spoil", "row"),
    [
        (lambda x: x * torch.nan, "| finite       | FAIL "),
        (lambda x: x + x.mean(0), "| alone        | FAIL "),
        (torch.ones_like, "| apart        | FAIL "),
    ],
    ids=["NaN", "neighbours", "blind"],
)
def test_a_fault_is_exit_code_1(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Tensor], Tensor],
    row: str,
) -> None:
    plant(spoil)
    assert run("check", "planted", "--device", "cpu") == 1
    said = capsys.readouterr().out
    assert said.startswith("## models check planted: FAILED")
    assert row in said


def test_a_wrong_dim_is_a_failed_finding_with_the_sentence(
    mine: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(mine, 'family  = "lecl"', 'family  = "timm"')
    text = (mine / "mine.toml").read_text().replace("file:mine.safetensors", "random:0")
    text = text.replace("[sizes]\ndepths = [1, 2]\ndims   = [8, 12]\n", "")
    text = text.replace('net     = "gated-cnn"', 'net     = "test_vit"')
    (mine / "mine.toml").write_text(text)
    assert run("check", "mine", "--device", "cpu") == 1
    said = capsys.readouterr().out
    assert "| features     | FAIL " in said
    assert "mine: the card has dim = 12, but the network returns (8, 64) for 8 images" in said
    assert "there are no features" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('family  = "lecl"', 'family  = "lecll"', 'no family of encoders is called "lecll"; did'),
        ("pooling =", "poolin =", "unknown key poolin; did you mean pooling?"),
        ("dim     = 12", "dim     = 13", "dim is 13, but the sizes give 12"),
        (
            '"MIT"',
            f'"MIT"\nsha256 = "{"ab" * 32}"',
            "is not the card's abababababab…; put the card's file",
        ),
        ("depths = [1, 2]", "depths = [1, 1]", "weights of another network: keys "),
        (
            '"file:mine.safetensors"',
            '"none"',
            "no public weights; give a file of weights, or train them: clearbench",
        ),
        ('title   = "Mine"', "title   = ", "not a TOML file"),
    ],
    ids=["family", "key", "dim", "sha256", "another network", "no weights", "no TOML"],
)
@pytest.mark.parametrize("command", ["check", "freeze"])
def test_a_card_that_cannot_be_loaded_is_refused_in_one_sentence(
    mine: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    command: str,
    old: str,
    new: str,
    words: str,
) -> None:
    edit(mine, old, new)
    assert run(command, "mine", "--device", "cpu") == 2
    said = capsys.readouterr()
    assert said.err.startswith("clearbench: ")
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not (mine / "golden").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "min"], "did you mean mine"),
        (["freeze", "min"], "did you mean mine"),
        (["check", "mine", "--random-weights", "--weights", "x"], "exclude each other"),
        (["check", "mine", "--golden", "x", "--random-weights"], "--golden brings weights; leave"),
        (["check", "mine", "--golden", "x"], "x: no such file"),
        (["check", "mine", "--weights", "nowhere"], "nowhere: no such file or folder of weights"),
        (["check", "mine", "--device", "toaster"], "--device toaster: must be auto, cpu, cuda"),
        (["check", "mine", "--precision", "int4"], "--precision int4: must be auto, float32"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_cannot_be_served_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_what_is_frozen_is_compared_with(
    mine: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("freeze", "mine", "--device", "cpu") == 0
    path = mine / "golden" / "mine.safetensors"
    said = capsys.readouterr()
    assert f"written: {path} (3 slices, 2 views, 12-d, " in said.out
    assert run("check", "mine", "--device", "cpu") == 0
    assert "| reference    | pass " in capsys.readouterr().out
    assert run("freeze", "mine", "--device", "cpu") == 2
    assert "run: clearbench models freeze mine --replace" in capsys.readouterr().err
    state = {key: value * 1.01 for key, value in load_file(weights_of(mine)).items()}
    save_file(state, weights_of(mine))
    assert run("check", "mine", "--device", "cpu") == 1
    assert "reference vectors are of other weights (" in capsys.readouterr().out
    assert run("freeze", "mine", "--device", "cpu", "--replace") == 0
    assert run("check", "mine", "--device", "cpu") == 0


def test_vectors_are_frozen_where_the_user_says(mine: Path, run: Run, tmp_path: Path) -> None:
    assert run("freeze", "mine", "--device", "cpu", "-o", "deep/own.safetensors") == 0
    assert (tmp_path / "deep" / "own.safetensors").is_file()
    assert not (mine / "golden").exists()


def test_an_encoder_of_this_process_has_no_folder_for_them(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(lambda features: features)
    assert run("freeze", "planted", "--device", "cpu") == 2
    assert "has no card file, so no folder; name the file to write" in capsys.readouterr().err
